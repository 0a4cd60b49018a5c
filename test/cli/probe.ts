/*
 * A command on the frame that does nothing to records: what it reads it writes, and it says when its
 * hooks are called. Run as a program: `node build/test/cli/probe.js -r FILE -w FILE`.
 */
import * as Flags from '@oclif/core/flags'
import {DartaCommand} from '../../src/cli/base-command.js'
import * as common from '../../src/cli/flags.js'
import {openRecords} from '../../src/cli/record-input.js'
import {openRecordSink} from '../../src/cli/record-output.js'
import {lightConfig} from '../../src/cli/run-darta.js'
import {limitRecords} from '../../src/cli/limit-records.js'
import {runPipeline} from '../../src/cli/run-pipeline.js'
import {replaceStandardStreams} from '../../src/io/standard-streams.js'
import type {RecordStage} from '../../src/record/batch.js'

class Probe extends DartaCommand {
  static override id = 'probe'
  static override flags = {
    read: common.read,
    'input-format': common.inputFormat,
    write: common.write,
    output: common.output,
    force: common.force,
    compress: common.compress,
    'line-buffered': common.lineBuffered,
    count: common.count,
    'idle-timeout': common.idleTimeout,
    linger: Flags.boolean({summary: 'Never end by itself.'}),
    hold: Flags.boolean({summary: 'Wait behind the first records until SIGHUP or the end.'}),
  }

  protected async execute(): Promise<void> {
    const {flags} = await this.parse(Probe)
    const released = new Promise<void>((resolve) => {
      this.onHangUp(() => {
        this.note('hung up')
        resolve()
      })
      this.onStop(() => {
        if (!this.signal.aborted) this.note('stopping')
        resolve()
      })
    })
    const records = await openRecords(this, {
      read: flags.read,
      inputFormat: flags['input-format'],
    })
    const sink = await openRecordSink(this, {...flags, lineBuffered: flags['line-buffered']})
    this.detail('ready')
    const stages: RecordStage[] = flags.count === undefined ? [] : [limitRecords(flags.count)]
    if (flags.linger) {
      stages.push(async function* (source) {
        yield* source
        setInterval(() => {}, 1000)
        await new Promise(() => {})
      })
    }
    if (flags.hold) {
      stages.push(async function* (source) {
        for await (const batches of source) {
          yield batches
          // A promise alone does not keep the process.
          const wait = setInterval(() => {}, 1000)
          await released
          clearInterval(wait)
        }
      })
    }
    await runPipeline(this, records, stages, sink)
  }
}

replaceStandardStreams()
await new Probe(process.argv.slice(2), lightConfig()).run()
process.exit()
