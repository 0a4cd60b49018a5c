import {isDeepStrictEqual} from 'node:util'
import test from 'ava'
import {createMessageStream, type Damage} from '../../src/ipfix/message-stream.js'
import {hex} from '../hex.js'
import {decode, join, message} from './octets.js'

const sources = hex`0002 000c 0100 0001 0008 0004`
/** A Message of `records` records that begins with this sequence number. */
function data(sequence: number, records = 3): Uint8Array {
  const octets = hex`0100 0000 ${new Uint8Array(4 * records).fill(0x0a)}`
  new DataView(octets.buffer).setUint16(2, octets.length)
  return message(octets, {sequence})
}

interface Cut {
  readonly messages: [offset: number, length: number][]
  readonly damage: Damage[]
}

/** Cuts a stream that comes `step` octets at a time, in chunks of their own and in chunks of one buffer. */
function cut(octets: Uint8Array, step = octets.length || 1): Cut {
  const apart = cutChunks(octets, step, (from, to) => octets.slice(from, to))
  const together = cutChunks(octets, step, (from, to) => octets.subarray(from, to))
  if (!isDeepStrictEqual(apart, together)) throw new Error(`cut otherwise, ${step} at a time`)
  return apart
}

function cutChunks(
  octets: Uint8Array,
  step: number,
  chunk: (from: number, to: number) => Uint8Array,
): Cut {
  const messages: [number, number][] = []
  const damage: Damage[] = []
  const stream = createMessageStream({
    message: (within, _view, start, length, offset) => {
      messages.push([offset, length])
      const same = Buffer.compare(
        within.subarray(start, start + length),
        octets.subarray(offset, offset + length),
      )
      if (same !== 0) throw new Error(`other octets at ${offset}`)
    },
    damage: (one) => damage.push(one),
  })
  for (let at = 0; at < octets.length; at += step) stream.push(chunk(at, at + step))
  stream.end()
  return {messages, damage}
}

test('a stream is cut into the same Messages however it comes', (t) => {
  const parts = [message(sources), data(0), data(3, 100), message(hex``), data(103, 0)]
  const octets = join(...parts)
  const whole = cut(octets)
  t.deepEqual(
    whole.messages.map(([, length]) => length),
    parts.map((part) => part.length),
  )
  for (let step = 1; step <= octets.length; step++) t.deepEqual(cut(octets, step), whole)
})

test('a Message is not copied where it lies whole in its chunk', (t) => {
  const chunk = join(data(0), data(3), data(6).subarray(0, 10))
  const rest = join(data(6).subarray(10), data(9))
  const seen: Uint8Array[] = []
  const stream = createMessageStream({
    message: (octets) => seen.push(octets),
    damage: () => t.fail(),
  })
  stream.push(chunk)
  stream.push(rest)
  t.is(seen.length, 4)
  t.is(seen[0], chunk)
  t.is(seen[1], chunk)
  t.is(seen[2].length, data(6).length)
  t.is(seen[3].buffer, rest.buffer)
})

test('a Message that straddles two chunks of one buffer is not copied either', (t) => {
  const octets = join(data(0), data(3), data(6))
  const seen: Uint8Array[] = []
  const stream = createMessageStream({
    message: (within) => seen.push(within),
    damage: () => t.fail(),
  })
  stream.push(octets.subarray(0, 50))
  stream.push(octets.subarray(50, 51))
  stream.push(octets.subarray(51))
  t.is(seen.length, 3)
  for (const within of seen) t.is(within.buffer, octets.buffer)
})

/** Octets between sound Messages, and what the damage is called. */
const damaged: [title: string, octets: Uint8Array, code: string][] = [
  ['octets of another version', hex`0009 0010 00000000 00000000 00000001`, 'DARTA_MESSAGE_VERSION'],
  ['a Message shorter than its header', hex`000a 000f 00000000 00000000`, 'DARTA_MESSAGE_LENGTH'],
  ['one octet', hex`00`, 'DARTA_MESSAGE_VERSION'],
  ['zeros', new Uint8Array(1000), 'DARTA_MESSAGE_VERSION'],
  ['what looks like headers', hex`000a 000a 000a 000a 000a 000a 000a`, 'DARTA_MESSAGE_LENGTH'],
  ['a Message cut short in a Set Header', data(0).subarray(0, 18), 'DARTA_SET_LENGTH'],
  [
    'a Message that says it is longer',
    ((): Uint8Array => {
      const octets = data(0)
      octets[3] += 20
      return octets
    })(),
    'DARTA_SET_LENGTH',
  ],
  [
    'a Message that says it is shorter',
    ((): Uint8Array => {
      const octets = data(0)
      octets[3] -= 2
      return octets
    })(),
    'DARTA_SET_LENGTH',
  ],
]

for (const [title, octets, code] of damaged) {
  test(`goes on behind ${title}, which is told once with its place`, (t) => {
    const before = [message(sources), data(0)]
    const after = [data(3), data(6)]
    const stream = join(...before, octets, ...after)
    const start = before[0].length + before[1].length
    const expected = {
      messages: [
        [0, before[0].length],
        [before[0].length, before[1].length],
        [start + octets.length, after[0].length],
        [start + octets.length + after[0].length, after[1].length],
      ],
      damage: [{code, offset: start, octets: octets.length}],
    }
    for (const step of [stream.length, 1, 3, 7, 16, 61]) {
      t.deepEqual(cut(stream, step) as unknown, expected, `${step} at a time`)
    }
  })

  test(`passes over ${title} at the end`, (t) => {
    const stream = join(data(0), octets)
    const {messages, damage} = cut(stream)
    t.deepEqual(messages, [[0, data(0).length]])
    t.is(damage.length, 1)
    t.deepEqual([damage[0].offset, damage[0].octets], [data(0).length, octets.length])
    for (const step of [1, 5, 17]) t.deepEqual(cut(stream, step), {messages, damage})
  })
}

test('a Message whose Sets do not fit it is passed over alone where another follows it', (t) => {
  const broken = message(hex`0100 0008 00000000 0100 0009`, {domain: 5})
  const stream = join(data(0), broken, data(3))
  const {messages, damage} = cut(stream)
  t.deepEqual(messages, [
    [0, 32],
    [60, 32],
  ])
  t.deepEqual(damage, [{code: 'DARTA_SET_LENGTH', offset: 32, octets: 28, observationDomainId: 5}])
})

test('a Message cut short whose lengths take in the next one’s head is dropped, the next one read', (t) => {
  for (let size = 21; size < 32; size++) {
    const stream = join(data(0), data(3).subarray(0, size), data(6), data(9))
    t.deepEqual(cut(stream) as unknown, {
      messages: [
        [0, 32],
        [32 + size, 32],
        [64 + size, 32],
      ],
      damage: [{code: 'DARTA_SET_LENGTH', offset: 32, octets: size}],
    })
  }
})

test('the last Message is read where the input ends exactly behind it, after damage too', (t) => {
  t.deepEqual(cut(join(hex`ffff`, data(0))), {
    messages: [[2, 32]],
    damage: [{code: 'DARTA_MESSAGE_VERSION', offset: 0, octets: 2}],
  })
})

test('Messages inside one that is cut short by a wrong length are found at the end', (t) => {
  const long = data(0)
  new DataView(long.buffer).setUint16(2, 60000)
  const stream = join(long, data(3), data(6))
  for (const step of [stream.length, 1, 50]) {
    t.deepEqual(cut(stream, step), {
      messages: [
        [32, 32],
        [64, 32],
      ],
      damage: [{code: 'DARTA_MESSAGE_TRUNCATED', offset: 0, octets: 32}],
    })
  }
})

test('a stream cut anywhere gives all its whole Messages and one account of the rest', (t) => {
  const parts = [message(sources), data(0), data(3, 1), data(4, 5)]
  const octets = join(...parts)
  const ends = parts.map((_, i) => join(...parts.slice(0, i + 1)).length)
  for (let size = 0; size <= octets.length; size++) {
    const {messages, damage} = cut(octets.subarray(0, size))
    const whole = ends.filter((end) => end <= size).length
    t.is(messages.length, whole)
    const rest = size - (whole === 0 ? 0 : ends[whole - 1])
    t.deepEqual(
      damage.map(({offset, octets: n}) => [offset, n]),
      rest === 0 ? [] : [[size - rest, rest]],
    )
    if (rest >= 4) t.is(damage[0].code, 'DARTA_MESSAGE_TRUNCATED')
  }
})

test('records behind damage are read, those in it counted by the sequence numbers', (t) => {
  const {records, messages, ledger} = decode(
    join(message(sources), data(0), data(3).fill(0xee, 0, 8), data(6), data(9)),
  )
  t.deepEqual([records.in, records.out], [12, 9])
  t.deepEqual([...records.lost], [['malformed-message', 3]])
  t.is(records.firstOffset.get('malformed-message'), 60)
  t.deepEqual([messages.in, messages.out], [5, 4])
  t.is(records.totalMissing(), 0)
  t.deepEqual(ledger.lines(), [
    'ipfix-messages: 5 messages in, 4 out, lost 1 (malformed-message 1 from octet 60)',
    'ipfix: 12 records in, 9 out, lost 3 (malformed-message 3 from octet 60)',
  ])
})

test('an empty stream has nothing in it', (t) => {
  t.deepEqual(cut(hex``), {messages: [], damage: []})
})

test('searching octets that are crafted to look like Messages takes no more than 5 ms for 64 KiB', (t) => {
  // Every twelve octets a header, and Sets that can be walked from each of them.
  const octets = new Uint8Array(1 << 20)
  const view = new DataView(octets.buffer)
  for (let at = 0; at + 12 <= octets.length; at += 12) {
    view.setUint32(at, 0x0100000c)
    view.setUint32(at + 4, 0x000affff)
    view.setUint32(at + 8, 0x0100000c)
  }
  cut(octets)
  const before = process.cpuUsage()
  const {messages, damage} = cutChunks(octets, 65536, (from, to) => octets.slice(from, to))
  const {user, system} = process.cpuUsage(before)
  t.deepEqual(messages, [])
  t.deepEqual(
    damage.map(({offset, octets: n}) => [offset, n]),
    [[0, octets.length]],
  )
  t.true((user + system) / 1000 / 16 < 5, `${(user + system) / 16000} ms`)
})
