import {DartaError} from '../record/errors.js'

/**
 * What carries records between machines, as narrow as it can be: a log in parts, and a registry of small values that are changed by
 * compare-and-swap. One file per engine, and a line of engines.ts. Nothing of an engine may be known elsewhere, and nothing
 * is believed of it that the records' own numbers cannot check: an engine may stall, repeat or skip.
 */
export interface Engine {
  readonly name: string
  /** Of this process: never set back, and of no meaning to others. */
  readonly clock: Clock
  /** Makes sure that a topic's log of so many parts and these buckets are there. */
  declare(topic: string, parts: number, buckets: readonly string[]): Promise<void>
  /** Removes a topic's log and buckets with all that is in them. */
  drop(topic: string, buckets: readonly string[]): Promise<void>
  /**
   * Appends to a part of a topic's log and gives the entry's number, from 1 on. Appends to one part are made one after another.
   *
   * @throws EngineFull there is no room now; DartaError DARTA_ENGINE it does not answer: the entry may be in the log
   */
  append(topic: string, part: number, octets: Uint8Array): Promise<number>
  /** Entries of the part from number `from` on, in order; at most `most`, none after a while without any. */
  read(topic: string, part: number, from: number, most: number): Promise<readonly Entry[]>
  /** Forgets entries below these numbers, one for each part, when it likes. */
  trim(topic: string, below: readonly number[]): Promise<void>
  /** A bucket's name is `NAME`, or `NAME/OWNER` for what one application or topic has in it. */
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

/** How an engine between machines is reached. */
export interface EngineOptions {
  /** `SCHEME://HOST[:PORT]`, several with commas. */
  readonly url: string
  /** Copies of everything; unless said otherwise 3 in a cluster, else 1. */
  readonly replicas?: number | undefined
  /** Octets of each topic's log; a full log blocks its publishers. */
  readonly maxOctets: number
  readonly tls?: {
    readonly caFile?: string
    /** The same, and what the server asks for, as PEM. */
    readonly ca?: string | undefined
    readonly cert?: string | undefined
    readonly key?: string | undefined
  }
  /** Who connects, in the words of the engine, and the file that says so. */
  readonly credentials?: {readonly path: string; readonly text: string} | undefined
  /** How long an answer is waited for, ms; about 5000 unless said otherwise. */
  readonly answerMs?: number
  /** Also clusters of servers that are known to lose acknowledged messages. */
  readonly allowOldServer?: boolean
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

/** The log takes nothing more before its head is trimmed: whoever appends waits, and so does all that is before him. */
export class EngineFull extends DartaError {
  constructor(message: string) {
    super('DARTA_ENGINE', message)
  }
}

/**
 * Tries again what an engine did not answer: one that elects a leader needs 4 to 8 s.
 *
 * @throws DartaError DARTA_ENGINE nothing was answered in the time of `patienceMs`
 */
export async function patiently<T>(
  engine: Engine,
  work: () => Promise<T>,
  patienceMs = PATIENCE_MS,
): Promise<T> {
  const since = engine.clock.now()
  for (;;) {
    try {
      return await work()
    } catch (error) {
      const tired = engine.clock.now() - since > patienceMs
      if (tired || !(error instanceof DartaError) || error.code !== 'DARTA_ENGINE') throw error
      await engine.clock.sleep(RETRY_MS)
    }
  }
}

const PATIENCE_MS = 15_000
const RETRY_MS = 250

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
