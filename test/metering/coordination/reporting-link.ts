import {assignSlots} from '../../../src/metering/coordination/assign-slots.js'
import {
  decide,
  isRecovered,
  MARKS,
  recoveriesOf,
  viewOf,
  type EpochView,
  type Recovery,
} from '../../../src/metering/coordination/division.js'
import {
  changesOf,
  CHANGED,
  CONTESTED,
  GROUP_SLOTS,
  type Plan,
} from '../../../src/metering/coordination/plan.js'
import {classesOf, planDigest} from '../../../src/metering/coordination/share-control.js'
import type {
  CoverageReport,
  CoverageSpan,
} from '../../../src/metering/coordination/verify-coverage.js'
import {random} from './simulation.js'

export const T0 = 1_700_000_000_000
const GUARD = 500
const SPAN = 100
const WORD = (1n << 64n) - 1n

/** A plan of a run; times in ms from its start. */
export interface PlannedEpoch {
  readonly nodes: readonly string[]
  readonly at: number
  /** When nodes have it. */
  readonly told: number
  /** Those that have it later. */
  readonly late?: Readonly<Record<string, number>>
  readonly lost?: readonly string[]
}

/** `epoch`: the last one that it may be about. */
type Order = Recovery & {readonly epoch: number}

interface Reported extends Omit<CoverageReport, 'spans'> {
  readonly spans: CoverageSpan[]
}

/** What became of a packet. */
export interface Fate {
  /** Ms from the run's start. */
  readonly time: number
  /** Nodes that took or recovered it and told it in a span or list, exported it and did not live to tell, or did neither. */
  readonly told: string[]
  readonly untold: string[]
  readonly gone: string[]
}

/**
 * What nodes report of a link with 4 packets a ms, by the functions that decide for them. A node that is lost dies where
 * `dies` says; what it saw in the last 250 ms before is in no span, and what it took in the last 100 ms is not exported. One
 * that has left ends where `ends` says.
 */
export function reportsOf(
  epochs: readonly PlannedEpoch[],
  dies: Readonly<Record<string, number>>,
  untilMs: number,
  {
    seed = 1,
    ends = {},
    guardMs = GUARD,
  }: {seed?: number; ends?: Readonly<Record<string, number>>; guardMs?: number} = {},
): {reports: Reported[]; packets: number; fates: readonly Fate[]} {
  const plans = plansOf(epochs, dies, guardMs)
  const sharesOf = plans.map(classesOf)
  const next = random(seed)
  const word = (): bigint => BigInt(Math.floor(next() * 2 ** 32))
  const first = epochs[0].at + guardMs
  const packets = Array.from({length: (untilMs - first) * 4}, (_, i) => ({
    time: first + i / 4,
    slot: Math.floor(next() * GROUP_SLOTS),
    digest: (word() << 32n) | word(),
  }))
  const fates: Fate[] = packets.map(({time}) => ({time, told: [], untold: [], gone: []}))
  const ids = [...new Set(epochs.flatMap(({nodes}) => nodes))]
  const reports = ids.map((id, n) => {
    const report: Reported = {spans: [], listed: [], plans: [], drops: []}
    const rows = new Map<string, CoverageSpan>()
    const history: Plan[] = []
    const orders: Order[] = []
    const kept: {number: number; time: number; slot: number; digest: bigint}[] = []
    let views: EpochView[] = []
    const classIn = (epoch: number, slot: number): {owners: string; standby: string} => {
      const plan = history.find((one) => one.epoch === epoch)
      if (plan === undefined) return {owners: '', standby: ''}
      const {classes, ofSlot} = sharesOf[plan.epoch - 1]
      return classes[ofSlot[slot]]
    }
    const saved = (packet: Omit<(typeof packets)[0], 'time'>, order: Order, at: number): void => {
      // classAt() of share-control.ts.
      const view = views.findLast((one) => one.at <= at && one.epoch <= order.epoch)
      const {owners, standby} = classIn((view ?? views[0]).epoch, packet.slot)
      report.listed.push({
        ...{node: id, epoch: 0, slot: packet.slot, previousOwners: owners},
        ...{previousStandby: standby, owners: '', standby: '', taken: true, mark: 3},
        ...{lost: order.lost, timeMs: Math.floor(at), digest: packet.digest},
      })
    }
    /** Clocks differ by parts of a millisecond, and more where two packets come close. */
    const skew = (n * 0.3) % 1
    const end = Math.min(dies[id] ?? Infinity, ends[id] ?? Infinity)
    const took = (i: number, now: number): void => {
      const untilDeath = (dies[id] ?? Infinity) - now
      const fate = untilDeath > 250 ? 'told' : untilDeath > 100 ? 'untold' : 'gone'
      if (!fates[i][fate].includes(id)) fates[i][fate].push(id)
    }
    for (const [number, packet] of packets.entries()) {
      if (packet.time >= end) break
      for (const [i, {told, late, nodes}] of epochs.entries()) {
        const since = late?.[id] ?? told
        const plan = plans[i]
        if (packet.time < since || plan.epoch <= (history.at(-1)?.epoch ?? 0)) continue
        if (!nodes.includes(id) && history.length === 0) continue
        const orderList = recoveriesOf(plan, history, id).map((one) => ({
          ...one,
          epoch: plan.epoch - 1,
        }))
        history.push(plan)
        const confirmed = Math.max(...Object.values(late ?? {}), told) + 50
        views = history.map((one) => viewOf(one, id, one === plan ? T0 + confirmed : T0))
        for (const {id: lost, thru} of plan.lost.length === 0 ? [{id: '', thru: 0}] : plan.lost) {
          report.plans.push({
            ...{node: id, epoch: plan.epoch, planDigest: planDigest(plan), at: plan.at},
            ...{installedMs: T0 + since, guardMs, lost, thru},
          })
        }
        for (const order of orderList) {
          orders.push(order)
          for (const one of kept.splice(0)) {
            if (isRecovered(order, one.slot, one.time, true)) {
              saved(one, order, one.time)
              took(one.number, packet.time)
            } else kept.push(one)
          }
        }
      }
      const at = T0 + packet.time + skew
      const {slot, digest} = packet
      const decision = decide(views, guardMs, Infinity, slot, at)
      const order =
        decision.kind === 'take'
          ? undefined
          : orders.find((one) => isRecovered(one, slot, at, false))
      if (decision.kind === 'none' && order === undefined) continue
      const mark = decision.kind === 'take' ? decision.mark : 0
      const epoch = changing(
        views,
        guardMs,
        slot,
        at,
        mark === MARKS.giving || mark === MARKS.receiving,
      )
      const taken = decision.kind === 'take'
      if (taken || order !== undefined) took(number, packet.time)
      const view = views.findLast((one) => one.at <= at)
      if (epoch !== 0) {
        const earlier = Math.max(0, ...history.map((p) => p.epoch).filter((e) => e < epoch))
        const before = classIn(earlier, slot)
        report.listed.push({
          ...{node: id, epoch, slot, previousOwners: before.owners},
          ...{previousStandby: before.standby, ...classIn(epoch, slot), taken, mark, lost: ''},
          ...{timeMs: Math.floor(at), digest},
        })
      } else if (view !== undefined && decision.kind !== 'none') {
        count(rows, id, view.epoch, classIn(view.epoch, slot), taken, at, digest)
      }
      if (order !== undefined) saved(packet, order, at)
      else if (decision.kind === 'shadow') {
        kept.push({...packet, number, time: at})
      }
    }
    for (const row of rows.values())
      if (row.endMs <= T0 + (dies[id] ?? Infinity) - 250) report.spans.push(row)
    return report
  })
  return {reports, packets: packets.length, fates}
}

function plansOf(
  epochs: readonly PlannedEpoch[],
  dies: Readonly<Record<string, number>>,
  guardMs: number,
): Plan[] {
  const plans: Plan[] = []
  epochs.forEach(({nodes: ids, at, lost = []}, i) => {
    const nodes = ids.map((id) => ({id, weight: 1}))
    const previous = plans.at(-1)
    const made = {
      ...{term: 1, epoch: i + 1, at: T0 + at, coordinator: 'c', redundancy: 1, guardMs},
      ...{ttlMs: 8000, by: 'flow', seed: 0, nodes, confirmed: true},
      places: assignSlots(nodes, 1, previous),
      // What it last said is from some time before.
      lost: lost.map((id) => ({id, thru: T0 + Math.floor((dies[id] - 350) / SPAN) * SPAN})),
    }
    plans.push({...made, changes: changesOf(made, previous)})
  })
  return plans
}

/** changing() of native/select/share_keeper.cc. */
function changing(
  views: readonly EpochView[],
  guardMs: number,
  slot: number,
  at: number,
  contested: boolean,
): number {
  let next = views.length
  while (next > 0 && views[next - 1].at > at) next--
  const later = views.at(next)
  if (later !== undefined && (later.roles[slot] & CHANGED) !== 0 && at >= later.at - guardMs) {
    return later.epoch
  }
  for (const view of views.slice(0, next).toReversed()) {
    const bits = view.roles[slot]
    if ((bits & CHANGED) === 0) continue
    if (at < view.at + guardMs) return view.epoch
    if (contested && (bits & CONTESTED) !== 0 && at < view.bandEnd) return view.epoch
  }
  return 0
}

function count(
  rows: Map<string, CoverageSpan>,
  node: string,
  epoch: number,
  share: {readonly owners: string; readonly standby: string},
  owner: boolean,
  at: number,
  digest: bigint,
): void {
  const startMs = Math.floor(at / SPAN) * SPAN
  const key = [epoch, share.owners, share.standby, owner, startMs].join('/')
  const row = rows.get(key)
  rows.set(key, {
    ...{node, epoch, planDigest: 1, ...share, owner, startMs, endMs: startMs + SPAN},
    packets: (row?.packets ?? 0) + 1,
    sum: ((row?.sum ?? 0n) + digest) & WORD,
    xor: (row?.xor ?? 0n) ^ digest,
  })
}
