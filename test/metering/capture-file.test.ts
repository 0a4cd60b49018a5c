import test, {type ExecutionContext} from 'ava'
import {createCaptureReader} from '../../src/metering/capture-file.js'
import {nanoseconds} from '../../src/metering/time.js'
import {hex} from '../hex.js'
import {blocks, concat, pcap, pcapRecord} from './captures.js'

interface Seen {
  readonly time: bigint
  readonly octets: string
  readonly original: number
  readonly linkType: number
  readonly interfaceIndex: number
  readonly offset: number
}

interface Read {
  readonly frames: Seen[]
  /** Reason, offset and octets of each loss. */
  readonly lost: [string, number, number][]
}

/** Reads a capture in one piece. */
function read(capture: Uint8Array, limit = Infinity): Read {
  const frames: Seen[] = []
  const lost: Read['lost'] = []
  const reader = createCaptureReader({
    frame(frame) {
      frames.push({
        time: nanoseconds(frame.time),
        octets: Buffer.from(frame.octets.subarray(frame.start, frame.end)).toString('hex'),
        original: frame.originalLength,
        linkType: frame.linkType,
        interfaceIndex: frame.interfaceIndex,
        offset: frame.offset,
      })
    },
    lost: (reason, offset, octets) => lost.push([reason, offset, octets]),
    full: () => frames.length + lost.length >= limit,
  })
  reader.push(capture)
  reader.finish()
  return {frames, lost}
}

function octetsOf({frames}: Read): string[] {
  return frames.map((frame) => frame.octets)
}

const one = hex`01 01 01 01 01`
const two = hex`02 02 02`
const SECOND = 1000000000n
const T = 1700000000n * SECOND

for (const [magic, what, time] of [
  ['a1b2c3d4', 'microseconds, big-endian', T + 123456000n],
  ['d4c3b2a1', 'microseconds, little-endian', T + 123456000n],
  ['a1b23c4d', 'nanoseconds, big-endian', T + 123456789n],
  ['4d3cb2a1', 'nanoseconds, little-endian', T + 123456789n],
  ['a1b2cd34', "Kuznetzov's records, big-endian", T + 123456000n],
  ['34cdb2a1', "Kuznetzov's records, little-endian", T + 123456000n],
] as const) {
  test(`reads pcap in ${what}`, (t) => {
    const records = [
      {time: T + 123456789n, octets: one, original: 99},
      {time: T + SECOND, octets: two},
    ]
    const {frames, lost} = read(pcap(records, {magic, linkType: 101}))
    const header = magic.includes('cd') && !magic.includes('c3d4') ? 24 : 16
    t.deepEqual(frames, [
      {time, octets: '0101010101', original: 99, linkType: 101, interfaceIndex: 0, offset: 24},
      {
        time: T + SECOND,
        octets: '020202',
        original: 3,
        linkType: 101,
        interfaceIndex: 0,
        offset: 24 + header + 5,
      },
    ])
    t.deepEqual(lost, [])
  })
}

test('ignores what stands above 16 bits of the network field', (t) => {
  t.is(read(pcap([{octets: one}], {linkType: 0xf4000071})).frames[0].linkType, 113)
})

test('takes an original length that is smaller than the captured one as it is', (t) => {
  t.like(read(pcap([{octets: one, original: 2}])).frames[0], {octets: '0101010101', original: 2})
})

test('refuses input without a known magic', (t) => {
  for (const capture of [hex`00000000`, hex`504b0304 0000`, hex`a1b2c3d5`]) {
    t.throws(() => read(capture), {code: 'DARTA_CAPTURE_FORMAT'})
  }
})

test('refuses input of less than four octets', (t) => {
  for (const capture of [hex``, hex`a1`, hex`a1b2c3`]) {
    t.throws(() => read(capture), {code: 'DARTA_CAPTURE_FORMAT'})
  }
})

test('refuses a first section with an unknown byte-order magic', (t) => {
  t.throws(() => read(hex`0a0d0d0a 1c000000 11223344 01000000 ffffffffffffffff 1c000000`), {
    code: 'DARTA_CAPTURE_FORMAT',
  })
})

test('counts a pcap header that is cut short as truncated', (t) => {
  const whole = pcap([])
  for (let cut = 4; cut < 24; cut++) {
    t.deepEqual(read(whole.subarray(0, cut)), {frames: [], lost: [['truncated', 0, 0]]})
  }
  t.deepEqual(read(whole), {frames: [], lost: []})
})

test('counts a pcap record that reaches past the end as truncated, with its offset', (t) => {
  const whole = pcap([{octets: one}, {octets: two}])
  for (let cut = 46; cut < whole.length; cut++) {
    const result = read(whole.subarray(0, cut))
    t.deepEqual(octetsOf(result), ['0101010101'])
    t.deepEqual(result.lost, [['truncated', 45, 0]])
  }
})

test('believes captured lengths up to 262144, and up to the snap length where that is more', (t) => {
  const big = new Uint8Array(262145).fill(0xff)
  t.is(read(pcap([{octets: big.subarray(1)}])).frames.length, 1)
  t.deepEqual(read(pcap([{octets: big}])).lost, [['malformed', 24, 0]])
  t.is(read(pcap([{octets: big}], {snapLength: 262145})).frames.length, 1)
})

test('takes a captured length over 64 MiB as damage whatever the snap length', (t) => {
  const record = pcapRecord({octets: one})
  new DataView(record.buffer).setUint32(8, 0x4000001, true)
  const capture = concat(pcap([], {snapLength: 0xffffffff}), record)
  t.deepEqual(read(capture).lost, [['malformed', 24, 0]])
  // One less is believed; then its end is missing.
  new DataView(record.buffer).setUint32(8, 0x4000000, true)
  const cut = concat(pcap([], {snapLength: 0xffffffff}), record)
  t.deepEqual(read(cut).lost, [['truncated', 24, 0]])
})

/** Good records, damage of `octets`, then `behind`. */
function damaged(octets: Uint8Array, behind: readonly Uint8Array[]): Uint8Array {
  return concat(pcap([{time: T, octets: one}]), octets, ...behind)
}

const impossible = hex`00000000 00000000 ffffffff ffffffff`

test('goes on with the next plausible record behind damage, which counts once', (t) => {
  for (const junk of [hex``, hex`ab`, hex`ff ff ff ff ff ff ff`, new Uint8Array(1000).fill(0xff)]) {
    const good = [one, two].map((octets, i) => pcapRecord({time: T + BigInt(i) * SECOND, octets}))
    const result = read(damaged(concat(impossible, junk), good))
    t.deepEqual(octetsOf(result), ['0101010101', '0101010101', '020202'])
    t.deepEqual(result.lost, [['malformed', 45, 0]])
  }
})

test('looks for the next record from the octet behind the start of the damaged one', (t) => {
  const long = pcapRecord({time: T, octets: new Uint8Array(1100).fill(8)})
  // With an octet put in before it, its captured length reads 256 times as long.
  const result = read(damaged(hex`ff`, [long]))
  t.is(result.frames[1].octets.length, 2 * 1100)
  t.deepEqual(result.lost, [['malformed', 45, 0]])
})

test('believes a last record that ends exactly with the input', (t) => {
  const last = pcapRecord({time: T, octets: two})
  t.deepEqual(octetsOf(read(damaged(impossible, [last]))), ['0101010101', '020202'])
  const more = read(damaged(impossible, [last, hex`00`]))
  t.deepEqual(octetsOf(more), ['0101010101'])
  t.deepEqual(more.lost, [['malformed', 45, 0]])
})

const implausible: [string, (view: DataView) => void][] = [
  [
    'a captured length over 262144',
    (v) => (v.setUint32(8, 262145, true), v.setUint32(12, 262145, true)),
  ],
  ['an original length over 262144', (v) => v.setUint32(12, 262145, true)],
  ['a captured length over the original', (v) => v.setUint32(12, 2, true)],
  ['a fraction of a second or more', (v) => v.setUint32(4, 1000000, true)],
  ['a time more than a day later', (v) => v.setUint32(0, 1700000000 + 86401, true)],
  ['a time more than a day before', (v) => v.setUint32(0, 1700000000 - 86401, true)],
]
for (const [what, spoil] of implausible) {
  test(`does not take up reading at a header with ${what}`, (t) => {
    const spoilt = pcapRecord({time: T, octets: two})
    spoil(new DataView(spoilt.buffer))
    const good = [one, one].map((octets) => pcapRecord({time: T, octets}))
    // Neither as the first nor as the one that follows it.
    t.deepEqual(octetsOf(read(damaged(impossible, [spoilt, ...good]))), Array(3).fill('0101010101'))
    const before = pcapRecord({time: T, octets: hex`07`})
    const result = read(damaged(impossible, [before, spoilt, ...good]))
    t.deepEqual(octetsOf(result), Array(3).fill('0101010101'))
    t.deepEqual(result.lost, [['malformed', 45, 0]])
  })
}

test('takes up reading at a header within a day of the last good packet', (t) => {
  for (const seconds of [-86400n, 86400n]) {
    const good = pcapRecord({time: T + seconds * SECOND, octets: two})
    t.deepEqual(octetsOf(read(damaged(impossible, [good]))), ['0101010101', '020202'])
  }
})

test('takes up reading at any time while there is no good packet yet', (t) => {
  const good = pcapRecord({time: T, octets: two})
  t.deepEqual(octetsOf(read(concat(pcap([]), impossible, good))), ['020202'])
})

test('stops after the frames wanted, and the end is no damage then', (t) => {
  const whole = pcap([{octets: one}, {octets: two}, {octets: one}])
  t.deepEqual(read(whole.subarray(0, -1), 2).lost, [])
  t.is(read(whole, 2).frames.length, 2)
})

for (const little of [true, false]) {
  const order = little ? 'little' : 'big'
  const b = blocks(little)

  test(`reads pcapng in ${order}-endian order`, (t) => {
    const capture = concat(
      b.section(),
      b.description(1),
      b.description(113),
      b.block(4, hex`00000000`), // Name Resolution: skipped
      b.enhanced(1, T / 1000n, one, 70),
      b.obsolete(0, T / 1000n + 1n, two),
      b.block(0x0bad, hex`00000000 11111111`), // Custom: skipped
      b.enhanced(0, T / 1000n + 2n, hex``),
    )
    const at = capture.length
    t.deepEqual(read(capture), {
      frames: [
        {
          time: T,
          octets: '0101010101',
          original: 70,
          linkType: 113,
          interfaceIndex: 1,
          offset: 84,
        },
        {
          time: T + 1000n,
          octets: '020202',
          original: 3,
          linkType: 1,
          interfaceIndex: 0,
          offset: 124,
        },
        {
          time: T + 2000n,
          octets: '',
          original: 0,
          linkType: 1,
          interfaceIndex: 0,
          offset: at - 32,
        },
      ],
      lost: [],
    })
  })
}

const b = blocks(true)
const start = [b.section(), b.description(1)]

test('reads each section in its own byte order, with interfaces of its own', (t) => {
  const big = blocks(false)
  const {frames, lost} = read(
    concat(
      ...start,
      b.enhanced(0, 5, one),
      big.section(),
      big.description(101),
      big.enhanced(0, 7, two),
    ),
  )
  t.deepEqual(
    frames.map(({time, linkType}) => [time, linkType]),
    [
      [5000n, 1],
      [7000n, 101],
    ],
  )
  t.deepEqual(lost, [])
  const again = read(concat(...start, b.section(), b.enhanced(0, 5, one)))
  t.deepEqual(again.lost, [['unknown-interface', 76, 5]])
})

const resolutions: [string, Uint8Array[], bigint, bigint][] = [
  ['microseconds without if_tsresol', [], 1700000000123456n, 1700000000123456000n],
  ['nanoseconds', [b.option(9, hex`09`)], 1700000000123456789n, 1700000000123456789n],
  ['milliseconds', [b.option(9, hex`03`)], 1700000000123n, 1700000000123000000n],
  ['seconds', [b.option(9, hex`00`)], 1700000000n, 1700000000000000000n],
  ['picoseconds, cut off', [b.option(9, hex`0c`)], 1999n, 1n],
  ['units of 2^-20 s, cut off', [b.option(9, hex`94`)], (5n << 20n) + 1n, 5000000953n],
  ['units of 10^-127 s', [b.option(9, hex`7f`)], 2n ** 64n - 1n, 0n],
  ['units of 2^-127 s', [b.option(9, hex`ff`)], 2n ** 64n - 1n, 0n],
  ['an offset of seconds', [b.option(14, b.numbers(8, 100))], 1000000n, 101000000000n],
  ['a negative offset', [b.option(14, b.numbers(8, -1))], 1500000n, 500000000n],
  ['a time before 1970', [b.option(14, b.numbers(8, -2))], 1000000n, 0n],
  ['a time behind 2^63 ns', [], 2n ** 64n - 1n, 2n ** 63n - 1n],
  [
    'a time of 2^63 ns with its offset',
    [b.option(9, hex`09`), b.option(14, b.numbers(8, 1))],
    2n ** 63n - 1000000000n,
    2n ** 63n - 1n,
  ],
  ['an option that ends behind its block', [hex`0900 0100`], 3n, 3000n],
  ['a last time in nanoseconds', [b.option(9, hex`09`)], 2n ** 63n - 1n, 2n ** 63n - 1n],
  ['a time behind it in nanoseconds', [b.option(9, hex`09`)], 2n ** 63n, 2n ** 63n - 1n],
  ['an if_tsresol of another length', [b.option(9, hex`0909`)], 3n, 3000n],
  ['an if_tsoffset of another length', [b.option(14, hex`00000005`)], 3n, 3000n],
  ['options behind opt_endofopt', [b.option(0, hex``), b.option(9, hex`09`)], 3n, 3000n],
  ['an option that does not fit', [hex`0900 ff00 09000000`, b.option(9, hex`09`)], 3n, 3000n],
  ['other options before', [b.option(2, hex`657468 30`), b.option(9, hex`09`)], 3n, 3n],
]
for (const [what, options, units, ns] of resolutions) {
  test(`reads pcapng times with ${what}`, (t) => {
    const capture = concat(b.section(), b.description(1, 0, ...options), b.enhanced(0, units, one))
    t.is(read(capture).frames[0].time, ns)
  })
}

test('gives a Simple Packet the time of the packet before it', (t) => {
  const {frames} = read(
    concat(...start, b.simple(5, one), b.enhanced(0, 9, one), b.simple(3, two), b.simple(3, two)),
  )
  t.deepEqual(
    frames.map(({time}) => time),
    [0n, 9000n, 9000n, 9000n],
  )
})

test('gives a Simple Packet no time of a packet that was lost', (t) => {
  const {frames} = read(concat(...start, b.enhanced(4, 9, one), b.simple(3, two)))
  t.deepEqual(
    frames.map(({time}) => time),
    [0n],
  )
})

test('cuts a Simple Packet to its length, the snap length and its block', (t) => {
  const octets = hex`01020304 05060708`
  const simple = (snap: number, original: number): Seen =>
    read(concat(b.section(), b.description(1, snap), b.simple(original, octets))).frames[0]
  t.like(simple(0, 6), {octets: '010203040506', original: 6})
  t.like(simple(4, 6), {octets: '01020304', original: 6})
  t.like(simple(0, 100), {octets: '0102030405060708', original: 100})
  t.like(simple(100, 100), {octets: '0102030405060708', original: 100})
})

test('counts packets of an interface that was not described as lost', (t) => {
  const {frames, lost} = read(
    concat(...start, b.enhanced(1, 0, one, 70), b.enhanced(0, 0, two), b.obsolete(7, 0, one)),
  )
  t.is(frames.length, 1)
  t.deepEqual(lost, [
    ['unknown-interface', 48, 70],
    ['unknown-interface', 124, 5],
  ])
  t.deepEqual(read(concat(b.section(), b.simple(3, two))).lost, [['unknown-interface', 28, 3]])
})

/** Fixed fields of each kind of block, one octet (and padding) too few. */
const short: [string, Uint8Array][] = [
  ['Section Header', b.block(0x0a0d0d0a, hex`4d3c2b1a 01000000 00000000`)],
  ['Interface Description', b.block(1, hex`01000000`)],
  ['Enhanced Packet', b.block(6, new Uint8Array(16))],
  ['obsolete Packet', b.block(2, new Uint8Array(16))],
  ['Simple Packet', b.block(3)],
]
for (const [kind, block] of short) {
  test(`counts a ${kind} Block too short for its fields as malformed and goes on behind it`, (t) => {
    const capture = concat(...start, b.enhanced(0, 0, one), block, ...start, b.enhanced(0, 0, two))
    const result = read(capture)
    t.deepEqual(octetsOf(result), ['0101010101', '020202'])
    t.deepEqual(result.lost, [['malformed', 88, 0]])
  })
}

test('counts a packet with more captured octets than its block has room for as malformed', (t) => {
  for (const block of [b.enhanced(0, 0, one), b.obsolete(0, 0, one)]) {
    new DataView(block.buffer).setUint32(20, 9, true) // 8 with padding
    const result = read(concat(...start, block, b.enhanced(0, 0, two)))
    t.deepEqual(octetsOf(result), ['020202'])
    t.deepEqual(result.lost, [['malformed', 48, 0]])
    new DataView(block.buffer).setUint32(20, 8, true)
    t.deepEqual(octetsOf(read(concat(...start, block))), ['0101010101000000'])
  }
})

test('leaves a malformed Interface Description its number', (t) => {
  const capture = concat(
    ...start,
    b.block(1, hex`01000000`),
    b.description(101),
    b.enhanced(1, 0, one),
    b.enhanced(2, 0, two),
  )
  const {frames, lost} = read(capture)
  t.deepEqual(
    frames.map(({linkType}) => linkType),
    [101],
  )
  t.deepEqual(lost, [
    ['malformed', 48, 0],
    ['unknown-interface', 84, 5],
  ])
})

test('lets a short Section Header begin its section', (t) => {
  const big = blocks(false)
  const header = big.block(0x0a0d0d0a, hex`1a2b3c4d 00010000 00000000`)
  const {frames, lost} = read(concat(header, big.description(1), big.enhanced(0, 3, one)))
  t.is(frames[0].time, 3000n)
  t.deepEqual(lost, [['malformed', 0, 0]])
})

test('counts a pcapng block that reaches past the end as truncated, with its offset', (t) => {
  const whole = concat(...start, b.enhanced(0, 0, one), b.enhanced(0, 0, two))
  for (let cut = 89; cut < whole.length; cut++) {
    const result = read(whole.subarray(0, cut))
    t.deepEqual(octetsOf(result), ['0101010101'])
    t.deepEqual(result.lost, [['truncated', 88, 0]])
  }
})

test('takes a block of 64 MiB for whole, and for damage if it is longer', (t) => {
  const block = b.block(0x77, hex`00000000`)
  new DataView(block.buffer).setUint32(4, 0x4000000, true)
  t.deepEqual(read(concat(...start, block)).lost, [['truncated', 48, 0]])
  new DataView(block.buffer).setUint32(4, 0x4000004, true)
  t.deepEqual(read(concat(...start, block)).lost, [['malformed', 48, 0]])
})

test('counts a first Section Header that is cut as truncated', (t) => {
  const whole = b.section()
  for (let cut = 4; cut < whole.length; cut++) {
    t.deepEqual(read(whole.subarray(0, cut)), {frames: [], lost: [['truncated', 0, 0]]})
  }
})

/** Spoils 4 octets of a block that stands between good ones, and expects the others. */
function spoilt(
  t: ExecutionContext,
  at: number,
  value: number,
  kind: 'first' | 'last' | 'magic',
): void {
  const block = kind === 'magic' ? b.section() : b.enhanced(0, 0, hex`0909090909`)
  new DataView(block.buffer).setUint32(at < 0 ? block.length + at : at, value, true)
  const after =
    kind === 'magic' ? [b.enhanced(0, 0, two)] : [b.enhanced(0, 0, two), b.simple(5, one)]
  const result = read(concat(...start, b.enhanced(0, 0, one), block, ...after))
  t.is(octetsOf(result)[0], '0101010101')
  t.is(octetsOf(result)[1], '020202')
  t.deepEqual(result.lost, [['malformed', 88, 0]])
}

test('goes on with the next known block behind one of less than 12 octets', (t) => {
  spoilt(t, 4, 8, 'first')
})
test('goes on with the next known block behind one of more than 64 MiB', (t) => {
  spoilt(t, 4, 0x4000004, 'first')
})
test('goes on with the next known block behind one whose lengths differ', (t) => {
  spoilt(t, -4, 44, 'last')
})
test('goes on with the next known block behind a section of unknown byte order', (t) => {
  spoilt(t, 8, 0x11223344, 'magic')
})

test('takes up reading at aligned offsets and known types only, and counts the stretch once', (t) => {
  const unknownType = b.block(0x77, hex`00000000`)
  const unaligned = concat(hex`0000`, b.enhanced(0, 0, hex`09090909`), hex`0000`)
  const cutOff = b.enhanced(0, 0, hex`08080808`).subarray(0, 32)
  for (const junk of [unknownType, unaligned, cutOff, new Uint8Array(400).fill(0xff)]) {
    const broken = hex`06000000 00000000`
    const result = read(concat(...start, broken, junk, b.enhanced(0, 0, two)))
    t.deepEqual(octetsOf(result), ['020202'])
    t.deepEqual(result.lost, [['malformed', 48, 0]])
  }
})

test('takes up reading at each known type', (t) => {
  const big = blocks(false)
  const known: [Uint8Array, Uint8Array[]][] = [
    [b.description(1), [b.enhanced(0, 0, two)]],
    [b.obsolete(0, 0, two), []],
    [b.simple(3, two), []],
    [b.block(5, hex`00000000 00000000 00000000`), [b.enhanced(0, 0, two)]],
    [b.enhanced(0, 0, two), []],
    [big.section(), [big.description(1), big.enhanced(0, 0, two)]],
  ]
  for (const [first, more] of known) {
    const result = read(concat(...start, hex`06000000 00000000`, first, ...more))
    t.deepEqual(octetsOf(result), ['020202'])
    t.deepEqual(result.lost, [['malformed', 48, 0]])
  }
})

test('finds nothing more in a capture that is damaged to its end', (t) => {
  const result = read(concat(...start, b.enhanced(0, 0, one), new Uint8Array(61)))
  t.deepEqual(octetsOf(result), ['0101010101'])
  t.deepEqual(result.lost, [['malformed', 88, 0]])
})
