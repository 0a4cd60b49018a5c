import type {Meter, MeterOptions} from '../../metering/meter.js'
import {createTypescriptMeter} from '../../metering/typescript-meter.js'

/** The Metering Process that runs here. */
export async function openMeter(options: MeterOptions): Promise<Meter> {
  return createTypescriptMeter(options)
}
