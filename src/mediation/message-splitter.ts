/** Cuts a stream of octets into messages that say how long they are. */
export interface MessageSplitter<T> {
  /** The messages that are whole now; their octets stay as they are. @throws what `lengthAt` throws */
  push(chunk: Uint8Array): T[]
}

/**
 * @param least octets that tell how long a message is
 * @param lengthAt octets of the message that begins there, of which `least` octets or more are there; throws if nobody can know
 *   where the next one is
 * @param messageOf what is made of its octets
 */
export function createSplitter<T>(
  least: number,
  lengthAt: (octets: Uint8Array, at: number) => number,
  messageOf: (octets: Uint8Array) => T,
): MessageSplitter<T> {
  let pieces: Uint8Array[] = []
  let held = 0
  /** Octets that must be there before it makes sense to look again: else many small pieces were copied again and again. */
  let needed = least
  return {
    push(chunk) {
      pieces.push(chunk)
      held += chunk.length
      if (held < needed) return []
      const octets = new Uint8Array(held)
      let end = 0
      for (const piece of pieces) {
        octets.set(piece, end)
        end += piece.length
      }
      const messages: T[] = []
      let at = 0
      needed = least
      while (held - at >= least) {
        const length = lengthAt(octets, at)
        if (length > held - at) {
          needed = length
          break
        }
        messages.push(messageOf(octets.subarray(at, at + length)))
        at += length
      }
      pieces = [octets.subarray(at)]
      held -= at
      return messages
    },
  }
}
