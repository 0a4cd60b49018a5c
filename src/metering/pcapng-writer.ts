/** Frames of several interfaces as octets of one pcapng section. */
export interface PcapngWriter {
  /** Describes an interface and gives its number; all before the first frame. */
  describe(linkType: number): number
  /**
   * @param octets the frame, of which the first `captured` octets are kept
   * @param original octets on the wire
   * @param time microseconds since 1970
   */
  frame(number: number, octets: Uint8Array, captured: number, original: number, time: number): void
  /** Octets that `take` would give. */
  readonly size: number
  /** What was written since the last call; new octets each time. */
  take(): Uint8Array
}

const SECTION_HEADER = 0x0a0d0d0a
const BYTE_ORDER_MAGIC = 0x1a2b3c4d
const INTERFACE_DESCRIPTION = 1
const ENHANCED_PACKET = 6
const ENHANCED_PACKET_OCTETS = 32

export function createPcapngWriter(chunkOctets: number): PcapngWriter {
  let octets = new Uint8Array(chunkOctets)
  let view = new DataView(octets.buffer)
  let at = 0
  let interfaces = 0

  function room(wanted: number): void {
    if (at + wanted <= octets.byteLength) return
    const larger = new Uint8Array(Math.max(at + wanted, 2 * octets.byteLength))
    larger.set(octets.subarray(0, at))
    octets = larger
    view = new DataView(octets.buffer)
  }

  /** A block of words, with its length at both ends. */
  function block(type: number, words: readonly number[]): void {
    const length = 12 + 4 * words.length
    room(length)
    for (const word of [type, length, ...words, length]) {
      view.setUint32(at, word, true)
      at += 4
    }
  }

  // Version 1.0, a section of unknown length.
  block(SECTION_HEADER, [BYTE_ORDER_MAGIC, 1, 0xffffffff, 0xffffffff])
  return {
    describe(linkType) {
      block(INTERFACE_DESCRIPTION, [linkType, 0])
      return interfaces++
    },
    frame(number, frame, captured, original, time) {
      const padded = (captured + 3) & ~3
      const length = ENHANCED_PACKET_OCTETS + padded
      room(length)
      view.setUint32(at, ENHANCED_PACKET, true)
      view.setUint32(at + 4, length, true)
      view.setUint32(at + 8, number, true)
      view.setUint32(at + 12, Math.floor(time / 2 ** 32), true)
      view.setUint32(at + 16, time % 2 ** 32, true)
      view.setUint32(at + 20, captured, true)
      view.setUint32(at + 24, original, true)
      octets.set(frame.subarray(0, captured), at + 28)
      octets.fill(0, at + 28 + captured, at + 28 + padded)
      view.setUint32(at + 28 + padded, length, true)
      at += length
    },
    get size() {
      return at
    },
    take() {
      const taken = octets.slice(0, at)
      at = 0
      return taken
    },
  }
}
