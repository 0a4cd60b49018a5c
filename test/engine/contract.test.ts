import type {ExecutionContext} from 'ava'
import type {Engine, Entry} from '../../src/engine/engine.js'
import {deleteLarge, getLarge, putLarge} from '../../src/engine/large-values.js'
import {needing} from '../support/needing.js'
import {engines, type Served} from './served.js'

/** What every engine must do: engine.ts says it in words. */

const utf8 = {encoder: new TextEncoder(), decoder: new TextDecoder()}
const octets = (text: string): Uint8Array => utf8.encoder.encode(text)
const text = (of: Uint8Array | undefined): string | undefined => of && utf8.decoder.decode(of)

/** A name that nobody has used: a server may be there for longer than the test. */
const fresh = (): string => `t${Math.random().toString(36).slice(2)}`

/** Reads from a number on until there are `most`: an engine may give none for a while. */
async function readAll(
  engine: Engine,
  topic: string,
  part: number,
  from: number,
  most: number,
): Promise<Entry[]> {
  const all: Entry[] = []
  let next = from
  while (all.length < most) {
    const entries = await engine.read(topic, part, next, most - all.length)
    all.push(...entries)
    next = (entries[entries.length - 1]?.sequence ?? next - 1) + 1
  }
  return all
}

for (const {name, reasons, serve} of engines) {
  // One after the other: a server and eight writers at once are work enough for a loaded machine.
  let last: Promise<unknown> = Promise.resolve()
  const contract = (
    title: string,
    body: (t: ExecutionContext, at: Served) => Promise<void>,
  ): void => {
    needing(...reasons)(`${name}: ${title}`, (t) => {
      const run = last.then(async () => body(t, await serve(t)))
      last = run.catch(() => {})
      return run
    })
  }

  contract(
    'a part’s entries come in order, to whoever reads, from any number on',
    async (t, at) => {
      const [writer, reader] = [await at.open(), await at.open()]
      const topic = fresh()
      await writer.declare(topic, 2, [])
      const numbers: number[] = []
      for (let i = 0; i < 40; i++) {
        numbers.push(await writer.append(topic, 0, octets(`zero ${i}`)))
        if (i % 8 === 0) await writer.append(topic, 1, octets(`one ${i}`))
      }
      t.deepEqual(
        numbers,
        [...numbers].sort((a, b) => a - b),
      )
      const all = await readAll(reader, topic, 0, 1, 40)
      t.deepEqual(
        all.map(({sequence}) => sequence),
        numbers,
      )
      t.deepEqual(
        all.map((entry) => text(entry.octets)),
        numbers.map((_, i) => `zero ${i}`),
      )
      const late = await readAll(reader, topic, 0, numbers[25], 15)
      t.deepEqual(
        late.map(({sequence}) => sequence),
        numbers.slice(25),
      )
      const other = await readAll(reader, topic, 1, 1, 5)
      t.deepEqual(
        other.map((entry) => text(entry.octets)),
        [0, 8, 16, 24, 32].map((i) => `one ${i}`),
      )
      // None there: none given.
      t.deepEqual(await reader.read(topic, 0, numbers[39] + 1, 10), [])
      // What comes then is given.
      const more = await writer.append(topic, 0, octets('more'))
      const [entry] = await readAll(reader, topic, 0, numbers[39] + 1, 1)
      t.deepEqual([entry.sequence, text(entry.octets)], [more, 'more'])
    },
  )

  contract('what is trimmed may be gone, and all else is there', async (t, at) => {
    const [writer, reader] = [await at.open(), await at.open()]
    const topic = fresh()
    await writer.declare(topic, 2, [])
    const numbers: number[] = []
    for (let i = 0; i < 10; i++) numbers.push(await writer.append(topic, 0, octets(`entry ${i}`)))
    const first = await writer.append(topic, 1, octets('other'))
    await writer.trim(topic, [numbers[4], first])
    const kept = await readAll(reader, topic, 0, numbers[4], 6)
    t.deepEqual(
      kept.map(({sequence}) => sequence),
      numbers.slice(4),
    )
    t.is((await readAll(reader, topic, 1, first, 1))[0].sequence, first)
    t.true((await writer.append(topic, 0, octets('next'))) > numbers[9])
  })

  contract('a log of octets is as it was written, up to the largest entry', async (t, at) => {
    const [writer, reader] = [await at.open(), await at.open()]
    const topic = fresh()
    await writer.declare(topic, 1, [])
    const entries = [1, 255, 65_536, 131_072].map((size) =>
      Uint8Array.from({length: size}, (_, i) => (i * 7 + (i >> 8)) & 255),
    )
    for (const entry of entries) await writer.append(topic, 0, entry)
    const all = await readAll(reader, topic, 0, 1, entries.length)
    for (const [i, entry] of all.entries()) t.is(Buffer.compare(entry.octets, entries[i]), 0)
  })

  contract('a value is stored if its revision is still the expected one', async (t, at) => {
    const [one, other] = [await at.open(), await at.open()]
    const bucket = `b/${fresh()}`
    await one.declare(fresh(), 1, [bucket])
    t.is(await other.get(bucket, 'k'), undefined)
    const first = await one.put(bucket, 'k', octets('a'), 0)
    t.true(first! > 0)
    t.is(await other.put(bucket, 'k', octets('b'), 0), undefined)
    t.deepEqual(text((await other.get(bucket, 'k'))?.value), 'a')
    t.is((await other.get(bucket, 'k'))?.revision, first)
    const second = await other.put(bucket, 'k', octets('c'), first!)
    t.true(second! > first!)
    t.is(await one.put(bucket, 'k', octets('d'), first!), undefined)
    t.is(text((await one.get(bucket, 'k'))?.value), 'c')
    // An empty value is one, and other keys and buckets are none of its business.
    t.true((await one.put(bucket, 'm_x.1', new Uint8Array(0), 0))! > 0)
    t.is((await other.get(bucket, 'm_x.1'))?.value.length, 0)
    t.deepEqual([...(await other.keys(bucket))].sort(), ['k', 'm_x.1'])
    await one.delete(bucket, 'k')
    await one.delete(bucket, 'never')
    t.is(await other.get(bucket, 'k'), undefined)
    t.is(await other.put(bucket, 'k', octets('e'), second!), undefined)
    const third = await other.put(bucket, 'k', octets('f'), 0)
    t.true(third! > 0)
    t.is(text((await one.get(bucket, 'k'))?.value), 'f')
    t.deepEqual(await one.keys(`b/${fresh()}`), [])
  })

  contract('of eight writers at once exactly one wins, each time', async (t, at) => {
    const writers = await Promise.all(Array.from({length: 8}, () => at.open()))
    const bucket = `b/${fresh()}`
    await writers[0].declare(fresh(), 1, [bucket])
    let revision = 0
    for (let round = 0; round < 20; round++) {
      const won = await Promise.all(
        writers.map((writer, i) => writer.put(bucket, 'k', octets(`${round} ${i}`), revision)),
      )
      const winners = won.flatMap((one, i) => (one === undefined ? [] : [i]))
      t.is(winners.length, 1, `round ${round}: ${winners.join()}`)
      const next = won[winners[0]]!
      t.true(next > revision)
      revision = next
      // All see it.
      const seen = await Promise.all(writers.map((writer) => writer.get(bucket, 'k')))
      for (const one of seen) {
        t.is(one?.revision, revision)
        t.is(text(one?.value), `${round} ${winners[0]}`)
      }
    }
  })

  contract(
    'values larger than a message are stored whole, and their pieces go with them',
    async (t, at) => {
      const [one, other] = [await at.open(), await at.open()]
      const bucket = `b/${fresh()}`
      await one.declare(fresh(), 1, [bucket])
      const large = (seed: number): Uint8Array =>
        Uint8Array.from({length: 2_500_000}, (_, i) => (i * seed + (i >> 9)) & 255)
      const first = await putLarge(one, bucket, '3', large(3), 0)
      const stored = await other.get(bucket, '3')
      t.is(stored?.revision, first)
      t.is(Buffer.compare((await getLarge(other, bucket, stored!.value))!, large(3)), 0)
      t.is(await putLarge(other, bucket, '3', large(5), 0), undefined)
      const second = await putLarge(other, bucket, '3', large(7), first!)
      t.true(second! > first!)
      const now = await one.get(bucket, '3')
      t.is(Buffer.compare((await getLarge(one, bucket, now!.value))!, large(7)), 0)
      // Of the three values, the pieces of one.
      t.is((await one.keys(bucket)).length, 1 + Math.ceil(2_500_000 / (768 * 1024)))
      await deleteLarge(one, bucket, '3')
      t.deepEqual(await other.keys(bucket), [])
    },
  )

  contract('what is dropped is gone, and the topic can be made anew', async (t, at) => {
    const [one, other] = [await at.open(), await at.open()]
    const [topic, bucket, left] = [fresh(), `b/${fresh()}`, `b/${fresh()}`]
    await one.declare(topic, 2, [bucket, left])
    for (let i = 0; i < 5; i++) await one.append(topic, i % 2, octets(`old ${i}`))
    await one.put(bucket, 'k', octets('old'), 0)
    await one.put(bucket, '7', octets('old'), 0)
    await one.put(left, 'k', octets('stays'), 0)
    t.is((await readAll(other, topic, 0, 1, 3)).length, 3)
    await one.drop(topic, [bucket])
    t.deepEqual(await other.keys(bucket), [])
    t.is(await other.get(bucket, 'k'), undefined)
    t.is(text((await other.get(left, 'k'))?.value), 'stays')
    await one.declare(topic, 2, [bucket, left])
    await one.append(topic, 0, octets('new'))
    const reader = await at.open()
    const [entry] = await readAll(reader, topic, 0, 1, 1)
    t.is(text(entry.octets), 'new')
    t.true((await other.put(bucket, 'k', octets('new'), 0))! > 0)
  })

  contract('many changes at once are each made, and each seen', async (t, at) => {
    const [one, other] = [await at.open(), await at.open()]
    const bucket = `b/${fresh()}`
    await one.declare(fresh(), 1, [bucket])
    const names = Array.from({length: 100}, (_, i) => `k${i}`)
    const revisions = await Promise.all(names.map((key) => one.put(bucket, key, octets(key), 0)))
    t.true(revisions.every((revision) => revision !== undefined))
    t.deepEqual([...(await other.keys(bucket))].sort(), [...names].sort())
    await Promise.all(names.slice(0, 50).map((key) => other.delete(bucket, key)))
    t.is((await one.keys(bucket)).length, 50)
    for (const key of names.slice(50, 60)) t.is(text((await one.get(bucket, key))?.value), key)
  })
}
