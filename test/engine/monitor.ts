// Tells again and again how far an application at an engine is: a line of JSON each (Look).
//
//   node monitor.js URL APP
import {setTimeout as sleep} from 'node:timers/promises'
import {readJson, type Engine} from '../../src/engine/engine.js'
import {connectEngine} from '../../src/engine/engines.js'
import {
  liveBucket,
  PLAN_KEY,
  publishersOf,
  readMembers,
  type PublisherState,
} from '../../src/engine/member.js'
import type {Plan} from '../../src/engine/plan.js'
import {bucketOf, type Progress} from '../../src/engine/task.js'

export interface Look {
  /** Milliseconds since 1970. */
  readonly at: number
  /** Records that units have taken. */
  readonly taken: number
  /** Records that publishers know the log to have. */
  readonly sent: number
  /** Of each part the revision of its last checkpoint, or claim. */
  readonly fences: readonly number[]
  /** Of each part the unit that the plan gives it to. */
  readonly owners: readonly string[]
  /** All parts are worked at by the units that the plan gives them to, as these say. */
  readonly steady: boolean
}

async function look(engine: Engine, app: string): Promise<Look> {
  const valuesOf = async (bucket: string): Promise<(readonly [string, unknown])[]> => {
    const keys = await engine.keys(bucket)
    const stored = await Promise.all(keys.map((key) => engine.get(bucket, key)))
    return stored.flatMap((one, i) =>
      one === undefined ? [] : [[keys[i], readJson(one.value)] as const],
    )
  }
  const [parts, publishers, members, plan] = await Promise.all([
    valuesOf(bucketOf.progress(app)),
    valuesOf(publishersOf(app)),
    readMembers(engine, app),
    engine.get(liveBucket(app), PLAN_KEY),
  ])
  const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0)
  const fences: number[] = []
  for (const [part, of] of parts) fences[Number(part)] = (of as Progress).fence
  const owners = plan === undefined ? [] : (readJson(plan.value) as Plan).owners
  return {
    at: Date.now(),
    taken: sum(parts.flatMap(([, of]) => Object.values((of as Progress).taken))),
    sent: sum(publishers.flatMap(([, of]) => (of as PublisherState).sent)),
    fences,
    owners,
    steady: owners.every((owner, part) =>
      members.some(({id, parts}) => id === owner && parts[part] !== undefined),
    ),
  }
}

const [url, app] = process.argv.slice(2)
let engine: Engine | undefined
for (;;) {
  try {
    engine ??= await connectEngine({url, maxOctets: 1, answerMs: 1000})
    process.stdout.write(`${JSON.stringify(await look(engine, app))}\n`)
  } catch {
    // While a server is gone nobody can say.
  }
  await sleep(100)
}
