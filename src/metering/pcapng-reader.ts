import {DartaError} from '../record/errors.js'
import {MAX_RECORD_OCTETS} from './capture-file.js'
import type {CaptureFormat, CaptureSink, Frame, Window} from './capture-file.js'
import {readInterface, setPacketTime, type CaptureInterface} from './pcapng-interface.js'
import {setTime, type Time} from './time.js'

const SECTION_HEADER = 0x0a0d0d0a
const INTERFACE_DESCRIPTION = 1
const PACKET = 2
const SIMPLE_PACKET = 3
const ENHANCED_PACKET = 6
/** Types at which reading is taken up again behind damage; 5 is Interface Statistics. */
const knownTypes = new Set([SECTION_HEADER, INTERFACE_DESCRIPTION, PACKET, SIMPLE_PACKET, 5, 6])

/** Least octets of a whole block with its fixed fields. */
const leastOctets: Readonly<Record<number, number>> = {
  [SECTION_HEADER]: 28,
  [INTERFACE_DESCRIPTION]: 20,
  [PACKET]: 32,
  [SIMPLE_PACKET]: 16,
  [ENHANCED_PACKET]: 32,
}

/** Where a block is, and how its numbers are to be read. */
interface Block {
  type: number
  length: number
  littleEndian: boolean
}

/** Reads pcapng (draft-ietf-opsawg-pcapng). docs/METERING.md section 1. */
export function createPcapngReader(sink: CaptureSink): CaptureFormat {
  /** Byte order of the section; undefined before the first. */
  let littleEndian: boolean | undefined
  /** By number; undefined where the description was malformed. */
  let interfaces: (CaptureInterface | undefined)[] = []
  let firstLinkType: number | undefined
  let searching = false
  const previousTime: Time = {ms: 0, ns: 0}
  const block: Block = {type: 0, length: 0, littleEndian: true}
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
    frame.octets = w.octets
    for (;;) {
      if (sink.full()) w.at = w.end
      if (searching && !findBlock(w)) return
      searching = false
      if (w.at === w.end) return
      const state = readBlockHeader(w)
      if (state === 'more') {
        if (!w.final) return
        sink.lost('truncated', w.base + w.at, 0)
        w.at = w.end
        return
      }
      if (state === 'bad') {
        if (littleEndian === undefined && !isOrderKnown(w)) {
          throw new DartaError(
            'DARTA_CAPTURE_FORMAT',
            'not a capture: a pcapng section with an unknown byte-order magic',
            8,
          )
        }
        sink.lost('malformed', w.base + w.at, 0)
        // Blocks are looked for at offsets of the input that are a multiple of 4.
        w.at += 4 - ((w.base + w.at) % 4)
        searching = true
        continue
      }
      const at = w.at
      w.at += block.length
      readBlock(w, at)
    }
  }

  function isOrderKnown(w: Window): boolean {
    return byteOrder(w, w.at) !== undefined
  }

  /** Reads type and lengths of the block at `w.at` into `block`: whole, cut off, or impossible. */
  function readBlockHeader(w: Window): 'whole' | 'more' | 'bad' {
    const room = w.end - w.at
    if (room < 8) return 'more'
    let order = littleEndian
    if (w.view.getUint32(w.at) === SECTION_HEADER) {
      if (room < 12) return 'more'
      order = byteOrder(w, w.at)
    }
    if (order === undefined) return 'bad'
    const length = w.view.getUint32(w.at + 4, order)
    if (length < 12 || length > MAX_RECORD_OCTETS) return 'bad'
    if (room < length) return 'more'
    if (w.view.getUint32(w.at + length - 4, order) !== length) return 'bad'
    block.type = w.view.getUint32(w.at, order)
    block.length = length
    block.littleEndian = order
    return 'whole'
  }

  /** Moves to the next block of a known type; false if more octets are needed or none is left. */
  function findBlock(w: Window): boolean {
    for (; w.at < w.end; w.at += 4) {
      const room = w.end - w.at
      if (room < 4 || knownTypes.has(w.view.getUint32(w.at, littleEndian ?? false))) {
        const state = room < 4 ? 'more' : readBlockHeader(w)
        if (state === 'whole') return true
        if (state === 'more' && !w.final) return false
      }
    }
    w.at = w.end
    return false
  }

  function readBlock(w: Window, at: number): void {
    const {type, length} = block
    const whole = length >= (leastOctets[type] ?? 0)
    if (!whole) sink.lost('malformed', w.base + at, 0)
    if (type === SECTION_HEADER) {
      littleEndian = block.littleEndian
      interfaces = []
    } else if (type === INTERFACE_DESCRIPTION) {
      const described = whole
        ? readInterface(w.view, at + 8, at + length - 4, block.littleEndian)
        : undefined
      interfaces.push(described)
      firstLinkType ??= described?.linkType
    } else if (whole) readPacketBlock(w, at, type, length)
  }

  function readPacketBlock(w: Window, at: number, type: number, length: number): void {
    const le = block.littleEndian
    if (type === SIMPLE_PACKET) {
      // Its captured length is not written, but follows from the interface's snap length.
      const original = w.view.getUint32(at + 8, le)
      const snap = interfaces[0]?.snapLength || original
      const captured = Math.min(original, snap, length - 16)
      readFrame(w, at, 0, at + 12, captured, original, undefined)
    } else if (type === ENHANCED_PACKET || type === PACKET) {
      const index = type === PACKET ? w.view.getUint16(at + 8, le) : w.view.getUint32(at + 8, le)
      const captured = w.view.getUint32(at + 20, le)
      const original = w.view.getUint32(at + 24, le)
      if (captured > length - 32) sink.lost('malformed', w.base + at, 0)
      else readFrame(w, at, index, at + 28, captured, original, at + 12)
    }
  }

  /** Hands on a frame; `stampAt` is where its timestamp stands, if it has one. */
  function readFrame(
    w: Window,
    at: number,
    index: number,
    start: number,
    captured: number,
    original: number,
    stampAt: number | undefined,
  ): void {
    const from = interfaces[index]
    if (from === undefined) return sink.lost('unknown-interface', w.base + at, original)
    if (stampAt === undefined) setTime(frame.time, previousTime)
    else {
      const high = w.view.getUint32(stampAt, block.littleEndian)
      const low = w.view.getUint32(stampAt + 4, block.littleEndian)
      setPacketTime(frame.time, high, low, from)
      setTime(previousTime, frame.time)
    }
    frame.linkType = from.linkType
    frame.interfaceIndex = index
    frame.originalLength = original
    frame.start = start
    frame.end = start + captured
    frame.offset = w.base + at
    sink.frame(frame)
  }

  return {read, linkType: () => firstLinkType}
}

/** Byte order of the Section Header at `at`; undefined if its magic is neither. */
function byteOrder(w: Window, at: number): boolean | undefined {
  const magic = w.view.getUint32(at + 8)
  if (magic === 0x1a2b3c4d) return false
  return magic === 0x4d3c2b1a ? true : undefined
}
