import {
  createCoordinator,
  type Coordinator,
  type Outgoing,
} from '../../../src/metering/coordination/coordinator.js'
import {
  decide,
  isRecovered,
  MARKS,
  type Mark,
  type Recovery,
} from '../../../src/metering/coordination/division.js'
import {
  createGroupNode,
  ORIGIN,
  type GroupNode,
} from '../../../src/metering/coordination/group-node.js'
import {
  formatMessage,
  parseMessage,
  type Message,
} from '../../../src/metering/coordination/message.js'
import {GROUP_SLOTS, type Plan} from '../../../src/metering/coordination/plan.js'
import {TIMING, type Instant} from '../../../src/metering/coordination/timing.js'

/** Numbers in [0, 1) that depend on the seed alone (mulberry32). */
export function random(seed: number): () => number {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = Math.imul(a ^ (a >>> 15), a | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export interface Faults {
  /** Part of all messages that never come. */
  readonly loss: number
  /** Messages take up to so long, ms, and overtake each other. */
  readonly delayMs: number
}

/** What happens when, ms. */
export interface Event {
  readonly at: number
  readonly do: 'start' | 'crash' | 'leave' | 'stop-origin' | 'start-origin' | 'set-clock'
  /** Of `set-clock` without a node: the coordinator. */
  readonly node?: string
  /** How far a clock is set forward, or back. */
  readonly ms?: number
}

export interface Taken {
  readonly node: string
  readonly mark: Mark
}

/** What a run of the protocol did, sampled every STEP ms in the slots of `slotsAt`. */
export interface Run {
  /** By step and slot: who took a packet that was there then. */
  readonly taken: Map<number, Taken[]>[]
  /** All plans that came into being, by term and epoch. */
  readonly plans: Plan[]
  /** When the last node heard that a plan is confirmed, true ms, by term/epoch. */
  readonly confirmed: Map<string, number>
  readonly refusals: string[]
  readonly coordinators: {readonly at: number; readonly id: string}[]
  /** Who left in order, and ended when. */
  readonly left: {readonly at: number; readonly id: string}[]
}

export const STEP = 10
/** Where true time 0 lies on the hosts' clocks. */
export const EPOCH_MS = 1_700_000_000_000
const THRU_TICK = 100
/** A packet goes out so long after it was captured, ms, unless a run says otherwise. */
const EXPORT_MS = 30
const RING_MS = 4000

/** A different eighth of the slots in each step. */
export function slotsAt(step: number): number[] {
  return Array.from({length: GROUP_SLOTS / 8}, (_, i) => i * 8 + (step % 8))
}

interface Host {
  readonly id: string
  readonly node: GroupNode
  skew: number
  readonly born: number
  /** All that it captured before this went out; see Beat.thru. */
  thru: number
  recoveries: Recovery[]
  ring: {readonly step: number; readonly wall: number; readonly slot: number}[]
}

/**
 * Runs a group of nodes with clocks that differ, over a network that loses, delays and reorders. A node that crashes takes
 * along what it had not exported.
 */
export function simulate(options: {
  readonly seed: number
  readonly events: readonly Event[]
  readonly untilMs: number
  readonly faults: Faults
  readonly redundancy?: number
  readonly skewMs?: number
  /** Clock errors of single nodes, ms. */
  readonly skews?: Readonly<Record<string, number>>
  readonly exportMs?: number
}): Run {
  const next = random(options.seed)
  const skewMs = options.skewMs ?? TIMING.guardMs / 4
  const exportMs = options.exportMs ?? EXPORT_MS
  const settings = {redundancy: options.redundancy ?? 1, by: 'flow', seed: 0}
  const hosts = new Map<string, Host>()
  let origin: {coordinator: Coordinator; started: number} | undefined
  let originSkew = 0
  let mail: {due: number; from: string; to: string; text: string}[] = []
  const run: Run = {
    taken: [],
    plans: [],
    confirmed: new Map(),
    refusals: [],
    coordinators: [],
    left: [],
  }
  const seen = new Set<string>()

  const instant = (host: Pick<Host, 'skew' | 'born'>, now: number): Instant => ({
    mono: now - host.born,
    wall: EPOCH_MS + now + host.skew,
  })
  const key = (plan: Plan): string => `${plan.term}/${plan.epoch}`

  function know(plan: Plan): void {
    if (seen.has(key(plan))) return
    seen.add(key(plan))
    run.plans.push(plan)
  }

  function post(from: string, list: readonly Outgoing[], now: number): void {
    for (const {to, message} of list) {
      if (message.type === 'plan') know(message.plan)
      if (next() < options.faults.loss) continue
      const due = now + 1 + next() * options.faults.delayMs
      // What goes over the wire is text.
      mail.push({due, from, to, text: formatMessage(message)})
    }
  }

  function deliver(now: number): void {
    const due = mail.filter((one) => one.due <= now).sort((a, b) => a.due - b.due)
    mail = mail.filter((one) => one.due > now)
    for (const {from, to, text} of due) {
      const message: Message = parseMessage(text)
      if (to === ORIGIN) {
        if (origin !== undefined) {
          post(ORIGIN, origin.coordinator.receive(message, originInstant(now)), now)
        }
        continue
      }
      const host = hosts.get(to)
      if (host !== undefined) post(to, host.node.receive(message, from, instant(host, now)), now)
    }
  }

  function originInstant(now: number): Instant {
    return {mono: now - (origin?.started ?? 0), wall: EPOCH_MS + now + originSkew}
  }

  function begin(event: Event): void {
    const now = event.at
    const id = event.node ?? ''
    switch (event.do) {
      case 'start': {
        const skew = options.skews?.[id] ?? (next() * 2 - 1) * skewMs
        const clockOf = {skew, born: now - next() * 1e6}
        const host: Host = {
          id,
          ...clockOf,
          thru: 0,
          recoveries: [],
          ring: [],
          node: createGroupNode({
            node: {id, weight: 1, address: `${id}.example:1`},
            timing: TIMING,
            start: instant(clockOf, now),
            settings,
            candidate: true,
            onPlan({plan, recoveries}) {
              know(plan)
              if (plan.confirmed) run.confirmed.set(key(plan), clock)
              for (const order of recoveries) recover(host, order)
            },
            onClockSet() {
              host.ring = []
              host.recoveries = []
            },
            onRefusal: (reason) => run.refusals.push(`${id}: ${reason}`),
          }),
        }
        hosts.set(id, host)
        return
      }
      case 'crash':
        crash(id)
        return
      case 'leave':
        hosts.get(id)?.node.leave()
        return
      case 'set-clock': {
        const host = hosts.get(id)
        if (host === undefined) originSkew += event.ms!
        else host.skew += event.ms!
        return
      }
      case 'stop-origin':
        origin = undefined
        return
      case 'start-origin': {
        const started = now - next() * 1e6
        const start = {mono: now - started, wall: EPOCH_MS + now + originSkew}
        origin = {
          started,
          coordinator: createCoordinator({id: 'origin', ...settings, timing: TIMING, start}),
        }
      }
    }
  }

  function crash(id: string): void {
    const host = hosts.get(id)
    hosts.delete(id)
    if (host === undefined) return
    run.taken.forEach((slots, step) => {
      if (instant(host, step * STEP).wall < host.thru) return
      for (const [slot, list] of slots) {
        slots.set(
          slot,
          list.filter(({node}) => node !== id),
        )
      }
    })
  }

  function took(step: number, slot: number, node: string, mark: Mark): void {
    const list = run.taken[step].get(slot)
    if (list === undefined) run.taken[step].set(slot, [{node, mark}])
    else if (!list.some((one) => one.node === node)) list.push({node, mark})
  }

  function recover(host: Host, order: Recovery): void {
    host.recoveries.push(order)
    for (const {step, wall, slot} of host.ring) {
      if (isRecovered(order, slot, wall, true)) took(step, slot, host.id, MARKS.recovered)
    }
  }

  /** A packet in each of these slots is on the link now. */
  function traffic(step: number, now: number): void {
    run.taken[step] = new Map()
    for (const host of hosts.values()) {
      const {wall} = instant(host, now)
      host.ring = host.ring.filter((one) => one.step > step - RING_MS / STEP)
      for (const slot of slotsAt(step)) {
        const views = host.node.views()
        const decision = decide(views, TIMING.guardMs, host.node.leaseMs(), slot, wall)
        if (decision.kind === 'take') took(step, slot, host.id, decision.mark)
        if (decision.kind === 'shadow') host.ring.push({step, wall, slot})
        if (host.recoveries.some((order) => isRecovered(order, slot, wall, false))) {
          took(step, slot, host.id, MARKS.recovered)
        }
      }
    }
  }

  let clock = 0
  const events = [...options.events].sort((a, b) => a.at - b.at)
  for (let step = 0; step * STEP < options.untilMs; step++) {
    clock = step * STEP
    while (events.length > 0 && events[0].at <= clock) begin(events.shift()!)
    deliver(clock)
    if (origin !== undefined) {
      post(ORIGIN, origin.coordinator.tick(originInstant(clock)), clock)
    }
    for (const host of hosts.values()) {
      const now = instant(host, clock)
      const wasCoordinator = host.node.coordinator() !== undefined
      host.thru = Math.floor((now.wall - exportMs) / THRU_TICK) * THRU_TICK
      const report = {
        thru: host.thru,
        numbers: {packets: 0, octets: 0, drops: 0, shadowed: 0},
      }
      post(host.id, host.node.tick(now, report), clock)
      if (!wasCoordinator && host.node.coordinator() !== undefined) {
        run.coordinators.push({at: clock, id: host.id})
      }
    }
    // Who has left ends.
    for (const host of [...hosts.values()]) {
      const now = instant(host, clock)
      if (!host.node.hasLeft(now)) continue
      run.left.push({at: clock, id: host.id})
      post(host.id, host.node.goodbye(now), clock)
      hosts.delete(host.id)
    }
    traffic(step, clock)
  }
  return run
}
