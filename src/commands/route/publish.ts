import {randomBytes} from 'node:crypto'
import type {DartaCommand} from '../../cli/base-command.js'
import {deployApp, type DeployedApp} from '../../engine/apps.js'
import {jsonOctets, patiently, type Engine} from '../../engine/engine.js'
import {createPublisher, type Publisher} from '../../engine/publisher.js'
import {publishersOf, type PublisherState} from '../../engine/member.js'
import {createEncoder} from '../../ipfix/encoder.js'
import type {Windowing} from '../../processing/analysis/processing-unit.js'
import type {RecordStream} from '../../record/batch.js'
import type {RoutedApp} from './application.js'

export interface PublishOptions {
  readonly parts: number
  readonly seed: number
  readonly windowing: Windowing | undefined
}

/** How often units are told what time the records have reached. */
const PUNCTUATION_MS = 250
/** How often a publisher says that it is alive. */
const ALIVE_MS = 500
/** An engine that elects a new leader needs 4 to 8 s. */
const PATIENCE_MS = 30_000

/** Declares the applications and takes records to their parts of the engine's log. */
export async function publishRecords(
  command: DartaCommand,
  engine: Engine,
  source: RecordStream,
  apps: readonly RoutedApp[],
  {parts, seed, windowing}: PublishOptions,
): Promise<void> {
  const id = randomBytes(8).toString('hex')
  const publishers: {topic: string; publisher: Publisher}[] = []
  for (const app of apps) {
    const deployed: DeployedApp = {
      app: app.name,
      topic: app.name,
      parts,
      windowing: windowing && {
        lengthMs: windowing.lengthMs,
        slideMs: windowing.slideMs,
        latenessMs: windowing.latenessMs,
      },
      words: app.words,
      seed,
    }
    await deployApp(engine, deployed)
    const publisher = createPublisher(engine, {
      topic: deployed.topic,
      parts,
      key: app.key,
      needs: [app.needs],
      seed,
      id,
      newEncoder: (ledger, newBlock) => createEncoder({ledger, newBlock}),
      ledger: command.ledger.stage(`route ${app.name}`, 'records'),
      patienceMs: PATIENCE_MS,
      stopping: command.stopping,
    })
    publishers.push({topic: deployed.topic, publisher})
  }
  const each = (work: (publisher: Publisher) => Promise<void>): Promise<unknown> =>
    Promise.all(publishers.map(({publisher}) => work(publisher)))

  const revisions = new Map<string, number>()
  const sayAlive = async (): Promise<void> => {
    for (const {topic, publisher} of publishers) {
      const {sent, watermark} = publisher.reached
      const state: PublisherState = {
        patienceMs: PATIENCE_MS,
        sent,
        watermark: Number.isFinite(watermark) ? watermark : null,
      }
      const bucket = publishersOf(topic)
      const put = (expected: number): Promise<number | undefined> =>
        engine.put(bucket, id, jsonOctets(state), expected)
      const next =
        (await put(revisions.get(topic) ?? 0)) ??
        // The last word was not acknowledged.
        (await put((await engine.get(bucket, id))?.revision ?? 0))
      revisions.set(topic, next ?? 0)
    }
  }

  let fault: Error | undefined
  let ending = false
  let over = false
  const fail = (error: unknown): void => {
    fault ??= error instanceof Error ? error : new Error(String(error))
  }
  const alive = async (): Promise<void> => {
    let answeredAt = engine.clock.now()
    while (!over && fault === undefined) {
      try {
        await sayAlive()
        answeredAt = engine.clock.now()
      } catch (error) {
        // Others wait for as long before they take it for dead.
        if (engine.clock.now() - answeredAt > PATIENCE_MS) fail(error)
      }
      await engine.clock.sleep(ALIVE_MS)
    }
  }
  // A full engine takes no punctuation, while the publisher lives.
  const punctual = async (): Promise<void> => {
    while (!ending && fault === undefined) {
      await each((publisher) => publisher.punctuate()).catch(fail)
      await engine.clock.sleep(PUNCTUATION_MS)
    }
  }
  await each((publisher) => publisher.punctuate())
  const living = alive()
  const telling = punctual()
  try {
    for await (const batches of source) {
      if (fault !== undefined) break
      await each((publisher) => publisher.publish(batches))
      if (command.stopping.aborted) break
    }
    ending = true
    await telling
    if (fault === undefined) await each((publisher) => publisher.end())
  } finally {
    ending = true
    over = true
    await Promise.all([living, telling])
  }
  if (fault !== undefined) throw fault
  for (const {topic} of publishers) {
    await patiently(engine, () => engine.delete(publishersOf(topic), id), PATIENCE_MS)
  }
}
