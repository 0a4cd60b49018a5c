import test, {type ExecutionContext} from 'ava'
import {createCoordinator} from '../../../src/metering/coordination/coordinator.js'
import {MARKS} from '../../../src/metering/coordination/division.js'
import {formatMessage, parseMessage} from '../../../src/metering/coordination/message.js'
import {indexOf, ownersOf, standbyOf, type Plan} from '../../../src/metering/coordination/plan.js'
import {TIMING} from '../../../src/metering/coordination/timing.js'
import {EPOCH_MS, random, simulate, slotsAt, STEP, type Event, type Run} from './simulation.js'

const calm = {loss: 0, delayMs: 10}
const rough = {loss: 0.05, delayMs: 120}
const {guardMs, ttlMs} = TIMING

/** Times, true ms, in which more or less than the rule may happen, and why. */
interface Stated {
  readonly from: number
  readonly to: number
  readonly why: 'switch' | 'death' | 'leaderless'
}

function stated(run: Run, events: readonly Event[], untilMs: number): Stated[] {
  const list: Stated[] = []
  for (const plan of run.plans) {
    const at = plan.at - EPOCH_MS
    const known = run.confirmed.get(`${plan.term}/${plan.epoch}`)
    list.push({
      from: at - 2 * guardMs,
      to: Math.max(at, known ?? untilMs) + 2 * guardMs,
      why: 'switch',
    })
  }
  // What a node exported after its last beat that the coordinator knows of, the standby exports too; a node that is
  // only thought dead goes on for a while.
  for (const plan of run.plans) {
    for (const {thru} of plan.lost) {
      const from = thru - EPOCH_MS - 2 * guardMs
      list.push({from, to: plan.at - EPOCH_MS + 2 * guardMs, why: 'death'})
    }
  }
  for (const {at, do: what} of events) {
    if (what === 'stop-origin' || what === 'start-origin') {
      list.push({from: at, to: at + 5 * ttlMs, why: 'leaderless'})
    }
  }
  return list
}

/** Holds a run against the rule; gives how many samples were in no stated interval. */
function check(
  t: ExecutionContext,
  run: Run,
  events: readonly Event[],
  untilMs: number,
  redundancy = 1,
): number {
  const exceptions = stated(run, events, untilMs)
  const first = Math.min(...run.plans.map(({at}) => at)) - EPOCH_MS + 2 * guardMs
  // What nobody could know any more at the end is not judged.
  const end = untilMs - 4 * ttlMs
  let plain = 0
  run.taken.forEach((slots, step) => {
    const now = step * STEP
    if (now < first || now > end) return
    const here = exceptions.filter(({from, to}) => now >= from && now <= to)
    for (const slot of slotsAt(step)) {
      const takers = slots.get(slot) ?? []
      const copies = copiesAt(run.plans, now, slot, redundancy)
      const unmarked = takers.filter(({mark}) => mark === MARKS.own).length
      const place = `slot ${slot} at ${now} ms: ${JSON.stringify(takers)}`
      if (takers.length < copies) t.fail(`lost: ${place}`)
      if (unmarked > redundancy) t.fail(`doubled without a mark: ${place}`)
      if (here.length > 0) continue
      plain++
      if (takers.length !== copies) t.fail(`not exactly ${copies}: ${place}`)
    }
  })
  return plain
}

/** Owners that a slot should have: fewer than r only where there are fewer nodes, or none was left to take over. */
function copiesAt(plans: readonly Plan[], now: number, slot: number, redundancy: number): number {
  const past = plans.filter(({at}) => at - EPOCH_MS <= now)
  const plan = past.at(-1)
  if (plan === undefined) return 0
  let copies = Math.min(redundancy, ownersOf(plan, slot).length)
  for (const later of plans) {
    if (later.at <= plan.at) continue
    for (const {id} of later.lost) {
      const standby = standbyOf(plan, slot)
      const orphaned = standby === undefined || later.lost.some((one) => one.id === standby)
      if (ownersOf(plan, slot).includes(id) && orphaned) copies--
    }
    break
  }
  // Around a switch the plan before counts as well; the smaller number is asked for.
  const before = past.at(-2)
  if (before !== undefined && now < plan.at - EPOCH_MS + 2 * guardMs) {
    copies = Math.min(copies, ownersOf(before, slot).length)
  }
  return Math.max(copies, 0)
}

const three: Event[] = [
  {at: 0, do: 'start-origin'},
  {at: 0, do: 'start', node: 'a'},
  {at: 0, do: 'start', node: 'b'},
  {at: 0, do: 'start', node: 'c'},
]

test('three nodes that start together divide the link by one plan that all confirm', (t) => {
  const run = simulate({seed: 1, events: three, untilMs: 8000, faults: calm})
  t.is(run.plans.length, 1)
  t.is(run.confirmed.size, 1)
  t.true(check(t, run, three, 8000) > 2000)
})

test('a node joins: every packet goes on being taken, and only around the instant twice, with marks', (t) => {
  const events: Event[] = [...three, {at: 4000, do: 'start', node: 'd'}]
  const run = simulate({seed: 2, events, untilMs: 10_000, faults: calm})
  t.is(run.plans.length, 2)
  t.true(indexOf(run.plans[1], 'd') >= 0)
  t.true(check(t, run, events, 10_000) > 5000)
})

test('a node leaves: it goes on until the others have taken over', (t) => {
  const events: Event[] = [...three, {at: 4000, do: 'leave', node: 'b'}]
  const run = simulate({seed: 3, events, untilMs: 10_000, faults: calm})
  t.is(indexOf(run.plans.at(-1)!, 'b'), -1)
  t.deepEqual(run.plans.at(-1)!.lost, [])
  t.true(check(t, run, events, 10_000) > 5000)
})

test('a node dies: its standbys recover all from the last that it exported, and take over within the time to live and 300 ms', (t) => {
  const events: Event[] = [...three, {at: 4000, do: 'crash', node: 'b'}]
  const run = simulate({seed: 4, events, untilMs: 10_000, faults: calm})
  const after = run.plans.at(-1)!
  t.is(after.lost[0].id, 'b')
  t.true(after.at - EPOCH_MS - 4000 <= ttlMs + 300, `${after.at - EPOCH_MS - 4000} ms`)
  t.true(check(t, run, events, 10_000) > 5000)
})

for (const victim of ['a', 'c']) {
  for (const after of [0, 200]) {
    test(`a node leaves and ends, and ${victim}, which it backed, dies ${after} ms later: what that one had not exported is recovered`, (t) => {
      const events: Event[] = [...three, {at: 4000, do: 'leave', node: 'b'}]
      const options = {seed: 11, untilMs: 12_000, faults: calm, exportMs: 250}
      const {left} = simulate({...options, events})
      t.is(left[0].id, 'b')
      events.push({at: left[0].at + after, do: 'crash', node: victim})
      const run = simulate({...options, events})
      t.is(run.plans.at(-1)!.lost[0].id, victim)
      check(t, run, events, options.untilMs)
    })
  }
}

for (const before of [100, 400]) {
  test(`a node dies ${before} ms before one that backs it would leave: that one stays and recovers`, (t) => {
    const events: Event[] = [
      ...three,
      {at: 4000 - before, do: 'crash', node: 'a'},
      {at: 4000, do: 'leave', node: 'b'},
    ]
    const run = simulate({seed: 12, events, untilMs: 12_000, faults: calm, exportMs: 250})
    t.is(run.left[0].id, 'b')
    check(t, run, events, 12_000)
  })
}

for (const after of [0, 500, 900]) {
  test(`a node that leaves dies ${after} ms after it said so: what it had not exported is recovered`, (t) => {
    const events: Event[] = [
      ...three,
      {at: 4000, do: 'leave', node: 'b'},
      {at: 4000 + after, do: 'crash', node: 'b'},
    ]
    const run = simulate({seed: 13, events, untilMs: 12_000, faults: calm, exportMs: 250})
    t.true(run.plans.some(({lost}) => lost.some(({id}) => id === 'b')))
    check(t, run, events, 12_000)
  })
}

test('nodes that leave all at once, or one after the other, are not thought dead', (t) => {
  for (const apart of [0, 50, 300]) {
    const leaves = ['a', 'b', 'c'].map((node, i): Event => {
      return {at: 4000 + i * apart, do: 'leave', node}
    })
    const run = simulate({seed: 16, events: [...three, ...leaves], untilMs: 10_000, faults: calm})
    t.is(run.left.length, 3)
    t.true(run.plans.every((plan) => plan.lost.length === 0))
    t.is(run.plans.at(-1)!.nodes.length, 0)
  }
})

test('who has left in order is not thought dead, whoever coordinates', (t) => {
  for (const [seed, lost] of [
    [14, calm],
    [15, rough],
  ] as const) {
    const events: Event[] = [
      ...three,
      {at: 0, do: 'start', node: 'd'},
      {at: 4000, do: 'leave', node: 'b'},
      {at: 8000, do: 'stop-origin'},
      // It coordinates by then.
      {at: 12_000, do: 'leave', node: 'a'},
    ]
    const run = simulate({seed, events, untilMs: 20_000, faults: lost})
    t.deepEqual(
      run.left.map(({id}) => id),
      ['b', 'a'],
    )
    check(t, run, events, 20_000)
    if (lost === calm) t.true(run.plans.every((plan) => plan.lost.length === 0))
  }
})

test('the coordinator dies, then a node: a node becomes the coordinator and has the dead one replaced', (t) => {
  const events: Event[] = [
    ...three,
    {at: 4000, do: 'stop-origin'},
    {at: 6500, do: 'crash', node: 'b'},
  ]
  const run = simulate({seed: 5, events, untilMs: 14_000, faults: calm})
  t.deepEqual(
    run.coordinators.map(({id}) => id),
    ['a'],
  )
  t.is(run.plans.at(-1)!.lost[0].id, 'b')
  t.is(run.plans.at(-1)!.coordinator, 'a')
  check(t, run, events, 14_000)
})

test('a coordinator that is back is told the plan and takes over from the node that stood in', (t) => {
  const events: Event[] = [
    ...three,
    {at: 4000, do: 'stop-origin'},
    {at: 8000, do: 'start-origin'},
    {at: 11_000, do: 'start', node: 'd'},
  ]
  const run = simulate({seed: 6, events, untilMs: 16_000, faults: calm})
  t.is(run.plans.at(-1)!.coordinator, 'origin')
  t.is(run.plans.at(-1)!.nodes.length, 4)
  check(t, run, events, 16_000)
})

test('with redundancy 2 each packet is taken by two nodes, also while one dies', (t) => {
  const events: Event[] = [
    ...three,
    {at: 0, do: 'start', node: 'd'},
    {at: 4000, do: 'crash', node: 'c'},
  ]
  const run = simulate({seed: 7, events, untilMs: 10_000, faults: calm, redundancy: 2})
  t.true(check(t, run, events, 10_000, 2) > 5000)
})

test('a node whose clock is half a second off is refused with the reason, and the others go on', (t) => {
  for (const skew of [500, -500]) {
    const events: Event[] = [...three, {at: 3000, do: 'start', node: 'd'}]
    const run = simulate({seed: 8, events, untilMs: 9000, faults: calm, skews: {d: skew}})
    t.regex(run.refusals[0], /d: its clock is \d+ ms (ahead of|behind) the coordinator's/)
    t.true(run.plans.every((plan) => indexOf(plan, 'd') < 0))
    check(t, run, events, 9000)
  }
})

/** Joins, leaves, crashes and losses of the coordinator, seconds apart. */
function schedule(seed: number): Event[] {
  const next = random(seed * 7919)
  const events = [...three]
  const alive = ['a', 'b', 'c']
  let origin = true
  let at = 3000
  for (let i = 0; i < 6; i++) {
    const dice = next()
    const node = alive[Math.floor(next() * alive.length)]
    if (dice < 0.35 && alive.length < 7) {
      events.push({at, do: 'start', node: `n${i}`})
      alive.push(`n${i}`)
    } else if (dice < 0.6 && alive.length > 2) {
      events.push({at, do: 'crash', node})
      alive.splice(alive.indexOf(node), 1)
    } else if (dice < 0.75 && alive.length > 2) {
      events.push({at, do: 'leave', node})
      alive.splice(alive.indexOf(node), 1)
    } else {
      events.push({at, do: origin ? 'stop-origin' : 'start-origin'})
      origin = !origin
    }
    at += 1500 + Math.floor(next() * 3000)
  }
  return events
}

for (let seed = 1; seed <= 20; seed++) {
  test(`schedule ${seed} of joins, leaves, crashes and coordinators lost, over a network that loses, delays and reorders: nothing is lost, nothing doubled without a mark`, (t) => {
    const events = schedule(seed)
    const untilMs = events.at(-1)!.at + 9000
    const run = simulate({seed, events, untilMs, faults: rough})
    check(t, run, events, untilMs)
    t.pass()
  })
}

test('a coordinator that stood still, and is asked before it looked around, does not tell that nodes are silent', (t) => {
  const coordinator = createCoordinator({
    ...{id: 'origin', redundancy: 1, by: 'flow', seed: 0, timing: TIMING},
    start: {mono: 0, wall: EPOCH_MS},
  })
  const tick = (mono: number): unknown => coordinator.tick({mono, wall: EPOCH_MS + mono})
  for (let mono = 0; mono <= 2000; mono += TIMING.beatMs) {
    coordinator.receive(
      {
        ...{type: 'beat', node: {id: 'a', weight: 1}, term: 0, epoch: 0, confirmed: false},
        ...{thru: 0, sent: mono, clock: EPOCH_MS + mono},
        numbers: {packets: 0, octets: 0, drops: 0, shadowed: 0},
      },
      {mono, wall: EPOCH_MS + mono},
    )
    tick(mono)
  }
  const states = (mono: number): string[] =>
    coordinator.status({mono, wall: EPOCH_MS + mono}).map(({state}) => state)
  t.deepEqual(states(2000), ['in'])
  t.deepEqual(states(2000 + 3 * ttlMs), ['in'])
  // One that only the node's silence makes longer is told.
  for (let mono = 2000; mono <= 2000 + 2 * ttlMs; mono += TIMING.beatMs) tick(mono)
  t.not(states(2000 + 2 * ttlMs)[0], 'in')
})

test('messages survive the wire, and anything else is refused', (t) => {
  const run = simulate({seed: 1, events: three, untilMs: 3000, faults: calm})
  const text = formatMessage({type: 'plan', plan: run.plans[0]})
  t.deepEqual(parseMessage(text), {type: 'plan', plan: run.plans[0]})
  const next = random(9)
  for (let i = 0; i < 3000; i++) {
    const at = Math.floor(next() * text.length)
    const damaged = text.slice(0, at) + String.fromCharCode(32 + next() * 90) + text.slice(at + 1)
    try {
      const message = parseMessage(damaged)
      t.is(message.type, 'plan')
    } catch (error) {
      t.is((error as {code?: string}).code, 'DARTA_GROUP_MESSAGE')
    }
  }
  for (const bad of ['', '1', 'null', '[]', '{}', '{"type":"beat"}', '{"type":"plan","plan":1}']) {
    t.throws(() => parseMessage(bad), {code: 'DARTA_GROUP_MESSAGE'})
  }
})

const HOUR_MS = 3_600_000
const jumps: readonly (readonly [string, number])[] = [
  ['an hour back', -HOUR_MS],
  ['an hour forward', HOUR_MS],
  ['ten years forward', 87_600 * HOUR_MS],
  ['half a second back', -500],
]

for (const [by, ms] of jumps) {
  test(`a node whose clock is set ${by} is left out, its part is taken by the others, and it is back when the clock is right`, (t) => {
    const events: Event[] = [
      ...three,
      {at: 4000, do: 'set-clock', node: 'b', ms},
      {at: 9000, do: 'set-clock', node: 'b', ms: -ms},
    ]
    const run = simulate({seed: 31, events, untilMs: 16_000, faults: rough})
    t.regex(run.refusals[0], /b: its clock is \d+ ms (ahead of|behind) the coordinator's/)
    const without = run.plans.find(({lost}) => lost.length > 0)!
    t.deepEqual(
      without.lost.map(({id}) => id),
      ['b'],
    )
    t.true(without.at - EPOCH_MS < 5000)
    t.true(indexOf(run.plans.at(-1)!, 'b') >= 0)
    t.true(check(t, run, events, 16_000) > 500)
  })

  test(`when all clocks of a group are set ${by} the nodes divide the link anew, at once`, (t) => {
    const events: Event[] = [
      ...three,
      ...[undefined, 'a', 'b', 'c'].map((node): Event => {
        return {at: 4000, do: 'set-clock', ms, ...(node !== undefined && {node})}
      }),
    ]
    const run = simulate({seed: 32, events, untilMs: 12_000, faults: calm})
    const last = run.plans.at(-1)!
    t.is(last.nodes.length, 3)
    t.true(Math.abs(last.at - EPOCH_MS - ms - 4000) < 4000)
    let samples = 0
    for (let step = 8500 / STEP; step < 12_000 / STEP; step++) {
      for (const slot of slotsAt(step)) {
        const takers = run.taken[step].get(slot) ?? []
        samples++
        if (takers.length !== 1 || takers[0].mark !== MARKS.own)
          t.fail(`slot ${slot} at ${step * STEP} ms: ${JSON.stringify(takers)}`)
      }
    }
    t.true(samples > 10_000)
  })

  test(`a coordinator whose clock is set ${by} goes on by the time that its nodes have`, (t) => {
    const events: Event[] = [
      ...three,
      {at: 4000, do: 'set-clock', ms},
      {at: 6000, do: 'start', node: 'd'},
      {at: 10_000, do: 'crash', node: 'a'},
    ]
    const run = simulate({seed: 33, events, untilMs: 16_000, faults: calm})
    t.deepEqual(run.refusals, [])
    t.deepEqual(
      run.plans.map(({nodes}) => nodes.map(({id}) => id).join('')),
      ['abc', 'abcd', 'bcd'],
    )
    t.true(check(t, run, events, 16_000) > 2000)
  })
}
