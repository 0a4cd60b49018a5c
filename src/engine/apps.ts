import {DartaError} from '../record/errors.js'
import {jsonOctets, patiently, type Engine} from './engine.js'
import {liveBucket, publishersOf} from './member.js'
import {
  either,
  isFlag,
  isName,
  isOneOf,
  isText,
  isWhole,
  listOf,
  objectOf,
  readShaped,
} from './shape.js'
import {bucketOf, checkName, type Deployment} from './task.js'

/** An application as it is declared to all who work for it: data, and never code. */
export interface DeployedApp extends Deployment {
  /** Words of `darta analyze`: name and flags. */
  readonly words: readonly string[]
  /** Of the hash of routing keys. */
  readonly seed: number
}

const BUCKET = 'apps'
const DECLARE_MS = 30_000

/** All that an application has of its own. */
function bucketsOf(app: string): string[] {
  return [liveBucket(app), ...Object.values(bucketOf).map((name) => name(app))]
}

/**
 * @returns the number of its declaration: see declarationOf
 * @throws DartaError DARTA_USAGE it is declared already, and otherwise
 */
export async function deployApp(engine: Engine, app: DeployedApp): Promise<number> {
  const key = checkName(app.app)
  const value = jsonOctets(app)
  // Servers of a cluster that has just begun do not know yet which of them have room.
  await patiently(
    engine,
    () =>
      engine.declare(app.topic, app.parts, [...bucketsOf(key), publishersOf(app.topic), BUCKET]),
    DECLARE_MS,
  )
  if ((await engine.keys(bucketOf.final(key))).includes('end')) {
    throw new DartaError(
      'DARTA_USAGE',
      `${app.app} has ended at ${engine.name}; route --remove ${app.app} lets it begin anew`,
    )
  }
  const declaration = await patiently(engine, () => engine.put(BUCKET, key, value, 0))
  if (declaration !== undefined) return declaration
  const stored = await engine.get(BUCKET, key)
  if (stored !== undefined && Buffer.compare(stored.value, value) !== 0) {
    throw new DartaError(
      'DARTA_USAGE',
      `${app.app} is deployed at ${engine.name} with other flags; route --remove ends it`,
    )
  }
  if (stored === undefined) throw wasRemoved(engine, app.app)
  return stored.revision
}

export function wasRemoved(engine: Engine, name: string): DartaError {
  return new DartaError('DARTA_ENGINE', `${name} was removed at ${engine.name}`)
}

/** @throws DartaError DARTA_ENGINE there is none, or what is declared is none */
export async function deployedApp(engine: Engine, name: string): Promise<DeployedApp> {
  const {stored, names} = await patiently(engine, async () => {
    const found = await engine.get(BUCKET, checkName(name))
    return {stored: found, names: found === undefined ? await engine.keys(BUCKET) : []}
  })
  if (stored === undefined) {
    const hint = names.length === 0 ? 'nothing is' : `${names.join(', ')} are`
    throw new DartaError(
      'DARTA_ENGINE',
      `no application '${name}' is routed at ${engine.name}; ${hint}`,
    )
  }
  const app = readDeployed(stored.value, name)
  if (app === undefined) {
    throw new DartaError('DARTA_ENGINE', `what is declared as '${name}' is no application`)
  }
  return app
}

/** All that are declared; what is none is left out. */
export async function deployedApps(engine: Engine): Promise<DeployedApp[]> {
  const names = await deployedNames(engine)
  const stored = await Promise.all(names.map((name) => engine.get(BUCKET, name)))
  return stored.flatMap((one, i) => (one && readDeployed(one.value, names[i])) ?? [])
}

export async function deployedNames(engine: Engine): Promise<string[]> {
  return [...(await engine.keys(BUCKET))].sort()
}

export async function removeApp(engine: Engine, name: string): Promise<void> {
  const key = checkName(name)
  const {topic} = await deployedApp(engine, key)
  // Units end when they see that it is gone; what they still write has nowhere to go.
  await engine.delete(BUCKET, key)
  await engine.drop(topic, [...bucketsOf(key), publishersOf(topic)])
}

/** Which declaration of an application stands: one that was removed and declared anew has another number. */
export async function declarationOf(engine: Engine, name: string): Promise<number | undefined> {
  return (await engine.get(BUCKET, name))?.revision
}

const isDuration = isWhole(1, 1e12)
const isDeployed = objectOf({
  app: isName,
  topic: isName,
  parts: isWhole(1, 4096),
  words: listOf(isText),
  seed: isWhole(0, 2 ** 32 - 1),
  splitHot: either(isOneOf(undefined), isFlag),
  windowing: either(
    isOneOf(undefined),
    objectOf({lengthMs: isDuration, slideMs: isDuration, latenessMs: isWhole(0, 1e12)}),
  ),
})

function readDeployed(octets: Uint8Array, name: string): DeployedApp | undefined {
  const app = readShaped<DeployedApp>(octets, isDeployed)
  if (app === undefined || app.app !== name) return undefined
  // A slide that is longer than its window leaves records out.
  const {lengthMs = 0, slideMs = 0} = app.windowing ?? {}
  return slideMs > lengthMs ? undefined : app
}
