import type {DartaCommand} from '../../cli/base-command.js'
import {loadNative, nativeAbsence} from '../../io/native.js'
import type {Meter, MeterOptions} from '../../metering/meter.js'
import {createNativeMeter} from '../../metering/native.js'
import {DartaError} from '../../record/errors.js'

export type MeterKind = 'auto' | 'native' | 'typescript'

/**
 * The Metering Process in C++, or the one in TypeScript: they measure the same, but the second takes many times as long.
 *
 * @throws DartaError DARTA_NATIVE_MISSING
 */
export async function openMeter(
  command: DartaCommand,
  kind: MeterKind,
  options: MeterOptions,
): Promise<Meter> {
  if (kind !== 'typescript') {
    const addon = loadNative()
    if (addon !== undefined) {
      command.detail('metering in C++')
      return createNativeMeter(addon, options)
    }
    const why = nativeAbsence() ?? 'it is not there'
    if (kind === 'native') {
      throw new DartaError('DARTA_NATIVE_MISSING', `no meter in C++: ${why}`)
    }
    command.detail(`no meter in C++: ${why}`)
  }
  command.detail('metering in TypeScript')
  const {createTypescriptMeter} = await import('../../metering/typescript-meter.js')
  return createTypescriptMeter(options)
}
