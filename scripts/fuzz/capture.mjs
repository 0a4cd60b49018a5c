import {edges, joinOctets, mutateOctets} from './random.mjs'

/** Offsets of the record headers of a pcap file, or of the blocks of a pcapng file, as far as it is sound. */
function recordOffsets(octets) {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  if (octets.length < 24) return {offsets: [], little: true, ng: false}
  const ng = view.getUint32(0) === 0x0a0d0d0a
  const little = ng ? view.getUint32(8, true) === 0x1a2b3c4d : octets[0] !== 0xa1
  const offsets = []
  let at = ng ? 0 : 24
  while (octets.length - at >= (ng ? 12 : 16)) {
    const length = ng ? view.getUint32(at + 4, little) : 16 + view.getUint32(at + 8, little)
    if (length < 12 || length > octets.length - at) break
    offsets.push(at)
    at += length
  }
  offsets.push(at)
  return {offsets, little, ng}
}

const words = [
  ...edges,
  65536,
  262144,
  262145,
  0x3ffffff,
  0x4000000,
  0x4000001,
  0x7fffffff,
  0x80000000,
  0xffffffff,
]
const linkTypes = [
  0, 1, 9, 12, 50, 101, 104, 105, 107, 108, 113, 127, 228, 229, 239, 276, 0xf0000001,
]
/** What stands where protocols say what comes next: Ethertypes, IP protocols, tunnel ports. */
const nextHeaders = [
  0x0800, 0x86dd, 0x8100, 0x88a8, 0x8847, 0x8864, 0x893f, 0x8926, 0x88e7, 0x894f, 0x8903, 0x6558,
  0x88be, 0x22eb, 0x880b, 4789, 6081, 2152, 3544, 0x0400, 0x2900, 0x2f00, 0x2c00, 0x0000, 0x2b00,
  0x3c00, 0x3300,
]

/** A capture with faults in its records' headers, in its packets' headers and anywhere. */
export function mutateCapture(random, seed, others) {
  let octets = seed
  for (let rounds = 1 + random.below(6); rounds > 0; rounds--) {
    const {offsets, little, ng} = recordOffsets(octets)
    if (offsets.length < 2 || random.once(5)) {
      octets = mutateOctets(random, octets, others)
      continue
    }
    const r = random.below(offsets.length - 1)
    const [at, end] = [offsets[r], offsets[r + 1]]
    const copy = octets.slice()
    const view = new DataView(copy.buffer)
    switch (random.below(7)) {
      case 0:
        // A word of the record's header: time, lengths, block type, interface.
        view.setUint32(
          at + 4 * random.below(ng ? Math.min(7, (end - at) >> 2) : 4),
          random.of(words),
          little,
        )
        break
      case 1:
        if (!ng) view.setUint32(20, random.of(linkTypes), little)
        else if (end - at >= 12) view.setUint16(at + 8, random.of(linkTypes), little)
        break
      case 2: {
        const frame = at + (ng ? 28 : 16) + 2 * random.below(40)
        if (frame + 2 <= end) view.setUint16(frame, random.of(nextHeaders))
        break
      }
      case 3: {
        const frame = at + (ng ? 28 : 16) + random.below(80)
        if (frame < end)
          copy[frame] = random.once(2)
            ? random.of([0, 0x45, 0x60, 0x4f, 6, 17, 255])
            : random.below(256)
        break
      }
      case 4: {
        const other = random.of(others)
        const theirs = recordOffsets(other).offsets
        if (theirs.length < 2) break
        const o = random.below(theirs.length - 1)
        const part = other.subarray(theirs[o], theirs[o + 1])
        octets = joinOctets(copy.subarray(0, at), part, copy.subarray(at))
        continue
      }
      case 5:
        octets = joinOctets(copy.subarray(0, at), copy.subarray(end))
        continue
      default:
        octets = joinOctets(copy.subarray(0, end), copy.subarray(at))
        continue
    }
    octets = copy
  }
  return octets.length > 1 << 17 ? octets.subarray(0, 1 << 17) : octets
}
