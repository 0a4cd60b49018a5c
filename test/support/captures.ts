import {readFileSync} from 'node:fs'
import {createCaptureReader} from '../../src/metering/capture-file.js'

/** The frames of a capture in order: nanoseconds since 1970 and octets in hex. */
export function framesOf(path: string): string[] {
  const frames: string[] = []
  const reader = createCaptureReader({
    frame({octets, start: from, end, time}) {
      const ns = BigInt(time.ms) * 1_000_000n + BigInt(time.ns)
      frames.push(`${ns} ${Buffer.from(octets.subarray(from, end)).toString('hex')}`)
    },
    lost: (reason) => {
      throw new Error(reason)
    },
    full: () => false,
  })
  reader.push(readFileSync(path))
  reader.finish()
  return frames
}
