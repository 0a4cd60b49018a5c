import test from 'ava'
import {createUseQueue, dequeue, enqueue, leastUsed} from '../../src/ipfix/use-queue.js'

interface Thing {
  readonly name: string
  used: boolean
}

function filled(names: string): {queue: ReturnType<typeof createUseQueue<Thing>>; things: Thing[]} {
  const queue = createUseQueue<Thing>()
  const things = [...names].map((name) => ({name, used: false}))
  for (const thing of things) enqueue(queue, thing)
  return {queue, things}
}

test('what came first goes first, and an empty queue has nothing', (t) => {
  t.is(leastUsed(filled('abc').queue)?.name, 'a')
  t.is(leastUsed(createUseQueue<Thing>()), undefined)
})

test('what was used outlives any number of things that nobody uses', (t) => {
  const {queue, things} = filled('abcd')
  const used = things[1]
  for (let i = 0; i < 1000; i++) {
    // Often enough: once in what the unused may fill.
    if (i === 0) used.used = true
    const places = [...placesOf(queue.fresh.oldest), ...placesOf(queue.proven.oldest)]
    const least = leastUsed(queue)!
    t.not(least, used)
    dequeue(places.find(({value}) => value === least)!)
    enqueue(queue, {name: String(i), used: false})
  }
  t.is(queue.size, 4)
})

test('of what was used the one that was not used for longest goes, when little else is there', (t) => {
  const {queue, things} = filled('abcdefgh')
  for (const thing of things) thing.used = true
  t.is(leastUsed(queue)?.name, 'a')
  things[0].used = true
  t.is(leastUsed(queue)?.name, 'b')
})

test('what is spared goes all the same when no other is found', (t) => {
  const {queue} = filled('abc')
  t.is(leastUsed(queue, ({name}) => name !== 'c')?.name, 'c')
  t.truthy(leastUsed(queue, () => true))
})

function* placesOf<P extends {newer: P | undefined}>(first: P | undefined): Generator<P> {
  for (let place = first; place !== undefined; place = place.newer) yield place
}
