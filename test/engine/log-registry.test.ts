import assert from 'node:assert/strict'
import test from 'ava'
import {
  createLogRegistry,
  type LogRegistry,
  type RegistryLog,
} from '../../src/engine/log-registry.js'
import {DartaError} from '../../src/record/errors.js'
import {random} from '../metering/coordination/simulation.js'
import fc from '../support/properties.js'

const octets = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (of: Uint8Array | undefined): string | undefined => of && new TextDecoder().decode(of)

interface Faults {
  /** Of appends, the share that is not answered, whether they were done or not. */
  readonly unanswered?: number
  /** Of those, the share that is done, at once or later. */
  readonly late?: number
  /** Most entries of one read. */
  readonly most?: number
  /** It forgets nothing. */
  readonly keeps?: boolean
}

/** A log in memory that forgets what it is told to, and takes its time. */
class MemoryLog {
  readonly all: Uint8Array[] = []
  first = 0
  reads = 0
  readonly #next: () => number
  readonly #faults: Faults

  constructor(seed: number, faults: Faults = {}) {
    this.#next = random(seed)
    this.#faults = faults
  }

  async #pause(): Promise<void> {
    for (let turns = Math.floor(this.#next() * 4); turns > 0; turns--) {
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  open(): RegistryLog {
    const {unanswered = 0, late = 0, most = 3, keeps = false} = this.#faults
    return {
      name: 'memory',
      append: async (entry) => {
        await this.#pause()
        if (this.#next() < unanswered) {
          if (this.#next() < late) void this.#pause().then(() => this.all.push(entry))
          throw new DartaError('DARTA_ENGINE', 'no answer')
        }
        const at = this.all.push(entry) - 1
        await this.#pause()
        return at
      },
      read: async (from) => {
        await this.#pause()
        this.reads++
        const end = this.all.length
        const entries =
          from < this.first
            ? []
            : this.all.slice(from, from + most).map((entry, i) => ({at: from + i, octets: entry}))
        const {first} = this
        await this.#pause()
        return {entries, first: from < first ? first : 0, end}
      },
      trim: async (below) => {
        await this.#pause()
        if (!keeps) this.first = Math.max(this.first, below)
      },
    }
  }
}

const SNAPSHOT_OCTETS = 1500

async function contents(registry: LogRegistry): Promise<Map<string, string>> {
  const all = new Map<string, string>()
  for (const key of [...(await registry.keys())].sort()) {
    const stored = await registry.get(key)
    if (stored !== undefined) all.set(key, `${stored.revision} ${text(stored.value) ?? 'none'}`)
  }
  return all
}

test('processes that come at any time agree, whatever the log forgets and does not answer', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(),
      fc.record({
        unanswered: fc.constantFrom(0, 0.05, 0.3),
        late: fc.constantFrom(0, 0.5, 1),
        most: fc.constantFrom(1, 3, 100),
        keeps: fc.boolean(),
      }),
      async (seed, faults) => {
        const next = random(seed)
        const log = new MemoryLog(seed + 1, faults)
        /** By key and revision that was expected: how many were told that they won. */
        const won = new Map<string, number>()
        const keys = ['a', 'b', 'c', 'd']
        const work = async (registry: LogRegistry, name: number): Promise<void> => {
          for (let step = 0; step < 25; step++) {
            const key = keys[Math.floor(next() * keys.length)]
            try {
              const known = await registry.get(key)
              const what = next()
              if (what < 0.1) await registry.delete(key)
              else if (what < 0.12) await registry.clear()
              else {
                const expected = known?.revision ?? 0
                const value = octets(`${name} ${step} ${'x'.repeat(Math.floor(next() * 200))}`)
                const revision = await registry.put(key, value, expected)
                if (revision === undefined) continue
                assert.ok(revision > expected)
                const at = `${key} ${expected}`
                // A key that is deleted can be made again.
                if (expected > 0) won.set(at, (won.get(at) ?? 0) + 1)
              }
            } catch (error) {
              assert.ok(error instanceof DartaError)
            }
          }
        }
        const processes = Array.from({length: 5}, () =>
          createLogRegistry(log.open(), SNAPSHOT_OCTETS),
        )
        await Promise.all(processes.map(work))
        // Snapshots that are on their way, and appends that come late.
        for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve))
        const states = await Promise.all(processes.map(contents))
        for (const state of states) assert.deepEqual(state, states[0])
        const late = createLogRegistry(log.open(), SNAPSHOT_OCTETS)
        assert.deepEqual(await contents(late), states[0])
        // Of all that was ever written the same comes out, without snapshots.
        assert.deepEqual(await contents(createLogRegistry(withoutHints(log))), states[0])
        for (const times of won.values()) assert.equal(times, 1)
      },
    ),
    {numRuns: 100},
  )
  t.pass()
})

/** The whole log, in one read: who reads it has to apply it all. */
function withoutHints(log: MemoryLog): RegistryLog {
  const all = log.all.map((entry, at) => ({at, octets: entry}))
  const nowhere = {at: -1, octets: new Uint8Array(0)}
  let opened = false
  return {
    ...log.open(),
    read: async (from) => {
      // The last entry would say where a snapshot stands.
      if (from === all.length - 1 && !opened) return {entries: [nowhere], first: 0, end: all.length}
      opened ||= from > 0
      return {entries: all.slice(from), first: 0, end: all.length}
    },
  }
}

/** A log whose appends of one kind wait until they are let go. */
function holding(
  log: RegistryLog,
  kind: string,
): {log: RegistryLog; held: Promise<void>; go: () => void} {
  let go = (): void => {}
  let holds = (): void => {}
  const held = new Promise<void>((resolve) => (holds = resolve))
  const free = new Promise<void>((resolve) => (go = resolve))
  const append = async (entry: Uint8Array): Promise<number> => {
    if (text(entry)!.includes(`"kind":"${kind}"`)) {
      holds()
      await free
    }
    return log.append(entry)
  }
  return {log: {...log, append}, held, go}
}

test('a snapshot that comes late, for less than what is gone, stands for nothing', async (t) => {
  const log = new MemoryLog(1)
  const [slow, fast] = [holding(log.open(), 'snapshot'), holding(log.open(), 'snapshot')]
  const one = createLogRegistry(slow.log, 100)
  const other = createLogRegistry(fast.log, 100)
  const grow = async (registry: LogRegistry, key: string): Promise<void> => {
    for (let i = 0, revision = 0; i < 8; i++) {
      revision = (await registry.put(key, octets('x'.repeat(100)), revision))!
    }
  }
  await grow(one, 'a')
  await slow.held
  // What stands between the two snapshots.
  await grow(other, 'b')
  await fast.held
  slow.go()
  while (!text(log.all.at(-1))!.includes('snapshot')) await new Promise(setImmediate)
  const before = log.first
  fast.go()
  while (log.first <= Math.max(before, 1)) await new Promise(setImmediate)
  const reader = createLogRegistry(log.open(), 1e9)
  t.deepEqual([...(await reader.keys())].sort(), ['a', 'b'])
})

test('what is forgotten while it is being read is read from the snapshot', async (t) => {
  const log = new MemoryLog(1, {most: 1})
  const writer = createLogRegistry(log.open(), 400)
  const revision = (await writer.put('a', octets('1'), 0))!
  await writer.put('b', octets('2'), 0)
  const reading = log.open()
  let reads = 0
  const reader = createLogRegistry({
    ...reading,
    read: async (from) => {
      const before = log.first
      // The end is known from the first answer. The snapshot comes behind it, and then the head is gone.
      for (let last = revision; reads === 2 && log.first === before;) {
        last = (await writer.put('a', octets('x'.repeat(100)), last)) ?? last
      }
      reads++
      return reading.read(from)
    },
  })
  t.deepEqual([...(await reader.keys())].sort(), ['a', 'b'])
  t.true(log.first > 2)
})

test('a clearing that comes late, for which nobody waits, leaves what is newer', async (t) => {
  const log = new MemoryLog(1)
  const slow = holding(log.open(), 'clear')
  const append = async (entry: Uint8Array): Promise<never> => {
    void slow.log.append(entry)
    throw new DartaError('DARTA_ENGINE', 'no answer')
  }
  const one = createLogRegistry({...slow.log, append})
  const other = createLogRegistry(log.open())
  await other.put('a', octets('1'), 0)
  await t.throwsAsync(one.clear(), {message: 'no answer'})
  await slow.held
  await other.put('b', octets('2'), 0)
  slow.go()
  while (log.all.length < 3) await new Promise(setImmediate)
  t.deepEqual([...(await other.keys())], ['b'])
})

test('what others put while a registry is cleared goes too', async (t) => {
  const log = new MemoryLog(1)
  const slow = holding(log.open(), 'clear')
  const one = createLogRegistry(slow.log)
  const other = createLogRegistry(log.open())
  const before = (await other.put('a', octets('1'), 0))!
  const cleared = one.clear()
  await slow.held
  const meanwhile = (await other.put('a', octets('2'), before))!
  await other.put('b', octets('3'), 0)
  slow.go()
  await cleared
  t.deepEqual(await other.keys(), [])
  // Whoever knew what is gone cannot put it back.
  t.is(await other.put('a', octets('4'), meanwhile), undefined)
})

test('a log of many changes is not read whole to know a few keys', async (t) => {
  for (const keeps of [false, true]) {
    const log = new MemoryLog(1, {most: 100, keeps})
    const writer = createLogRegistry(log.open(), 4096)
    let revision = 0
    await writer.put('still', octets('as it was'), 0)
    for (let i = 0; i < 2000; i++) {
      revision = (await writer.put('k', octets(`value ${i}`), revision))!
    }
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
    t.is(log.first === 0, keeps)
    log.reads = 0
    const reader = createLogRegistry(log.open(), 4096)
    t.is(text((await reader.get('k'))?.value), 'value 1999')
    t.is(text((await reader.get('still'))?.value), 'as it was')
    t.true(log.reads < 8, `${log.reads} reads`)
  }
})

test('a head that was removed by somebody else is told, not taken for empty', async (t) => {
  const log = new MemoryLog(1)
  const writer = createLogRegistry(log.open())
  await writer.put('a', octets('1'), 0)
  await writer.put('b', octets('2'), 0)
  log.first = 1
  const reader = createLogRegistry(log.open())
  await t.throwsAsync(reader.get('a'), {message: /its head is gone/})
  // Whoever has read it goes on.
  t.is(text((await writer.get('a'))?.value), '1')
})

test('what others wrote into a registry’s log is passed over', async (t) => {
  const log = new MemoryLog(1)
  const registry = createLogRegistry(log.open())
  await registry.put('a', octets('1'), 0)
  for (const strange of [
    '',
    'D',
    'hello, world',
    'D\u0001\u0000\u0000\u00ff\u00ff\u00ff\u00ff{}',
  ]) {
    log.all.push(octets(strange))
  }
  log.all.push(Uint8Array.of(0x44, 1, 0, 0, 0, 0, 0, 2, 0x5b, 0x5d, 1))
  await registry.put('b', octets('2'), 0)
  const reader = createLogRegistry(log.open())
  t.deepEqual([...(await reader.keys())], ['a', 'b'])
})

test('an own entry is not read where nothing stands before it that is not known', async (t) => {
  const log = new MemoryLog(1)
  const [one, other] = [createLogRegistry(log.open()), createLogRegistry(log.open())]
  let revision = (await one.put('a', octets('1'), 0))!
  log.reads = 0
  for (let i = 0; i < 10; i++) revision = (await one.put('a', octets(String(i)), revision))!
  t.is(log.reads, 0)
  t.is((await other.get('a'))?.revision, revision)
  const theirs = (await other.put('b', octets('2'), 0))!
  // Theirs stands before the next one.
  log.reads = 0
  t.true((await one.put('a', octets('3'), revision))! > theirs)
  t.true(log.reads > 0)
  t.is((await one.get('b'))?.revision, theirs)
})

test('a put that is bound to fail leaves nothing in the log', async (t) => {
  const log = new MemoryLog(1)
  const [one, other] = [createLogRegistry(log.open()), createLogRegistry(log.open())]
  const revision = (await one.put('a', octets('1'), 0))!
  t.is(await other.put('a', octets('2'), 0), undefined)
  t.is(await other.put('a', octets('2'), revision + 1), undefined)
  t.is(log.all.length, 1)
})
