import type {Frame} from './capture-file.js'
import type {MeterOutput} from './meter.js'
import type {Time} from './time.js'

const FILE_HEADER_OCTETS = 24
const RECORD_HEADER_OCTETS = 16
/** Buffers are handed on when they hold this much. */
const BUFFER_OCTETS = 65536
const MAGIC_NANOSECONDS = 0xa1b23c4d
const SNAP_LENGTH = 262144
const LINKTYPE_ETHERNET = 1

/** Writes frames as a pcap file of one link type. docs/METERING.md section 4, `--emit pcap`. */
export interface PcapOutput {
  /** False: its link type is not that of the frames before, so it cannot be in the same file. */
  add(frame: Frame): boolean
  /** The buffers that are full; with `all`, partly filled ones too. */
  take(all: boolean): MeterOutput[]
  /** Writes the file header if there was no frame. */
  finish(captureLinkType: number | undefined): void
}

export function createPcapOutput(clock: Readonly<Time>): PcapOutput {
  let linkType: number | undefined
  let octets = new Uint8Array(BUFFER_OCTETS)
  let view = new DataView(octets.buffer)
  let at = 0
  let count = 0
  let full: MeterOutput[] = []

  function close(): void {
    if (at === 0) return
    const exportTime = Math.floor(clock.ms / 1000)
    full.push({octets: octets.subarray(0, at), template: 0, count, exportTime})
    count = 0
    at = 0
  }

  /** Makes room for `size` octets in one buffer. */
  function reserve(size: number): void {
    if (at + size <= octets.length && at > 0) return
    close()
    octets = new Uint8Array(Math.max(size, BUFFER_OCTETS))
    view = new DataView(octets.buffer)
  }

  function writeFileHeader(type: number): void {
    linkType = type
    reserve(FILE_HEADER_OCTETS)
    view.setUint32(at, MAGIC_NANOSECONDS, true)
    view.setUint16(at + 4, 2, true)
    view.setUint16(at + 6, 4, true)
    view.setUint32(at + 16, SNAP_LENGTH, true)
    view.setUint32(at + 20, type, true)
    at += FILE_HEADER_OCTETS
  }

  return {
    add(frame) {
      if (linkType === undefined) writeFileHeader(frame.linkType)
      if (frame.linkType !== linkType) return false
      const captured = frame.end - frame.start
      reserve(RECORD_HEADER_OCTETS + captured)
      const {ms, ns} = frame.time
      view.setUint32(at, Math.floor(ms / 1000), true)
      view.setUint32(at + 4, (ms % 1000) * 1e6 + ns, true)
      view.setUint32(at + 8, captured, true)
      view.setUint32(at + 12, frame.originalLength, true)
      octets.set(frame.octets.subarray(frame.start, frame.end), at + RECORD_HEADER_OCTETS)
      at += RECORD_HEADER_OCTETS + captured
      count++
      return true
    },
    take(all) {
      if (all) close()
      const taken = full
      full = []
      return taken
    },
    finish(captureLinkType) {
      if (linkType === undefined) writeFileHeader(captureLinkType ?? LINKTYPE_ETHERNET)
    },
  }
}
