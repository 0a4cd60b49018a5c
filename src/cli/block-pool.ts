import {DescriptorSink, type OctetSink} from '../io/octet-sink.js'

/** Most blocks that wait to be used again. */
const MAX_FREE = 8

/**
 * Blocks for an encoder. Those that it has left and that are written are used again, since new ones are memory that the
 * system has to find and clear.
 */
export interface BlockPool {
  /** Options for the encoder. */
  readonly options: {
    readonly newBlock: (octets: number) => Uint8Array<ArrayBuffer>
    readonly leaveBlock: (block: Uint8Array<ArrayBuffer>) => void
  }
  /** The blocks that the encoder has left so far, whose last octets are in what it has just given out. */
  takeLeft(): readonly Uint8Array<ArrayBuffer>[]
  /** `sink` has taken what was given out with these blocks, and has written what it took before. */
  taken(sink: OctetSink, left: readonly Uint8Array<ArrayBuffer>[]): void
}

export function createBlockPool(): BlockPool {
  const free: Uint8Array<ArrayBuffer>[] = []
  let left: Uint8Array<ArrayBuffer>[] = []
  /** Being written. */
  let written: readonly Uint8Array<ArrayBuffer>[] = []
  let writtenTo: OctetSink | undefined
  return {
    options: {
      newBlock: (octets) => (free.at(-1)?.length === octets ? free.pop()! : new Uint8Array(octets)),
      leaveBlock: (block) => void left.push(block),
    },
    takeLeft() {
      const taken = left
      left = []
      return taken
    },
    taken(sink, blocks) {
      // Of others it is not known when they are done with what they took.
      if (!(sink instanceof DescriptorSink)) return
      if (writtenTo === sink) {
        for (const block of written) if (free.length < MAX_FREE) free.push(block)
      }
      written = blocks
      writtenTo = sink
    },
  }
}
