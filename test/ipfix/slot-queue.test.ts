import test from 'ava'
import {
  dequeueSlot,
  enqueueSlot,
  leastUsedSlot,
  SlotLinks,
  SlotQueue,
} from '../../src/ipfix/slot-queue.js'
import {createUseQueue, dequeue, enqueue, leastUsed, type Place} from '../../src/ipfix/use-queue.js'
import fc from '../support/properties.js'

interface Thing {
  readonly slot: number
  used: boolean
  place: Place<Thing> | undefined
}

const step = fc.record({
  do: fc.constantFrom('enter', 'enter', 'use', 'leave', 'evict', 'evict sparing even ones'),
  slot: fc.nat(15),
})

test('slots leave in the order in which things of a queue of uses do', (t) => {
  fc.assert(
    fc.property(fc.array(step, {maxLength: 120, size: 'max'}), (steps) => {
      const oracle = createUseQueue<Thing>()
      const things = new Map<number, Thing>()
      const queue = new SlotQueue()
      const links = new SlotLinks()
      links.grow(16)
      const used = new Set<number>()
      const leave = (slot: number): void => {
        dequeue(things.get(slot)!.place!)
        things.delete(slot)
        dequeueSlot(queue, links, slot)
        used.delete(slot)
      }
      for (const {do: what, slot} of steps) {
        const known = things.get(slot)
        if (what === 'enter' && known === undefined) {
          const thing: Thing = {slot, used: false, place: undefined}
          thing.place = enqueue(oracle, thing)
          things.set(slot, thing)
          enqueueSlot(queue, links, slot)
        } else if (what === 'use' && known !== undefined) {
          known.used = true
          used.add(slot)
        } else if (what === 'leave' && known !== undefined) {
          leave(slot)
        } else if (what.startsWith('evict')) {
          const spares = (one: number): boolean => what !== 'evict' && one % 2 === 0
          const expected = leastUsed(oracle, (thing) => spares(thing.slot))?.slot ?? -1
          const found = leastUsedSlot(queue, links, (one) => used.delete(one), spares)
          if (found !== expected) return false
          if (found >= 0) leave(found)
        }
        if (queue.size !== oracle.size || queue.fresh.size !== oracle.fresh.size) return false
      }
      return true
    }),
    {numRuns: 300},
  )
  t.pass()
})
