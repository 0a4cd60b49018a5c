import type {MeterOutput} from './meter.js'
import type {Time} from './time.js'

const MESSAGE_HEADER_OCTETS = 16
const SET_HEADER_OCTETS = 4
/** A Message has no more. RFC 7011 section 3.1. */
const MAX_MESSAGE_OCTETS = 65535
/** Set ID of template 0. */
const FIRST_TEMPLATE_ID = 256

/** Octets being filled. */
export interface OutputBuffer {
  octets: Uint8Array
  view: DataView
  /** Where the next record goes. */
  at: number
  count: number
}

/** Gathers records into buffers of one Set each. */
export interface RecordOutput {
  /** A buffer with room for a record of `octets` octets, already counted in it. */
  reserve(template: 0 | 1, octets: number): OutputBuffer
  /** The buffers that are full; with `all`, partly filled ones too. */
  take(all: boolean): MeterOutput[]
}

/** @param clock greatest packet time so far; the export time of a buffer when it is closed */
export function createRecordOutput(clock: Readonly<Time>): RecordOutput {
  const open: (OutputBuffer | undefined)[] = [undefined, undefined]
  let full: MeterOutput[] = []

  function begin(): OutputBuffer {
    const octets = new Uint8Array(MAX_MESSAGE_OCTETS)
    return {
      octets,
      view: new DataView(octets.buffer),
      at: MESSAGE_HEADER_OCTETS + SET_HEADER_OCTETS,
      count: 0,
    }
  }

  function close(template: number): void {
    const buffer = open[template]
    if (buffer === undefined) return
    open[template] = undefined
    buffer.view.setUint16(MESSAGE_HEADER_OCTETS, FIRST_TEMPLATE_ID + template)
    buffer.view.setUint16(MESSAGE_HEADER_OCTETS + 2, buffer.at - MESSAGE_HEADER_OCTETS)
    full.push({
      octets: buffer.octets.subarray(0, buffer.at),
      template,
      count: buffer.count,
      exportTime: Math.floor(clock.ms / 1000),
    })
  }

  return {
    reserve(template, octets) {
      if ((open[template]?.at ?? 0) + octets > MAX_MESSAGE_OCTETS) close(template)
      const buffer = (open[template] ??= begin())
      buffer.count++
      return buffer
    },
    take(all) {
      if (all) for (const template of open.keys()) close(template)
      const taken = full
      full = []
      return taken
    },
  }
}

/** Writes an unsigned value, cut to the greatest that `octets` octets hold. */
export function putUnsigned(view: DataView, at: number, octets: number, value: number): void {
  const v = Math.min(value, 2 ** (8 * octets) - 1)
  if (octets === 8) {
    view.setUint32(at, Math.floor(v / 2 ** 32))
    view.setUint32(at + 4, v >>> 0)
  } else if (octets === 4) view.setUint32(at, v)
  else if (octets === 2) view.setUint16(at, v)
  else for (let i = octets - 1, rest = v; i >= 0; i--, rest /= 256) view.setUint8(at + i, rest)
}
