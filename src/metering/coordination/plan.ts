/**
 * Who takes what of a link that several capture nodes see. A plan is a numbered epoch: from its instant on, by each
 * node's capture clock, the owners it names take the packets of their slots.
 */

/** Slots of a group: one is SLOTS / GROUP_SLOTS neighbouring hash slots of share-hash.ts. */
export const GROUP_SLOTS = 256
/** In `places`: nobody stands here. */
export const NOBODY = 255
/** Nodes of a group; places are octets. */
export const MAX_NODES = 250
/** Of `changes`: a node that lives gives this slot away; around the instant both take it. */
export const CONTESTED = 4
/** Of `changes`: owners or standby are others than before; what passes around the instant is listed packet by packet. */
export const CHANGED = 8
/** Owners of one slot. */
export const MAX_REDUNDANCY = 8

export interface PlanNode {
  readonly id: string
  /** Parts of the link that it takes, relative to the others: 1..100. */
  readonly weight: number
  /** Where it can be reached if it becomes the coordinator: host:port. */
  readonly address?: string
}

/** A node that is there no more, and what it still did. */
export interface LostNode {
  readonly id: string
  /** All that it captured before this, ms since 1970, went out. */
  readonly thru: number
}

export interface Plan {
  /** Counts coordinators: a new one takes the next number. Of two plans the one with the higher term is in force. */
  readonly term: number
  /** Counts plans of the group, from 1. */
  readonly epoch: number
  /** When it begins, ms since 1970, by the clock that stamps packets. */
  readonly at: number
  /** The coordinator that made it. */
  readonly coordinator: string
  /** How many nodes take each packet. */
  readonly redundancy: number
  /** Clocks of nodes differ by less than this, ms: so long before and after `at` both nodes take what moves. */
  readonly guardMs: number
  /** Who is silent for so long, ms, is gone: nodes and coordinator alike. */
  readonly ttlMs: number
  /** Selector and seed of the hash; the same on all nodes. */
  readonly by: string
  readonly seed: number
  /** In the order in which they would become the coordinator. */
  readonly nodes: readonly PlanNode[]
  /**
   * GROUP_SLOTS × (redundancy + 1) indices into `nodes`: of each slot its owners, then the node that keeps what it has to
   * take over if an owner dies.
   */
  readonly places: Uint8Array
  /** GROUP_SLOTS octets: CONTESTED and CHANGED, against the plan before. */
  readonly changes: Uint8Array
  /** Nodes of the plan before that died. */
  readonly lost: readonly LostNode[]
  /** All nodes have it. Until then those that give something away go on taking it. */
  readonly confirmed: boolean
}

/** Who has what. */
export type Shape = Pick<Plan, 'nodes' | 'places' | 'redundancy'>

/** What a node is to a slot. */
export type Role = 'owner' | 'standby' | 'none'

export function indexOf(plan: Pick<Plan, 'nodes'>, id: string): number {
  return plan.nodes.findIndex((node) => node.id === id)
}

/** Owners of a slot, by id, in the order of their places. */
export function ownersOf(plan: Shape, slot: number): string[] {
  const first = slot * (plan.redundancy + 1)
  const owners: string[] = []
  for (let i = 0; i < plan.redundancy; i++) {
    const node = plan.nodes.at(plan.places[first + i])
    if (plan.places[first + i] !== NOBODY && node !== undefined) owners.push(node.id)
  }
  return owners
}

export function standbyOf(plan: Shape, slot: number): string | undefined {
  const place = plan.places[slot * (plan.redundancy + 1) + plan.redundancy]
  return place === NOBODY ? undefined : plan.nodes[place].id
}

export function roleOf(plan: Shape, id: string, slot: number): Role {
  const index = indexOf(plan, id)
  if (index < 0) return 'none'
  const first = slot * (plan.redundancy + 1)
  for (let i = 0; i < plan.redundancy; i++) if (plan.places[first + i] === index) return 'owner'
  return plan.places[first + plan.redundancy] === index ? 'standby' : 'none'
}

/** Whether `a` is in force over `b`. A confirmed plan is newer than the same one before that. */
export function isNewer(a: PlanNumber, b: PlanNumber | undefined): boolean {
  if (b === undefined) return true
  if (a.term !== b.term) return a.term > b.term
  if (a.epoch !== b.epoch) return a.epoch > b.epoch
  return a.confirmed && !b.confirmed
}

export type PlanNumber = Pick<Plan, 'term' | 'epoch' | 'confirmed'>

/** How many slots each node owns, in the order of `nodes`. */
export function loadsOf(plan: Shape): number[] {
  const loads = plan.nodes.map(() => 0)
  for (let slot = 0; slot < GROUP_SLOTS; slot++) {
    for (let i = 0; i < plan.redundancy; i++) {
      const place = plan.places[slot * (plan.redundancy + 1) + i]
      if (place !== NOBODY) loads[place]++
    }
  }
  return loads
}

/** How a plan differs from the one before; see Plan.changes. */
export function changesOf(plan: Omit<Plan, 'changes'>, previous: Plan | undefined): Uint8Array {
  const changes = new Uint8Array(GROUP_SLOTS)
  if (previous === undefined) return changes
  const gone = new Set(plan.lost.map((lost) => lost.id))
  for (let slot = 0; slot < GROUP_SLOTS; slot++) {
    const before = ownersOf(previous, slot)
    const now = ownersOf(plan, slot)
    const givers = before.filter((owner) => !now.includes(owner))
    if (givers.some((owner) => !gone.has(owner))) changes[slot] |= CONTESTED
    const same = givers.length === 0 && before.length === now.length
    if (!same || standbyOf(previous, slot) !== standbyOf(plan, slot)) changes[slot] |= CHANGED
  }
  return changes
}
