import test from 'ava'
import {createSession} from '../../src/ipfix/session.js'
import {createTemplatePool} from '../../src/ipfix/template-store.js'
import {recordEnd, recordStart, type RecordBatch} from '../../src/record/batch.js'
import {Ledger} from '../../src/record/ledger.js'
import {readRecord} from '../../src/record/readers.js'
import {generate, numbers} from './generate.js'
import {accounts, decode, encode, join, message, type Decoded} from './octets.js'
import {hex} from '../hex.js'

/** What must hold of whatever was decoded. */
function fault({batches, records, messages}: Decoded): string | undefined {
  let count = 0
  for (const batch of batches) {
    count += batch.count
    if (batch.count < 1) return 'a batch without records'
    for (let i = 0; i < batch.count; i++) {
      const [start, end] = [recordStart(batch, i), recordEnd(batch, i)]
      if (start < batch.start || end <= start || end > batch.octets.length) {
        return `record ${i} from ${start} to ${end} of ${batch.octets.length}`
      }
      // Reading lists and strings of any octets throws nothing.
      readRecord(batch, i)
    }
  }
  if (records.out !== count) return `${count} records, ${records.out} counted`
  if (records.in !== records.out + records.totalLost()) return `records: ${records.line()}`
  if (messages.in !== messages.out + messages.totalLost()) return `messages: ${messages.line()}`
  return undefined
}

/** Structured data, options and type records, which the generator does not make. */
const lists = message(hex`
  0002 0028 0100 0003 0004 0001 0123 ffff 0124 ffff   # protocolIdentifier, basicList, subTemplateList
            0101 0002 0125 ffff 0052 ffff             # subTemplateMultiList, interfaceName
            0102 0001 0008 0004
  0100 0017 06 07 ff 0007 0002 0035 07 ff 0102 c0000201 0000
  0101 0015 0d 03 0102 0008 c0000201 0102 0004 02 6162
  0003 0012 0103 0002 0001 0091 0002 00ad 0008        # templateId, flowKeyIndicator
  0103 000e 0100 0000000000000001
  0003 001e 0104 0005 0002 015a 0004 012f 0002 0153 0001 0155 ffff 0154 ffff   # type records
  0104 0013 0000f00f 8005 03 05 7468696e67 01 61
`)

const interesting = [0, 1, 2, 3, 4, 5, 16, 255, 256, 257, 0x7fff, 0x8000, 0xfffe, 0xffff]

/** Flips bits, sets lengths, cuts, repeats and joins pieces. */
function mutate(octets: Uint8Array, below: (n: number) => number, other: Uint8Array): Uint8Array {
  const copy = octets.slice()
  const view = new DataView(copy.buffer)
  for (let n = below(4) + 1; n > 0; n--) {
    switch (below(6)) {
      case 0:
        copy[below(copy.length)] ^= 1 << below(8)
        break
      case 1:
        copy[below(copy.length)] = below(256)
        break
      case 2:
        view.setUint16(below(copy.length - 1), interesting[below(interesting.length)])
        break
      case 3: {
        // A length or ID at an even place, a little off.
        const at = below(copy.length >> 1) * 2
        if (at + 2 <= copy.length) view.setUint16(at, view.getUint16(at) + below(9) - 4)
        break
      }
      case 4: {
        const at = below(copy.length)
        return join(copy.subarray(0, at), copy.subarray(Math.min(copy.length, at + below(40))))
      }
      case 5: {
        const at = below(copy.length)
        return join(copy.subarray(0, at), other.subarray(below(other.length)))
      }
    }
  }
  return copy
}

const bases = [
  ...Array.from({length: 12}, (_, seed) => generate(seed + 1, 12).messages),
  [lists, lists],
]

test('every prefix of a stream gives its whole Messages, and the balance holds', (t) => {
  const {messages} = generate(7, 12)
  const stream = join(...messages)
  const ends = messages.map((_, i) => join(...messages.slice(0, i + 1)).length)
  for (let size = 0; size <= stream.length; size++) {
    const decoded = decode(stream.subarray(0, size))
    t.is(fault(decoded), undefined)
    const whole = ends.filter((end) => end <= size).length
    if (decoded.messages.out !== whole) t.is(decoded.messages.out, whole, `${size} octets`)
  }
})

test('mutated streams: nothing is thrown, the balance holds, what is read lies in bounds', (t) => {
  const below = numbers(20260)
  const before = process.cpuUsage()
  let mutated = 0
  for (let i = 0; i < 4000; i++) {
    const base = bases[below(bases.length)]
    const messages = base.map((one) => {
      if (below(2) === 0) return one
      mutated++
      return mutate(one, below, base[below(base.length)])
    })
    const stream = join(...messages)
    const decoded = decode(stream, below(2) === 0 ? stream.length || 1 : below(400) + 1)
    const wrong = fault(decoded)
    if (wrong !== undefined) t.fail(`stream ${i}: ${wrong}`)
    // Whatever was made of it can be sent on, and is read the same way.
    if (i % 4 === 0) {
      const {octets, account} = encode(decoded.batches)
      t.is(account.in, account.out + account.totalLost())
      const again = decode(octets)
      t.is(again.records.out, account.out + (account.noted.get('type-record') ?? 0))
      t.is(again.messages.totalLost() + again.records.totalLost(), 0)
    }
  }
  const {user, system} = process.cpuUsage(before)
  t.true(mutated > 10000)
  t.true((user + system) / 1000 / mutated < 5, `${(user + system) / 1000 / mutated} ms a Message`)
})

test('mutated datagrams of one session: its memory stays bounded and the balance holds', (t) => {
  const below = numbers(5)
  const pool = createTemplatePool({maxTemplates: 200, maxHeldOctets: 100000})
  const ledger = new Ledger()
  const session = createSession({ledger, reliable: false, pool})
  const batches: RecordBatch[] = []
  for (let i = 0; i < 20000; i++) {
    const base = bases[below(bases.length)]
    session.datagram(mutate(base[below(base.length)], below, lists), i, batches)
    if (pool.templates.size > 200 || pool.heldOctets > 65536) t.fail('limits')
    if (i % 1000 === 999) {
      const before = batches.splice(0)
      const wrong = before.find((batch) => {
        for (let n = 0; n < batch.count; n++) readRecord(batch, n)
        return recordEnd(batch, batch.count - 1) > batch.octets.length
      })
      t.is(wrong, undefined)
    }
  }
  session.end()
  const {records, messages} = accounts(ledger)
  t.is(records.in, records.out + records.totalLost())
  t.is(messages.in, messages.out + messages.totalLost())
  t.is(pool.heldOctets, 0)
})

test('one Message of 16,000 empty Sets, or of 21,000 Templates’ heads, is soon done', (t) => {
  const empty = new Uint8Array(65532 - 16)
  const view = new DataView(empty.buffer)
  for (let at = 0; at < empty.length; at += 4) view.setUint32(at, 0x01000004)
  const withdrawals = new Uint8Array(65532 - 16)
  const heads = new DataView(withdrawals.buffer)
  heads.setUint32(0, 0x0002ffec)
  for (let at = 4; at < withdrawals.length; at += 4) heads.setUint32(at, (256 + at) << 16)
  for (const body of [empty, withdrawals]) {
    const octets = join(hex`000a fffc 00000000 00000000 00000000`, body)
    decode(octets)
    const before = process.cpuUsage()
    for (let i = 0; i < 20; i++) t.is(decode(octets).messages.out, 1)
    const {user, system} = process.cpuUsage(before)
    t.true((user + system) / 1000 / 20 < 5, `${(user + system) / 20000} ms`)
  }
})

test('the Message with lists that is mutated is sound itself', (t) => {
  const decoded = decode(lists)
  t.is(fault(decoded), undefined)
  t.deepEqual([...decoded.records.noted, ...decoded.messages.noted], [])
  t.is(decoded.records.out, 4)
})
