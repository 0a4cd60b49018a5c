import type {HeaderColumns} from '../record/batch.js'
import {ie} from '../registry/lookup.js'

/** When the Exporter's system was started, in front of what else its header says. */
export const systemInitSpecifier = {element: ie.systemInitTimeMilliseconds, length: 8} as const

export const systemInitColumns = [systemInitSpecifier] as const

/** Writes milliseconds since 1970, which may lie before. */
export function writeMilliseconds(view: DataView, at: number, ms: number): void {
  view.setInt32(at, Math.floor(ms / 4294967296))
  view.setUint32(at + 4, ms >>> 0)
}

/**
 * The time at which an Exporter's system was started, for records whose times count from there. The header says it in
 * whole seconds or milliseconds of two clocks, so that it is a little different in each Message; it is kept as it is.
 */
export function createSystemInit(): {columns(ms: number): HeaderColumns} {
  let last = NaN
  let columns: HeaderColumns = {specifiers: systemInitColumns, octets: new Uint8Array(8)}
  return {
    columns(ms) {
      if (ms !== last) {
        last = ms
        const octets = new Uint8Array(8)
        writeMilliseconds(new DataView(octets.buffer), 0, Math.max(ms, 0))
        columns = {specifiers: systemInitColumns, octets}
      }
      return columns
    },
  }
}
