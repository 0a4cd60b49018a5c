import type {Selector} from '../selector.js'
import {SLOTS} from '../share-hash.js'
import {OWNER, watchedSlots, type EpochView, type Recovery} from './division.js'
import {GROUP_SLOTS, ownersOf, standbyOf, type Plan} from './plan.js'

/** The part of the native addon that decides shares which change; src/io/native.ts tells what its functions do. */
export interface ShareAddon<Keeper = unknown> {
  shareCreate(options: KeeperOptions): Keeper
  sharePlan(keeper: Keeper, plan: KeeperPlan): void
  shareLease(keeper: Keeper, ms: number): void
  shareTake(keeper: Keeper): AddonFindings
}

export interface KeeperOptions {
  /** Memory of each thread for what may have to be taken over; 0: none is kept. */
  readonly ringOctets: number
  readonly ringMs: number
  /** Octets of each packet that are kept. */
  readonly headerOctets: number
}

export interface KeeperPlan {
  /** 0 both, 1 source, 2 destination. */
  readonly addresses: number
  readonly protocol: boolean
  readonly ports: boolean
  readonly seed: number
  readonly guardMs: number
  readonly views: readonly (EpochView & {readonly classes: Uint8Array})[]
  readonly orders: readonly (Recovery & {readonly id: number})[]
}

export interface AddonFindings {
  /** Eight words each: epoch, start ns, owner 0 or 1, class, packets, octets, sum, xor. */
  readonly rows: BigUint64Array
  /** Seven words each: epoch, slot, mark, order, octets, time ns, digest. */
  readonly listed: BigUint64Array
  /** Taken by mark (5), octets taken, kept, kept and lost, held, foreign, closed ms. */
  readonly counters: BigUint64Array
}

/** Slots with the same owners and standby: all these nodes, and no others, see their packets. */
export interface ShareClass {
  readonly owners: string
  readonly standby: string
}

/** What passed in a span of time of the slots of one class. */
export interface SpanRow {
  readonly epoch: number
  readonly planDigest: number
  readonly class: ShareClass
  /** Taken as owner, or seen as standby. */
  readonly owner: boolean
  readonly startMs: number
  readonly endMs: number
  readonly packets: number
  readonly octets: number
  readonly sum: bigint
  readonly xor: bigint
}

/** A packet near an instant at which its slot changed hands, or one that was recovered. */
export interface ListedRow {
  /** The epoch that began at the instant; 0: none did, the packet was recovered. */
  readonly epoch: number
  readonly slot: number
  /** Of the slot before and after the instant, or at the packet's time; undefined where this node does not know it. */
  readonly before: ShareClass | undefined
  readonly after: ShareClass | undefined
  readonly taken: boolean
  readonly mark: number
  readonly timeNs: bigint
  readonly digest: bigint
  readonly octets: number
  /** The dead node, if it was recovered. */
  readonly lost: string | undefined
}

export interface ShareNumbers {
  readonly taken: readonly number[]
  readonly octets: number
  readonly kept: number
  readonly keptLost: number
  readonly held: number
  readonly foreign: number
}

export interface Findings {
  readonly rows: readonly SpanRow[]
  readonly listed: readonly ListedRow[]
  readonly numbers: ShareNumbers
  /** All packets before this, ms since 1970, are in the rows, and in the buffers that were filled by then; 0: none. */
  readonly closedMs: number
}

/** Slots, SLOTS bits, of which the kernel is to let packets through: as owner, or only as standby. */
export interface WatchedSlots {
  readonly owned: Uint8Array
  readonly kept: Uint8Array
}

/** Puts plans in force in the addon, and reads what it found. */
export interface ShareControl {
  install(
    plan: Plan,
    selector: Selector,
    views: readonly EpochView[],
    orders: readonly Recovery[],
  ): void
  lease(ms: number): void
  /** Gives up the plans, and what was seen and kept by a clock that was set. */
  reset(): void
  take(): Findings
  /** What the kernel has to let through at this time, ms since 1970. */
  watched(nowMs: number): WatchedSlots
}

/** How long after an instant packets from before it may still come, or be asked for. */
const MARGIN_MS = 1500

export function createShareControl<Keeper>(
  addon: ShareAddon<Keeper>,
  keeper: Keeper,
  keeps: boolean,
): ShareControl {
  /** By epoch. */
  const plans = new Map<
    number,
    {readonly digest: number; readonly classes: readonly ShareClass[]; readonly ofSlot: Uint8Array}
  >()
  let views: readonly EpochView[] = []
  let orders: (Recovery & {readonly id: number})[] = []
  let nextOrder = 1
  let last: {readonly plan: Plan; readonly selector: Selector} | undefined
  const orderOf = new Map<number, {readonly lost: string; readonly epoch: number}>()

  function classOf(epoch: number, slot: number): ShareClass | undefined {
    const known = plans.get(epoch)
    return known?.classes[known.ofSlot[slot]]
  }

  /** The class before an instant: that of the epoch before, if this node knew it. */
  function classBefore(epoch: number, slot: number): ShareClass | undefined {
    const earlier = [...plans.keys()].filter((known) => known < epoch)
    return earlier.length === 0 ? undefined : classOf(Math.max(...earlier), slot)
  }

  /** The class in which a packet of this time, ns since 1970, was kept for an order of a plan. */
  function classAt(timeNs: bigint, slot: number, before: number): ShareClass | undefined {
    const earlier = views.filter(({epoch}) => epoch < before)
    const view = earlier.findLast(({at}) => BigInt(Math.round(at)) * 1_000_000n <= timeNs)
    return (view ?? earlier[0]) === undefined
      ? undefined
      : classOf((view ?? earlier[0]).epoch, slot)
  }

  function putInForce(plan: Plan, selector: Selector): void {
    addon.sharePlan(keeper, {
      addresses: ['both', 'src', 'dst'].indexOf(selector.addresses),
      protocol: selector.protocol,
      ports: selector.ports,
      seed: plan.seed,
      guardMs: plan.guardMs,
      views: views.map((view) => ({
        ...view,
        roles: keeps ? view.roles : view.roles.map((bits) => bits & ~2),
        classes: plans.get(view.epoch)?.ofSlot ?? new Uint8Array(GROUP_SLOTS),
      })),
      orders,
    })
  }

  return {
    install(plan, selector, newViews, newOrders) {
      last = {plan, selector}
      const {classes, ofSlot} = classesOf(plan)
      plans.set(plan.epoch, {digest: planDigest(plan), classes, ofSlot})
      for (const epoch of plans.keys()) {
        if (newViews.every((view) => view.epoch !== epoch) && epoch < plan.epoch - 64) {
          plans.delete(epoch)
        }
      }
      views = newViews
      const now = plan.at
      orders = orders.filter(({to}) => to > now - 60_000)
      for (const order of newOrders) {
        const id = nextOrder++
        orderOf.set(id, {lost: order.lost, epoch: plan.epoch})
        orders.push({...order, id})
      }
      putInForce(plan, selector)
    },
    reset() {
      views = []
      orders = []
      if (last !== undefined) putInForce(last.plan, last.selector)
    },
    lease: (ms) => addon.shareLease(keeper, Number.isFinite(ms) ? ms : 0),
    watched(nowMs) {
      let first = 0
      for (let i = 1; i < views.length; i++) {
        const over = views[i].at <= nowMs - MARGIN_MS && views[i].bandEnd <= nowMs - MARGIN_MS
        if (over) first = i
      }
      const bits = watchedSlots(views.slice(first))
      const owned = new Uint8Array(SLOTS / 8)
      const kept = new Uint8Array(SLOTS / 8)
      const wide = SLOTS / GROUP_SLOTS / 8
      for (let slot = 0; slot < GROUP_SLOTS; slot++) {
        const target = (bits[slot] & OWNER) !== 0 ? owned : kept
        if (bits[slot] === 0 || (target === kept && !keeps)) continue
        target.fill(0xff, slot * wide, (slot + 1) * wide)
      }
      return {owned, kept}
    },
    take() {
      const {rows, listed, counters} = addon.shareTake(keeper)
      const number = (i: number): number => Number(counters[i])
      const spans: SpanRow[] = []
      for (let i = 0; i < rows.length; i += 8) {
        const epoch = Number(rows[i])
        const known = plans.get(epoch)
        const startMs = Number(rows[i + 1] / 1_000_000n)
        const ofClass = known?.classes[Number(rows[i + 3])]
        if (known === undefined || ofClass === undefined) continue
        spans.push({
          epoch,
          planDigest: known.digest,
          class: ofClass,
          owner: rows[i + 2] === 1n,
          startMs,
          endMs: startMs + SPAN_MS,
          packets: Number(rows[i + 4]),
          octets: Number(rows[i + 5]),
          sum: rows[i + 6],
          xor: rows[i + 7],
        })
      }
      const packets: ListedRow[] = []
      for (let i = 0; i < listed.length; i += 7) {
        const epoch = Number(listed[i])
        const slot = Number(listed[i + 1])
        const mark = Number(listed[i + 2])
        const order = orderOf.get(Number(listed[i + 3]))
        packets.push({
          epoch,
          slot,
          before:
            order === undefined
              ? classBefore(epoch, slot)
              : classAt(listed[i + 5], slot, order.epoch),
          after: epoch === 0 ? undefined : classOf(epoch, slot),
          taken: mark !== SEEN,
          mark: mark === SEEN ? 0 : mark,
          lost: order?.lost,
          octets: Number(listed[i + 4]),
          timeNs: listed[i + 5],
          digest: listed[i + 6],
        })
      }
      return {
        rows: spans,
        listed: packets,
        numbers: {
          taken: [0, 1, 2, 3, 4].map(number),
          octets: number(5),
          kept: number(6),
          keptLost: number(7),
          held: number(8),
          foreign: number(9),
        },
        closedMs: number(10),
      }
    },
  }
}

/** Length of the spans of native/select/share_keeper.h. */
const SPAN_MS = 100
const SEEN = 255

/** Which slots have the same owners and standby. There are at most as many classes as slots. */
export function classesOf(plan: Plan): {classes: ShareClass[]; ofSlot: Uint8Array} {
  const numbers = new Map<string, number>()
  const classes: ShareClass[] = []
  const ofSlot = new Uint8Array(GROUP_SLOTS)
  for (let slot = 0; slot < GROUP_SLOTS; slot++) {
    const one = {owners: ownersOf(plan, slot).join(','), standby: standbyOf(plan, slot) ?? ''}
    const key = `${one.owners}/${one.standby}`
    let number = numbers.get(key)
    if (number === undefined) {
      number = classes.length
      numbers.set(key, number)
      classes.push(one)
    }
    ofSlot[slot] = number
  }
  return {classes, ofSlot}
}

/** FNV-1a over what a plan says of who takes what. */
export function planDigest(plan: Plan): number {
  let hash = 0x811c9dc5
  const text = `${plan.term} ${plan.epoch} ${plan.at} ${plan.nodes.map(({id}) => id).join(' ')}`
  for (const octet of [...new TextEncoder().encode(text), ...plan.places]) {
    hash = Math.imul(hash ^ octet, 0x01000193) >>> 0
  }
  return hash
}
