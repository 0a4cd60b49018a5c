import {assignSlots} from './assign-slots.js'
import type {Beat, Message} from './message.js'
import {changesOf, indexOf, isNewer, type Plan, type PlanNode} from './plan.js'
import {LEAST_SET_MS, VOID_MS, type Instant, type Timing} from './timing.js'

/** A message and the node that it goes to. */
export interface Outgoing {
  readonly to: string
  readonly message: Message
}

/** How a group divides its link. */
export interface GroupSettings {
  readonly redundancy: number
  /** Name of the selector. */
  readonly by: string
  readonly seed: number
}

/** What the coordinator knows of one node. */
export interface NodeStatus {
  readonly node: PlanNode
  readonly beat: Beat
  /** Ms since its last beat. */
  readonly silentMs: number
  /** Its clock less the coordinator's, ms, as near as beats can tell. */
  readonly clockMs: number
  readonly state: 'in' | 'joining' | 'leaving' | 'refused' | 'silent'
  /** Packets per second that it took in the last second or so. */
  readonly packetRate: number
}

/**
 * Decides who is in the group and makes its plans. Pure: it is told messages and times, and says what to send.
 *
 * A new coordinator makes no plan until it has heard of all nodes of the old one or their time has run out. A plan in
 * which slots change hands between live nodes begins `leadMs` later; one after a death as soon as it can be everywhere.
 * It is confirmed when every node has it. A node that leaves counts until it has exported what was its own: if it dies
 * before, the next plan says so.
 *
 * While there are nodes in the plan their time goes on as it did, whatever this host's clock is set to; a node whose own
 * clock is set joins anew, and is refused if it differs then. When all have done so, the clock as it is counts.
 */
export interface Coordinator {
  receive(message: Message, now: Instant): Outgoing[]
  /** The connection to a node broke: it has `graceMs` to come back. */
  broke(id: string, now: Instant): void
  tick(now: Instant): Outgoing[]
  plan(): Plan | undefined
  /** Whether all nodes have the plan, and it has begun by everybody's clock. */
  isInForce(now: Instant): boolean
  /** Whether all nodes have exported what they took over from those that the plan lost: only they had it until then. */
  isRestored(): boolean
  status(now: Instant): NodeStatus[]
}

export interface CoordinatorOptions extends GroupSettings {
  readonly id: string
  readonly timing: Timing
  readonly start: Instant
  /** What it knew as a node: the plan in force, the one before, and how far the others were. */
  readonly plan?: Plan | undefined
  readonly previous?: Plan | undefined
  readonly thru?: ReadonlyMap<string, number>
  /** A line for people. */
  readonly note?: (text: string) => void
}

interface Known {
  beat: Beat
  heard: number
  broke: number | undefined
  /** Its clock less ours in the last beats; delays only make it smaller. */
  offsets: number[]
  /** Packets taken, and when, of the last beats. */
  counts: {readonly mono: number; readonly packets: number}[]
  accepted: boolean
  refused: boolean
  leaving: boolean
  /** It has given up the plan that it is in. */
  anew: boolean
}

const OFFSETS = 10
/** How long the first nodes are waited for, ms. */
const FIRST_MS = 800
const TERMS = 1024
/** A node finds a new coordinator within so many times the time to live. */
const FIND_TTLS = 3
/** How long it is told of a node that left that it has exported all, ms. */
const DEPARTED_MS = 60_000

export function createCoordinator(options: CoordinatorOptions): Coordinator {
  const {id: self, timing, note = () => {}} = options
  const known = new Map<string, Known>()
  const thru = new Map(options.thru)
  /** Nodes that left, and the capture time, ms since 1970, before which all was theirs. */
  const departed = new Map<string, number>()
  let plan = options.plan
  depart(options.previous, plan)
  /** Highest term that anybody has told. */
  let seen = {
    term: plan?.term ?? 0,
    epoch: plan?.epoch ?? 0,
    confirmed: plan?.confirmed ?? false,
  }
  let settled = false
  let ownTerm: number | undefined
  let lastTick = options.start.mono
  /** What the group's time is ahead of the monotonic clock. */
  let ahead = options.start.wall - options.start.mono

  /** The time of the group. */
  function timeOf({mono, wall}: Instant): Instant {
    if (plan === undefined || plan.nodes.length === 0) {
      const isSet = Math.abs(wall - mono - ahead) > Math.max(timing.guardMs, LEAST_SET_MS)
      ahead = wall - mono
      if (isSet) forget()
    }
    return {mono, wall: mono + ahead}
  }

  /** When a plan begins. One without nodes that would not for long is of the time before the clocks were set. */
  function beginOf({at, nodes}: Plan, {wall}: Instant): number {
    return nodes.length === 0 && at > wall + VOID_MS ? 0 : at
  }

  /** Nobody goes by the times any more that were told before this host's clock was set. */
  function forget(): void {
    plan = undefined
    thru.clear()
    departed.clear()
    for (const member of known.values()) {
      member.offsets = []
      member.refused = false
    }
  }

  function receive(message: Message, now: Instant): Outgoing[] {
    switch (message.type) {
      case 'plan':
        if (isNewer(message.plan, plan)) {
          plan = message.plan
          remember(plan)
        }
        return []
      case 'leave': {
        const member = known.get(message.id)
        if (member !== undefined) member.leaving = true
        progress(message.id, message.thru)
        return []
      }
      case 'beat':
        return beat(message, now)
      case 'pulse':
      case 'refusal':
      case 'hello':
      case 'ask':
      case 'status':
        return []
    }
  }

  function remember(number: {term: number; epoch: number; confirmed: boolean}): void {
    if (isNewer(number, seen)) seen = {...number}
  }

  function beat(message: Beat, now: Instant): Outgoing[] {
    const {id} = message.node
    let member = known.get(id)
    if (member === undefined) {
      member = {
        beat: message,
        heard: now.mono,
        broke: undefined,
        offsets: [],
        counts: [],
        accepted: false,
        refused: false,
        leaving: false,
        anew: false,
      }
      known.set(id, member)
    }
    // Late ones tell nothing new.
    if (message.sent < member.beat.sent) return []
    // Who has no plan any more has given it up since its clock was set.
    if (message.epoch === 0 && member.beat.epoch > 0) {
      member.anew = true
      member.accepted = false
      member.offsets = []
    }
    if (plan === undefined || indexOf(plan, id) < 0) member.anew = false
    member.beat = message
    member.heard = now.mono
    member.broke = undefined
    member.offsets.push(message.clock - now.wall)
    if (member.offsets.length > OFFSETS) member.offsets.shift()
    member.counts.push({mono: message.sent, packets: message.numbers.packets})
    if (member.counts.length > OFFSETS) member.counts.shift()
    // One that begins anew has not exported what it did before.
    if (message.epoch === 0 || departed.has(id)) progress(id, message.thru)
    else thru.set(id, message.thru)
    remember(message)
    const out: Outgoing[] = []
    checkClock(id, member, out)
    out.push(...answer(member))
    return out
  }

  function progress(id: string, ms: number): void {
    thru.set(id, Math.max(ms, thru.get(id) ?? 0))
  }

  /** Remembers who is in the first plan, and neither in the next one nor dead. */
  function depart(before: Plan | undefined, after: Plan | undefined): void {
    if (before === undefined || after === undefined) return
    for (const {id} of before.nodes) {
      const isLost = after.lost.some((lost) => lost.id === id)
      if (indexOf(after, id) < 0 && !isLost) departed.set(id, after.at + after.guardMs)
    }
    for (const {id} of [...after.nodes, ...after.lost]) departed.delete(id)
  }

  /** A node whose clock is off takes and leaves packets at other instants than the others. */
  function checkClock(id: string, member: Known, out: Outgoing[]): void {
    if (member.accepted) return
    const offset = Math.max(...member.offsets)
    const enough = member.offsets.length === OFFSETS
    const isSound = Math.abs(offset) <= timing.guardMs / 2
    if (isSound || (enough && Math.abs(offset) <= timing.guardMs)) {
      member.accepted = true
      member.refused = false
      return
    }
    if (!enough) return
    const side = offset > 0 ? 'ahead of' : 'behind'
    const reason = `its clock is ${Math.round(Math.abs(offset))} ms ${side} the coordinator's, more than the guard band of ${timing.guardMs} ms`
    if (!member.refused) note(`node ${id} is refused: ${reason}`)
    member.refused = true
    out.push({to: id, message: {type: 'refusal', id, reason}})
  }

  function answer(member: Known): Outgoing[] {
    const {id} = member.beat.node
    const out: Outgoing[] = []
    if (plan !== undefined && isNewer(plan, member.beat) && !member.anew) {
      out.push({to: id, message: {type: 'plan', plan}})
    }
    out.push({
      to: id,
      message: {
        type: 'pulse',
        coordinator: self,
        term: plan?.term ?? 0,
        epoch: plan?.epoch ?? 0,
        echo: member.beat.sent,
        planned: plan !== undefined,
        thru: [...(plan?.nodes ?? []).map((node) => node.id), ...departed.keys()].flatMap((of) => {
          const ms = thru.get(of)
          return ms === undefined ? [] : [{id: of, thru: ms}]
        }),
      },
    })
    return out
  }

  const isAlive = (member: Known | undefined, now: Instant): member is Known =>
    member !== undefined &&
    now.mono - member.heard <= timing.ttlMs &&
    (member.broke === undefined || now.mono - member.broke <= timing.graceMs)

  function tick(now: Instant): Outgoing[] {
    // Who stood still itself has not heard what the others said meanwhile.
    const stood = now.mono - lastTick
    lastTick = now.mono
    if (stood > 2 * timing.beatMs) for (const member of known.values()) member.heard += stood
    for (const [id, member] of known) {
      // Who was never in the plan and is silent is forgotten.
      if (!isAlive(member, now) && (plan === undefined || indexOf(plan, id) < 0)) known.delete(id)
    }
    if (!settled && !settle(now)) return []
    const before = plan
    decidePlan(now)
    confirm(now)
    if (plan === before || plan === undefined) return []
    const news: Message = {type: 'plan', plan}
    return [...known.keys()].map((to) => ({to, message: news}))
  }

  /** Whether enough is known to make plans. */
  function settle(now: Instant): boolean {
    const waited = now.mono - options.start.mono
    const isBehind = plan === undefined ? seen.epoch > 0 : isNewer(seen, plan)
    const all =
      plan !== undefined &&
      plan.nodes.every(({id}) => known.get(id)?.accepted === true) &&
      !isBehind
    // Of several nodes that start together the first plan should have all; nodes that have one are waited for.
    const least = plan === undefined ? Math.min(timing.ttlMs, FIRST_MS) : timing.ttlMs
    if (!all && (waited < least || (isBehind && waited < 3 * timing.ttlMs))) return false
    settled = true
    return true
  }

  function decidePlan(now: Instant): void {
    const members = [...known.values()].filter((member) => isAlive(member, now))
    const able = members.filter((member) => member.accepted && !member.leaving)
    if (plan === undefined) {
      if (able.length > 0) make(now, able.map(({beat: {node}}) => node).sort(byId), [])
      return
    }
    const current = plan
    // A node that began anew under its old name knows nothing of the plan that it was in.
    const restarted = (id: string): boolean => {
      const member = known.get(id)
      if (member === undefined) return false
      return member.anew || (member.beat.epoch === 0 && current.confirmed)
    }
    const dead = current.nodes
      .filter(({id}) => !isAlive(known.get(id), now) || restarted(id))
      .map(({id}) => id)
    // A coordinator that has just begun has not heard of those that leave.
    const isNew = now.mono - options.start.mono <= FIND_TTLS * timing.ttlMs
    const unsaid = [...departed]
      .filter(([id, end]) => (thru.get(id) ?? 0) < end && !isAlive(known.get(id), now))
      .filter(([id]) => !isNew || known.has(id))
      .map(([id]) => id)
    if (dead.length + unsaid.length > 0) {
      for (const id of dead) {
        const member = known.get(id)
        note(`node ${id} ${member?.anew === true ? 'joins anew' : 'is gone'}`)
        if (member !== undefined) member.anew = false
      }
      for (const id of unsaid) note(`node ${id} is gone before it exported all that it had`)
      make(
        now,
        current.nodes.filter(({id}) => !dead.includes(id)),
        [...dead, ...unsaid].map((id) => ({id, thru: thru.get(id) ?? 0})),
      )
      return
    }
    if (!current.confirmed || now.wall < beginOf(current, now) + timing.guardMs) return
    const leaving = new Set(
      members.filter(({leaving: goes}) => goes).map(({beat: {node}}) => node.id),
    )
    const stay = current.nodes
      .filter(({id}) => !leaving.has(id))
      .map((node) => known.get(node.id)?.beat.node ?? node)
    const joining = able
      .map(({beat: {node}}) => node)
      .filter(({id}) => indexOf(current, id) < 0)
      .sort(byId)
    const changed =
      joining.length > 0 ||
      stay.length < current.nodes.length ||
      stay.some(({weight}, i) => weight !== current.nodes[i].weight) ||
      current.redundancy !== options.redundancy ||
      current.by !== options.by ||
      current.seed !== options.seed
    if (changed) make(now, [...stay, ...joining], [])
  }

  function make(now: Instant, nodes: PlanNode[], lost: Plan['lost']): void {
    ownTerm ??= (Math.floor(seen.term / TERMS) + 1) * TERMS + (hash(self) % TERMS)
    const sameShape = plan === undefined || plan.redundancy === options.redundancy
    const lead = lost.length > 0 ? timing.lossLeadMs : timing.leadMs
    const made = {
      term: ownTerm,
      epoch: Math.max(seen.epoch, plan?.epoch ?? 0) + 1,
      at: Math.max(Math.ceil(now.wall) + lead, plan === undefined ? 0 : beginOf(plan, now)),
      coordinator: self,
      redundancy: options.redundancy,
      guardMs: timing.guardMs,
      ttlMs: timing.ttlMs,
      by: options.by,
      seed: options.seed,
      nodes,
      places: assignSlots(nodes, options.redundancy, sameShape ? plan : undefined),
      lost,
      confirmed: nodes.length === 0,
    }
    const before = plan
    plan = {...made, changes: changesOf(made, before)}
    depart(before, plan)
    for (const [id, end] of departed) {
      // Who leaves has heard of it by then.
      if ((thru.get(id) ?? 0) >= end && now.wall > end + DEPARTED_MS) departed.delete(id)
    }
    remember(plan)
  }

  function confirm(now: Instant): void {
    if (plan === undefined || plan.confirmed) return
    const {term, epoch} = plan
    const all = plan.nodes.every(({id}) => {
      const member = known.get(id)
      return isAlive(member, now) && member.beat.term === term && member.beat.epoch === epoch
    })
    if (!all) return
    plan = {...plan, confirmed: true}
    remember(plan)
  }

  return {
    receive: (message, now) => receive(message, timeOf(now)),
    broke(id, now) {
      const member = known.get(id)
      if (member !== undefined) member.broke ??= now.mono
    },
    tick: (now) => tick(timeOf(now)),
    plan: () => plan,
    isInForce: (now) => plan?.confirmed === true && timeOf(now).wall >= plan.at + plan.guardMs,
    isRestored() {
      if (plan?.confirmed !== true) return false
      const {at, nodes} = plan
      return nodes.every(({id}) => (thru.get(id) ?? 0) >= at)
    },
    status(now) {
      // Who stood still itself has not heard what the others said meanwhile; the next tick allows for it.
      const stood = now.mono - lastTick > 2 * timing.beatMs
      const then = stood ? {...now, mono: lastTick} : now
      return [...known.values()].map((member) => ({
        node: member.beat.node,
        beat: member.beat,
        silentMs: Math.max(0, then.mono - member.heard),
        packetRate: rateOf(member),
        clockMs: Math.max(...member.offsets),
        state: !isAlive(member, then)
          ? 'silent'
          : member.leaving
            ? 'leaving'
            : member.refused
              ? 'refused'
              : plan !== undefined && indexOf(plan, member.beat.node.id) >= 0
                ? 'in'
                : 'joining',
      }))
    },
  }
}

const byId = (a: PlanNode, b: PlanNode): number => (a.id < b.id ? -1 : 1)

/** So that two coordinators that begin at once have different terms. */
function hash(id: string): number {
  let h = 0x811c9dc5
  for (const octet of new TextEncoder().encode(id)) h = Math.imul(h ^ octet, 0x01000193) >>> 0
  return h
}

function rateOf({counts}: Known): number {
  const first = counts[0]
  const last = counts[counts.length - 1]
  const ms = last.mono - first.mono
  return ms > 0 ? ((last.packets - first.packets) * 1000) / ms : 0
}
