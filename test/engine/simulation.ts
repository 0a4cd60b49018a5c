import {
  createEmbeddedEngine,
  createEmbeddedStore,
  type EmbeddedStore,
} from '../../src/engine/embedded.js'
import type {Clock, Engine, Entry} from '../../src/engine/engine.js'
import {DartaError} from '../../src/record/errors.js'

/** Numbers that hang on the seed alone. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** Time that passes only when everybody waits; so a day is tested in a moment, and the same seed gives the same course. */
export class VirtualTime implements Clock {
  #now = 0
  readonly #waiting: {at: number; order: number; wake: () => void}[] = []
  #order = 0

  now(): number {
    return this.#now
  }

  sleep(ms: number): Promise<void> {
    return new Promise((wake) => {
      this.#waiting.push({at: this.#now + Math.max(0, ms), order: this.#order++, wake})
    })
  }

  /** Lets time pass until `work` is done. @throws what it throws; an error where it would never end */
  async run<T>(work: Promise<T>, mostMs = 3_600_000): Promise<T> {
    let over = false
    const watch = work.finally(() => (over = true))
    watch.catch(() => {})
    for (;;) {
      // All that can go on without waiting does, before time passes.
      await new Promise((resolve) => setImmediate(resolve))
      if (over) return watch
      let next = 0
      for (let i = 1; i < this.#waiting.length; i++) {
        const [a, b] = [this.#waiting[i], this.#waiting[next]]
        if (a.at < b.at || (a.at === b.at && a.order < b.order)) next = i
      }
      if (this.#waiting.length === 0) throw new Error('everybody waits for somebody else')
      const [{at, wake}] = this.#waiting.splice(next, 1)
      this.#now = Math.max(this.#now, at)
      if (this.#now > mostMs) throw new Error(`not done after ${mostMs} ms`)
      wake()
    }
  }
}

/** What an engine may do wrong, each as a probability per call. */
export interface Faults {
  /** An append that was made is reported as failed. */
  readonly unansweredAppend?: number
  /** An append fails. */
  readonly refusedAppend?: number
  /** An append is acknowledged, and the log does not have it. */
  readonly lostAppend?: number
  /** An append is made once more, within 20 s: it was under way twice. */
  readonly repeatedAppend?: number
  /** Somebody else writes an entry too. */
  readonly foreignAppend?: number
  /** A read passes over an entry that is there. */
  readonly skippingRead?: number
  /** A read gives entries again that came before. */
  readonly repeatingRead?: number
  /** A read gives two entries in the wrong order. */
  readonly reorderingRead?: number
  /** A change of the registry is made and reported as failed. */
  readonly unansweredPut?: number
  /** For 10 s nothing of what a process asks arrives; then all of it does. */
  readonly stall?: number
  /** So many of all these at most. */
  readonly most?: number
}

/** Octets that no publisher wrote, some of them nearly as if one had. */
function damaged(octets: Uint8Array, random: () => number): Uint8Array {
  const copy = Uint8Array.from(octets.subarray(0, Math.floor(random() * 64)))
  if (copy.length > 0) copy[0] ^= 1 + Math.floor(random() * 255)
  return copy
}

/** As long as a client of an engine waits for an answer. */
const ANSWER_MS = 5000
const STALL_MS = 10_000
const REPEATED_MS = 20_000

/** One process of a cluster: its own access to the engine, until it crashes. */
export interface SimulatedProcess {
  readonly engine: Engine
  /** Nothing it has called is answered any more. */
  crash(): void
  /** Nothing is answered for so long; then it goes on as if nothing had been. */
  freeze(ms: number): void
}

export class SimulatedCluster {
  readonly time = new VirtualTime()
  readonly store: EmbeddedStore = createEmbeddedStore()
  readonly random: () => number
  /** Entries of records that were acknowledged and are not in the log. */
  readonly lost: Uint8Array[] = []
  /** Entries of others. */
  foreign = 0
  /** Entries that the log took. */
  readonly taken: {part: number; octets: Uint8Array}[] = []
  /** How many faults there were. */
  made = 0
  readonly #faults: Faults

  constructor(seed: number, faults: Faults = {}) {
    this.random = randomOf(seed)
    this.#faults = faults
  }

  /** Whether a fault happens that has this probability. */
  chance(probability = 0): boolean {
    if (probability === 0) return false
    const {most = Infinity} = this.#faults
    const happens = this.random() < probability && this.made < most
    if (happens) this.made++
    return happens
  }

  process(): SimulatedProcess {
    const {time, random} = this
    const faults = this.#faults
    const inner = createEmbeddedEngine(this.store, time)
    let crashed = false
    let frozenUntil = 0
    let stalledUntil = 0
    const never = new Promise<never>(() => {})
    const noAnswer = (): never => {
      throw new DartaError('DARTA_ENGINE', 'no answer')
    }

    const delay = async (ms: number): Promise<void> => {
      await time.sleep(ms)
      while (!crashed && time.now() < frozenUntil) await time.sleep(frozenUntil - time.now())
      if (crashed) await never
    }
    /** A call takes time on its way there and back; what crashes between has had its effect. */
    const call = async <T>(work: () => Promise<T>): Promise<T> => {
      if (time.now() >= stalledUntil && this.chance(faults.stall)) {
        stalledUntil = time.now() + STALL_MS
      }
      const stalled = stalledUntil - time.now()
      if (stalled > ANSWER_MS) {
        // Under way, whatever becomes of who sent it.
        void time
          .sleep(stalled)
          .then(work)
          .catch(() => {})
        await delay(ANSWER_MS)
        return noAnswer()
      }
      await delay(1 + Math.max(0, stalled) + random() * 4)
      const result = await work()
      await delay(1 + random() * 4)
      return result
    }
    const append: Engine['append'] = (topic, part, octets) => {
      this.taken.push({part, octets: octets.slice()})
      return inner.append(topic, part, octets)
    }
    const engine: Engine = {
      name: 'simulated',
      clock: {now: () => time.now(), sleep: (ms) => delay(ms)},
      declare: (topic, parts, buckets) => inner.declare(topic, parts, buckets),
      drop: (topic, buckets) => call(() => inner.drop(topic, buckets)),
      append: async (topic, part, octets) => {
        if (this.chance(faults.foreignAppend)) {
          this.foreign++
          await inner.append(topic, part, damaged(octets, random))
        }
        if (this.chance(faults.refusedAppend)) return call(async () => noAnswer())
        if (this.chance(faults.lostAppend)) {
          this.lost.push(octets.slice())
          return call(async () => 1)
        }
        if (this.chance(faults.repeatedAppend)) {
          const again = octets.slice()
          void time.sleep(random() * REPEATED_MS).then(() => append(topic, part, again))
        }
        const sequence = await call(() => append(topic, part, octets))
        if (this.chance(faults.unansweredAppend)) noAnswer()
        return sequence
      },
      read: async (topic, part, from, most) => {
        // A consumer of whom nothing is heard gives nothing.
        if (time.now() < stalledUntil) {
          await delay(200)
          return []
        }
        const entries: Entry[] = [...(await call(() => inner.read(topic, part, from, most)))]
        if (entries.length > 1 && this.chance(faults.skippingRead)) {
          entries.splice(Math.floor(random() * (entries.length - 1)), 1)
        }
        if (entries.length > 1 && this.chance(faults.reorderingRead)) {
          const at = Math.floor(random() * (entries.length - 1))
          entries.splice(at, 2, entries[at + 1], entries[at])
        }
        if (entries.length > 0 && this.chance(faults.repeatingRead)) entries.unshift(entries[0])
        return entries
      },
      trim: (topic, below) => call(() => inner.trim(topic, below)),
      get: (bucket, key) => call(() => inner.get(bucket, key)),
      put: async (bucket, key, value, expected) => {
        const revision = await call(() => inner.put(bucket, key, value, expected))
        if (this.chance(faults.unansweredPut)) noAnswer()
        return revision
      },
      delete: (bucket, key) => call(() => inner.delete(bucket, key)),
      keys: (bucket) => call(() => inner.keys(bucket)),
      close: () => inner.close(),
    }
    return {
      engine,
      crash: () => (crashed = true),
      freeze: (ms) => (frozenUntil = time.now() + ms),
    }
  }
}
