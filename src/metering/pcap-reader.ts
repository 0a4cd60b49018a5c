import {MAX_RECORD_OCTETS} from './capture-file.js'
import type {CaptureFormat, CaptureSink, Frame, Window} from './capture-file.js'

const FILE_HEADER_OCTETS = 24
/** Captured lengths that are believed without a longer snap length in the file header; libpcap's rule. */
const PLAUSIBLE_OCTETS = 262144
const DAY_SECONDS = 86400

interface Variant {
  readonly littleEndian: boolean
  readonly subSecondUnits: number
  readonly recordHeaderOctets: number
}

/** By magic number, as read in network order. */
const variants: Readonly<Record<number, Variant>> = {
  0xa1b2c3d4: {littleEndian: false, subSecondUnits: 1e6, recordHeaderOctets: 16},
  0xd4c3b2a1: {littleEndian: true, subSecondUnits: 1e6, recordHeaderOctets: 16},
  0xa1b23c4d: {littleEndian: false, subSecondUnits: 1e9, recordHeaderOctets: 16},
  0x4d3cb2a1: {littleEndian: true, subSecondUnits: 1e9, recordHeaderOctets: 16},
  // Kuznetzov's: interface index, protocol and packet type follow, then one octet of padding.
  0xa1b2cd34: {littleEndian: false, subSecondUnits: 1e6, recordHeaderOctets: 24},
  0x34cdb2a1: {littleEndian: true, subSecondUnits: 1e6, recordHeaderOctets: 24},
}

/**
 * Reads pcap: a file header, then records of header and frame. docs/METERING.md section 1.
 *
 *     0       4          8               12              16
 *     seconds | fraction | captured octets | octets on wire | frame
 *
 * Undefined if `magic` (the first four octets in network order) is no pcap's.
 */
export function createPcapReader(magic: number, sink: CaptureSink): CaptureFormat | undefined {
  const variant = variants[magic]
  if (variant === undefined) return undefined
  const {littleEndian, subSecondUnits, recordHeaderOctets} = variant
  const nsPerUnit = 1e9 / subSecondUnits
  let linkType: number | undefined
  let maxCaptured = PLAUSIBLE_OCTETS
  /** Damage was found: looking for the next plausible record. */
  let searching = false
  let lastSeconds: number | undefined
  const frame: Frame = {
    octets: new Uint8Array(0),
    start: 0,
    end: 0,
    originalLength: 0,
    time: {ms: 0, ns: 0},
    linkType: 0,
    interfaceIndex: 0,
    offset: 0,
  }

  function read(w: Window): void {
    if (linkType === undefined) {
      if (w.end - w.at < FILE_HEADER_OCTETS) return needMore(w)
      const snapLength = w.view.getUint32(w.at + 16, littleEndian)
      maxCaptured = Math.min(Math.max(snapLength, PLAUSIBLE_OCTETS), MAX_RECORD_OCTETS)
      // The upper half tells of frame check sequences.
      linkType = w.view.getUint32(w.at + 20, littleEndian) & 0xffff
      w.at += FILE_HEADER_OCTETS
    }
    frame.octets = w.octets
    frame.linkType = linkType
    for (;;) {
      if (sink.full()) w.at = w.end
      if (searching && !findPlausible(w)) return
      searching = false
      const room = w.end - w.at
      if (room === 0) return
      if (room < recordHeaderOctets) return needMore(w)
      const captured = w.view.getUint32(w.at + 8, littleEndian)
      if (captured > maxCaptured) {
        sink.lost('malformed', w.base + w.at, 0)
        w.at += 1
        searching = true
        continue
      }
      if (room < recordHeaderOctets + captured) return needMore(w)
      const at = w.at
      w.at += recordHeaderOctets + captured
      readFrame(w, at)
    }
  }

  /** At the end of the input, what needs more is cut off, and nothing can follow it. */
  function needMore(w: Window): void {
    if (!w.final) return
    sink.lost('truncated', w.base + w.at, 0)
    w.at = w.end
  }

  function readFrame(w: Window, at: number): void {
    const seconds = w.view.getUint32(at, littleEndian)
    const ns = w.view.getUint32(at + 4, littleEndian) * nsPerUnit
    lastSeconds = seconds
    frame.time.ms = seconds * 1000 + Math.floor(ns / 1e6)
    frame.time.ns = ns % 1e6
    frame.originalLength = w.view.getUint32(at + 12, littleEndian)
    frame.start = at + recordHeaderOctets
    frame.end = w.at
    frame.offset = w.base + at
    sink.frame(frame)
  }

  /** Moves to the next plausible record; false if more octets are needed or none is left. */
  function findPlausible(w: Window): boolean {
    for (; w.at < w.end; w.at++) {
      if (w.end - w.at < recordHeaderOctets) {
        if (!w.final) return false
      } else if (isPlausibleHeader(w, w.at)) {
        const next = w.at + recordHeaderOctets + w.view.getUint32(w.at + 8, littleEndian)
        if (next + recordHeaderOctets <= w.end) {
          if (isPlausibleHeader(w, next)) return true
        } else if (!w.final) return false
        else if (next === w.end) return true
      }
    }
    return false
  }

  function isPlausibleHeader(w: Window, at: number): boolean {
    const seconds = w.view.getUint32(at, littleEndian)
    const fraction = w.view.getUint32(at + 4, littleEndian)
    const captured = w.view.getUint32(at + 8, littleEndian)
    const original = w.view.getUint32(at + 12, littleEndian)
    return (
      original <= PLAUSIBLE_OCTETS &&
      captured <= original &&
      fraction < subSecondUnits &&
      (lastSeconds === undefined || Math.abs(seconds - lastSeconds) <= DAY_SECONDS)
    )
  }

  return {read, linkType: () => linkType}
}
