import test from 'ava'
import {makePlan, type Member, type Plan} from '../../src/engine/plan.js'
import {createDealer} from '../../src/processing/routing/dealer.js'
import {flowKey} from '../../src/registry/flow-keys.js'
import {ie} from '../../src/registry/lookup.js'
import {random} from '../metering/coordination/simulation.js'
import {batchOf, templateOf} from '../support/records.js'
import {zipf} from '../support/zipf.js'

const PARTS = 256

/** Records of each part, of sources of which number n is as frequent as 1 / n^s, where heavy ones are split. */
function loadsOf(s: number): number[] {
  const pick = zipf(s, 100_000)
  const template = templateOf([ie.sourceIPv4Address])
  const dealer = createDealer(
    Array.from({length: PARTS}, (_, i) => ({id: `part-${i}`, weight: 1})),
    {key: {key: [flowKey('srcip')]}, seed: 1, splitHot: true, hotPart: 1 / 4},
  )
  const loads = Array<number>(PARTS).fill(0)
  for (let i = 0; i < 100; i++) {
    const rows = Array.from({length: 1000}, () => [0x0a000000 + Math.imul(pick(), 7919)])
    dealer.deal([batchOf(template, rows)]).counts.forEach((n, part) => (loads[part] += n))
  }
  return loads
}

const unit = (n: number): Member => ({id: `unit-${n}`, weight: 1})
const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0)
const loadOf = (plan: Plan, id: string, loads: readonly number[]): number =>
  sum(loads.filter((_, part) => plan.owners[part] === id))

for (const s of [0.8, 1, 1.2]) {
  test(`units come and go, zipf keys with s = ${s}: little more moves than has to, and nobody has much more than others`, (t) => {
    const loads = loadsOf(s)
    const all = sum(loads)
    const next = random(5)
    for (const middle of [4, 8, 16]) {
      let units = Array.from({length: middle}, (_, i) => unit(i))
      let made = middle
      let plan = makePlan(undefined, units, loads)
      for (let step = 0; step < 12; step++) {
        const before = plan
        let least: number
        if (step % 2 === 0) {
          const gone = units.splice(Math.floor(next() * units.length), 1)[0]
          least = loadOf(plan, gone.id, loads)
        } else {
          units = [...units, unit(made++)]
          least = all / units.length
        }
        plan = makePlan(before, units, loads)
        const why = `${units.length} units, step ${step}`
        t.true(
          plan.owners.every((owner) => units.some(({id}) => id === owner)),
          why,
        )
        const moved = sum(loads.filter((_, part) => plan.owners[part] !== before.owners[part]))
        t.true(moved <= 1.2 * least, `${why}: ${moved} of at least ${least}`)
        const most = Math.max(...units.map(({id}) => loadOf(plan, id, loads)))
        t.true(most * units.length <= 1.1 * all, `${why}: ${(most * units.length) / all}`)
      }
    }
  })
}

test('units have parts as their weights say, and one of weight 0 has none', (t) => {
  const loads = Array<number>(64).fill(10)
  const members = [1, 2, 5, 0].map((weight, i) => ({id: `unit-${i}`, weight}))
  const plan = makePlan(undefined, members, loads)
  const counts = members.map(({id}) => loadOf(plan, id, loads) / 10)
  t.is(sum(counts), 64)
  t.true(
    counts.every((count, i) => count <= 1.05 * 8 * members[i].weight),
    counts.join(),
  )
  t.true(counts[0] >= 4, counts.join())
  t.is(plan.epoch, 1)
  t.deepEqual(makePlan(plan, members, loads), plan)
  // Where nobody is left, nobody has a part.
  const none = makePlan(plan, [members[3]], loads)
  t.deepEqual(new Set(none.owners), new Set(['']))
})
