import {DartaError} from './errors.js'
import {NO_VALUE} from './group-row.js'

/** What a table of groups holds, for another table with an equal spec. */
export interface GroupSnapshot {
  /** Says what the groups are of; equal for equal specs only. */
  readonly spec: string
  /** Groups that are only counted, and their columns. */
  readonly rest: {readonly groups: number; readonly columns: readonly bigint[]}
  /** Additions that found no room, and their columns. */
  readonly refused: {readonly additions: number; readonly columns: readonly bigint[]}
  /** Values of variable length, by the numbers that keys hold. */
  readonly interned: readonly Uint8Array[]
  readonly shapes: readonly SnapshotShape[]
}

export interface SnapshotShape {
  readonly signature: string
  /** See group-kernel.ts. */
  readonly rows: Uint8Array
}

/** `DGS` and the version of this layout. */
const MAGIC = 0x44475301

/**
 * All numbers but rows are in network byte order:
 *
 *     u32 magic | text spec
 *     u64 rest groups | u64 × columns | u64 refused | u64 × columns
 *     u32 interned | (u32 length, octets) …
 *     u32 shapes | (text signature, u64 octets, rows) …
 *
 * A text is its length (u32) and UTF-8.
 *
 * @throws DartaError DARTA_RANGE a column of rest or refused does not fit
 */
export function writeSnapshot(snapshot: GroupSnapshot): Uint8Array {
  const encode = new TextEncoder()
  const spec = encode.encode(snapshot.spec)
  const signatures = snapshot.shapes.map((s) => encode.encode(s.signature))
  let size = 4 + 4 + spec.length
  size += 8 * (2 + snapshot.rest.columns.length + snapshot.refused.columns.length)
  size += 4 + snapshot.interned.reduce((n, value) => n + 4 + value.length, 0)
  size += 4
  for (const [i, s] of snapshot.shapes.entries())
    size += 4 + signatures[i].length + 8 + s.rows.length
  const octets = new Uint8Array(size)
  const view = new DataView(octets.buffer)
  let at = 0
  const u32 = (value: number): void => {
    view.setUint32(at, value)
    at += 4
  }
  const u64 = (value: bigint): void => {
    if (value > NO_VALUE) throw new DartaError('DARTA_RANGE', 'a total is beyond 2^64 − 1')
    view.setBigUint64(at, value)
    at += 8
  }
  const put = (value: Uint8Array): void => {
    octets.set(value, at)
    at += value.length
  }
  u32(MAGIC)
  u32(spec.length)
  put(spec)
  u64(BigInt(snapshot.rest.groups))
  snapshot.rest.columns.forEach(u64)
  u64(BigInt(snapshot.refused.additions))
  snapshot.refused.columns.forEach(u64)
  u32(snapshot.interned.length)
  for (const value of snapshot.interned) {
    u32(value.length)
    put(value)
  }
  u32(snapshot.shapes.length)
  for (const [i, shape] of snapshot.shapes.entries()) {
    u32(signatures[i].length)
    put(signatures[i])
    u64(BigInt(shape.rows.length))
    put(shape.rows)
  }
  return octets
}

/**
 * @param spec what it has to be of
 * @param width columns of that spec
 * @throws DartaError DARTA_VALUE it is of something else or damaged
 */
export function readSnapshot(octets: Uint8Array, spec: string, width: number): GroupSnapshot {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  const decode = new TextDecoder()
  let at = 0
  const take = (n: number): number => {
    if (n > octets.length - at) {
      throw new DartaError('DARTA_VALUE', 'a snapshot of groups is cut short', at)
    }
    at += n
    return at - n
  }
  const u32 = (): number => view.getUint32(take(4))
  const u64 = (): bigint => view.getBigUint64(take(8))
  const octetsOf = (n: number): Uint8Array => {
    const start = take(n)
    return octets.subarray(start, start + n)
  }
  const columns = (): bigint[] => Array.from({length: width}, u64)
  if (u32() !== MAGIC) throw new DartaError('DARTA_VALUE', 'not a snapshot of groups', 0)
  const found = decode.decode(octetsOf(u32()))
  if (found !== spec) {
    throw new DartaError('DARTA_VALUE', `a snapshot of groups is of ${found}, not ${spec}`)
  }
  const rest = {groups: Number(u64()), columns: columns()}
  const refused = {additions: Number(u64()), columns: columns()}
  const interned: Uint8Array[] = []
  for (let n = u32(); n > 0; n--) interned.push(octetsOf(u32()))
  const shapes: SnapshotShape[] = []
  for (let n = u32(); n > 0; n--) {
    const signature = decode.decode(octetsOf(u32()))
    shapes.push({signature, rows: octetsOf(Number(u64()))})
  }
  if (at !== octets.length) {
    throw new DartaError('DARTA_VALUE', 'a snapshot of groups has octets behind its end', at)
  }
  return {spec, rest, refused, interned, shapes}
}
