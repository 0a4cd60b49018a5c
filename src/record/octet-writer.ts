/** A buffer that grows as octets are appended. Network byte order. */
export interface OctetWriter {
  octets: Uint8Array
  view: DataView
  /** Octets written. */
  length: number
}

export function createOctetWriter(capacity = 4096): OctetWriter {
  const octets = new Uint8Array(capacity)
  return {octets, view: new DataView(octets.buffer), length: 0}
}

/** Makes room for `size` more octets and counts them as written; returns where they begin. */
export function extend(writer: OctetWriter, size: number): number {
  const at = writer.length
  const needed = at + size
  if (needed > writer.octets.length) {
    const octets = new Uint8Array(Math.max(needed, writer.octets.length * 2))
    octets.set(writer.octets.subarray(0, at))
    writer.octets = octets
    writer.view = new DataView(octets.buffer)
  }
  writer.length = needed
  return at
}

/** Appends a copy of `octets`. */
export function append(writer: OctetWriter, octets: Uint8Array): void {
  const at = extend(writer, octets.length)
  writer.octets.set(octets, at)
}
