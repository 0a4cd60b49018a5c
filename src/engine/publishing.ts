import type {RecordBatch} from '../record/batch.js'
import {declarationOf, wasRemoved} from './apps.js'
import {jsonOctets, patiently, type Engine} from './engine.js'
import {publishersOf, type PublisherState} from './member.js'
import type {Publisher} from './publisher.js'

/** A topic and who takes records there. */
export interface Outlet {
  readonly app: string
  /** What deployApp gave. */
  readonly declaration: number
  readonly topic: string
  readonly publisher: Publisher
}

export interface PublishingOptions {
  /** 16 hex digits that nobody else has, the same as the publishers'. */
  readonly id: string
  /** For so long the engine need not answer, ms: others wait as long before they take this publisher for dead. */
  readonly patienceMs: number
  /** Ends the work: what came so far is published. */
  readonly stopping: AbortSignal
  readonly pace?: PublishingPace
}

/** Times in milliseconds. */
export interface PublishingPace {
  /** How often units are told what time the records have reached. */
  readonly punctuationMs: number
  /** How often a publisher says that it is alive. */
  readonly aliveMs: number
}

const usualPace: PublishingPace = {punctuationMs: 250, aliveMs: 500}

/**
 * Takes a stream of records to all these topics, says again and again that this publisher is alive, and at the end that no more will
 * come: in each part of the log, and in the registry, where whoever leads the units sees whether each part has heard it.
 *
 * @throws DartaError DARTA_ENGINE nothing was answered for `patienceMs`, or an application was removed
 */
export async function publishStream(
  engine: Engine,
  source: AsyncIterable<readonly RecordBatch[]>,
  outlets: readonly Outlet[],
  {id, patienceMs, stopping, pace = usualPace}: PublishingOptions,
): Promise<void> {
  const each = (work: (publisher: Publisher) => Promise<void>): Promise<unknown> =>
    Promise.all(outlets.map(({publisher}) => work(publisher)))

  const revisions = new Map<string, number>()
  /** @returns whether the application is still the one that records are published for */
  const say = async (outlet: Outlet, over?: 'ended'): Promise<boolean> => {
    const {app, topic, publisher, declaration} = outlet
    const {sent, watermark} = publisher.reached
    const state: PublisherState = {
      patienceMs,
      sent,
      watermark: Number.isFinite(watermark) ? watermark : null,
      ...(over && {over}),
    }
    const bucket = publishersOf(topic)
    const put = (expected: number): Promise<number | undefined> =>
      engine.put(bucket, id, jsonOctets(state), expected)
    let next = await put(revisions.get(topic) ?? 0)
    if (next === undefined) {
      const now = await declarationOf(engine, app)
      // An engine that has just begun may not know yet.
      if (now === undefined) throw wasRemoved(engine, app)
      // For the next of its name these records would have a beginning that is missing.
      if (now !== declaration) return false
      // The last word was not acknowledged, or this publisher was taken for dead.
      next = await put((await engine.get(bucket, id))?.revision ?? 0)
    }
    revisions.set(topic, next ?? 0)
    return true
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
        for (const outlet of outlets) {
          if (!(await say(outlet))) fail(wasRemoved(engine, outlet.app))
        }
        answeredAt = engine.clock.now()
      } catch (error) {
        // Others wait for as long before they take it for dead.
        if (engine.clock.now() - answeredAt > patienceMs) fail(error)
      }
      await engine.clock.sleep(pace.aliveMs)
    }
  }
  // A full engine takes no punctuation, while the publisher lives.
  const punctual = async (): Promise<void> => {
    while (!ending && fault === undefined) {
      await each((publisher) => publisher.punctuate()).catch(fail)
      await engine.clock.sleep(pace.punctuationMs)
    }
  }
  // Of whom nothing is said here nobody can say that he has gone.
  for (const outlet of outlets) await patiently(engine, () => say(outlet), patienceMs)
  await each((publisher) => publisher.punctuate())
  const living = alive()
  const telling = punctual()
  try {
    for await (const batches of source) {
      if (fault !== undefined) break
      await each((publisher) => publisher.publish(batches))
      if (stopping.aborted) break
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
  for (const outlet of outlets) {
    if (await patiently(engine, () => say(outlet, 'ended'), patienceMs)) continue
    throw wasRemoved(engine, outlet.app)
  }
}
