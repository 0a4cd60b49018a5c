import type {Windowing} from '../../processing/analysis/processing-unit.js'
import {DartaError} from '../../record/errors.js'

/** Where --lateness does not say: as long as exporters usually hold a Flow that goes on. */
const LATENESS_MS = 300_000

/**
 * What --window, --slide and --lateness ask for, all in milliseconds.
 *
 * @throws DartaError DARTA_USAGE
 */
export function windowingOf(
  window: number | undefined,
  slide: number | undefined,
  lateness: number | undefined,
): Windowing | undefined {
  if (window === undefined) return undefined
  const lengthMs = Math.round(window)
  const slideMs = Math.round(slide ?? window)
  if (lengthMs < 1) throw new DartaError('DARTA_USAGE', '--window: at least 1ms')
  if (slideMs < 1) throw new DartaError('DARTA_USAGE', '--slide: at least 1ms')
  if (slideMs > lengthMs) {
    throw new DartaError(
      'DARTA_USAGE',
      '--slide: longer than --window, so that records between windows would be in none',
    )
  }
  const latenessMs = Math.round(lateness ?? LATENESS_MS)
  return {lengthMs, slideMs, latenessMs, watermark: 'records'}
}
