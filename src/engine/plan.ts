import {isText, isWhole, listOf, objectOf, readShaped} from './shape.js'

/** Which Processing Unit has which part of a log. */
export interface Plan {
  /** Greater with each plan. */
  readonly epoch: number
  /** Name of the unit of each part; empty: nobody is there. */
  readonly owners: readonly string[]
}

const isPlan = objectOf({epoch: isWhole(0), owners: listOf(isText)})

/** The plan that is stored; undefined: it is none. */
export const readPlan = (octets: Uint8Array): Plan | undefined => readShaped(octets, isPlan)

export interface Member {
  readonly id: string
  readonly weight: number
}

/** A unit may have this much more than its share before parts move. */
const ROOM = 1.05

/**
 * Deals parts to members, the heaviest first: whoever has one keeps it while there is room; then each of the others goes to the one that
 * draws the best number for it among those with room, or, where nobody has, to the one that lacks the most. So few
 * parts move, and no member has much more than its share.
 *
 * @param loads of each part, in any unit; equal ones where nothing is known
 */
export function makePlan(
  before: Plan | undefined,
  members: readonly Member[],
  loads: readonly number[],
): Plan {
  const usable = members.filter(({weight}) => weight > 0)
  const parts = loads.length
  // A part without records is work too, if little.
  const least = loads.reduce((a, b) => a + b, 0) / parts / 16 || 1
  const burden = loads.map((load) => Math.max(load, least))
  const all = burden.reduce((a, b) => a + b, 0)
  const weights = usable.reduce((sum, {weight}) => sum + weight, 0)
  const room = new Map(usable.map(({id, weight}) => [id, (all * weight * ROOM) / weights]))
  const owners = Array<string>(parts).fill('')
  const order = burden
    .map((load, part) => ({load, part}))
    .sort((a, b) => b.load - a.load || a.part - b.part)
  const give = (part: number, owner: string, load: number): void => {
    owners[part] = owner
    room.set(owner, room.get(owner)! - load)
  }
  // What has nobody yet takes no room from what can stay where it is.
  const homeless = order.filter(({load, part}) => {
    const previous = before?.owners[part]
    if (previous === undefined || (room.get(previous) ?? -1) < load) return true
    give(part, previous, load)
    return false
  })
  for (const {load, part} of usable.length === 0 ? [] : homeless) {
    const fitting = usable.filter(({id}) => room.get(id)! >= load)
    const best = (list: readonly Member[], value: (m: Member) => number): string =>
      list.reduce((a, b) => (value(b) > value(a) ? b : a)).id
    const owner =
      fitting.length > 0
        ? best(fitting, (m) => draw(m, part))
        : best(usable, (m) => room.get(m.id)! / m.weight)
    give(part, owner, load)
  }
  const same = before !== undefined && before.owners.join() === owners.join()
  return {epoch: (before?.epoch ?? 0) + (same ? 0 : 1), owners}
}

/** Weighted rendezvous of one member and part. */
function draw({id, weight}: Member, part: number): number {
  let h = 0x811c9dc5 ^ Math.imul(part + 1, 0x9e3779b1)
  for (let i = 0; i < id.length; i++) h = Math.imul(h ^ id.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return weight / -Math.log((((h ^ (h >>> 16)) >>> 0) + 0.5) / 4294967296)
}
