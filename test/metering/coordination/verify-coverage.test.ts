import test from 'ava'
import {
  verifyCoverage,
  type CoverageListed,
  type CoverageReport,
  type CoverageSpan,
} from '../../../src/metering/coordination/verify-coverage.js'
import {reportsOf, type PlannedEpoch} from './reporting-link.js'
import {random} from './simulation.js'

const T0 = 1_700_000_000_000
const SPAN = 100

interface Packet {
  readonly at: number
  readonly digest: bigint
}

function packets(count: number, seed: number, fromMs = T0, ms = 2000): Packet[] {
  const next = random(seed)
  const word = (): bigint => BigInt(Math.floor(next() * 2 ** 32))
  return Array.from({length: count}, (_, i) => ({
    at: fromMs + (i * ms) / count,
    digest: (word() << 32n) | word(),
  }))
}

/** Spans as a node reports them whose clock is `skew` ms ahead. */
function spans(
  node: string,
  list: readonly Packet[],
  shape: {owner: boolean; owners?: string; standby?: string; epoch?: number; skew?: number},
): CoverageSpan[] {
  const {owner, owners = 'a', standby = 'b', epoch = 1, skew = 0} = shape
  const rows = new Map<number, CoverageSpan>()
  for (const {at, digest} of list) {
    const startMs = Math.floor((at + skew) / SPAN) * SPAN
    const row = rows.get(startMs)
    rows.set(startMs, {
      ...{node, epoch, planDigest: 1, owners, standby, owner, startMs, endMs: startMs + SPAN},
      packets: (row?.packets ?? 0) + 1,
      sum: ((row?.sum ?? 0n) + digest) & ((1n << 64n) - 1n),
      xor: (row?.xor ?? 0n) ^ digest,
    })
  }
  return [...rows.values()]
}

const plan = (
  node: string,
  epoch = 1,
  lost = '',
  thru = 0,
  at = T0,
): CoverageReport['plans'][0] => ({
  ...{node, epoch, planDigest: epoch, at, installedMs: at - 500, guardMs: 50, lost, thru},
})

function report(
  rows: CoverageSpan[],
  plans: CoverageReport['plans'] = [plan('a'), plan('b')],
  listed: CoverageListed[] = [],
): CoverageReport {
  return {spans: rows, listed, plans, drops: []}
}

test('what one node took and the other saw is the same, though their clocks put packets into different spans', (t) => {
  const all = packets(4000, 1)
  const mixed = [...all].reverse()
  const result = verifyCoverage([
    report(spans('a', all, {owner: true})),
    report(spans('b', mixed, {owner: false, skew: 7})),
  ])
  t.deepEqual(result.faults, [])
  t.is(result.packets, 4000)
})

test('missed packets are named with node, epoch, number and the span in which they came', (t) => {
  const all = packets(4000, 2)
  const kept = all.filter(({at}) => at < T0 + 520 || at >= T0 + 560)
  const missed = all.length - kept.length
  const {faults} = verifyCoverage([
    report([...spans('a', kept, {owner: true}), ...spans('b', all, {owner: false})]),
  ])
  t.is(faults.length, 1)
  const [{kind, node, epoch, packets: n, fromMs, toMs}] = faults
  t.deepEqual([kind, node, epoch, n], ['missed', 'a', 1, missed])
  t.deepEqual([fromMs - T0, toMs - T0], [500, 600])
})

test('packets that are taken twice are named', (t) => {
  const all = packets(2000, 3)
  const {faults} = verifyCoverage([
    report([
      ...spans('a', [...all, all[700], all[701]], {owner: true}),
      ...spans('b', all, {owner: false}),
    ]),
  ])
  t.is(faults.length, 1)
  t.deepEqual([faults[0].kind, faults[0].node, faults[0].packets], ['doubled', 'a', 2])
  t.is(faults[0].fromMs - T0, 700)
})

test('as many packets, but others, are told too', (t) => {
  const all = packets(2000, 4)
  const [stranger] = packets(1, 99, T0 + 300)
  const other = all.map((packet, i) => (i === 300 ? stranger : packet))
  const {faults} = verifyCoverage([
    report([...spans('a', other, {owner: true}), ...spans('b', all, {owner: false})]),
  ])
  t.deepEqual(
    faults.map(({kind, fromMs}) => [kind, fromMs - T0]),
    [['unknown', 300]],
  )
})

test('a report that is not there, and plans that differ, prove nothing', (t) => {
  const all = packets(1000, 5)
  const alone = verifyCoverage([report(spans('a', all, {owner: true}), [plan('a')])])
  t.regex(alone.faults[0].why, /no report of this node/)
  const torn = verifyCoverage([
    report(
      [...spans('a', all, {owner: true}), ...spans('b', all, {owner: false})],
      [plan('a'), {...plan('b'), planDigest: 77}],
    ),
  ])
  t.regex(torn.faults[0].why, /different plans/)
})

for (const skew of [0, 9, -9]) {
  test(`a slot changes hands between nodes whose clocks differ by ${skew} ms: each packet counts once`, (t) => {
    const before = packets(2000, 6, T0, 1000)
    const after = packets(2000, 7, T0 + 1000, 1000)
    const all = [...before, ...after]
    const at = T0 + 1000
    const sees = (node: string, off: number, marks: number): [CoverageSpan[], CoverageListed[]] => {
      const mine = all.map((packet) => ({...packet, own: packet.at + off}))
      const band = mine.filter(({own}) => own >= at - 50 && own < at + 50)
      const owner = node === 'a' ? 'a' : 'b'
      const left = mine.filter(({own}) => own < at - 50)
      const right = mine.filter(({own}) => own >= at + 50)
      const rows = [
        ...spans(node, left, {owner: owner === 'a', skew: off, owners: 'a', standby: 'b'}),
        ...spans(node, right, {
          ...{owner: owner === 'b', skew: off, owners: 'b', standby: 'a', epoch: 2},
        }),
      ]
      const listed = band.map(({own, digest}) => ({
        ...{node, epoch: 2, slot: 5, previousOwners: 'a', previousStandby: 'b', owners: 'b'},
        ...{standby: 'a', taken: true, mark: marks, lost: '', timeMs: Math.floor(own), digest},
      }))
      return [rows, listed]
    }
    const [rowsA, listA] = sees('a', 0, 1)
    const [rowsB, listB] = sees('b', skew, 2)
    const plans = [plan('a'), plan('b'), plan('a', 2, '', 0, at), plan('b', 2, '', 0, at)]
    const result = verifyCoverage([report([...rowsA, ...rowsB], plans, [...listA, ...listB])])
    t.deepEqual(result.faults, [])
    t.is(result.packets, 4000)
    // A packet that only one node lists is taken by the other without a mark, or not at all.
    t.true(result.markedCopies >= 180 && result.markedCopies <= 220, `${result.markedCopies}`)
    const without = verifyCoverage([
      report([...rowsA, ...rowsB.filter(({startMs}) => startMs !== T0 + 400)], plans, [
        ...listA,
        ...listB,
      ]),
    ])
    t.true(without.faults.length > 0)
  })
}

test('a node dies: what it took and what its standby recovered are the whole, each once; one packet less is told', (t) => {
  const all = packets(4000, 8, T0, 2000)
  const thru = T0 + 1200
  const death = T0 + 1900
  const taken = all.filter(({at}) => at < T0 + 1300)
  const again = all.filter(({at}) => at >= thru - 50 && at < death)
  const seen = all.filter(({at}) => at < death)
  const rows = [...spans('a', taken, {owner: true}), ...spans('b', seen, {owner: false})]
  const plans = [plan('a'), plan('b'), plan('b', 2, 'a', thru, death)]
  const listed = again.map(({at, digest}): CoverageListed => ({
    ...{node: 'b', epoch: 0, slot: 3, previousOwners: 'a', previousStandby: 'b'},
    ...{owners: '', standby: '', taken: true, mark: 3, lost: 'a', timeMs: Math.floor(at), digest},
  }))
  const result = verifyCoverage([report(rows, plans, listed)])
  t.deepEqual(result.faults, [])
  t.is(result.packets, seen.length)
  t.is(result.recovered, again.length)
  const less = verifyCoverage([report(rows, plans, listed.toSpliced(600, 1))])
  t.is(less.faults.length, 1)
  t.is(less.faults[0].node, 'a')
})

const close: Record<
  string,
  {
    epochs: PlannedEpoch[]
    dies: Record<string, number>
    missedByWitness?: boolean
    /** Packets that only a dead node's last rows would have told of. */
    untold?: number
  }
> = {
  'a node joins, the standby of another dies, then that one': {
    epochs: [
      {nodes: ['a', 'b', 'c'], at: 0, told: -1000},
      {nodes: ['a', 'b', 'c', 'd'], at: 2000, told: 600},
      {nodes: ['a', 'b', 'd'], at: 2910, told: 2800, lost: ['c']},
      {nodes: ['a', 'd'], at: 3820, told: 3710, lost: ['b']},
    ],
    dies: {c: 2560, b: 3480},
  },
  'a node dies while another is about to join': {
    epochs: [
      {nodes: ['b', 'c', 'd'], at: 0, told: -1000},
      {nodes: ['b', 'c', 'd', 'e'], at: 3000, told: 1600},
      {nodes: ['b', 'c', 'e'], at: 3000, told: 1660, lost: ['d']},
    ],
    dies: {d: 1400},
  },
  'a node dies shortly after it came, in the guard band of its own switch': {
    epochs: [
      {nodes: ['b', 'c'], at: 0, told: -1000},
      {nodes: ['b', 'c', 'd'], at: 2000, told: 600},
      {nodes: ['b', 'c'], at: 2700, told: 2560, lost: ['d']},
    ],
    dies: {d: 2450},
  },
  'a node dies, and its standby, too, as soon as it has taken over': {
    epochs: [
      {nodes: ['a', 'b', 'c', 'd'], at: 0, told: -1000},
      {nodes: ['a', 'c', 'd'], at: 2000, told: 1870, lost: ['b']},
      {nodes: ['a', 'd'], at: 2500, told: 2370, lost: ['c']},
    ],
    dies: {b: 1600, c: 2080},
    untold: 50,
  },
  'a node dies, and another one learns of it late': {
    epochs: [
      {nodes: ['a', 'b', 'c'], at: 0, told: -1000},
      {nodes: ['b', 'c'], at: 2000, told: 1900, late: {c: 2030}, lost: ['a']},
    ],
    dies: {a: 1650},
    missedByWitness: true,
  },
}
for (const [what, {epochs, dies, missedByWitness = false, untold = 0}] of Object.entries(close)) {
  test(`${what}: every packet is proved to be taken once, and each one less is told`, (t) => {
    const {reports, packets: sent} = reportsOf(epochs, dies, 5000)
    const result = verifyCoverage(reports)
    t.deepEqual(result.faults, [])
    t.true(result.packets <= sent && result.packets >= sent - untold, `${result.packets}`)
    t.true(result.recovered > 0)
    t.is(result.witnessMissed > 0, missedByWitness)
    // Of each kind of row that bears on the proof one is left out, or one packet of it.
    const told = (change: (report: CoverageReport) => CoverageReport): void => {
      t.true(verifyCoverage(reports.map(change)).faults.length > 0)
    }
    const [lost, died] = Object.entries(dies)[0]
    const saved = reports
      .flatMap(({listed}) => listed)
      .find((row) => row.lost === lost && row.timeMs >= T0 + died)!
    told((one) => ({...one, listed: one.listed.filter((row) => row !== saved)}))
    const {nodes} = epochs[epochs.length - 1]
    const living = reports.flatMap((one) => one.spans).filter(({node}) => nodes.includes(node))
    const taken = living.findLast(({owner, standby}) => owner && nodes.includes(standby))!
    told((one) => ({
      ...one,
      spans: one.spans.map((row) => (row === taken ? {...row, packets: row.packets - 1} : row)),
    }))
  })
}

test('a node that backs another goes too early, and that one dies: nobody can tell whether its last packets were exported', (t) => {
  const epochs: PlannedEpoch[] = [
    {nodes: ['a', 'b', 'c'], at: 0, told: -1000},
    {nodes: ['a', 'b'], at: 2000, told: 600},
    {nodes: ['a'], at: 2550, told: 2400, lost: ['b']},
  ]
  const dies = {b: 2100}
  const verdict = (c: number): ReturnType<typeof verifyCoverage>['faults'] =>
    verifyCoverage(reportsOf(epochs, dies, 4000, {ends: {c}, guardMs: 50}).reports).faults
  t.deepEqual(verdict(2700), [])
  const faults = verdict(2060)
  t.deepEqual(
    faults.map(({kind, node, epoch}) => [kind, node, epoch]),
    [['unknown', 'b', 1]],
  )
  const [{fromMs, toMs, packets: n, why}] = faults
  t.deepEqual([fromMs - T0, Math.floor((toMs - T0) / 10)], [1700, 200])
  t.true(n! > 0)
  t.regex(why, /it died when c, which had seen them, was gone/)
})

test('a node and the one that backs it die together: the interval that both leave is named', (t) => {
  const epochs: PlannedEpoch[] = [
    {nodes: ['a', 'b', 'c'], at: 0, told: -1000},
    {nodes: ['a'], at: 2150, told: 2000, lost: ['b', 'c']},
  ]
  const {reports, fates} = reportsOf(epochs, {b: 1700, c: 1740}, 4000)
  const lost = fates.filter(
    ({told, untold, gone}) => told.length + untold.length + gone.length === 0,
  )
  t.true(lost.length > 0)
  const {faults} = verifyCoverage(reports)
  t.deepEqual(faults.map(({kind, node, epoch}) => [kind, node, epoch]).sort(), [
    ['missed', 'b', 1],
    ['missed', 'c', 1],
  ])
  for (const {fromMs, toMs, why} of faults) {
    t.true(fromMs - T0 <= lost[0].time && toMs - T0 >= lost[lost.length - 1].time)
    t.regex(why, /only [bc], which died too, kept its packets/)
  }
})

/** Nodes that join, leave and die within the guard bands of each other. */
function crowded(seed: number): {
  epochs: PlannedEpoch[]
  dies: Record<string, number>
  ends: Record<string, number>
  untilMs: number
} {
  const next = random(seed)
  const alive = ['a', 'b', 'c']
  const epochs: PlannedEpoch[] = [{nodes: [...alive], at: 0, told: -1000}]
  const dies: Record<string, number> = {}
  const ends: Record<string, number> = {}
  const takeOne = (): string => alive.splice(Math.floor(next() * alive.length), 1)[0]
  let now = 1200
  for (let i = 0; i < 3; i++) {
    const {at} = epochs[epochs.length - 1]
    const dice = next()
    if (dice < 0.6 || alive.length < 3) {
      const told = Math.max(now, at + 500)
      if (dice < 0.3 || alive.length < 3) alive.push(`n${i}`)
      else ends[takeOne()] = told + 2600
      epochs.push({nodes: [...alive], at: told + 1400, told})
      now = told + 100
    } else {
      const lost = [takeOne()]
      if (next() < 0.3) lost.push(takeOne())
      for (const id of lost) dies[id] = now + Math.floor(next() * 50)
      const told = now + 300
      epochs.push({nodes: [...alive], at: Math.max(told + 150, at), told, lost})
      now = told + 50
    }
    now += Math.floor(next() * 1500)
  }
  return {epochs, dies, ends, untilMs: Math.max(now, epochs[epochs.length - 1].at) + 1200}
}

test('where nodes join, leave and die at once nothing that was lost is called taken, and nothing that was taken is called missed', (t) => {
  let lossy = 0
  for (let seed = 1; seed <= 16; seed++) {
    const {epochs, dies, ends, untilMs} = crowded(seed)
    const {reports, fates} = reportsOf(epochs, dies, untilMs, {seed, ends})
    const {faults} = verifyCoverage(reports)
    const words = `seed ${seed}: ${JSON.stringify({epochs, dies, ends, faults})}`
    const lost = fates.filter(({told, untold}) => told.length + untold.length === 0)
    if (lost.length > 0) lossy++
    t.true(lost.length === 0 || faults.length > 0, words)
    if (lost.length === 0)
      t.true(
        faults.every(({kind}) => kind === 'unknown'),
        words,
      )
  }
  t.true(lossy > 0)
})
