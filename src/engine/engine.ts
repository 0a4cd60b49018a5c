/**
 * What carries records between machines, as narrow as it can be: a log in parts, and a registry of small values that are changed by
 * compare-and-swap. One file per engine: embedded.ts, nats.ts. Nothing of an engine may be known elsewhere, and nothing
 * is believed of it that the records' own numbers cannot check: an engine may stall, repeat or skip.
 */
export interface Engine {
  readonly name: string
  /** Of this process: never set back, and of no meaning to others. */
  readonly clock: Clock
  /** Makes sure that a topic's log is there; all who use it say the same. */
  declare(topic: string, parts: number): Promise<void>
  /**
   * Appends to a part of a topic's log and gives the entry's number, from 1 on. Appends to one part are made one after another.
   *
   * @throws DartaError DARTA_ENGINE it does not answer, or is full: nothing is known of the entry, which may be in the log
   */
  append(topic: string, part: number, octets: Uint8Array): Promise<number>
  /** Entries of the part from number `from` on, in order; at most `most`, none after a while without any. */
  read(topic: string, part: number, from: number, most: number): Promise<readonly Entry[]>
  /** Forgets entries below this number, when it likes. */
  trim(topic: string, part: number, below: number): Promise<void>
  get(bucket: string, key: string): Promise<Stored | undefined>
  /**
   * Stores a value if the key's revision is still `expected` (0: there is none) and gives its new revision; undefined: somebody
   * was faster.
   */
  put(bucket: string, key: string, value: Uint8Array, expected: number): Promise<number | undefined>
  delete(bucket: string, key: string): Promise<void>
  keys(bucket: string): Promise<readonly string[]>
  close(): Promise<void>
}

export interface Entry {
  readonly sequence: number
  readonly octets: Uint8Array
}

export interface Stored {
  readonly value: Uint8Array
  /** Above 0; greater after each change. */
  readonly revision: number
}

export interface Clock {
  /** Milliseconds since any moment. */
  now(): number
  sleep(ms: number): Promise<void>
}

const utf8 = {encoder: new TextEncoder(), decoder: new TextDecoder()}

export function jsonOctets(value: unknown): Uint8Array {
  return utf8.encoder.encode(JSON.stringify(value))
}

/** What another process stored; it is data and nothing more. Undefined: it is no JSON. */
export function readJson(octets: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decoder.decode(octets))
  } catch {
    return undefined
  }
}
