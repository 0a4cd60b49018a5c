import {DartaError} from '../record/errors.js'
import {createPcapReader} from './pcap-reader.js'
import {createPcapngReader} from './pcapng-reader.js'
import type {Time} from './time.js'

/** One frame of a capture. The same object serves every frame: read it, do not keep it. */
export interface Frame {
  octets: Uint8Array
  /** First captured octet in `octets`, and the one behind the last. */
  start: number
  end: number
  /** Octets the frame had on the wire, 0..2^32−1, as the capture says. */
  originalLength: number
  readonly time: Time
  /** LINKTYPE_ number. */
  linkType: number
  /** Index of the interface in its pcapng section, 0 in pcap. */
  interfaceIndex: number
  /** Octet offset of its record or block in the input. */
  offset: number
}

/** Takes what a capture holds, in order. */
export interface CaptureSink {
  frame(frame: Frame): void
  /**
   * A stretch of damage, or a packet that cannot be read, that begins at octet `offset` of the input.
   * @param octets octets it had on the wire, 0 where that cannot be known
   */
  lost(
    reason: 'truncated' | 'malformed' | 'unknown-interface',
    offset: number,
    octets: number,
  ): void
  /** No more is wanted; the rest of the input is not looked at. */
  full(): boolean
}

/** The octets at hand. `at` moves over what was read; the rest comes again with more behind it. */
export interface Window {
  octets: Uint8Array
  view: DataView
  at: number
  end: number
  /** Offset in the input of octet 0 of `octets`. */
  base: number
  /** No more will come. */
  final: boolean
}

/** Reads records from a window until it needs more; with `final`, to the end. */
export interface CaptureFormat {
  read(window: Window): void
  /** Link type of the capture, or of its first interface, as far as known. */
  linkType(): number | undefined
}

/** Octets that a record or block may take at most. */
export const MAX_RECORD_OCTETS = 0x4000000

/** Reads a pcap or pcapng capture that comes in chunks cut anywhere. docs/METERING.md section 1. */
export interface CaptureReader {
  /** @throws DartaError DARTA_CAPTURE_FORMAT */
  push(octets: Uint8Array): void
  /** @throws DartaError DARTA_CAPTURE_FORMAT */
  finish(): void
  linkType(): number | undefined
}

export function createCaptureReader(sink: CaptureSink): CaptureReader {
  let format: CaptureFormat | undefined
  /** What was not read yet: `held.octets` from `at` to `end`. */
  const held = createWindow(new Uint8Array(0), 0)

  /** The held octets and `more` as one window; without any held, `more` itself. */
  function extend(more: Uint8Array): Window {
    const left = held.end - held.at
    if (left === 0) return createWindow(more, held.base + held.end)
    if (held.end + more.length > held.octets.length) {
      const grown = new Uint8Array(Math.max(2 * left, left + more.length))
      grown.set(held.octets.subarray(held.at, held.end))
      replace(held, grown, held.base + held.at, left)
    }
    held.octets.set(more, held.end)
    held.end += more.length
    return held
  }

  function keep(window: Window): void {
    if (window === held) return
    // The caller may reuse its chunk.
    const rest = window.octets.slice(window.at, window.end)
    replace(held, rest, window.base + window.at, rest.length)
  }

  function readWindow(window: Window): void {
    if (format === undefined) {
      if (window.end - window.at < 4) {
        if (!window.final) return
        throw new DartaError(
          'DARTA_CAPTURE_FORMAT',
          `not a capture: the input has ${window.end - window.at} octets`,
          0,
        )
      }
      format = formatOf(window.view.getUint32(window.at), sink)
    }
    format.read(window)
  }

  return {
    push(octets) {
      const window = extend(octets)
      readWindow(window)
      keep(window)
    },
    finish() {
      held.final = true
      readWindow(held)
    },
    linkType: () => format?.linkType(),
  }
}

function formatOf(magic: number, sink: CaptureSink): CaptureFormat {
  if (magic === 0x0a0d0d0a) return createPcapngReader(sink)
  const pcap = createPcapReader(magic, sink)
  if (pcap !== undefined) return pcap
  const text = magic.toString(16).padStart(8, '0')
  throw new DartaError(
    'DARTA_CAPTURE_FORMAT',
    `not a capture: magic ${text} is neither pcap nor pcapng`,
    0,
  )
}

function createWindow(octets: Uint8Array, base: number): Window {
  return {
    octets,
    view: new DataView(octets.buffer, octets.byteOffset, octets.length),
    at: 0,
    end: octets.length,
    base,
    final: false,
  }
}

function replace(window: Window, octets: Uint8Array, base: number, end: number): void {
  window.octets = octets
  window.view = new DataView(octets.buffer, octets.byteOffset, octets.length)
  window.at = 0
  window.end = end
  window.base = base
}
