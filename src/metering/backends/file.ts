import {setImmediate} from 'node:timers/promises'
import type {CaptureBackend, CaptureInput} from '../backend.js'
import type {FileMeter, Meter} from '../meter.js'

/** Octets that one step meters: a few milliseconds, so that signals and writes are served in between. */
const STEP_OCTETS = 4 << 20

function isFileMeter(meter: Meter): meter is FileMeter {
  return 'open' in meter && 'step' in meter
}

const file: CaptureBackend<CaptureInput> = {
  summary: 'pcap and pcapng files and pipes, compressed or not',
  async *capture(meter, {octets, path}, {stopping}) {
    try {
      if (path !== undefined && isFileMeter(meter)) {
        meter.open(path)
        for (let done = false; !done && !stopping.aborted;) {
          const step = meter.step(STEP_OCTETS)
          done = step.done
          if (step.outputs.length > 0) yield step.outputs
          await setImmediate()
        }
      } else {
        for await (const chunk of octets) {
          const outputs = meter.push(chunk)
          if (outputs.length > 0) yield outputs
          if (meter.full()) return
        }
      }
    } finally {
      meter.endCapture()
    }
  },
}

export default file
