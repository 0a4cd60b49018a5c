import {DartaError} from '../../record/errors.js'

/** Snapshots of the parts of a state, one behind the other, each with its length (8 octets) before it. */
export function joinSnapshots(parts: readonly Uint8Array[]): Uint8Array {
  const octets = new Uint8Array(parts.reduce((n, part) => n + 8 + part.length, 0))
  const view = new DataView(octets.buffer)
  let at = 0
  for (const part of parts) {
    view.setBigUint64(at, BigInt(part.length))
    octets.set(part, at + 8)
    at += 8 + part.length
  }
  return octets
}

/** The parts that were joined. @throws DartaError DARTA_VALUE they are not `count` whole parts */
export function splitSnapshot(octets: Uint8Array, count: number): Uint8Array[] {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  const parts: Uint8Array[] = []
  let at = 0
  while (octets.length - at >= 8 && parts.length < count) {
    const length = Number(view.getBigUint64(at))
    if (length > octets.length - at - 8) break
    parts.push(octets.subarray(at + 8, at + 8 + length))
    at += 8 + length
  }
  if (parts.length !== count || at !== octets.length) {
    throw new DartaError('DARTA_VALUE', `a snapshot does not hold ${count} whole parts`, at)
  }
  return parts
}
