import {parseDuration} from '../../src/cli/values.js'
import {folder} from '../support/darta.js'
import {noNamespaces, noSender} from '../support/namespaces.js'
import {needing} from '../support/needing.js'
import {random} from '../metering/coordination/simulation.js'
import {
  captureNode,
  coordinator,
  hasWritten,
  interrupt,
  interruptAll,
  inTurn,
  lab,
  nodesOfPlan,
  numbered,
  sending,
  tally,
  verified,
  type Node,
} from './group-lab.js'

/**
 * How many and from which seed on `npm run schedules` says. The suite runs the first three events of one in which a
 * node leaves, one joins and one is killed.
 */
const schedules = Number(process.env.DARTA_SCHEDULES ?? 1)
const firstSeed = Number(process.env.DARTA_SEED ?? 10)
const EVENTS = process.env.DARTA_SCHEDULES === undefined ? 3 : 4
/** By how much the stamps of one packet in different namespaces may differ: more where the machine is busy. */
const guard = process.env.DARTA_GUARD ?? '500ms'
const guardMs = parseDuration(guard)
const RATE = 2000

for (let i = 0; i < schedules; i++) {
  const seed = firstSeed + i
  needing(noNamespaces, noSender)(
    `schedule of seed ${seed}: nodes join, leave and are killed at random while packets come; nothing is lost, nothing doubled without a mark, and the reports prove it`,
    inTurn(async (t) => {
      const next = random(seed)
      const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
      const here = lab(t, folder(t), ids)
      const control = await coordinator(t, here, '--ttl', '8s', '--guard', guard)
      const all: Node[] = []
      const alive: Node[] = []
      const join = async (): Promise<void> => {
        const node = await captureNode(t, here, ids[all.length], '-o', 'ndjson', '--shadow', '60s')
        all.push(node)
        alive.push(node)
      }
      const settled = (): Promise<void> =>
        control.says(nodesOfPlan(...alive.map(({id}) => id).sort()))
      for (let n = 0; n < 3; n++) await join()
      await settled()
      // Traffic goes on until all events are over: more packets are sent as long as it takes.
      let sent = 0
      let over = false
      const traffic = (async () => {
        while (!over) {
          const {code} = await sending(t, here, numbered(here.folder, 2000, seed, sent), RATE).ended
          t.is(code, 0)
          sent += 2000
        }
      })()
      const done: string[] = []
      const killed: {id: string; at: number}[] = []
      for (let event = 0; event < EVENTS; event++) {
        await hasWritten(alive[alive.length - 1], 50_000)
        const dice = next()
        if (alive.length < 3 || (dice < 0.4 && all.length < ids.length)) {
          await join()
          done.push(`${all[all.length - 1].id} joins`)
        } else {
          const [node] = alive.splice(Math.floor(next() * alive.length), 1)
          const leaves = dice < 0.6
          done.push(`${node.id} ${leaves ? 'leaves' : 'is killed'}`)
          if (leaves) t.is((await interrupt(node)).code, 0)
          else {
            killed.push({id: node.id, at: Date.now()})
            node.running.child.kill('SIGKILL')
          }
        }
        await settled()
        // Before that the death of another one would be a second one at once.
        const last = killed.at(-1)
        if (last !== undefined) await control.says(new RegExp(`kept of ${last.id} is exported`))
        // Of who dies while slots change hands, a guard's time around the instant, the reports cannot prove all.
        await new Promise((resolve) => setTimeout(resolve, 2 * guardMs))
      }
      over = true
      await traffic
      await interruptAll(t, alive)
      t.log(`seed ${seed}: ${done.join(', ')}`)
      t.log(control.words())
      const {lost} = tally(t, all, sent)
      t.deepEqual(lost, [])
      for (const {id, at} of killed) {
        const pattern = new RegExp(`epoch \\d+ from ([\\d:.]+Z): [^\\n]*; lost [^\\n]*\\b${id}\\b`)
        const [, time] = pattern.exec(control.words()) ?? []
        const day = new Date(at).toISOString().slice(0, 11)
        t.log(`${id} taken over ${Date.parse(day + time) - at} ms after the kill`)
      }
      const {code, words} = await verified(t, all)
      t.is(code, 0, words)
      // Of two nodes that died one after the other nobody tells the last that they took.
      const [, proved] = /^(\d+) packets taken by/.exec(words) ?? []
      t.true(Number(proved) <= sent && Number(proved) > sent * 0.9, words)
    }),
  )
}
