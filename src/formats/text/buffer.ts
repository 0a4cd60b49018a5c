/** Octets of one chunk of output. Large enough that a write costs little, small enough for the cache. */
export const CHUNK_OCTETS = 262144

/**
 * Text being written. A record lies in one chunk: what has been written of it moves along when the
 * chunk is full, so that it can be taken back up to `begin`.
 */
export interface TextBuffer {
  octets: Uint8Array
  /** Octet where writing goes on. */
  at: number
  /** Octet where the record that is being written begins; all before it is complete. */
  begin: number
  /** Chunks that are complete, in order. */
  readonly full: Uint8Array[]
}

export function createTextBuffer(): TextBuffer {
  return {octets: new Uint8Array(0), at: 0, begin: 0, full: []}
}

/** Makes room for `n` more octets. */
export function reserve(out: TextBuffer, n: number): void {
  if (out.octets.length - out.at < n) renew(out, n)
}

/** Begins a new chunk with room for `n` octets behind what is pending. */
export function renew(out: TextBuffer, n: number): void {
  const {octets, begin, at} = out
  if (begin > 0) out.full.push(octets.subarray(0, begin))
  const pending = at - begin
  // Doubling keeps the copying of one very long record linear.
  const size = Math.max(CHUNK_OCTETS, pending + Math.max(n, pending))
  // Memory that is not cleared comes from what was freed before, which spares the system giving us new pages.
  const fresh = new Uint8Array(Buffer.allocUnsafeSlow(size).buffer)
  fresh.set(octets.subarray(begin, at))
  out.octets = fresh
  out.begin = 0
  out.at = pending
}

/** What is complete: full chunks, and with `all` the one that is being filled. */
export function takeChunks(out: TextBuffer, all: boolean): Uint8Array[] {
  const chunks = out.full.splice(0)
  if (all && out.at > 0) {
    chunks.push(out.octets.subarray(0, out.at))
    // The rest of the chunk is still ours: the octets handed out are never written again.
    out.octets = out.octets.subarray(out.at)
    out.at = 0
    out.begin = 0
  }
  return chunks
}

/** Copies `source`; the room must have been reserved. */
export function put(out: TextBuffer, source: Uint8Array): void {
  const {octets} = out
  let {at} = out
  const n = source.length
  if (n > 48) {
    octets.set(source, at)
    at += n
  } else {
    // Shorter than this a loop is faster than the call.
    for (let i = 0; i < n; i++) octets[at++] = source[i]
  }
  out.at = at
}

const encoder = new TextEncoder()

/** UTF-8 of `text`, for what is computed once. */
export function textOctets(text: string): Uint8Array {
  return encoder.encode(text)
}

/** Writes `text`, of any length. */
export function putText(out: TextBuffer, text: string): void {
  reserve(out, text.length * 3)
  out.at += encoder.encodeInto(text, out.octets.subarray(out.at)).written
}
