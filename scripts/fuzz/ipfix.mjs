import {edges, joinOctets, mutateOctets} from './random.mjs'

/** The Messages of a stream as far as it is sound; the rest, if any, is one last piece. */
export function splitMessages(octets) {
  const messages = []
  let at = 0
  while (octets.length - at >= 16) {
    const length = (octets[at + 2] << 8) | octets[at + 3]
    if (octets[at] !== 0 || octets[at + 1] !== 10 || length < 16 || length > octets.length - at)
      break
    messages.push(octets.subarray(at, at + length))
    at += length
  }
  if (at < octets.length) messages.push(octets.subarray(at))
  return messages
}

function splitSets(message) {
  const sets = []
  let at = 16
  while (message.length - at >= 4) {
    const length = (message[at + 2] << 8) | message[at + 3]
    if (length < 4 || length > message.length - at) break
    sets.push(message.subarray(at, at + length))
    at += length
  }
  if (at < message.length) sets.push(message.subarray(at))
  return sets
}

function putLength(octets) {
  const copy = octets.slice()
  if (copy.length >= 4 && copy.length <= 65535) new DataView(copy.buffer).setUint16(2, copy.length)
  return copy
}

/** A Message of these Sets under the header of `message`, its length set right unless it is too long for one. */
function buildMessage(message, sets) {
  return putLength(joinOctets(message.subarray(0, 16), ...sets))
}

/** Element numbers worth meeting: addresses, counters, times, strings, booleans, lists, names of RFC 5610. */
const elements = [
  1, 2, 4, 7, 8, 12, 27, 28, 82, 95, 145, 150, 152, 154, 156, 210, 276, 291, 292, 293, 303, 339,
  341, 346, 371,
]
const lengths = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 32, 255, 256, 65534, 65535, 65535, 65535]

/** A Template Set that nobody sends: any mixture of lengths, counts, scopes, enterprise numbers, withdrawals. */
function makeTemplateSet(random) {
  const options = random.once(3)
  const octets = []
  const put = (n) => octets.push((n >> 8) & 255, n & 255)
  put(options ? 3 : 2)
  put(0)
  for (let records = 1 + random.below(4); records > 0; records--) {
    put(random.once(12) ? random.below(256) : 256 + random.below(random.once(3) ? 65280 : 8))
    const count = random.once(9)
      ? 0
      : random.once(40)
        ? 513 + random.below(2000)
        : 1 + random.below(12)
    put(random.once(15) ? random.of(edges) : count)
    if (options && count > 0) put(random.once(5) ? random.of(edges) : 1 + random.below(count))
    for (let i = 0; i < count; i++) {
      const enterprise = random.once(5)
      put(random.of(elements) | (enterprise ? 0x8000 : 0))
      put(random.of(lengths))
      if (enterprise) octets.push(0, 0, random.below(256), random.below(256))
    }
  }
  return putLength(Uint8Array.from(octets))
}

function mutateSet(random, set, others) {
  const copy = set.slice()
  const view = new DataView(copy.buffer)
  if (copy.length < 4) return mutateOctets(random, copy, others)
  switch (random.below(7)) {
    case 0:
      view.setUint16(0, random.once(2) ? random.of(edges) : 256 + random.below(16))
      return copy
    case 1:
      view.setUint16(2, random.once(2) ? random.of(edges) : copy.length + random.below(9) - 4)
      return copy
    case 2: {
      // A 16-bit field of the Set: in Template Sets that is an ID, a count, an element or a length.
      const at = 4 + 2 * random.below(Math.max(1, (copy.length - 4) >> 1))
      if (at + 2 <= copy.length) view.setUint16(at, random.of(random.once(2) ? edges : lengths))
      return copy
    }
    case 3:
      return putLength(mutateOctets(random, copy, others))
    case 4:
      return mutateOctets(random, copy, others)
    case 5:
      return putLength(joinOctets(copy, new Uint8Array(random.below(9))))
    default:
      return putLength(joinOctets(copy, copy.subarray(4)))
  }
}

/** A stream with the grammar of IPFIX and faults on every level of it. `others`: all seeds. */
export function mutateIpfix(random, seed, others) {
  let stream = seed
  for (let rounds = 1 + random.below(4); rounds > 0; rounds--) {
    const messages = splitMessages(stream)
    if (messages.length === 0 || random.once(6)) {
      stream = mutateOctets(random, stream, others)
      continue
    }
    const m = random.below(messages.length)
    const sets = splitSets(messages[m])
    switch (random.below(9)) {
      case 0:
        messages.splice(m, 1)
        break
      case 1:
        messages.splice(random.below(messages.length + 1), 0, messages[m])
        break
      case 2:
        messages.splice(m, 0, random.of(splitMessages(random.of(others))) ?? new Uint8Array(0))
        break
      case 3: {
        // The header: version, length, time, sequence, domain.
        const copy = messages[m].slice()
        if (copy.length >= 16) {
          const view = new DataView(copy.buffer)
          const at = 2 * random.below(8)
          view.setUint16(
            at,
            random.once(2) ? random.of(edges) : view.getUint16(at) + random.below(9) - 4,
          )
        }
        messages[m] = copy
        break
      }
      case 4: {
        sets.splice(random.below(sets.length + 1), 0, makeTemplateSet(random))
        messages[m] = buildMessage(messages[m], sets)
        break
      }
      case 5: {
        const other = splitSets(random.of(splitMessages(random.of(others))) ?? new Uint8Array(0))
        if (other.length > 0)
          sets.splice(random.below(sets.length + 1), random.below(2), random.of(other))
        messages[m] = buildMessage(messages[m], sets)
        break
      }
      case 6:
        if (sets.length > 0) sets.splice(random.below(sets.length), 1)
        messages[m] = buildMessage(messages[m], sets)
        break
      default: {
        if (sets.length === 0) break
        const s = random.below(sets.length)
        sets[s] = mutateSet(random, sets[s], others)
        messages[m] = buildMessage(messages[m], sets)
      }
    }
    stream = joinOctets(...messages)
    if (stream.length > 1 << 18) stream = stream.subarray(0, 1 << 18)
  }
  return stream
}
