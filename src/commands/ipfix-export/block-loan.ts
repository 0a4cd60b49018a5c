/** Most octets in blocks that wait to be used again. */
const MAX_FREE_OCTETS = 1 << 26

/**
 * Blocks that an encoder builds Messages in, lent to the log until nobody reads it there any more. New ones would be memory that the
 * system has to find and clear, and, as they are kept for a while, the collector of garbage to look for.
 */
export interface BlockLoan {
  readonly newBlock: (octets: number) => Uint8Array<ArrayBuffer>
  /** Takes a block whose last octets are in what the encoder gives out next. */
  readonly leave: (block: Uint8Array<ArrayBuffer>) => void
  /** Takes those that were left; what is returned is to be told the place behind their octets in the log. */
  left(): (end: number) => void
  /** Nothing before this place of the log is read any more. */
  giveBack(position: number): void
}

export function createBlockLoan(): BlockLoan {
  const free: Uint8Array<ArrayBuffer>[] = []
  let freeOctets = 0
  let left: Uint8Array<ArrayBuffer>[] = []
  /** In the order of their places. */
  let lent: {readonly block: Uint8Array<ArrayBuffer>; readonly end: number}[] = []
  return {
    newBlock(octets) {
      if (free.at(-1)?.length !== octets) return new Uint8Array(octets)
      freeOctets -= octets
      return free.pop()!
    },
    leave: (block) => void left.push(block),
    left() {
      const blocks = left
      left = []
      return (end) => {
        for (const block of blocks) lent.push({block, end})
      }
    },
    giveBack(position) {
      let n = 0
      while (n < lent.length && lent[n].end <= position) {
        const {block} = lent[n++]
        if (freeOctets + block.length > MAX_FREE_OCTETS) continue
        free.push(block)
        freeOctets += block.length
      }
      if (n > 0) lent = lent.slice(n)
    },
  }
}
