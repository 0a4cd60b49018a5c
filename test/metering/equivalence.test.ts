import {nativeAbsence} from '../../src/io/native.js'
import {needing, shared} from '../support/needing.js'
import fc from '../support/properties.js'
import {pcap} from './captures.js'
import {difference} from './equivalence.js'
import {
  DEFAULT_KEY,
  FIVE_TUPLE,
  meterOptions,
  meterWhole,
  readFixture,
  readTruth,
  type OptionChoice,
} from './metering.js'
import {cutAt, mutate, mutations} from './mutations.js'
import {udpFrame} from './packets.js'
import {numberOf} from './rows.js'
import {captures} from './traffic.js'

const test = needing(nativeAbsence())
const testFixture = needing(nativeAbsence(), shared('fixtures/truth.json'))

const allKey = [...DEFAULT_KEY, 'interface', 'tos', 'srcmac', 'dstmac'] as const
const short = {
  idleTimeoutMs: 1000,
  activeTimeoutMs: 2000,
  tcpFinTimeoutMs: 400,
  tcpRstTimeoutMs: 700,
}
const extraFields = [
  'flowStartSeconds',
  'flowEndSeconds',
  'flowStartMicroseconds',
  'flowEndNanoseconds',
  'flowDurationMilliseconds',
  'octetTotalCount',
  'packetTotalCount',
  'octetDeltaCount',
  'packetDeltaCount',
  'minimumIpTotalLength',
  'maximumIpTotalLength',
  'minimumTTL',
  'maximumTTL',
  'ipVersion',
  'sourceIPv4Address',
  'destinationIPv6Address',
  'sourceTransportPort',
  'sourceMacAddress',
  'destinationMacAddress',
  'ingressInterface',
  'flowLabelIPv6',
  'mplsTopLabelStackSection',
  'fragmentFlags',
  'tcpSynTotalCount',
  'tcpFinTotalCount',
  'tcpRstTotalCount',
  'icmpTypeCodeIPv4',
  'flowEndReason',
]

const combinations: Record<string, OptionChoice> = {
  'default options': {},
  'the 5-tuple as key': {key: FIVE_TUPLE},
  'every key part': {key: allKey},
  'every key part, biflows, tunnels and short timeouts': {
    key: allKey,
    biflow: true,
    decap: true,
    ...short,
  },
  'addresses as key': {key: ['src', 'dst']},
  'one end as key': {key: ['dst', 'dstport']},
  'protocol, service and interface as key': {key: ['proto', 'tos', 'interface', 'srcmac']},
  'an empty key': {key: []},
  biflows: {biflow: true},
  'biflows of addresses': {biflow: true, key: ['src', 'dst', 'proto']},
  tunnels: {decap: true},
  'tunnels and biflows': {decap: true, biflow: true},
  'tunnels with their depth not in the key': {decap: true, key: FIVE_TUPLE},
  'short timeouts': short,
  'short timeouts and biflows': {...short, biflow: true},
  'no timeouts at all': {
    idleTimeoutMs: 0,
    activeTimeoutMs: 0,
    tcpFinTimeoutMs: 0,
    tcpRstTimeoutMs: 0,
  },
  'equal timeouts': {
    idleTimeoutMs: 1000,
    activeTimeoutMs: 1000,
    tcpFinTimeoutMs: 1000,
    tcpRstTimeoutMs: 1000,
  },
  microseconds: {precision: 'us', biflow: true},
  nanoseconds: {precision: 'ns', decap: true},
  'extra fields': {fields: extraFields},
  'extra fields and biflows': {
    fields: [
      ...extraFields,
      'reverseOctetDeltaCount',
      'reversePacketDeltaCount',
      'biflowDirection',
    ],
    biflow: true,
  },
  'room for 3 Flows, evicting': {maxFlows: 3},
  'room for 1 Flow, evicting': {maxFlows: 1},
  'room for 10 biflows, evicting': {maxFlows: 10, biflow: true, ...short},
  'room for 3 Flows, dropping': {maxFlows: 3, onFull: 'drop'},
  'room for 10 biflows, dropping': {maxFlows: 10, onFull: 'drop', biflow: true, ...short},
  'room for 5 Flows, failing': {maxFlows: 5, onFull: 'fail'},
  'Packet Reports': {emit: 'packets'},
  'Packet Reports of tunnels with long sections': {
    emit: 'packets',
    decap: true,
    sectionOctets: 300,
  },
  'Packet Reports without octets': {emit: 'packets', sectionOctets: 0},
  pcap: {emit: 'pcap'},
  '7 frames': {maxFrames: 7},
  '7 frames of pcap': {maxFrames: 7, emit: 'pcap'},
}
const names = Object.keys(combinations)

/** How many times the usual number of runs; for a long search. */
const effort = Number(process.env.DARTA_TEST_EFFORT ?? 1)

/** Runs a property; what fails is told with its seed. */
function holds(property: fc.IRawProperty<unknown, false>, numRuns: number): void {
  fc.assert(property, {numRuns: numRuns * effort})
}

/** Throws where the meters differ. */
function agree(parts: readonly (readonly Uint8Array[])[], choice: OptionChoice): void {
  const found = difference(parts, meterOptions(choice))
  if (found !== undefined) throw new Error(found)
}

for (const [title, choice] of Object.entries(combinations)) {
  testFixture(`C++ and TypeScript meter every capture alike with ${title}`, (t) => {
    const different: string[] = []
    for (const [name] of readTruth()) {
      const found = difference([[readFixture(name)]], meterOptions(choice))
      if (found !== undefined) different.push(`${name}\n${found}`)
    }
    t.deepEqual(different, [])
  })

  test(`C++ and TypeScript meter random traffic alike with ${title}`, (t) => {
    holds(
      fc.property(captures(120, 12), (capture) => agree([[capture]], choice)),
      60,
    )
    t.pass()
  })
}

test('evicts the Flow made first of several with one deadline where places were used again', (t) => {
  const T = 1700000000n * 1000000000n
  const events: [sport: number, ns: bigint][] = [
    ...([
      [1, 0n],
      [2, 0n],
      [3, -1n],
      [4, -1n],
    ] as [number, bigint][]), // 3 is evicted
    [1, -1000001n],
    ...([
      [3, -1n],
      [4, 0n],
      [3, 0n],
      [1, 0n],
    ] as [number, bigint][]), // 4, 3, 1 and 2 are
  ]
  const capture = pcap(
    events.map(([sport, ns]) => ({time: T + ns, octets: udpFrame({sport})})),
    {magic: '4d3cb2a1'},
  )
  t.is(difference([[capture]], meterOptions({maxFlows: 3})), undefined)
  const evicted = meterWhole(capture, {maxFlows: 3}).rows.slice(0, 5)
  t.deepEqual(
    evicted.map((row) => numberOf(row, 'sourceTransportPort')),
    [3, 4, 3, 1, 2],
  )
})

test('C++ and TypeScript meter captures cut anywhere alike', (t) => {
  holds(
    fc.property(
      captures(20, 6),
      fc.array(fc.nat(), {maxLength: 30}),
      fc.constantFrom(...names),
      (capture, places, name) => agree([cutAt(capture, places)], combinations[name]),
    ),
    300,
  )
  t.pass()
})

test('C++ and TypeScript meter damaged captures alike', (t) => {
  holds(
    fc.property(captures(20, 6), mutations, fc.constantFrom(...names), (capture, changes, name) =>
      agree([[mutate(capture, changes)]], combinations[name]),
    ),
    1200,
  )
  t.pass()
})

test('C++ and TypeScript meter several captures in order alike', (t) => {
  const parts = fc.array(fc.tuple(captures(12, 4), mutations, fc.boolean()), {
    minLength: 2,
    maxLength: 4,
  })
  holds(
    fc.property(parts, fc.constantFrom(...names), (list, name) =>
      agree(
        list.map(([capture, changes, isWhole]) => [isWhole ? capture : mutate(capture, changes)]),
        combinations[name],
      ),
    ),
    300,
  )
  t.pass()
})

testFixture('C++ and TypeScript meter damaged fixtures alike', (t) => {
  const small = readTruth()
    .map(([name]) => name)
    .filter((name) => readFixture(name).length < 20000)
  const fixture = fc.constantFrom(...small)
  holds(
    fc.property(fixture, mutations, fc.constantFrom(...names), (file, changes, name) =>
      agree([[mutate(readFixture(file), changes)]], combinations[name]),
    ),
    1200,
  )
  t.pass()
})
