import type {Landmark} from './turn-counter.js'

/** What one node says of its count at landmarks, in order. */
export interface CountingNode {
  readonly name: string
  readonly landmarks: readonly Landmark[]
}

/** From one landmark on a node counts so many packets more, or fewer, than the others. */
export interface Drift {
  readonly node: string
  /** Above 0: ahead of the others; below: behind; 0: in step again. */
  readonly packets: number
  /** Milliseconds since 1970, by the clock of the node: the last landmark before, if any, and the first with the new count. */
  readonly afterMs: number | undefined
  readonly byMs: number
}

export interface DriftReport {
  /** Landmarks that at least two nodes have seen. */
  readonly common: number
  readonly drifts: readonly Drift[]
}

/** Packets of the same digest are the same landmark if clocks say that they came within this time. */
const SAME_WITHIN_MS = 2000

/**
 * Compares the counts of nodes that take packets of one link in turn. All have to count alike: a node that misses a packet,
 * or sees one that others do not, takes the wrong ones from then on. At each landmark what most nodes count is held for right.
 */
export function findDrift(nodes: readonly CountingNode[]): DriftReport {
  const groups = groupLandmarks(nodes)
  const state = nodes.map(() => ({packets: 0, lastMs: undefined as number | undefined}))
  const drifts: Drift[] = []
  let common = 0
  for (const group of groups) {
    if (group.size < 2) continue
    common++
    const right = mostCommon([...group.values()].map(({packets}) => packets))
    for (const [node, landmark] of group) {
      const packets = landmark.packets - right
      const known = state[node]
      if (packets !== known.packets) {
        const {name} = nodes[node]
        drifts.push({node: name, packets, afterMs: known.lastMs, byMs: landmark.timeMs})
      }
      known.packets = packets
      known.lastMs = landmark.timeMs
    }
  }
  return {common, drifts}
}

/** The same landmarks of different nodes together, by node, in the order of time. */
function groupLandmarks(nodes: readonly CountingNode[]): Map<number, Landmark>[] {
  const all = nodes
    .flatMap(({landmarks}, node) => distinct(landmarks).map((landmark) => ({node, landmark})))
    .sort((a, b) => a.landmark.timeMs - b.landmark.timeMs)
  const open = new Map<number, Map<number, Landmark>[]>()
  const groups: Map<number, Landmark>[] = []
  for (const {node, landmark} of all) {
    const {digest, timeMs} = landmark
    const recent = (open.get(digest) ?? []).filter((group) => {
      const [first] = group.values()
      return timeMs - first.timeMs <= SAME_WITHIN_MS
    })
    let group = recent.find((candidate) => !candidate.has(node))
    if (group === undefined) {
      group = new Map()
      groups.push(group)
      recent.push(group)
    }
    group.set(node, landmark)
    open.set(digest, recent)
  }
  return groups
}

/** Landmarks without those of one digest that come soon after one another: nobody could tell them apart. */
function distinct(landmarks: readonly Landmark[]): Landmark[] {
  const last = new Map<number, Landmark>()
  const alike = new Set<Landmark>()
  for (const landmark of landmarks) {
    const before = last.get(landmark.digest)
    last.set(landmark.digest, landmark)
    if (before === undefined || landmark.timeMs - before.timeMs > 2 * SAME_WITHIN_MS) continue
    alike.add(before).add(landmark)
  }
  return landmarks.filter((landmark) => !alike.has(landmark))
}

/** What comes most often; of several the greatest, since it is easier to miss a packet than to see one too many. */
function mostCommon(counts: readonly number[]): number {
  const times = new Map<number, number>()
  for (const count of counts) times.set(count, (times.get(count) ?? 0) + 1)
  return [...times].sort((a, b) => b[1] - a[1] || b[0] - a[0])[0][0]
}
