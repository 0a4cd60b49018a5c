import {CONTESTED, GROUP_SLOTS, indexOf, roleOf, standbyOf, type Plan} from './plan.js'

/** Bits of EpochView.roles, beside CONTESTED and CHANGED. native/share/keeper.h has the same. */
export const OWNER = 1
export const STANDBY = 2

/** What a plan means to one node. Times in ms since 1970. */
export interface EpochView {
  readonly epoch: number
  readonly at: number
  /** Until then who gives a contested slot away goes on taking it: Infinity while the plan is not confirmed. */
  readonly bandEnd: number
  /** GROUP_SLOTS octets of the bits above. */
  readonly roles: Uint8Array
}

/** How a packet came to be taken; goes into records as dartaShareMark. native/share/keeper.h has the same. */
export const MARKS = {
  /** By its one owner. */
  own: 0,
  /** Around a switch, by the node that gives the slot away; the other one may have it too. */
  giving: 1,
  /** Around a switch, by the node that the slot goes to; the other one may have it too. */
  receiving: 2,
  /** By the standby, instead of an owner that died; that one may have exported it before. */
  recovered: 3,
  /** By a node that heard nothing of its coordinator for so long that others may have taken over. */
  unconfirmed: 4,
} as const

export type Mark = (typeof MARKS)[keyof typeof MARKS]

/** What a node does with a packet. */
export type Decision =
  {readonly kind: 'take'; readonly mark: Mark} | {readonly kind: 'shadow'} | {readonly kind: 'none'}

const NONE: Decision = {kind: 'none'}
const SHADOW: Decision = {kind: 'shadow'}

/** The view of one node. `confirmedAt`: when it learned that all have the plan; undefined: not yet. */
export function viewOf(plan: Plan, id: string, confirmedAt: number | undefined): EpochView {
  const roles = plan.changes.slice()
  for (let slot = 0; slot < GROUP_SLOTS; slot++) {
    const role = roleOf(plan, id, slot)
    if (role === 'owner') roles[slot] |= OWNER
    else if (role === 'standby') roles[slot] |= STANDBY
  }
  const bandEnd =
    confirmedAt === undefined ? Infinity : Math.max(plan.at + plan.guardMs, confirmedAt)
  return {epoch: plan.epoch, at: plan.at, bandEnd, roles}
}

/**
 * What the node does with a packet of `slot` that its own clock stamped `time`.
 *
 * The epoch at that time decides. Around an instant at which the slot changes hands, and after it as long as not all
 * nodes are known to have the plan, the owners of both epochs take the packet, and mark it.
 *
 * @param views by `at`, the earliest first
 * @param leaseMs up to this capture time the coordinator is known to count on this node
 */
export function decide(
  views: readonly EpochView[],
  guardMs: number,
  leaseMs: number,
  slot: number,
  time: number,
): Decision {
  let i = views.length - 1
  while (i >= 0 && views[i].at > time) i--
  let some = false
  let all = true
  let earliest = false
  /** `undefined`: an epoch before this node came. */
  const include = (view: EpochView | undefined): void => {
    const owner = view !== undefined && (view.roles[slot] & OWNER) !== 0
    some ||= owner
    all &&= owner
    earliest = owner
  }
  // From late to early, so that `earliest` is what the last one says.
  const next = i + 1 < views.length ? views[i + 1] : undefined
  if (next !== undefined && (next.roles[slot] & CONTESTED) !== 0 && time >= next.at - guardMs) {
    include(next)
    if (i < 0) include(undefined)
  }
  if (i >= 0) include(views[i])
  for (let k = i; k >= 0; k--) {
    if ((views[k].roles[slot] & CONTESTED) !== 0 && time < views[k].bandEnd) {
      include(k > 0 ? views[k - 1] : undefined)
    }
  }
  if (some) {
    if (!all) return {kind: 'take', mark: earliest ? MARKS.giving : MARKS.receiving}
    return {kind: 'take', mark: time >= leaseMs ? MARKS.unconfirmed : MARKS.own}
  }
  // Where another node becomes the standby, neither clock leaves a gap.
  const isStandby = (view: EpochView | undefined): boolean =>
    view !== undefined && (view.roles[slot] & STANDBY) !== 0
  const keeps =
    (i >= 0 && isStandby(views[i])) ||
    (i > 0 && time < views[i].at + guardMs && isStandby(views[i - 1])) ||
    (next !== undefined && time >= next.at - guardMs && isStandby(next))
  return keeps ? SHADOW : NONE
}

/** What the standby has to take instead of a node that died: packets of these slots with from ≤ time < to. */
export interface Recovery {
  readonly lost: string
  readonly from: number
  readonly to: number
  /** From `to` on the slots are its own: what it had kept by then, whenever stamped, it has to take too. */
  readonly own: boolean
  /** GROUP_SLOTS octets, 1 for each slot. */
  readonly slots: Uint8Array
}

/**
 * What `id` recovers when `plan` says that nodes died. In each epoch that a dead node still owned a slot in, that
 * epoch's standby takes what came after the last that the dead one exported.
 *
 * @param history the plans before, the earliest first
 */
export function recoveriesOf(plan: Plan, history: readonly Plan[], id: string): Recovery[] {
  const orders: Recovery[] = []
  for (const {id: lost, thru} of plan.lost) {
    history.forEach((old, i) => {
      const next = history.at(i + 1) ?? plan
      const from = Math.max(thru, old.at) - plan.guardMs
      if (from >= next.at || indexOf(old, lost) < 0) return
      const kept = slotsWhere(
        (slot) => roleOf(old, lost, slot) === 'owner' && standbyOf(old, slot) === id,
      )
      const own = kept.map((one, slot) => (one === 1 && roleOf(next, id, slot) === 'owner' ? 1 : 0))
      const others = kept.map((one, slot) => one - own[slot])
      if (own.includes(1)) orders.push({lost, from, to: next.at, own: true, slots: own})
      // Another node's clock decides when that one begins.
      const to = next.at + plan.guardMs
      if (others.includes(1)) orders.push({lost, from, to, own: false, slots: others})
    })
  }
  return orders
}

function slotsWhere(holds: (slot: number) => boolean): Uint8Array {
  return Uint8Array.from({length: GROUP_SLOTS}, (_, slot) => (holds(slot) ? 1 : 0))
}

/** Whether a packet that the node keeps, or sees now, falls under an order. `kept`: it was kept before the order came. */
export function isRecovered(order: Recovery, slot: number, time: number, kept: boolean): boolean {
  if (order.slots[slot] !== 1 || time < order.from) return false
  return time < order.to || (kept && order.own)
}

/** The slots whose packets the node has to look at at all, from now on: GROUP_SLOTS octets of OWNER and STANDBY. */
export function watchedSlots(views: readonly EpochView[]): Uint8Array {
  const slots = new Uint8Array(GROUP_SLOTS)
  for (const {roles} of views) {
    for (let slot = 0; slot < GROUP_SLOTS; slot++) slots[slot] |= roles[slot] & (OWNER | STANDBY)
  }
  return slots
}
