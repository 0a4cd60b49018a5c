import test from 'ava'
import type {KeyPart} from '../../src/metering/meter.js'
import {hex} from '../hex.js'
import {blocks, concat, pcap} from './captures.js'
import {
  DEFAULT_KEY,
  FIVE_TUPLE,
  imbalance,
  meterWhole,
  noTimeouts,
  type Metered,
  type OptionChoice,
} from './metering.js'
import {answer, ethernet, ipv4, ipv6, tcp, tcpFrame, udp, udpFrame, V6_A, V6_B} from './packets.js'
import {numberOf, type Row} from './rows.js'

const FIN = 1
const SYN = 2
const RST = 4
const ACK = 16

const IDLE = 1
const ACTIVE = 2
const ENDED = 3
const FORCED = 4
const NO_RESOURCES = 5

/** A frame at milliseconds since 1970 (fractions are nanoseconds). */
type Timed = readonly [ms: number, frame: Uint8Array]

function capture(packets: readonly Timed[]): Uint8Array {
  const records = packets.map(([ms, octets]) => ({time: Math.round(ms * 1e6), octets}))
  return pcap(records, {magic: '4d3cb2a1'})
}

function meter(packets: readonly Timed[], choice?: OptionChoice): Metered {
  return meterWhole(capture(packets), choice)
}

/** Start, end, packets and reason of each Flow, in the order they were exported. */
function lives({rows}: Metered): number[][] {
  const names = [
    'flowStartMilliseconds',
    'flowEndMilliseconds',
    'packetDeltaCount',
    'flowEndReason',
  ]
  return rows.map((row) => names.map((name) => numberOf(row, name)))
}

const u = udpFrame()
const other = udpFrame({sport: 7})

// Key

const [a, b] = ['0a000001', '0a000002']
/** Packets that differ in one part of the key. */
const differing: [part: KeyPart, one: Uint8Array, two: Uint8Array][] = [
  ['src', udpFrame({src: a}), udpFrame({src: '0a000003'})],
  ['dst', udpFrame({dst: b}), udpFrame({dst: '0a000003'})],
  ['proto', ethernet(ipv4({protocol: 17}, udp(1, 2))), ethernet(ipv4({protocol: 132}, udp(1, 2)))],
  ['srcport', udpFrame({sport: 1}), udpFrame({sport: 2})],
  ['dstport', udpFrame({dport: 1}), udpFrame({dport: 2})],
  ['vlan', u, ethernet(ipv4({protocol: 17}, udp(1000, 2000)), {vlans: [5]})],
  ['tos', u, ethernet(ipv4({protocol: 17, tos: 4}, udp(1000, 2000)))],
  ['srcmac', u, ethernet(ipv4({protocol: 17}, udp(1000, 2000)), {source: '020000000009'})],
  ['dstmac', u, ethernet(ipv4({protocol: 17}, udp(1000, 2000)), {destination: '020000000009'})],
]
const allParts: readonly KeyPart[] = [...DEFAULT_KEY, 'interface', 'tos', 'srcmac', 'dstmac']
for (const [part, one, two] of differing) {
  test(`tells Flows apart by ${part} where that is in the key, and only there`, (t) => {
    const packets = [one, two].map((frame): Timed => [0, frame])
    t.is(meter(packets, {key: allParts}).rows.length, 2)
    t.is(meter(packets, {key: [part]}).rows.length, 2)
    t.is(meter(packets, {key: allParts.filter((p) => p !== part)}).rows.length, 1)
  })
}

test('tells Flows apart by tunnel depth where that is in the key, and only there', (t) => {
  const inner = ipv4({protocol: 17}, udp(1000, 2000))
  const packets: Timed[] = [
    [0, ethernet(inner)],
    [0, ethernet(ipv4({protocol: 4}, inner))],
  ]
  t.is(meter(packets, {decap: true}).rows.length, 2)
  t.is(meter(packets, {decap: true, key: FIVE_TUPLE}).rows.length, 1)
})

test('tells Flows apart by interface where that is in the key, and only there', (t) => {
  const p = blocks(true)
  const two = concat(
    p.section(),
    p.description(1),
    p.description(1),
    p.enhanced(0, 0, u),
    p.enhanced(1, 0, u),
  )
  const rows = meterWhole(two, {key: [...FIVE_TUPLE, 'interface']}).rows
  t.deepEqual(rows.map((row) => numberOf(row, 'ingressInterface')).sort(), [0, 1])
  t.is(meterWhole(two, {}).rows.length, 1)
})

test('tells IP versions apart whatever the key', (t) => {
  const packets: Timed[] = [
    [0, u],
    [0, ethernet(ipv6({next: 17}, udp(1000, 2000)))],
  ]
  for (const key of [[], ['proto']] as KeyPart[][]) t.is(meter(packets, {key}).rows.length, 2)
})

test('compares the number of VLAN tags up to 4, and the ids of the first 4', (t) => {
  const flows = (...stacks: number[][]): number =>
    meter(stacks.map((vlans) => [0, ethernet(ipv4({protocol: 17}, udp(1, 2)), {vlans})])).rows
      .length
  t.is(flows([], [0]), 2)
  t.is(flows([0], [0, 0]), 2)
  t.is(flows([1, 2], [2, 1]), 2)
  t.is(flows([1, 2, 3, 4], [1, 2, 3, 5]), 2)
  t.is(flows([1, 2, 3, 4], [1, 2, 3, 4, 5], [1, 2, 3, 4, 6, 7]), 1)
})

test('does not tell Flows apart by ICMP type, and reports the first one', (t) => {
  const icmp = (type: string): Uint8Array => ethernet(ipv4({protocol: 1}, hex`${type}00 0000`))
  const {rows} = meter([
    [0, icmp('08')],
    [1, icmp('00')],
  ])
  t.is(rows.length, 1)
  t.is(numberOf(rows[0], 'icmpTypeCodeIPv4'), 0x0800)
})

// Counting

test('counts packets, octets, times and flags of a Flow', (t) => {
  const {rows, counters} = meter([
    [1000, tcpFrame(SYN)],
    [1005.5, tcpFrame(ACK, {payload: 100})],
    [1003, tcpFrame(ACK | 8, {payload: 10})],
  ])
  t.is(rows.length, 1)
  t.like(rows[0], {sourceIPv4Address: a, destinationIPv4Address: b})
  const values = (names: string[]): number[] => names.map((name) => numberOf(rows[0], name))
  t.deepEqual(values(['sourceTransportPort', 'destinationTransportPort']), [1000, 2000])
  t.deepEqual(values(['packetDeltaCount', 'octetDeltaCount', 'tcpControlBits']), [3, 230, 0x1a])
  t.deepEqual(values(['flowStartMilliseconds', 'flowEndMilliseconds']), [1000, 1005])
  t.like(counters, {frames: 3, ipPackets: 3, ipOctets: 230, flowsCreated: 1, flowsExported: 1})
  t.like(counters, {flowsLive: 0, firstTimeNs: 1000000000n, lastTimeNs: 1005500000n})
})

test('starts a Flow at its least and ends it at its greatest packet time', (t) => {
  const packets: Timed[] = [5000, 2000, 9000, 3000].map((ms) => [ms, u])
  t.deepEqual(lives(meter(packets)), [[2000, 9000, 4, FORCED]])
})

// Ends

test('ends a Flow when more than the idle timeout has passed since its end', (t) => {
  const choice = {idleTimeoutMs: 1000}
  t.deepEqual(
    lives(
      meter(
        [
          [0, u],
          [1000, u],
        ],
        choice,
      ),
    ),
    [[0, 1000, 2, FORCED]],
  )
  t.deepEqual(
    lives(
      meter(
        [
          [0, u],
          [1000.000001, u],
        ],
        choice,
      ),
    ),
    [
      [0, 0, 1, IDLE],
      [1000, 1000, 1, FORCED],
    ],
  )
})

test('ends a Flow when more than the active timeout has passed since its start', (t) => {
  const choice = {idleTimeoutMs: 1000, activeTimeoutMs: 1500}
  t.deepEqual(
    lives(
      meter(
        [
          [0, u],
          [900, u],
          [1500, u],
        ],
        choice,
      ),
    ),
    [[0, 1500, 3, FORCED]],
  )
  t.deepEqual(
    lives(
      meter(
        [
          [0, u],
          [900, u],
          [1500.000001, u],
        ],
        choice,
      ),
    ),
    [
      [0, 900, 2, ACTIVE],
      [1500, 1500, 1, FORCED],
    ],
  )
})

test('ends a Flow for the limit that was reached first', (t) => {
  const ends = (choice: OptionChoice, flags: number): number =>
    numberOf(
      meter(
        [
          [0, tcpFrame(flags)],
          [9000, other],
        ],
        choice,
      ).rows[0],
      'flowEndReason',
    )
  const timeouts = (idle: number, active: number, tcpEnd: number): OptionChoice => ({
    idleTimeoutMs: idle,
    activeTimeoutMs: active,
    tcpFinTimeoutMs: tcpEnd,
    tcpRstTimeoutMs: tcpEnd,
  })
  for (const flags of [FIN, RST]) {
    t.is(ends(timeouts(1000, 2000, 3000), flags), IDLE)
    t.is(ends(timeouts(2000, 1000, 3000), flags), ACTIVE)
    t.is(ends(timeouts(2000, 3000, 1000), flags), ENDED)
    // At equality 3 before 1 before 2.
    t.is(ends(timeouts(1000, 1000, 1000), flags), ENDED)
    t.is(ends(timeouts(1000, 2000, 1000), flags), ENDED)
    t.is(ends(timeouts(2000, 1000, 1000), flags), ENDED)
    t.is(ends(timeouts(1000, 1000, 2000), flags), IDLE)
  }
  t.is(ends(timeouts(1000, 1000, 100), ACK), IDLE)
})

test('tells limits in the same millisecond apart', (t) => {
  const choice = {idleTimeoutMs: 1000, activeTimeoutMs: 1500}
  const ends = (start: number, end: number): number =>
    lives(
      meter(
        [
          [start, u],
          [end, u],
          [9000, other],
        ],
        choice,
      ),
    )[0][3]
  t.is(ends(0, 500.000005), ACTIVE)
  t.is(ends(0.000005, 500), IDLE)
})

test('moves the clock with every frame, also skipped ones and lost ones', (t) => {
  const macs = hex`020000000002 020000000001`
  const choice = {idleTimeoutMs: 1000}
  for (const frame of [hex`${macs} 0806`, hex`${macs} 0800 50`, hex``]) {
    t.deepEqual(
      lives(
        meter(
          [
            [0, u],
            [1001, frame],
            [500, u],
          ],
          choice,
        ),
      ),
      [
        [0, 0, 1, IDLE],
        [500, 500, 1, FORCED],
      ],
    )
  }
})

test('never turns the clock back', (t) => {
  const choice = {idleTimeoutMs: 1000}
  t.deepEqual(
    lives(
      meter(
        [
          [5000, other],
          [0, u],
          [1, u],
        ],
        choice,
      ),
    ),
    [
      [0, 0, 1, IDLE], // made when it had expired already, so the next packet is not taken any more
      [1, 1, 1, IDLE],
      [5000, 5000, 1, FORCED],
    ],
  )
})

test('lets an early packet make a Flow expire', (t) => {
  const choice = {idleTimeoutMs: 10000, activeTimeoutMs: 3000}
  t.deepEqual(
    lives(
      meter(
        [
          [5000, u],
          [1000, u],
          [5001, u],
        ],
        choice,
      ),
    ),
    [
      [1000, 5000, 2, ACTIVE],
      [5001, 5001, 1, FORCED],
    ],
  )
})

test('exports what is left at the end with its reason: expired, ended, or forced', (t) => {
  const packets: Timed[] = [
    [0, udpFrame({sport: 1})],
    [7000, tcpFrame(FIN, {sport: 2})],
    [8000, udpFrame({sport: 3})],
  ]
  const reasons = meter(packets, {idleTimeoutMs: 7500}).rows.map((row) => [
    numberOf(row, 'sourceTransportPort'),
    numberOf(row, 'flowEndReason'),
  ])
  t.deepEqual(reasons, [
    [1, IDLE],
    [2, ENDED],
    [3, FORCED],
  ])
})

// TCP

test('keeps a Flow for late packets until tcp.fin after FIN', (t) => {
  const choice = {tcpFinTimeoutMs: 1000}
  const late = (ms: number): Timed[] => [
    [0, tcpFrame(FIN | ACK)],
    [ms, tcpFrame(ACK)],
  ]
  t.deepEqual(lives(meter(late(1000), choice)), [[0, 1000, 2, ENDED]])
  t.deepEqual(lives(meter(late(1001), choice)), [
    [0, 0, 1, ENDED],
    [1001, 1001, 1, FORCED],
  ])
})

test('goes by tcp.rst after RST, whether FIN came before or after', (t) => {
  const choice = {tcpFinTimeoutMs: 5000, tcpRstTimeoutMs: 1000}
  for (const [first, second] of [
    [RST, ACK],
    [FIN, RST],
    [RST, FIN],
    [ACK, FIN | RST],
  ]) {
    const packets: Timed[] = [
      [0, tcpFrame(first)],
      [1, tcpFrame(second)],
    ]
    t.deepEqual(lives(meter([...packets, [1001, tcpFrame(ACK)]], choice)), [[0, 1001, 3, ENDED]])
    t.deepEqual(lives(meter([...packets, [1002, tcpFrame(ACK)]], choice)), [
      [0, 1, 2, ENDED],
      [1002, 1002, 1, FORCED],
    ])
  }
})

test('begins a new Flow when SYN without ACK meets an ended one', (t) => {
  for (const end of [FIN, RST]) {
    t.deepEqual(
      lives(
        meter([
          [0, tcpFrame(end)],
          [1, tcpFrame(SYN)],
        ]),
      ),
      [
        [0, 0, 1, ENDED],
        [1, 1, 1, FORCED],
      ],
    )
    t.deepEqual(
      lives(
        meter([
          [0, tcpFrame(end)],
          [1, tcpFrame(SYN | ACK)],
        ]),
      ),
      [[0, 1, 2, ENDED]],
    )
    t.deepEqual(
      lives(
        meter([
          [0, tcpFrame(end)],
          [1, tcpFrame(ACK)],
        ]),
      ),
      [[0, 1, 2, ENDED]],
    )
  }
  t.deepEqual(
    lives(
      meter([
        [0, tcpFrame(SYN)],
        [1, tcpFrame(SYN)],
      ]),
    ),
    [[0, 1, 2, FORCED]],
  )
})

test('does not let the flags of a later fragment end a Flow', (t) => {
  const later = ethernet(ipv4({protocol: 6, fragment: 5}, tcp(1, 2, RST)))
  t.deepEqual(lives(meter([[0, later]])), [[0, 0, 1, FORCED]])
})

test('ends no Flow by TCP where the key is not the whole 5-tuple', (t) => {
  for (const part of FIVE_TUPLE) {
    const key = DEFAULT_KEY.filter((p) => p !== part)
    t.deepEqual(
      lives(
        meter(
          [
            [0, tcpFrame(RST)],
            [1, tcpFrame(SYN)],
          ],
          {key},
        ),
      ),
      [[0, 1, 2, FORCED]],
    )
  }
})

// Biflows

const BIFLOW = {biflow: true, precision: 'ms'} as const

function biflow(packets: readonly Timed[], choice: OptionChoice = {}): Row[] {
  return meter(packets, {...BIFLOW, ...choice}).rows
}

test('counts the directions of a biflow apart, forward being the first packet of it', (t) => {
  const rows = biflow([
    [1000, tcpFrame(SYN, {src: b, dst: a})], // the greater address begins
    [1001, tcpFrame(SYN | ACK, answer({src: b, dst: a}))],
    [1002, tcpFrame(ACK, {src: b, dst: a, payload: 5})],
    [1003, tcpFrame(ACK | 8, answer({src: b, dst: a, payload: 50}))],
  ])
  t.is(rows.length, 1)
  const [row] = rows
  t.like(row, {sourceIPv4Address: b, destinationIPv4Address: a})
  const numbers = Object.fromEntries(Object.keys(row).map((name) => [name, numberOf(row, name)]))
  t.like(numbers, {
    sourceTransportPort: 1000,
    destinationTransportPort: 2000,
    packetDeltaCount: 2,
    octetDeltaCount: 85,
    flowStartMilliseconds: 1000,
    flowEndMilliseconds: 1002,
    tcpControlBits: SYN | ACK,
    reversePacketDeltaCount: 2,
    reverseOctetDeltaCount: 130,
    reverseFlowStartMilliseconds: 1001,
    reverseFlowEndMilliseconds: 1003,
    reverseTcpControlBits: SYN | ACK | 8,
    biflowDirection: 1,
    flowEndReason: FORCED,
  })
})

for (const [precision, unit, zero] of [
  ['ms', 'Milliseconds', '0000000000000000'],
  ['us', 'Microseconds', '83aa7e8000000000'],
  ['ns', 'Nanoseconds', '83aa7e8000000000'],
] as const) {
  test(`has reverse counters 0 and times of 1970 where only one direction was seen (${unit})`, (t) => {
    t.like(biflow([[1000, tcpFrame(SYN)]], {precision})[0], {
      reversePacketDeltaCount: '0000000000000000',
      reverseOctetDeltaCount: '0000000000000000',
      [`reverseFlowStart${unit}`]: zero,
      [`reverseFlowEnd${unit}`]: zero,
      reverseTcpControlBits: '0000',
    })
  })
}

test('finds the biflow of IPv6, of equal addresses, and of equal ports', (t) => {
  const six = (src: string, dst: string): Uint8Array =>
    ethernet(ipv6({src, dst, next: 17}, udp(1, 1)))
  const pairs: [Uint8Array, Uint8Array][] = [
    [six(V6_A, V6_B), six(V6_B, V6_A)],
    [udpFrame({src: a, dst: a}), udpFrame(answer({src: a, dst: a}))],
    [udpFrame({sport: 1, dport: 1}), udpFrame(answer({sport: 1, dport: 1}))],
  ]
  for (const [there, back] of pairs) {
    for (const packets of [
      [there, back],
      [back, there],
    ]) {
      const rows = biflow(packets.map((frame): Timed => [0, frame]))
      t.is(rows.length, 1)
      t.is(numberOf(rows[0], 'reversePacketDeltaCount'), 1)
    }
  }
})

test('takes a packet whose key reads the same in both directions as forward', (t) => {
  const same = udpFrame({src: a, dst: a, sport: 5, dport: 5})
  const rows = biflow([
    [0, same],
    [1, same],
  ])
  t.deepEqual(
    [numberOf(rows[0], 'packetDeltaCount'), numberOf(rows[0], 'reversePacketDeltaCount')],
    [2, 0],
  )
})

test('swaps MAC addresses with the direction where they are in the key', (t) => {
  const packet = ipv4({src: a, dst: a, protocol: 17}, udp(5, 5))
  const [one, two] = ['020000000001', '020000000002']
  const there = ethernet(packet, {source: one, destination: two})
  const back = ethernet(packet, {source: two, destination: one})
  const key = [...FIVE_TUPLE, 'srcmac', 'dstmac'] as const
  for (const packets of [
    [there, back],
    [back, there],
  ]) {
    const rows = biflow(
      packets.map((frame): Timed => [0, frame]),
      {key},
    )
    t.is(rows.length, 1)
    t.is(numberOf(rows[0], 'reversePacketDeltaCount'), 1)
  }
  // The answer must come from where the packet went.
  const elsewhere = ethernet(ipv4({src: b, dst: a, protocol: 17}, udp(5, 5)), {source: two})
  const asked = ethernet(ipv4({src: a, dst: b, protocol: 17}, udp(5, 5)), {
    source: one,
    destination: '020000000003',
  })
  t.is(
    biflow(
      [
        [0, asked],
        [0, elsewhere],
      ],
      {key},
    ).length,
    2,
  )
})

test('has one biflow of a VLAN, not of two', (t) => {
  const there = ethernet(ipv4({protocol: 17}, udp(1, 2)), {vlans: [5]})
  const back = (vlan: number): Uint8Array =>
    ethernet(ipv4({src: b, dst: a, protocol: 17}, udp(2, 1)), {vlans: [vlan]})
  t.is(
    biflow([
      [0, there],
      [0, back(5)],
    ]).length,
    1,
  )
  t.is(
    biflow([
      [0, there],
      [0, back(6)],
    ]).length,
    2,
  )
})

test('ends a biflow when FIN was seen in both directions, or any RST', (t) => {
  const choice = {tcpFinTimeoutMs: 1000, tcpRstTimeoutMs: 1000}
  const back = (flags: number): Uint8Array => tcpFrame(flags, answer())
  const last: Timed = [1002, tcpFrame(ACK)]
  t.is(biflow([[0, tcpFrame(FIN)], [1, tcpFrame(FIN)], last], choice).length, 1)
  t.is(biflow([[0, tcpFrame(FIN)], [1, back(ACK)], last], choice).length, 1)
  t.is(biflow([[0, tcpFrame(FIN)], [1, back(FIN)], last], choice).length, 2)
  t.is(biflow([[0, back(FIN)], [1, tcpFrame(FIN)], last], choice).length, 2)
  t.is(biflow([[0, tcpFrame(ACK)], [1, back(RST)], last], choice).length, 2)
  t.is(biflow([[0, tcpFrame(RST)], [1, back(ACK)], last], choice).length, 2)
})

test('begins a biflow in the direction of the SYN that meets an ended one', (t) => {
  const rows = biflow([
    [0, tcpFrame(RST)],
    [1, tcpFrame(SYN, answer())],
  ])
  t.deepEqual(
    rows.map((row) => row.sourceIPv4Address),
    [a, b],
  )
})

test('looks at both directions of a biflow for its timeouts', (t) => {
  const packets: Timed[] = [0, 800, 1600, 2400].map((ms, i) => [
    ms,
    udpFrame(i % 2 === 0 ? {} : answer()),
  ])
  t.is(biflow(packets, {idleTimeoutMs: 1000}).length, 1)
  t.is(biflow(packets, {idleTimeoutMs: 1000, activeTimeoutMs: 2399}).length, 2)
})

// Limits

const three: Timed[] = [
  [0, udpFrame({sport: 1})],
  [10, udpFrame({sport: 2})],
  [20, udpFrame({sport: 3})],
]

function portsAndReasons({rows}: Metered): number[][] {
  return rows.map((row) => [numberOf(row, 'sourceTransportPort'), numberOf(row, 'flowEndReason')])
}

test('evicts the Flow with the least deadline, and counts it', (t) => {
  const touched: Timed[] = [three[0], three[1], [15, udpFrame({sport: 1})], three[2]]
  const result = meter(touched, {maxFlows: 2})
  t.deepEqual(portsAndReasons(result), [
    [2, NO_RESOURCES],
    [1, FORCED],
    [3, FORCED],
  ])
  t.like(result.counters, {flowsCreated: 3, flowsEvicted: 1, flowsExported: 3})
})

test('evicts by the deadline of whatever timeout is next', (t) => {
  const choice = {maxFlows: 2, idleTimeoutMs: 1000, activeTimeoutMs: 1200, tcpFinTimeoutMs: 100}
  const busy = udpFrame({sport: 1})
  // 1: start 0 + 1200. 2: end 500 + 1000.
  const active: Timed[] = [
    [0, busy],
    [500, udpFrame({sport: 2})],
    [600, busy],
    [700, three[2][1]],
  ]
  t.deepEqual(portsAndReasons(meter(active, choice))[0], [1, NO_RESOURCES])
  // 2 was ended by FIN: 500 + 100.
  const fin: Timed[] = [
    [0, busy],
    [500, tcpFrame(FIN, {sport: 2})],
    [550, three[2][1]],
  ]
  t.deepEqual(portsAndReasons(meter(fin, choice))[0], [2, NO_RESOURCES])
})

test('evicts the Flow made first of several with the same deadline', (t) => {
  const same = [5, 3, 4, 1].map((sport): Timed => [0, udpFrame({sport})])
  t.deepEqual(portsAndReasons(meter(same, {maxFlows: 3}))[0], [5, NO_RESOURCES])
  // Touched later, but to the same deadline.
  const touched: Timed[] = [...same.slice(0, 3), [0, udpFrame({sport: 5})], same[3]]
  t.deepEqual(portsAndReasons(meter(touched, {maxFlows: 3}))[0], [5, NO_RESOURCES])
})

test('drops the packets of new Flows that find no room, and goes on with the others', (t) => {
  const packets: Timed[] = [...three, [25, udpFrame({sport: 1})], [30, udpFrame({sport: 3})]]
  const result = meter(packets, {maxFlows: 2, onFull: 'drop'})
  t.deepEqual(lives(result), [
    [0, 25, 2, FORCED],
    [10, 10, 1, FORCED],
  ])
  t.deepEqual([...result.counters.lost], [['flow-table-full', 2]])
  t.is(result.counters.firstOffset.get('flow-table-full'), 24 + 2 * (16 + u.length))
  t.like(result.counters, {lostOctets: 56, firstLostNs: 20000000n, lastLostNs: 30000000n})
  t.is(imbalance(result), undefined)
})

test('gives the room of expired Flows to new ones before any is evicted or dropped', (t) => {
  for (const onFull of ['evict', 'drop', 'fail'] as const) {
    const result = meter(three, {maxFlows: 2, onFull, idleTimeoutMs: 15})
    t.deepEqual(portsAndReasons(result), [
      [1, IDLE],
      [2, FORCED],
      [3, FORCED],
    ])
    t.is(result.counters.flowsEvicted, 0)
  }
})

test('gives the room of an ended Flow to the SYN that ends it for good', (t) => {
  const packets: Timed[] = [
    [0, tcpFrame(FIN)],
    [1, tcpFrame(SYN)],
  ]
  const result = meter(packets, {maxFlows: 1, onFull: 'drop'})
  t.deepEqual(lives(result), [
    [0, 0, 1, ENDED],
    [1, 1, 1, FORCED],
  ])
})

test('holds as many Flows as fit the memory given', (t) => {
  const packets = Array.from({length: 100}, (_, i): Timed => [i, udpFrame({sport: i})])
  const {counters} = meter(packets, {maxMemoryOctets: 20000, ...noTimeouts})
  t.true(counters.flowsEvicted > 50 && counters.flowsEvicted < 100)
  t.is(meter(packets, {maxMemoryOctets: 1, ...noTimeouts}).counters.flowsEvicted, 99)
})
