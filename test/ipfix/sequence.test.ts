import test from 'ava'
import {createSession} from '../../src/ipfix/session.js'
import {Ledger, type StageLedger} from '../../src/record/ledger.js'
import {hex} from '../hex.js'
import fc from '../support/properties.js'
import {accounts, decode, encode, join, message} from './octets.js'

const sources = hex`0002 000c 0100 0001 0008 0004`
const runs = {numRuns: 60}

interface Sent {
  readonly sequence: number
  readonly records: number
  readonly time?: number
}

function data({sequence, records, time = 1_700_000_000}: Sent): Uint8Array {
  const octets = hex`0100 0000 ${new Uint8Array(4 * records)}`
  new DataView(octets.buffer).setUint16(2, octets.length)
  return message(octets, {sequence: sequence >>> 0, time})
}

/** The account of records after these Messages came as datagrams, behind their Template. */
function received(sent: readonly Sent[], reliable = false): StageLedger {
  const ledger = new Ledger()
  const session = createSession({ledger, reliable})
  const first = {sequence: (sent[0]?.sequence ?? 0) >>> 0, time: sent[0]?.time ?? 1_700_000_000}
  session.datagram(message(sources, first), 0, [])
  for (const one of sent) session.datagram(data(one), 0, [])
  session.end()
  return accounts(ledger).records
}

/** Messages of 1..30 records from a sequence number on, one second apart. */
function sequenceOf(sizes: readonly number[], from: number, start = 1_700_000_000): Sent[] {
  let sequence = from
  return sizes.map((records, i) => {
    const one = {sequence: sequence >>> 0, records, time: start + Math.floor(i / 10)}
    sequence += records
    return one
  })
}

const sizes = fc.array(fc.integer({min: 1, max: 30}), {minLength: 2, maxLength: 400})
const from = fc.oneof(
  fc.constant(0),
  fc.integer({min: 2 ** 32 - 3000, max: 2 ** 32 - 1}),
  fc.integer({min: 2 ** 31 - 3000, max: 2 ** 31}),
)

test('a gap of k records is k records missing, with its offset', (t) => {
  const ledger = new Ledger()
  const session = createSession({ledger, reliable: false})
  session.datagram(message(sources), 0, [])
  session.datagram(data({sequence: 0, records: 2}), 28, [])
  session.datagram(data({sequence: 9, records: 1}), 56, [])
  const {records} = accounts(ledger)
  t.deepEqual([...records.missing], [['sequence-gap', 7]])
  t.is(records.firstOffset.get('sequence-gap'), 56)
  t.deepEqual([records.in, records.out, records.totalLost()], [3, 3, 0])
  t.is(ledger.totalLost(), 7)
})

test('Options Data Records count, Templates do not', (t) => {
  const {records} = decode(
    join(
      message(hex`0003 000e 0100 0001 0001 0095 0004`),
      message(hex`0100 000c 00000001 00000002`, {sequence: 0}),
      message(join(hex`0003 000e 0101 0001 0001 0095 0004`, hex`0100 0008 00000003`), {
        sequence: 2,
      }),
      message(hex`0100 0008 00000004`, {sequence: 3}),
    ),
  )
  t.is(records.out, 4)
  t.is(records.totalMissing(), 0)
})

test('a sequence number passes 2^32 without a gap', (t) => {
  const records = received(sequenceOf([5, 5, 5, 5], 2 ** 32 - 10))
  t.deepEqual([...records.missing, ...records.noted], [])
})

test('domains have sequences of their own', (t) => {
  const {records} = decode(
    join(
      ...[1, 2, 3].map((domain) => message(sources, {domain})),
      ...[1, 2, 3].map((domain) => message(hex`0100 0008 00000000`, {domain})),
      message(hex`0100 0008 00000000`, {domain: 2, sequence: 4}),
    ),
  )
  t.deepEqual([...records.missing], [['sequence-gap', 3]])
})

test('of Messages that are removed, exactly their records are missing', (t) => {
  fc.assert(
    fc.property(
      sizes,
      from,
      fc.double({min: 0, max: 0.5, noNaN: true}),
      fc.infiniteStream(fc.double({min: 0, max: 1, noNaN: true})),
      (list, start, share, random) => {
        const sent = sequenceOf(list, start)
        const last = sent.length - 1
        const kept = sent.filter((_, i) => i === 0 || i === last || random.next().value > share)
        const lost = sum(sent) - sum(kept)
        const records = received(kept)
        return (
          records.totalMissing() === lost && records.out === sum(kept) && records.noted.size === 0
        )
      },
    ),
    runs,
  )
  t.pass()
})

test('Messages that come up to 64 places late are no loss, and those that never come are', (t) => {
  fc.assert(
    fc.property(
      sizes,
      from,
      fc.array(fc.integer({min: 0, max: 64}), {minLength: 400, maxLength: 400}),
      fc.array(fc.integer({min: 0, max: 3}), {minLength: 400, maxLength: 400}),
      (list, start, delays, drops) => {
        const sent = sequenceOf(list, start)
        const last = sent.length - 1
        // The first one says where the sequence begins, and what never comes is only seen from behind.
        const kept = sent.filter((_, i) => i === 0 || i === last || drops[i] > 0)
        const order = kept
          .map((one, i) => [i === 0 || i === kept.length - 1 ? i : i + delays[i], i, one] as const)
          .sort((a, b) => a[0] - b[0] || a[1] - b[1])
          .map(([, , one]) => one)
        const records = received(order)
        return (
          records.totalMissing() === sum(sent) - sum(kept) &&
          records.out === sum(kept) &&
          !records.noted.has('sequence-reset') &&
          !records.noted.has('duplicate')
        )
      },
    ),
    runs,
  )
  t.pass()
})

test('repeated Messages are told from late ones and change no account of loss', (t) => {
  fc.assert(
    fc.property(sizes, from, fc.array(fc.nat(), {maxLength: 20}), (list, start, picks) => {
      const sent = sequenceOf(list, start)
      const order = [...sent]
      for (const pick of picks) {
        const i = pick % sent.length
        order.splice(order.indexOf(sent[i]) + 1 + (pick % 5), 0, sent[i])
      }
      const records = received(order)
      return (
        records.totalMissing() === 0 &&
        (records.noted.get('duplicate') ?? 0) === picks.length &&
        !records.noted.has('sequence-reset')
      )
    }),
    runs,
  )
  t.pass()
})

test('an Exporter that starts again is told from loss', (t) => {
  fc.assert(
    fc.property(
      sizes,
      sizes,
      fc.integer({min: 13000, max: 2 ** 32 - 2 ** 21}),
      (before, after, start) => {
        const sent = sequenceOf(before, start)
        const restarted = sequenceOf(after, 0, 1_700_009_000)
        const records = received([...sent, ...restarted])
        return records.totalMissing() === 0 && records.noted.get('sequence-reset') === 1
      },
    ),
    runs,
  )
  t.pass()
})

test('two outputs one after the other are read: the second sequence is a restart, no loss', (t) => {
  const {batches} = decode(
    join(message(sources), ...sequenceOf(new Array<number>(200).fill(7), 0).map(data)),
  )
  const {octets} = encode(batches)
  for (const parts of [
    [octets, octets],
    [octets, encode(batches.slice(0, 3)).octets],
    [encode(batches.slice(5, 9)).octets, octets],
  ]) {
    const {records, messages} = decode(join(...parts))
    t.is(records.totalMissing(), 0)
    t.is(records.totalLost() + messages.totalLost(), 0)
    t.is(records.in, records.out)
  }
})

test('UDP: a Message that comes later than any memory reaches is late, no restart', (t) => {
  const sent = sequenceOf(new Array<number>(1000).fill(3), 0)
  const [late] = sent.splice(10, 1)
  const records = received([...sent.slice(0, 900), late, ...sent.slice(900)])
  t.is(records.totalMissing(), 0)
  t.false(records.noted.has('sequence-reset'))
  // The same repeated once more, out of memory: late again, and nothing changes.
  const again = received([...sent.slice(0, 900), late, late, sent[0], ...sent.slice(900)])
  t.is(again.totalMissing(), 0)
  t.false(again.noted.has('sequence-reset'))
})

test('a late Message without Data Records is no restart', (t) => {
  const ledger = new Ledger()
  const session = createSession({ledger, reliable: false})
  session.datagram(message(sources, {sequence: 0}), 0, [])
  session.datagram(data({sequence: 0, records: 5}), 0, [])
  session.datagram(data({sequence: 5, records: 5}), 0, [])
  session.datagram(message(sources, {sequence: 5}), 0, [])
  session.datagram(data({sequence: 10, records: 5}), 0, [])
  const {records} = accounts(ledger)
  t.deepEqual([...records.missing], [])
  t.deepEqual([...records.noted], [['reordered', 1]])
})

function sum(list: readonly Sent[]): number {
  return list.reduce((total, {records}) => total + records, 0)
}
