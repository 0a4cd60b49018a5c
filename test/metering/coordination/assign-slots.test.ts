import test from 'ava'
import {assignSlots} from '../../../src/metering/coordination/assign-slots.js'
import {
  GROUP_SLOTS,
  loadsOf,
  ownersOf,
  standbyOf,
  type PlanNode,
  type Shape,
} from '../../../src/metering/coordination/plan.js'
import {random} from './simulation.js'

const named = (...ids: string[]): PlanNode[] => ids.map((id) => ({id, weight: 1}))

function shape(nodes: PlanNode[], redundancy: number, previous?: Shape): Shape {
  return {nodes, redundancy, places: assignSlots(nodes, redundancy, previous)}
}

/** Slots that a node has to take in anew. */
function moved(before: Shape, after: Shape): number {
  let n = 0
  for (let slot = 0; slot < GROUP_SLOTS; slot++) {
    const had = ownersOf(before, slot)
    n += ownersOf(after, slot).filter((owner) => !had.includes(owner)).length
  }
  return n
}

test('through any joins and leaves every slot has r different owners, a standby that is none of them, and loads are even', (t) => {
  const next = random(7)
  for (let round = 0; round < 40; round++) {
    const redundancy = 1 + Math.floor(next() * 3)
    let nodes = named('a')
    let now = shape(nodes, redundancy)
    for (let change = 0; change < 12; change++) {
      const leaves = nodes.length > 1 && next() < 0.45
      if (leaves) nodes = nodes.toSpliced(Math.floor(next() * nodes.length), 1)
      else if (nodes.length < 16) nodes = [...nodes, ...named(`n${round}-${change}`)]
      now = shape(nodes, redundancy, now)
      const copies = Math.min(redundancy, nodes.length)
      for (let slot = 0; slot < GROUP_SLOTS; slot++) {
        const owners = ownersOf(now, slot)
        t.is(new Set(owners).size, copies)
        const standby = standbyOf(now, slot)
        t.is(standby === undefined, nodes.length <= copies)
        t.false(standby !== undefined && owners.includes(standby))
      }
      const loads = loadsOf(now)
      const fair = (GROUP_SLOTS * copies) / nodes.length
      t.true(Math.max(...loads) <= fair * 1.1 + 1, `${Math.max(...loads)} of ${fair}`)
    }
  }
})

test('a node that joins gets its fair part and nothing else moves; one that leaves moves only what it had', (t) => {
  let before = shape(named('a'), 1)
  for (let n = 2; n <= 12; n++) {
    const after = shape([...before.nodes, ...named(`node-${n}`)], 1, before)
    t.true(moved(before, after) <= Math.ceil(GROUP_SLOTS / n))
    t.true(moved(before, after) >= Math.floor((GROUP_SLOTS / n) * 0.94))
    const without = shape([...after.nodes].slice(1), 1, after)
    const own = loadsOf(after)[0]
    t.true(moved(after, without) >= own)
    t.true(moved(after, without) <= Math.ceil(own * 1.2), `${moved(after, without)} of ${own}`)
    before = after
  }
})

test("a dead node's slots go to their standbys, which are spread over all others", (t) => {
  const before = shape(named('a', 'b', 'c', 'd', 'e'), 1)
  const after = shape(named('a', 'b', 'd', 'e'), 1, before)
  const gained = new Map<string, number>()
  for (let slot = 0; slot < GROUP_SLOTS; slot++) {
    if (ownersOf(before, slot)[0] !== 'c') continue
    const [owner] = ownersOf(after, slot)
    t.is(standbyOf(before, slot), owner)
    gained.set(owner, (gained.get(owner) ?? 0) + 1)
  }
  t.is(gained.size, 4)
  t.true(Math.max(...gained.values()) - Math.min(...gained.values()) <= 2)
})

test('a node of weight 3 takes three times as much as one of weight 1', (t) => {
  const nodes = [
    {id: 'a', weight: 3},
    {id: 'b', weight: 1},
  ]
  t.deepEqual(loadsOf(shape(nodes, 1)), [192, 64])
})

test('who decides does not matter: the same nodes and the same plan before give the same places', (t) => {
  const before = shape(named('x', 'y', 'z'), 2)
  const nodes = named('x', 'z', 'w')
  t.deepEqual(shape(nodes, 2, before), shape(nodes, 2, before))
})
