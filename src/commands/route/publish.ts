import {randomBytes} from 'node:crypto'
import type {DartaCommand} from '../../cli/base-command.js'
import {deployApp, type DeployedApp} from '../../engine/apps.js'
import type {Engine} from '../../engine/engine.js'
import {createPublisher} from '../../engine/publisher.js'
import {publishStream, type Outlet} from '../../engine/publishing.js'
import {createEncoder} from '../../ipfix/encoder.js'
import type {Windowing} from '../../processing/analysis/processing-unit.js'
import type {RecordStream} from '../../record/batch.js'
import type {RoutedApp} from './application.js'

export interface PublishOptions {
  readonly parts: number
  readonly seed: number
  readonly splitHot: boolean
  readonly windowing: Windowing | undefined
}

/** An engine that elects a new leader needs 4 to 8 s. */
const PATIENCE_MS = 30_000

/** Declares the applications and takes records to their parts of the engine's log. */
export async function publishRecords(
  command: DartaCommand,
  engine: Engine,
  source: RecordStream,
  apps: readonly RoutedApp[],
  {parts, seed, splitHot, windowing}: PublishOptions,
): Promise<void> {
  const id = randomBytes(8).toString('hex')
  const outlets: Outlet[] = []
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
      ...(splitHot && {splitHot}),
    }
    const declaration = await deployApp(engine, deployed)
    const publisher = createPublisher(engine, {
      topic: deployed.topic,
      parts,
      key: app.key,
      needs: [app.needs],
      seed,
      splitHot,
      id,
      newEncoder: (ledger, newBlock) => createEncoder({ledger, newBlock}),
      ledger: command.ledger.stage(`route ${app.name}`, 'records'),
      patienceMs: PATIENCE_MS,
      stopping: command.stopping,
    })
    outlets.push({app: app.name, topic: deployed.topic, declaration, publisher})
  }
  await publishStream(engine, source, outlets, {
    id,
    patienceMs: PATIENCE_MS,
    stopping: command.stopping,
  })
}
