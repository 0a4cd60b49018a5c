import {GROUP_SLOTS, indexOf, NOBODY, type PlanNode, type Shape} from './plan.js'

/** Places of a plan; see Plan.places. */
type Places = Uint8Array

/**
 * Deals the slots out to the nodes.
 *
 * - Whoever has a slot keeps it as long as its load allows.
 * - What a gone node had goes to the standby of each slot, which has what is needed to go on without a gap.
 * - A node that is new gets its fair part, by weight, from those that have most; which slots these are is decided by
 *   rendezvous hashing, so that all coordinators decide alike.
 * - The standbys of one node's slots are spread over all others, so that its death loads all of them alike.
 *
 * @param nodes one or more, with different ids
 * @param redundancy owners of each slot; with fewer nodes every node owns every slot
 */
export function assignSlots(
  nodes: readonly PlanNode[],
  redundancy: number,
  previous?: Shape,
): Places {
  const width = redundancy + 1
  const places = new Uint8Array(GROUP_SLOTS * width).fill(NOBODY)
  const copies = Math.min(redundancy, nodes.length)
  const room = fairLoads(nodes, copies)
  const loads = nodes.map(() => 0)
  const scores = nodes.map(({id}) => slotScores(id))
  const before = previous === undefined ? undefined : renamed(previous, nodes)

  const owns = (slot: number, node: number): boolean => {
    for (let i = 0; i < redundancy; i++) if (places[slot * width + i] === node) return true
    return false
  }
  const put = (slot: number, place: number, node: number): void => {
    places[slot * width + place] = node
    loads[node]++
  }

  // Who is there keeps what it has, at its place; the standby takes over from who is gone.
  for (let slot = 0; before !== undefined && slot < GROUP_SLOTS; slot++) {
    for (let i = 0; i < Math.min(copies, before.redundancy); i++) {
      const owner = before.owner(slot, i)
      if (owner !== NOBODY && !owns(slot, owner)) put(slot, i, owner)
    }
    const standby = before.standby(slot)
    for (let i = 0; i < copies; i++) {
      if (places[slot * width + i] !== NOBODY || standby === NOBODY || owns(slot, standby)) continue
      put(slot, i, standby)
      break
    }
  }
  // What is still free goes to who has room, by score.
  for (let slot = 0; slot < GROUP_SLOTS; slot++) {
    for (let i = 0; i < copies; i++) {
      if (places[slot * width + i] !== NOBODY) continue
      const free = nodes.map((_, node) => node).filter((node) => !owns(slot, node))
      const roomy = free.filter((node) => loads[node] < room[node])
      put(
        slot,
        i,
        best(roomy.length > 0 ? roomy : free, (node) => scores[node][slot]),
      )
    }
  }
  balance()
  for (let slot = 0; slot < GROUP_SLOTS; slot++) compact(places, slot * width, redundancy)
  spreadStandbys()
  return places

  /** Moves slots from those with too many to those with too few; a difference of 5 % is not worth a move. */
  function balance(): void {
    for (;;) {
      const isUneven = nodes.some(
        (_, node) => loads[node] > room[node] * 1.05 || loads[node] < room[node] * 0.95,
      )
      const needy = nodes.map((_, node) => node).filter((node) => loads[node] < room[node])
      if (!isUneven || needy.length === 0) return
      const to = best(needy, (node) => 1 - loads[node] / room[node])
      let found: {slot: number; place: number; from: number; score: number} | undefined
      for (let slot = 0; slot < GROUP_SLOTS; slot++) {
        if (owns(slot, to)) continue
        for (let i = 0; i < copies; i++) {
          const from = places[slot * width + i]
          const excess = loads[from] - room[from]
          if (excess <= 0) continue
          const score = excess + scores[to][slot] / 2 ** 32
          if (found === undefined || score > found.score) found = {slot, place: i, from, score}
        }
      }
      if (found === undefined) return
      loads[found.from]--
      put(found.slot, found.place, to)
    }
  }

  function spreadStandbys(): void {
    if (nodes.length <= copies) return
    /** backing[v][u]: how many slots of owner v have u as standby. */
    const backing = nodes.map(() => nodes.map(() => 0))
    const firstOwner = (slot: number): number => places[slot * width]
    const others = (v: number): number =>
      nodes.reduce((sum, {weight}, node) => (node === v ? sum : sum + weight), 0)
    const limit = (v: number, u: number): number =>
      Math.ceil((loads[v] * nodes[u].weight) / others(v))
    const open: number[] = []
    for (let slot = 0; slot < GROUP_SLOTS; slot++) {
      const kept = before?.standby(slot) ?? NOBODY
      const v = firstOwner(slot)
      if (kept !== NOBODY && !owns(slot, kept) && backing[v][kept] < limit(v, kept)) {
        places[slot * width + redundancy] = kept
        backing[v][kept]++
      } else open.push(slot)
    }
    for (const slot of open) {
      const v = firstOwner(slot)
      const able = nodes.map((_, node) => node).filter((node) => !owns(slot, node))
      const chosen = best(
        able,
        (u) => -backing[v][u] / nodes[u].weight + scores[u][slot] / 2 ** 32 / 256,
      )
      places[slot * width + redundancy] = chosen
      backing[v][chosen]++
    }
  }
}

/** The places of a plan in numbers of the new list of nodes. */
function renamed(
  previous: Shape,
  nodes: readonly PlanNode[],
): {
  redundancy: number
  owner(slot: number, place: number): number
  standby(slot: number): number
} {
  const width = previous.redundancy + 1
  const names = previous.nodes.map(({id}) => {
    const index = indexOf({nodes}, id)
    return index < 0 ? NOBODY : index
  })
  const at = (slot: number, place: number): number => {
    const old = previous.places[slot * width + place]
    return old === NOBODY ? NOBODY : names[old]
  }
  return {
    redundancy: previous.redundancy,
    owner: at,
    standby: (slot) => at(slot, previous.redundancy),
  }
}

/** Slots that each node should own: by weight, no more than there are, all of them in sum. */
function fairLoads(nodes: readonly PlanNode[], copies: number): number[] {
  const loads = nodes.map(() => 0)
  let open = nodes.map((_, node) => node)
  let rest = GROUP_SLOTS * copies
  while (rest > 0 && open.length > 0) {
    const weight = open.reduce((sum, node) => sum + nodes[node].weight, 0)
    const full = open.filter((node) => (rest * nodes[node].weight) / weight >= GROUP_SLOTS)
    if (full.length === 0) {
      const exact = open.map((node) => (rest * nodes[node].weight) / weight)
      open.forEach((node, i) => (loads[node] = Math.floor(exact[i])))
      let left = rest - open.reduce((sum, node) => sum + loads[node], 0)
      const order = open
        .map((node, i) => ({node, part: exact[i] - Math.floor(exact[i])}))
        .sort((a, b) => b.part - a.part || a.node - b.node)
      for (const {node} of order) if (left-- > 0) loads[node]++
      break
    }
    for (const node of full) {
      loads[node] = GROUP_SLOTS
      rest -= GROUP_SLOTS
    }
    open = open.filter((node) => !full.includes(node))
  }
  return loads
}

/** Owners without holes between them. */
function compact(places: Places, first: number, redundancy: number): void {
  const owners = [...places.subarray(first, first + redundancy)].filter((place) => place !== NOBODY)
  for (let i = 0; i < redundancy; i++) places[first + i] = owners[i] ?? NOBODY
}

/** The first of those with the greatest value. */
function best(list: readonly number[], value: (node: number) => number): number {
  let found = list[0]
  let most = value(found)
  for (const node of list.slice(1)) {
    const v = value(node)
    if (v > most) {
      found = node
      most = v
    }
  }
  return found
}

/** Scores of a node for each slot, 0..2^32 − 1: FNV-1a of its id, mixed with the slot. */
function slotScores(id: string): Uint32Array {
  let hash = 0x811c9dc5
  for (const octet of new TextEncoder().encode(id)) hash = Math.imul(hash ^ octet, 0x01000193) >>> 0
  return Uint32Array.from({length: GROUP_SLOTS}, (_, slot) => {
    let x = (hash ^ Math.imul(slot + 1, 0x9e3779b1)) >>> 0
    x = Math.imul(x ^ (x >>> 16), 0x7feb352d) >>> 0
    x = Math.imul(x ^ (x >>> 15), 0x846ca68b) >>> 0
    return (x ^ (x >>> 16)) >>> 0
  })
}
