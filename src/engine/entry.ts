import {DartaError} from '../record/errors.js'

/**
 * What one entry of a log is: records of a publisher, what it says of the time that its records have reached, or that it has
 * gone without an end, which whoever watches it says.
 */
export interface EntryHeader {
  readonly kind: 'records' | 'punctuation' | 'gone'
  /** Which publisher, 16 hex digits, drawn anew at each start. */
  readonly publisher: string
  /** Records of this publisher in this part before the entry; of one that has gone, as many as are known of. */
  readonly before: number
  /** Records in the entry. */
  readonly records: number
  /** Milliseconds since 1970 that the publisher's records have reached; −Infinity: none, Infinity: no more will come. */
  readonly watermark: number
}

/**
 * An entry: 'D', version, kind, 0, records (4), publisher (8), records before (8), watermark (8); then IPFIX Messages with all the
 * Templates they need. Network byte order.
 */
const ENTRY_HEADER_OCTETS = 32
const MAGIC = 0x44
const VERSION = 1
const KINDS = ['records', 'punctuation', 'gone'] as const

/** @param room to write it into, if it is large enough */
export function writeEntry(
  header: EntryHeader,
  chunks: readonly Uint8Array[],
  room?: Uint8Array,
): Uint8Array {
  const size = chunks.reduce((n, chunk) => n + chunk.length, ENTRY_HEADER_OCTETS)
  // All of it is written below.
  const octets =
    room !== undefined && room.length >= size ? room.subarray(0, size) : Buffer.allocUnsafe(size)
  const view = new DataView(octets.buffer, octets.byteOffset, size)
  octets[3] = 0
  octets[0] = MAGIC
  octets[1] = VERSION
  octets[2] = KINDS.indexOf(header.kind)
  view.setUint32(4, header.records)
  view.setBigUint64(8, BigInt(`0x${header.publisher}`))
  view.setFloat64(16, header.before)
  view.setFloat64(24, header.watermark)
  let at = ENTRY_HEADER_OCTETS
  for (const chunk of chunks) {
    octets.set(chunk, at)
    at += chunk.length
  }
  return octets
}

/** @throws DartaError DARTA_ENGINE it was written by something else, or is damaged */
export function readEntry(octets: Uint8Array): {header: EntryHeader; messages: Uint8Array} {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  const kind = octets.length < ENTRY_HEADER_OCTETS ? undefined : KINDS.at(octets[2])
  if (kind === undefined || octets[0] !== MAGIC || octets[1] !== VERSION) {
    throw new DartaError('DARTA_ENGINE', 'the log holds an entry that darta did not write', 0)
  }
  const before = view.getFloat64(16)
  const records = view.getUint32(4)
  if (!Number.isSafeInteger(before) || before < 0 || records > octets.length) {
    throw new DartaError('DARTA_ENGINE', 'the log holds an entry that is damaged', 16)
  }
  const header: EntryHeader = {
    kind,
    publisher: view.getBigUint64(8).toString(16).padStart(16, '0'),
    before,
    records,
    watermark: view.getFloat64(24),
  }
  return {header, messages: octets.subarray(ENTRY_HEADER_OCTETS)}
}
