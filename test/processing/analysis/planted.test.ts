import test from 'ava'
import asymmetry from '../../../src/processing/analysis/apps/asymmetry.js'
import beacon from '../../../src/processing/analysis/apps/beacon.js'
import ddos from '../../../src/processing/analysis/apps/ddos.js'
import delay from '../../../src/processing/analysis/apps/delay.js'
import entropy from '../../../src/processing/analysis/apps/entropy.js'
import heavyHitters from '../../../src/processing/analysis/apps/heavy-hitters.js'
import merge from '../../../src/processing/analysis/apps/merge.js'
import scan from '../../../src/processing/analysis/apps/scan.js'
import services from '../../../src/processing/analysis/apps/services.js'
import usage from '../../../src/processing/analysis/apps/usage.js'
import type {RecordBatch} from '../../../src/record/batch.js'
import {ie} from '../../../src/registry/elements.js'
import {analyse} from '../../support/analyse.js'
import {address, batchOf, templateOf} from '../../support/records.js'
import {
  BEGIN,
  ordinaryTraffic,
  randomNumbers,
  talkBatches,
  type Talk,
} from '../../support/traffic.js'

const background = ordinaryTraffic(randomNumbers(1))

function syn(from: string, to: string, port: number, ms: number): Talk {
  return {
    ...{from, to, ports: [40000, port], proto: 6, flags: 2, octets: 40, packets: 1},
    ...{start: BEGIN + ms, end: BEGIN + ms},
  }
}

function mixed(planted: readonly Talk[]): Talk[] {
  const all = [...background, ...planted]
  return all.sort((a, b) => a.start - b.start)
}

test('scan: horizontal and vertical scanners are found in ordinary traffic, and nobody else', (t) => {
  const horizontal = Array.from({length: 60}, (_, i) =>
    syn('10.0.0.250', `192.0.2.${100 + i}`, 445, i * 500),
  )
  const vertical = Array.from({length: 200}, (_, i) =>
    syn('10.0.1.251', '192.0.2.7', 1 + i, i * 100),
  )
  const {rows} = analyse(scan, {why: true}, talkBatches(mixed([...horizontal, ...vertical])))
  t.deepEqual(
    rows.map((r) => [
      r.dartaFinding,
      r.sourceIPv4Address,
      r.dartaFailedCount,
      r.dartaPeerCount,
      r.dartaPortCount,
    ]),
    [
      ['horizontal scan', '10.0.0.250', 60, 60, 1],
      ['vertical scan', '10.0.1.251', 200, 1, 200],
    ],
  )
  t.is(rows[0].dartaFilter, 'src ip 10.0.0.250 and proto tcp and not flags A')
  t.deepEqual(analyse(scan, {}, talkBatches(background)).rows, [])
})

test('scan: slow scanners with a few answers are found, honest hosts with a few failures are not', (t) => {
  const answered = (talk: Talk): Talk => ({...talk, flags: 0x1b})
  const scanner = Array.from({length: 40}, (_, i) => {
    const talk = syn('10.0.0.250', `192.0.2.${100 + i}`, 445, i * 10_000)
    return i % 8 === 7 ? answered(talk) : talk
  })
  const honest = Array.from({length: 60}, (_, i) => {
    const talk = syn('10.0.0.249', `192.0.2.${100 + i}`, 443, i * 3000)
    return i % 4 === 0 ? talk : answered(talk)
  })
  const {rows} = analyse(scan, {}, talkBatches([...scanner, ...honest]))
  t.deepEqual(
    rows.map((r) => [r.sourceIPv4Address, r.dartaFailedCount, r.dartaSucceededCount]),
    [['10.0.0.250', 35, 5]],
  )
})

test('merge: what two exporters and three timeouts made of a conversation is one Biflow with its true counts', (t) => {
  const part = (n: number, from: string, to: string, ports: [number, number]): Talk => ({
    ...{from, to, ports, proto: 6, flags: 0x18, octets: 1000 + n, packets: 10},
    ...{start: BEGIN + n * 60_000, end: BEGIN + n * 60_000 + 59_000},
  })
  const there = [0, 1, 2].map((n) => part(n, '192.0.2.1', '192.0.2.2', [40000, 443]))
  const back = [0, 1, 2].map((n) => ({
    ...part(n, '192.0.2.2', '192.0.2.1', [443, 40000]),
    start: BEGIN + n * 60_000 + 5,
  }))
  const batches = [
    ...talkBatches([...there, ...back], {observationDomainId: 1}),
    // The second exporter missed a part.
    ...talkBatches([...there.slice(1), ...back], {observationDomainId: 2}),
  ]
  const {rows} = analyse(merge, {}, batches)
  t.deepEqual(rows, [
    {
      sourceIPv4Address: '192.0.2.1',
      destinationIPv4Address: '192.0.2.2',
      protocolIdentifier: 6,
      sourceTransportPort: 40000,
      destinationTransportPort: 443,
      octetDeltaCount: 3003,
      packetDeltaCount: 30,
      flowStartMilliseconds: BEGIN,
      flowEndMilliseconds: BEGIN + 179_000,
      deltaFlowCount: 3,
      dartaObserver: 'domain 1',
      dartaObserverCount: 2,
      reverseOctetDeltaCount: 3003,
      reversePacketDeltaCount: 30,
      reverseFlowStartMilliseconds: BEGIN + 5,
      reverseFlowEndMilliseconds: BEGIN + 179_000,
    },
  ])
  t.is(analyse(merge, {uniflow: true}, batches).rows.length, 2)
})

test('usage: totals are those of the input to the octet, and charges follow tiers, classes and the clock', (t) => {
  const rating = JSON.stringify({
    accounts: {
      alice: ['10.0.0.0/24'],
      bob: ['10.0.1.0/24', '10.0.0.7'],
      serverfarm: ['192.0.2.0/24'],
    },
    classes: [{name: 'dns', protocol: 17, ports: [53]}],
    tariffs: [{name: 'night', from: '22:00', to: '06:00'}],
    prices: [
      {class: 'dns', perGigaoctet: 0},
      {account: 'bob', perGigaoctet: 2, tiers: [{above: '1M', perGigaoctet: 1}]},
      {tariff: 'night', perGigaoctet: '0.5'},
      {perGigaoctet: 3},
    ],
  })
  const batches = talkBatches(background)
  const {rows} = analyse(usage, {rating}, batches)
  const sum = (of: string): number => rows.reduce((n, r) => n + Number(r[of]), 0)
  t.is(
    sum('octetDeltaCount'),
    background.reduce((n, talk) => n + talk.octets, 0),
  )
  t.is(
    sum('packetDeltaCount'),
    background.reduce((n, talk) => n + talk.packets, 0),
  )
  t.is(sum('deltaFlowCount'), background.length)
  t.deepEqual(
    [...new Set(rows.map((r) => r.dartaAccount))],
    ['alice', 'bob', 'serverfarm', 'unassigned'].slice(0, 3),
  )
  // 2023-11-14T22:13:20Z and ten minutes more: the night tariff, but for records that are bob's.
  t.deepEqual([...new Set(rows.map((r) => r.dartaTariff))], ['night'])
  for (const r of rows) {
    const octets = Number(r.octetDeltaCount)
    const bob = r.dartaAccount === 'bob'
    const expected =
      r.dartaTrafficClass === 'dns'
        ? 0
        : bob
          ? 2e-3 * Math.min(octets, 1e6) + 1e-3 * Math.max(0, octets - 1e6)
          : 0.5e-3 * octets
    t.is(r.dartaAmountMicro, Math.floor(expected + 1e-9))
  }
  // The longer prefix is the account's.
  const mine = background.filter(({from}) => from === '10.0.0.7').length
  t.true(mine > 0)
})

test('usage: charges of units are those of one: they are made of the sums', (t) => {
  const rating = JSON.stringify({prices: [{perGigaoctet: '0.000001'}]})
  const {rows} = analyse(usage, {rating}, talkBatches(background))
  const octets = background.reduce((n, talk) => n + talk.octets, 0)
  t.is(rows[0].dartaAccount, 'unassigned')
  t.is(rows[0].dartaAmountMicro, Math.floor(octets / 1e9))
})

for (const [file, said] of [
  ['{', /is no JSON/],
  ['{"accounts": []}', /has no object at accounts/],
  ['{"accounts": {"a": ["10.0.0.0\/33"]}}', /0 to 32 bits/],
  ['{"tariffs": [{"name": "n", "from": "25:00"}]}', /no time like 08:30 at tariffs\[0\].from/],
  ['{"prices": [{"perGigaoctet": "1.1234567"}]}', /at most six decimals at prices\[0\]/],
  ['{"price": []}', /does not know 'price' at the file/],
] as const) {
  test(`usage: a rating file ${file} is refused with the place`, (t) => {
    t.throws(() => analyse(usage, {rating: file}, []), {message: said})
  })
}

test('asymmetry: conversations whose directions were seen at different points are found, others are not', (t) => {
  const there = syn('10.1.0.1', '192.0.2.1', 443, 0)
  const back: Talk = {...there, from: there.to, to: there.from, ports: [443, 40000], flags: 0x12}
  const at = (domain: number, ...talks: Talk[]) => talkBatches(talks, {observationDomainId: domain})
  const twin = (talk: Talk): Talk => ({
    ...talk,
    from: talk.from.replace('10.1.0.1', '10.1.0.2'),
    to: talk.to.replace('10.1.0.1', '10.1.0.2'),
  })
  const {rows, summaries} = analyse(asymmetry, {why: true}, [
    ...talkBatches(background, {observationDomainId: 1}),
    ...at(1, there),
    ...at(2, back),
    // Seen at both on the way there: not parted.
    ...at(1, twin(there)),
    ...at(2, twin(there), twin(back)),
  ])
  t.deepEqual(
    rows.map((r) => [r.sourceIPv4Address, r.dartaObserver, r.dartaOtherObserver]),
    [['10.1.0.1', 'domain 1', 'domain 2']],
  )
  t.is(summaries[0].dartaMatchedCount, 1)
})

test('asymmetry: a hundred points on each way are told apart', (t) => {
  const there = syn('10.1.0.1', '192.0.2.1', 443, 0)
  const back: Talk = {...there, from: there.to, to: there.from, ports: [443, 40000], flags: 0x12}
  const points = Array.from({length: 200}, (_, i) => i + 1)
  const seen = points.flatMap((observationDomainId) =>
    talkBatches([observationDomainId % 2 === 0 ? there : back], {observationDomainId}),
  )
  const names = (remainder: number): string =>
    points
      .filter((n) => n % 2 === remainder)
      .map((n) => `domain ${n}`)
      .sort()
      .join(', ')
  const {rows, summaries} = analyse(asymmetry, {}, seen)
  t.is(rows.length, 1)
  t.is(rows[0].dartaObserver, names(0))
  t.is(rows[0].dartaOtherObserver, names(1))
  t.is(summaries[0].deltaFlowCount, 200)
  // One of them saw the other way too.
  const more = analyse(asymmetry, {}, [
    ...seen,
    ...talkBatches([there], {observationDomainId: 199}),
  ])
  t.is(more.rows.length, 0)
})

test('delay: from packet digests it is exact to the nanosecond that NTP time has, and loss is counted', (t) => {
  const template = templateOf([ie.digestHashValue, ie.observationTimeNanoseconds])
  const ntp = (ns: bigint): bigint => {
    const seconds = ns / 1_000_000_000n
    const fraction = ((ns % 1_000_000_000n) << 32n) / 1_000_000_000n
    return ((seconds + 2_208_988_800n) << 32n) | fraction
  }
  const begin = 1_700_000_000_000_000_000n
  const sent = Array.from({length: 1000}, (_, i) => ({
    digest: i * 7919,
    at: begin + BigInt(i) * 1_000_003n,
  }))
  const delays = sent.map((_, i) => BigInt(150_000 + ((i * 37) % 1000) * 100))
  const seen = sent.flatMap(({digest, at}, i) =>
    i % 50 === 13 ? [] : [[digest, ntp(at + delays[i])]],
  )
  const {rows} = analyse(delay, {}, [
    batchOf(template, seen, {observationDomainId: 1}),
    batchOf(
      template,
      sent.map(({digest, at}) => [digest, ntp(at)]),
      {observationDomainId: 2},
    ),
  ])
  const kept = delays.filter((_, i) => i % 50 !== 13).sort((a, b) => Number(a - b))
  const [row] = rows
  t.is(row.dartaObserver, 'domain 2')
  t.is(row.dartaOtherObserver, 'domain 1')
  t.is(row.dartaMatchedCount, 980)
  t.is(row.dartaLostPackets, 20)
  const near = (value: unknown, truth: bigint): void => {
    t.true(Math.abs(Number(value) - Number(truth)) <= 2, `${String(value)} ${truth}`)
  }
  near(row.dartaDelayMinimumNanoseconds, kept[0])
  near(row.dartaDelayMedianNanoseconds, kept[Math.ceil(0.5 * 980) - 1])
  near(row.dartaDelayHighNanoseconds, kept[Math.ceil(0.95 * 980) - 1])
  near(row.dartaDelayMaximumNanoseconds, kept[979])
})

test('delay: Flows that two points saw tell it to the precision of their times', (t) => {
  const later = background.map((talk) => ({
    ...talk,
    start: talk.start + 12,
    packets: talk.packets - (talk.packets > 20 ? 1 : 0),
  }))
  const {rows} = analyse(delay, {}, [
    ...talkBatches(background, {observationDomainId: 1}),
    ...talkBatches(later, {observationDomainId: 2}),
  ])
  t.is(rows[0].dartaDelayMedianNanoseconds, 12_000_000)
  t.is(rows[0].dartaDelayMaximumNanoseconds, 12_000_000)
  t.true(Number(rows[0].dartaLostPackets) > 0)
})

test('ddos: a flood is found with its victim, vector and time, and ordinary traffic is none', (t) => {
  const flood = Array.from({length: 4000}, (_, i): Talk => ({
    ...syn(`172.16.${i % 256}.${(i >> 8) % 256}`, '192.0.2.5', 80, 240_000 + (i % 60_000)),
    packets: 50,
    octets: 2000,
  }))
  const {rows} = analyse(ddos, {why: true}, talkBatches(mixed(flood)))
  t.is(rows.length, 1)
  const [row] = rows
  t.is(row.dartaFinding, 'SYN flood')
  t.is(row.destinationIPv4Address, '192.0.2.5')
  t.true(Number(row.dartaPeerCount) >= 4000 && Number(row.packetDeltaCount) >= 200_000)
  t.true(Number(row.flowStartMilliseconds) <= BEGIN + 240_000)
  t.true(Number(row.flowEndMilliseconds) >= BEGIN + 244_000)
  t.is(
    row.dartaFilter,
    `dst ip 192.0.2.5 and last seen >= ${row.flowStartMilliseconds} and last seen < ${row.flowEndMilliseconds}`,
  )
  t.deepEqual(analyse(ddos, {}, talkBatches(background)).rows, [])
})

test('ddos: reflected DNS answers are named so', (t) => {
  const flood = Array.from({length: 500}, (_, i): Talk => ({
    ...syn(`172.16.${i % 256}.${i >> 8}`, '10.0.0.9', 4444, 100_000 + i * 20),
    ...{ports: [53, 4444], proto: 17, flags: 0, packets: 400, octets: 560_000},
  }))
  const {rows} = analyse(ddos, {}, talkBatches(mixed(flood)))
  t.deepEqual(
    rows.map((r) => [r.dartaFinding, r.destinationIPv4Address]),
    [['DNS flood', '10.0.0.9']],
  )
})

test('heavy-hitters: every host above the share is found, and no sum is off by more than the bound', (t) => {
  const truth = new Map<string, number>()
  for (const {from, octets} of background) truth.set(from, (truth.get(from) ?? 0) + octets)
  const {rows, summaries} = analyse(heavyHitters, {share: 10}, talkBatches(background))
  const all = background.reduce((n, talk) => n + talk.octets, 0)
  t.is(summaries[0].octetDeltaCount, all)
  const bound = Number(summaries[0].dartaErrorBound)
  t.true(bound <= Math.ceil((Math.E / 4096) * all))
  const found = new Map(rows.map((r) => [r.sourceIPv4Address as string, Number(r.octetDeltaCount)]))
  for (const [host, octets] of truth) {
    if (octets >= 0.01 * all) t.true(found.has(host), host)
  }
  for (const [host, estimate] of found) {
    const exact = truth.get(host) ?? 0
    t.true(estimate >= exact && estimate <= exact + bound, host)
  }
})

test('entropy: a worm that scatters destinations shows in its minute, and other minutes are usual', (t) => {
  const random = randomNumbers(3)
  const worm = Array.from({length: 3000}, (_, i) =>
    syn(
      '10.0.0.66',
      `198.51.${Math.floor(random() * 256)}.${Math.floor(random() * 256)}`,
      445,
      400_000 + i * 15,
    ),
  )
  const {rows} = analyse(entropy, {}, talkBatches(mixed(worm)))
  const odd = rows.filter((r) => r.dartaFinding !== 'usual')
  t.true(odd.some((r) => r.dartaFeature === 'dstip' && r.dartaFinding === 'dispersed'))
  t.true(odd.some((r) => r.dartaFeature === 'srcip' && r.dartaFinding === 'concentrated'))
  for (const r of odd) {
    const start = Number(r.flowStartMilliseconds)
    t.true(start <= BEGIN + 445_000 && start + 60_000 >= BEGIN + 400_000)
  }
  const quiet = analyse(entropy, {}, talkBatches(background)).rows
  t.deepEqual(
    quiet.filter((r) => r.dartaFinding !== 'usual'),
    [],
  )
  t.is(quiet.length % 4, 0)
})

test('beacon: a host that calls home each 30 seconds is found, with its interval, among ordinary ones', (t) => {
  const random = randomNumbers(5)
  const calls = Array.from({length: 19}, (_, i): Talk => {
    const ms = i * 30_000 + Math.floor(random() * 2000)
    return {...syn('10.0.2.77', '203.0.113.9', 443, ms), flags: 0x1b, end: BEGIN + ms + 300}
  })
  const {rows} = analyse(beacon, {why: true}, talkBatches(mixed(calls)))
  t.is(rows.length, 1)
  const [row] = rows
  t.is(row.sourceIPv4Address, '10.0.2.77')
  t.true(Math.abs(Number(row.dartaIntervalMilliseconds) - 30_000) < 1500)
  t.is(row.deltaFlowCount, 19)
  t.is(row.dartaFilter, 'src ip 10.0.2.77 and dst ip 203.0.113.9 and proto 6 and dst port 443')
  t.deepEqual(analyse(beacon, {}, talkBatches(background)).rows, [])
})

test('services: servers are told from clients by their ports, with the number of clients', (t) => {
  const {rows} = analyse(services, {}, talkBatches(background))
  const clients = new Map<string, Set<string>>()
  for (const {from, to, ports, proto} of background) {
    const [server, client, port] = ports[0] < ports[1] ? [from, to, ports[0]] : [to, from, ports[1]]
    const name = `${server} ${port} ${proto}`
    clients.set(name, (clients.get(name) ?? new Set()).add(client))
  }
  t.deepEqual(
    rows
      .map((r) =>
        [r.destinationIPv4Address, r.dartaServicePort, r.protocolIdentifier, r.dartaPeerCount].join(
          ' ',
        ),
      )
      .sort(),
    [...clients].map(([name, of]) => `${name} ${of.size}`).sort(),
  )
})

test('services: records that are read one by one, and of both IP versions, say the same', (t) => {
  const fields = [
    ie.sourceIPv4Address,
    ie.destinationIPv6Address,
    ie.sourceTransportPort,
    ie.destinationTransportPort,
    ie.protocolIdentifier,
    ie.octetDeltaCount,
  ]
  const v6 = address('2001:db8::1')
  const rows = [
    [address('192.0.2.1'), v6, 40000, 443, 6, 10],
    [address('192.0.2.2'), v6, 40001, 443, 6, 20],
    [address('192.0.2.3'), v6, 53, 53, 17, 30],
    [address('192.0.2.1'), v6, 80, 50000, 6, 40],
  ]
  const seen = (batches: RecordBatch[]): unknown =>
    analyse(services, {}, batches).rows.map((r) => [
      r.destinationIPv4Address ?? r.destinationIPv6Address,
      r.dartaServicePort,
      r.dartaPeerCount,
      r.octetDeltaCount,
    ])
  const expected = [
    ['192.0.2.1', 80, 1, 40],
    ['2001:db8::1', 443, 2, 30],
    ['2001:db8::1', 53, 1, 30],
  ]
  t.deepEqual(seen([batchOf(templateOf(fields), rows)]), expected)
  // A field of variable length in front moves all others from record to record.
  const moved = templateOf([ie.interfaceName, ...fields])
  const names = ['a', 'bcd', '', 'ef']
  t.deepEqual(
    seen([
      batchOf(
        moved,
        rows.map((row, i) => [names[i], ...row]),
      ),
    ]),
    expected,
  )
  t.deepEqual(
    analyse(services, {}, [
      batchOf(
        moved,
        rows.map((row, i) => [names[i], ...row]),
      ),
    ]).ledger.out,
    4,
  )
})
