/** Octets of records being made; grows as needed. */
export interface OctetBuffer {
  octets: Uint8Array
  view: DataView
  at: number
}

export function createOctetBuffer(size: number): OctetBuffer {
  const octets = new Uint8Array(size)
  return {octets, view: new DataView(octets.buffer), at: 0}
}

/** Makes room for `n` more octets. */
export function grow(out: OctetBuffer, n: number): void {
  if (out.octets.length - out.at >= n) return
  const octets = new Uint8Array(Math.max(out.octets.length * 2, out.at + n))
  octets.set(out.octets.subarray(0, out.at))
  out.octets = octets
  out.view = new DataView(octets.buffer)
}
