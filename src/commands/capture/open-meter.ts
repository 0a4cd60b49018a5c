import {loadNative} from '../../io/native.js'
import type {Meter, MeterOptions} from '../../metering/meter.js'
import {createNativeMeter} from '../../metering/native.js'

/** The Metering Process that runs here: in C++ where the addon is built, else in TypeScript. */
export async function openMeter(options: MeterOptions): Promise<Meter> {
  const addon = loadNative()
  if (addon !== undefined) return createNativeMeter(addon, options)
  const {createTypescriptMeter} = await import('../../metering/typescript-meter.js')
  return createTypescriptMeter(options)
}
