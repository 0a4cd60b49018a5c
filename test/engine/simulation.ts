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
  /** A read passes over entries that are there. */
  readonly skippingRead?: number
  /** A read gives entries again that came before. */
  readonly repeatingRead?: number
}

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
  readonly #faults: Faults

  constructor(seed: number, faults: Faults = {}) {
    this.random = randomOf(seed)
    this.#faults = faults
  }

  /** Whether something happens that has this probability. */
  chance(probability = 0): boolean {
    return this.random() < probability
  }

  process(): SimulatedProcess {
    const {time, random} = this
    const faults = this.#faults
    const inner = createEmbeddedEngine(this.store, time)
    let crashed = false
    let frozenUntil = 0
    const never = new Promise<never>(() => {})

    const delay = async (ms: number): Promise<void> => {
      await time.sleep(ms)
      while (!crashed && time.now() < frozenUntil) await time.sleep(frozenUntil - time.now())
      if (crashed) await never
    }
    /** A call takes time on its way there and back; what crashes between has had its effect. */
    const call = async <T>(work: () => Promise<T>): Promise<T> => {
      await delay(1 + random() * 4)
      const result = await work()
      await delay(1 + random() * 4)
      return result
    }
    const engine: Engine = {
      name: 'simulated',
      clock: {now: () => time.now(), sleep: (ms) => delay(ms)},
      declare: (topic, buckets) => inner.declare(topic, buckets),
      drop: (topic, buckets) => call(() => inner.drop(topic, buckets)),
      append: async (topic, part, octets) => {
        const sequence = await call(() => inner.append(topic, part, octets))
        if (this.chance(faults.unansweredAppend)) throw new DartaError('DARTA_ENGINE', 'no answer')
        return sequence
      },
      read: async (topic, part, from, most) => {
        let entries: readonly Entry[] = await call(() => inner.read(topic, part, from, most))
        if (entries.length > 1 && this.chance(faults.skippingRead)) entries = entries.slice(1)
        if (entries.length > 0 && this.chance(faults.repeatingRead)) {
          entries = [entries[0], ...entries]
        }
        return entries
      },
      trim: (topic, below) => call(() => inner.trim(topic, below)),
      get: (bucket, key) => call(() => inner.get(bucket, key)),
      put: (bucket, key, value, expected) => call(() => inner.put(bucket, key, value, expected)),
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
