import {
  createCoordinator,
  type Coordinator,
  type GroupSettings,
  type Outgoing,
} from './coordinator.js'
import {recoveriesOf, viewOf, type EpochView, type Recovery} from './division.js'
import type {Message, NodeNumbers} from './message.js'
import {
  GROUP_SLOTS,
  indexOf,
  isNewer,
  ownersOf,
  standbyOf,
  type LostNode,
  type Plan,
  type PlanNode,
} from './plan.js'
import {LEAST_SET_MS, timingFor, VOID_MS, type Instant, type Timing} from './timing.js'

/** The coordinator that the user named; nodes are candidates by their ids. */
export const ORIGIN = ''

/** What the node has to change in how it takes packets. Called while a message is received. */
export interface PlanChange {
  readonly plan: Plan
  /** By `at`, the earliest first. */
  readonly views: readonly EpochView[]
  readonly recoveries: readonly Recovery[]
}

/**
 * A capture node's part of the protocol. Pure: it is told messages and times, and says what to send.
 *
 * It follows one candidate for coordinator: the one that the user named, or, where that is silent, the first node of the
 * plan that answers. When its own turn comes it becomes the coordinator, until one that comes before it is back and has
 * been told the plan. It goes on capturing by the plan that it has, whatever happens to the coordinator. When its own clock
 * is set, the plan's times mean nothing to it any more: it gives the plan up and joins anew.
 */
export interface GroupNode {
  receive(message: Message, from: string, now: Instant): Outgoing[]
  /** Call it every beat, or more often. */
  tick(now: Instant, report: {readonly thru: number; readonly numbers: NodeNumbers}): Outgoing[]
  /** A candidate cannot be reached at all, or a node that this one coordinates broke its connection. */
  broke(peer: string, now: Instant): void
  /** Asks to be left out of the next plan. */
  leave(): void
  /** Whether the others have taken over: nothing more is this node's, and nobody relies on what it keeps. */
  hasLeft(now: Instant): boolean
  /** What keeps it from having left. */
  leaveHolds(now: Instant): LeaveHolds
  /** What a node that has left says when it has exported all. */
  goodbye(now: Instant): Outgoing[]
  plan(): Plan | undefined
  views(): readonly EpochView[]
  /** Up to this capture time, ms since 1970, the coordinator counts on this node. */
  leaseMs(): number
  /** Who it follows: ORIGIN, the id of a node, or its own. */
  follows(): string
  /** A coordinator that goes on from what this node knows. */
  standIn(now: Instant): Coordinator
  /** The coordinator that it is, if it is one. */
  coordinator(): Coordinator | undefined
  /** Candidates that must be connected to, the first is followed; its own id is not among them. */
  peers(): string[]
}

/** Why a node that leaves is still needed. */
export interface LeaveHolds {
  /** No plan without it has begun that all have. */
  readonly plan: boolean
  /**
   * Nodes whose packets this one keeps, and nobody else: each has yet to export what it captured before `until`, ms since
   * 1970, and by what is known of it has exported what it captured before `thru`.
   */
  readonly unexported: readonly (LostNode & {readonly until: number})[]
}

export interface GroupNodeOptions {
  readonly node: PlanNode
  readonly timing: Timing
  readonly start: Instant
  /** For a group that it would be the first coordinator of; a plan's own settings stay. */
  readonly settings: GroupSettings
  /** Whether it may become the coordinator. */
  readonly candidate: boolean
  readonly onPlan: (change: PlanChange) => void
  readonly onRefusal?: (reason: string) => void
  /** Its clock was set: nothing is its own until the next plan, and what was told in times of the old clock is void. */
  readonly onClockSet?: () => void
  readonly note?: (text: string) => void
}

/** Plans that still may say something of packets that come now. */
const HISTORY = 16

export function createGroupNode(options: GroupNodeOptions): GroupNode {
  const {node, timing, note = () => {}} = options
  const self = node.id
  let history: {plan: Plan; confirmedAt: number | undefined}[] = []
  let views: EpochView[] = []
  let following: string = ORIGIN
  let heard = options.start.mono
  let lease = -Infinity
  let coordinator: Coordinator | undefined
  let lastBeat = -Infinity
  let toldThru = 0
  let lastTick = options.start.mono
  let leaving = false
  /** What its clock is ahead of the monotonic one. */
  let ahead = options.start.wall - options.start.mono
  /** The plan that was given up when that was set, until there is another one. */
  let givenUp: Plan | undefined
  /** When that was, by the new clock. */
  let anewSince = -Infinity
  /** How far others were when last heard of, for the case that this node becomes the coordinator. */
  const thru = new Map<string, number>()

  const newest = (): Plan | undefined => history.at(-1)?.plan
  const ttlMs = (): number => (newest() ?? givenUp)?.ttlMs ?? timing.ttlMs

  /** In the order in which they are tried. */
  function candidates(): string[] {
    const nodes = newest()?.nodes ?? []
    return [
      ORIGIN,
      ...nodes
        .filter(({id, address}) => address !== undefined || (id === self && options.candidate))
        .map(({id}) => id),
    ]
  }

  function rank(candidate: string): number {
    const at = candidates().indexOf(candidate)
    return at < 0 ? Infinity : at
  }

  function receive(message: Message, from: string, now: Instant): Outgoing[] {
    switch (message.type) {
      case 'plan': {
        const out = coordinator?.receive(message, now) ?? []
        adopt(message.plan, now)
        return out
      }
      case 'pulse':
        return pulse(message, from, now)
      case 'beat':
        thru.set(message.node.id, message.thru)
        return coordinator?.receive(message, now) ?? []
      case 'leave':
        thru.set(message.id, Math.max(message.thru, thru.get(message.id) ?? 0))
        return coordinator?.receive(message, now) ?? []
      case 'refusal':
        if (message.id === self && from === following) options.onRefusal?.(message.reason)
        return []
      case 'hello':
      case 'ask':
      case 'status':
        return []
    }
  }

  function pulse(
    message: Extract<Message, {type: 'pulse'}>,
    from: string,
    now: Instant,
  ): Outgoing[] {
    const plan = newest()
    const out: Outgoing[] = []
    // A coordinator that knows less is told.
    if (plan !== undefined && isNewer(plan, {...message, confirmed: plan.confirmed})) {
      out.push({to: from, message: {type: 'plan', plan}})
    }
    const isBetter = rank(from) < rank(following) && message.planned
    if (isBetter && from !== self) {
      if (coordinator !== undefined) note('the coordinator is back')
      coordinator = undefined
      following = from
    }
    if (from !== following) return out
    heard = now.mono
    for (const one of message.thru) thru.set(one.id, Math.max(one.thru, thru.get(one.id) ?? 0))
    if (plan !== undefined && indexOf(plan, self) >= 0) {
      lease = Math.max(lease, now.wall - (now.mono - message.echo) + ttlMs())
    }
    return out
  }

  function adopt(plan: Plan, now: Instant): void {
    const old = newest()
    if (!isNewer(plan, old)) return
    const known = history.find(
      (one) => one.plan.term === plan.term && one.plan.epoch === plan.epoch,
    )
    if (known !== undefined) {
      // The same one, confirmed now.
      known.plan = plan
      known.confirmedAt = now.wall
      rebuild()
      options.onPlan({plan, views, recoveries: []})
      return
    }
    if (isStale(plan, now)) return
    givenUp = undefined
    // What another coordinator had planned and nobody else knows is void, and so are times of a clock that was set since.
    history = history.filter(
      (one) => one.plan.epoch < plan.epoch && one.plan.at < plan.at + VOID_MS,
    )
    const recoveries = recoveriesOf(
      plan,
      history.map((one) => one.plan),
      self,
    )
    history.push({plan, confirmedAt: plan.confirmed ? now.wall : undefined})
    if (history.length > HISTORY) history.shift()
    rebuild()
    options.onPlan({plan, views, recoveries})
  }

  /** On its way to this node when its clock was set; the coordinator made it without knowing that. */
  function isStale(plan: Plan, now: Instant): boolean {
    if (givenUp === undefined || indexOf(plan, self) < 0) return false
    const {leadMs, guardMs} = timingFor(plan.ttlMs, plan.guardMs)
    return plan.at < anewSince - guardMs || plan.at > now.wall + leadMs + VOID_MS
  }

  function rebuild(): void {
    let confirmedAt: number | undefined
    views = []
    for (const one of history.toReversed()) {
      // When all have a later plan, nobody waits for this one any more.
      confirmedAt = one.confirmedAt ?? confirmedAt
      views.unshift(viewOf(one.plan, self, confirmedAt))
    }
  }

  function tick(
    now: Instant,
    report: {readonly thru: number; readonly numbers: NodeNumbers},
  ): Outgoing[] {
    heedClock(now)
    // Who stood still itself has not heard what the coordinator said meanwhile.
    const stood = now.mono - lastTick
    lastTick = now.mono
    if (stood > 2 * timing.beatMs) heard += stood
    if (following !== self && now.mono - heard > ttlMs()) next(now)
    const out: Outgoing[] = []
    // What is known to be exported nobody exports again when this node dies.
    const told = givenUp === undefined ? report.thru : 0
    const isFurther = told > toldThru && now.mono - lastBeat >= timing.beatMs / 4
    if (isFurther || now.mono - lastBeat >= timing.beatMs) {
      lastBeat = now.mono
      const plan = newest()
      toldThru = told
      const beat: Message = {
        type: 'beat',
        node,
        term: plan?.term ?? 0,
        epoch: plan?.epoch ?? 0,
        confirmed: plan?.confirmed ?? false,
        thru: toldThru,
        sent: now.mono,
        clock: now.wall,
        numbers: report.numbers,
      }
      out.push(...tell(beat, now))
      if (leaving) out.push(...tell({type: 'leave', id: self, thru: told}, now))
    }
    if (coordinator !== undefined) out.push(...own(coordinator.tick(now), now))
    return out
  }

  /** The two clocks run alike, also while one is corrected a little at a time, unless one is set. */
  function heedClock({mono, wall}: Instant): void {
    const plan = newest()
    const set = wall - mono - ahead
    if (plan !== undefined && Math.abs(set) <= Math.max(plan.guardMs, LEAST_SET_MS)) return
    ahead = wall - mono
    if (plan === undefined) {
      if (Math.abs(set) > LEAST_SET_MS) anewSince = wall
      return
    }
    const side = set > 0 ? 'forward' : 'back'
    note(
      `this host's clock was set ${side} by ${Math.abs(Math.round(set))} ms: the node joins anew`,
    )
    givenUp = plan
    anewSince = wall
    history = []
    views = []
    lease = -Infinity
    thru.clear()
    lastBeat = -Infinity
    options.onClockSet?.()
  }

  /** Tells all who may coordinate this node. */
  function tell(message: Message, now: Instant): Outgoing[] {
    const out: Outgoing[] = peers().map((to) => ({to, message}))
    if (coordinator !== undefined) out.push(...own(coordinator.receive(message, now), now))
    return out
  }

  /** What its own coordinator says to itself needs no way. */
  function own(list: readonly Outgoing[], now: Instant): Outgoing[] {
    const others: Outgoing[] = []
    for (const one of list) {
      if (one.to === self) receive(one.message, self, now)
      else others.push(one)
    }
    return others
  }

  /** The followed candidate is silent: the next one. */
  function next(now: Instant): void {
    const list = candidates()
    const at = list.indexOf(following)
    const to = list[(at + 1) % list.length]
    heard = now.mono
    if (to === following) return
    following = to
    if (to !== self) return
    note('the coordinator is gone: this node coordinates now')
    coordinator = standIn(now)
  }

  function standIn(now: Instant): Coordinator {
    const plan = newest()
    return createCoordinator({
      id: self,
      redundancy: plan?.redundancy ?? options.settings.redundancy,
      by: plan?.by ?? options.settings.by,
      seed: plan?.seed ?? options.settings.seed,
      timing: plan === undefined ? timing : timingFor(plan.ttlMs, plan.guardMs),
      start: now,
      plan,
      previous: history.at(-2)?.plan,
      thru,
      note,
    })
  }

  function peers(): string[] {
    const list = candidates()
    const better = list.slice(0, Math.max(list.indexOf(following), 0)).filter((id) => id !== self)
    return following === self ? better : [following, ...better]
  }

  function leaveHolds(now: Instant): LeaveHolds {
    const last = newest()
    if (last === undefined) return {plan: false, unexported: []}
    // With nobody else in it no other plan is waited for.
    const isIn = indexOf(last, self) >= 0 && last.nodes.length > 1
    const hasBegun = now.wall > (views.at(-1)?.bandEnd ?? 0)
    return {plan: isIn || !hasBegun, unexported: unexported()}
  }

  /** Until the end of each plan in which this node was a standby its owners may die and leave something behind. */
  function unexported(): LeaveHolds['unexported'] {
    const needed = new Map<string, number>()
    const dead = new Set<string>()
    history.forEach(({plan}, i) => {
      for (const {id} of plan.lost) dead.add(id)
      for (const {id} of plan.nodes) dead.delete(id)
      const until = views.at(i + 1)?.bandEnd ?? Infinity
      for (let slot = 0; slot < GROUP_SLOTS; slot++) {
        if (standbyOf(plan, slot) !== self) continue
        for (const owner of ownersOf(plan, slot)) needed.set(owner, until)
      }
    })
    return [...needed]
      .map(([id, until]) => ({id, thru: thru.get(id) ?? 0, until}))
      .filter((one) => one.thru < one.until && !dead.has(one.id))
  }

  return {
    receive,
    tick,
    broke(peer, now) {
      coordinator?.broke(peer, now)
      // A coordinator that has ended refuses connections; its time need not run out.
      if (peer === following && following !== self) {
        heard = Math.min(heard, now.mono - ttlMs() + timing.graceMs)
      }
    },
    leave() {
      leaving = true
    },
    hasLeft(now) {
      const holds = leaveHolds(now)
      return leaving && !holds.plan && holds.unexported.length === 0
    },
    leaveHolds,
    goodbye(now) {
      const message: Message = {type: 'leave', id: self, thru: Math.floor(now.wall)}
      // Who coordinates the others next has to know it, too.
      const others = coordinator === undefined ? [] : (newest()?.nodes ?? [])
      return [...tell(message, now), ...others.map(({id}) => ({to: id, message}))]
    },
    plan: newest,
    views: () => views,
    leaseMs: () => lease,
    follows: () => following,
    standIn,
    coordinator: () => coordinator,
    peers,
  }
}
