import test, {type ExecutionContext} from 'ava'
import {apps} from '../../../src/processing/analysis/apps/index.js'
import {ie} from '../../../src/registry/elements.js'
import type {AnalysisApp} from '../../../src/processing/analysis/app.js'
import type {RecordBatch} from '../../../src/record/batch.js'
import {filtered, parse} from '../../mediation/filter/filtering.js'
import {analyse} from '../../support/analyse.js'
import {address, batchOf, templateOf} from '../../support/records.js'
import type {Plain} from '../../support/results.js'
import {
  BEGIN,
  ordinaryTraffic,
  randomNumbers,
  talkBatches,
  type Talk,
} from '../../support/traffic.js'

function syn(from: string, to: string, port: number, ms: number): Talk {
  return {
    ...{from, to, ports: [40000, port], proto: 6, flags: 2, octets: 40, packets: 1},
    ...{start: BEGIN + ms, end: BEGIN + ms},
  }
}

/** Ten minutes with a scanner, a beacon and a flood among others. */
function traffic(seed: number): Talk[] {
  const random = randomNumbers(seed)
  return [
    ...ordinaryTraffic(random, 600),
    ...Array.from({length: 60}, (_, i) => syn('10.0.0.250', `192.0.2.${100 + i}`, 445, i * 500)),
    ...Array.from({length: 19}, (_, i): Talk => ({
      ...syn('10.0.2.77', '203.0.113.9', 443, i * 30_000 + Math.floor(random() * 2000)),
      flags: 0x1b,
    })),
    ...Array.from({length: 500}, (_, i): Talk => ({
      ...syn(`172.16.${i % 256}.${i >> 8}`, '10.0.0.9', 4444, 100_000 + i * 20),
      ...{ports: [53, 4444], proto: 17, flags: 0, packets: 400, octets: 560_000},
    })),
  ]
}

/** What two observation points saw: most of it both, and some conversations one way each. */
function batches(seed: number): RecordBatch[] {
  const talks = traffic(seed)
  const [first, second]: [Talk[], Talk[]] = [[], []]
  for (const talk of talks) {
    const client = talk.ports[0] > talk.ports[1] ? talk.from : talk.to
    // Of some hosts the ways part.
    const parted = /\.1\d$/.test(client)
    const outward = client === talk.from
    if (!parted || outward) first.push(talk)
    if (!parted || !outward) {
      const packets = Math.max(1, talk.packets - (talk.packets > 20 ? 1 : 0))
      second.push({...talk, packets, start: talk.start + 3, end: talk.end + 3})
    }
  }
  return [
    ...talkBatches(first, {observationDomainId: 1}),
    ...talkBatches(second, {observationDomainId: 2}),
    ...sixes(randomNumbers(seed + 1)),
  ]
}

/** Some traffic of IPv6, with elements that the other records lack. */
function sixes(random: () => number): RecordBatch[] {
  const template = templateOf([
    ie.sourceIPv6Address,
    ie.destinationIPv6Address,
    ie.sourceTransportPort,
    ie.destinationTransportPort,
    ie.protocolIdentifier,
    ie.ingressInterface,
    ie.vlanId,
    ie.userName,
    ie.octetDeltaCount,
    ie.packetDeltaCount,
    ie.flowStartMilliseconds,
    ie.flowEndMilliseconds,
  ])
  const rows = Array.from({length: 200}, () => {
    const start = BEGIN + Math.floor(random() * 600_000)
    const pick = (n: number): number => Math.floor(random() * n)
    return [
      address(`2001:db8:${pick(3)}::${1 + pick(5)}`),
      address(`2001:db8:ffff::${1 + pick(5)}`),
      32768 + pick(1000),
      [53, 443][pick(2)],
      17,
      1 + pick(3),
      10 + pick(2),
      ['alice', 'bob "the" builder', 'carol'][pick(3)],
      1000 + pick(5000),
      1 + pick(9),
      start,
      start + pick(2000),
    ]
  })
  return [batchOf(template, rows, {observationDomainId: 1})]
}

const rating = JSON.stringify({
  accounts: {
    alice: ['10.0.0.0/16', '2001:db8::/32', 'user:alice'],
    bob: ['10.0.1.0/24', '10.0.0.7', '2001:db8:1::/48'],
    farm: ['192.0.2.0/24'],
  },
  classes: [
    {name: 'dns', protocol: 17, ports: [53]},
    {name: 'udp', protocol: 17},
    {name: 'web', ports: [80, 443]},
  ],
})

/** What hangs on the other records too: places, parts of a whole, what is usual. */
const VOLATILE: Readonly<Record<string, readonly string[]>> = {
  top: ['dartaRank', 'dartaOctetShare', 'dartaPacketShare', 'dartaFlowShare'],
  matrix: ['dartaOctetShare', 'dartaPacketShare', 'dartaFlowShare'],
  protocols: ['dartaOctetShare', 'dartaPacketShare', 'dartaFlowShare'],
  // Honest contacts are no part of what a scan rests on.
  scan: ['dartaScore', 'dartaSucceededCount'],
  ddos: ['dartaScore', 'dartaBaseline'],
  entropy: ['dartaFinding', 'dartaScore', 'dartaBaseline'],
  'heavy-hitters': ['octetDeltaCount', 'dartaErrorBound', 'dartaScore'],
}

/** Options with which there is something to tell. */
const OPTIONS: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>> = {
  top: [
    {top: 0},
    {top: 0, statistic: ['ip,port/octets', 'src4/24/flows', 'srcip:p/bps', 'dst6/48/octets']},
    {top: 0, statistic: ['ingressInterface,vlan/octets', 'userName/flows', 'odid,dstport/packets']},
    {top: 0, statistic: ['flags/flows', 'ip4/16/octets', 'inif/octets', 'flowEndReason/octets']},
  ],
  matrix: [{}, {symmetric: true, srcPrefix: 24, dstPrefix: 24}, {srcPrefix: 32, dstPrefix6: 128}],
  protocols: [{top: 0}],
  merge: [{}, {uniflow: true}],
  asymmetry: [{}, {oneWay: true}],
  scan: [{}],
  ddos: [{}, {minRate: 100, factor: 2}],
  usage: [{}, {rating}],
  'heavy-hitters': [{share: 1}, {side: 'destination', by: 'flows'}],
  entropy: [{}, {by: 'octets', bin: 30}],
}

function stable(name: string, row: Plain): string {
  const changes = VOLATILE[name] ?? []
  return JSON.stringify(
    Object.entries(row).filter(([key]) => key !== 'dartaFilter' && !changes.includes(key)),
  )
}

/** At most so many rows of each are looked at, spread over all. */
const ROWS = 40

async function filtersHold(t: ExecutionContext, name: string, seed: number): Promise<void> {
  const table: Readonly<Record<string, () => Promise<{default: unknown}>>> = apps
  const app = (await table[name]()).default as AnalysisApp
  t.true('why' in app.options, `${name} has --why`)
  const all = batches(seed)
  for (const options of OPTIONS[name] ?? [{}]) {
    const own = {...options, why: true} as Parameters<typeof analyse>[1]
    const {rows} = analyse(app, own, all)
    t.true(rows.length > 0, `${name} finds something`)
    const step = Math.max(1, Math.floor(rows.length / ROWS))
    for (let i = 0; i < rows.length; i += step) {
      const row = rows[i]
      const text = row.dartaFilter as string
      t.is(typeof text, 'string', `${name}: ${JSON.stringify(row)}`)
      const {passed} = filtered(parse(text), all, false)
      const again = analyse(app, own, passed).rows.map((r) => stable(name, r))
      t.true(again.includes(stable(name, row)), `${name}: ${stable(name, row)} by ${text}`)
      if (name === 'heavy-hitters') exactWithinBound(t, row, passed, options)
    }
  }
}

function exactWithinBound(
  t: ExecutionContext,
  row: Plain,
  passed: readonly RecordBatch[],
  {by = 'octets'}: Readonly<Record<string, unknown>>,
): void {
  const element = by === 'octets' ? 'octetDeltaCount' : 'deltaFlowCount'
  const {rows} = analyse(topOf, {statistic: ['odid/octets'], top: 0}, passed)
  const exact = rows.reduce((n, r) => n + Number(r[element]), 0)
  const estimate = Number(row[element])
  t.true(estimate >= exact && estimate <= exact + Number(row.dartaErrorBound))
}

const topOf = (await apps.top()).default

for (const name of Object.keys(apps)) {
  test(`${name}: the filter of each row selects records that give the row again`, async (t) => {
    await filtersHold(t, name, 1)
    await filtersHold(t, name, 2)
  })
}
