import {textTable} from '../../cli/text-table.js'
import {deployedApp, deployedNames} from '../../engine/apps.js'
import {readJson, type Engine} from '../../engine/engine.js'
import type {Plan} from '../../engine/plan.js'
import {bucketOf, type TaskCounters} from '../../engine/task.js'
import {
  addCounters,
  liveBucket,
  noCounters,
  PLAN_KEY,
  type MemberState,
} from '../../engine/worker.js'
import {jainIndex} from '../../processing/routing/rendezvous.js'

/** What an engine knows of the applications that are routed there, for people. */
export async function engineStatus(engine: Engine): Promise<string> {
  const blocks: string[] = []
  for (const name of await deployedNames(engine)) {
    const app = await deployedApp(engine, name)
    const plan = await readPlan(engine, name)
    const rows: string[][] = []
    const loads: number[] = []
    for (const key of await engine.keys(liveBucket(name))) {
      if (!key.startsWith('m_')) continue
      const stored = await engine.get(liveBucket(name), key)
      if (stored === undefined) continue
      const {id, weight, parts, counters} = readJson(stored.value) as MemberState
      const own = plan?.owners.filter((owner) => owner === id).length ?? 0
      const read = Object.values(parts).reduce((a, b) => a + b, 0)
      loads.push(counters.analysed)
      rows.push(
        [id, weight, own, read, counters.analysed, counters.late, counters.lost].map(String),
      )
    }
    const {counters, closed} = await progress(engine, name)
    const windows = (await engine.keys(bucketOf.final(name))).filter((key) => /^\d+$/.test(key))
    const ended = (await engine.get(bucketOf.final(name), 'end')) !== undefined
    blocks.push(
      `${name}: ${app.words.join(' ')}\n` +
        `  parts ${app.parts}, plan ${plan?.epoch ?? 0}, closed to ${closed}, ${windows.length} results${ended ? ', ended' : ''}\n` +
        `  analysed ${counters.analysed}, late ${counters.late}, lost ${counters.lost}, repeated ${counters.repeated}` +
        `, Jain ${jainIndex(
          loads,
          loads.map(() => 1),
        ).toFixed(3)}\n` +
        textTable(
          ['  UNIT', 'WEIGHT', 'PARTS', 'ENTRIES', 'ANALYSED', 'LATE', 'LOST'],
          rows
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([id, ...others]) => [`  ${id}`, ...others]),
          ['left', 'right', 'right', 'right', 'right', 'right', 'right'],
        ),
    )
  }
  return blocks.length === 0 ? 'no applications\n' : blocks.join('\n')
}

async function readPlan(engine: Engine, name: string): Promise<Plan | undefined> {
  const stored = await engine.get(liveBucket(name), PLAN_KEY)
  return stored && (readJson(stored.value) as Plan)
}

async function progress(
  engine: Engine,
  name: string,
): Promise<{counters: TaskCounters; closed: string}> {
  let counters = noCounters()
  let closed = Infinity
  for (const key of await engine.keys(bucketOf.progress)) {
    if (!key.startsWith(`${name}_`)) continue
    const stored = await engine.get(bucketOf.progress, key)
    if (stored === undefined) continue
    const of = readJson(stored.value) as {closedMs: number | 'all' | null; counters: TaskCounters}
    counters = addCounters(counters, of.counters)
    closed = Math.min(closed, of.closedMs === 'all' ? Infinity : (of.closedMs ?? -Infinity))
  }
  const text = closed === Infinity || closed === -Infinity ? '-' : new Date(closed).toISOString()
  return {counters, closed: text}
}
