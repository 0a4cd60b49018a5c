import test from 'ava'
import type {SequenceCounts} from '../../src/ipfix/sequence.js'
import {
  collecting,
  ipfix,
  ipfixTemplate,
  netflow5,
  netflow9,
  netflow9Template,
  sflow,
  type Numbered,
} from './collecting.js'

const A = '192.0.2.1:40000'
const B = '192.0.2.2:40000'

/** A generator that is the same everywhere: mulberry32. */
function random(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

interface Protocol {
  readonly name: string
  /** What sequence numbers count. */
  readonly counts: 'records' | 'messages'
  readonly account: string
  readonly template?: (one: Numbered) => Uint8Array
  readonly data: (one: Numbered) => Uint8Array
}

const protocols: readonly Protocol[] = [
  {name: 'netflow5', counts: 'records', account: 'netflow5', data: netflow5},
  {
    name: 'netflow9',
    counts: 'messages',
    account: 'netflow9-messages',
    template: netflow9Template,
    data: netflow9,
  },
  {name: 'ipfix', counts: 'records', account: 'ipfix', template: ipfixTemplate, data: ipfix},
  {name: 'sflow', counts: 'messages', account: 'sflow-messages', data: sflow},
]

interface Way {
  /** Datagrams as they arrive: number and records of each. */
  readonly arrive: {readonly sequence: number; readonly records: number}[]
  readonly dropped: number
  readonly droppedRecords: number
  readonly duplicated: number
  readonly late: number
}

/** A way that drops, doubles and delays one in a hundred datagrams each; a late one is overtaken by 1 to 20 others. */
function way(n: number, from: number, counts: Protocol['counts'], seed: number): Way {
  const next = random(seed)
  const arrive: {sequence: number; records: number; at: number}[] = []
  let sequence = from
  const sums = {dropped: 0, droppedRecords: 0, duplicated: 0, late: 0}
  for (let i = 0; i < n; i++) {
    const records = 1 + Math.floor(next() * 3)
    const one = {sequence: sequence >>> 0, records}
    sequence += counts === 'records' ? records : 1
    const dice = next()
    // What is lost before the first or behind the last cannot be seen.
    if (i < 50 || i > n - 50 || dice > 0.03) arrive.push({...one, at: i})
    else if (dice < 0.01) {
      sums.dropped++
      sums.droppedRecords += records
    } else if (dice < 0.02) {
      sums.duplicated++
      arrive.push({...one, at: i}, {...one, at: i + Math.floor(next() * 5) + 0.5})
    } else {
      sums.late++
      arrive.push({...one, at: i + 1 + Math.floor(next() * 20) + 0.7})
    }
  }
  arrive.sort((a, b) => a.at - b.at)
  // A datagram counts as late only if something sent after it and not lost came before it.
  return {arrive, ...sums}
}

/** Late ones of which all that were to overtake them are lost are in order after all. */
function lateOnes({arrive}: Way, from: number): number {
  let most = -1
  const seen = new Set<number>()
  let late = 0
  for (const {sequence} of arrive) {
    const place = (sequence - from) >>> 0
    if (seen.has(place)) continue
    seen.add(place)
    if (place < most) late++
    most = Math.max(most, place)
  }
  return late
}

for (const {name, counts, account, template, data} of protocols) {
  for (const from of [0, 2 ** 32 - 5000]) {
    const where = from === 0 ? 'from 0 on' : 'over the end of 32 bits'
    test(`${name}: 1 % dropped, doubled and late of 100,000 datagrams are told exactly, ${where}`, async (t) => {
      const {send, account: accountOf, losses, records} = await collecting()
      const made = way(100_000, from, counts, 7)
      if (template !== undefined) {
        send(A, template({sequence: counts === 'records' ? from : from - 1}))
      }
      let sent = 0
      for (const {sequence, records: n} of made.arrive) {
        send(A, data({sequence, records: n}))
        sent += n
      }
      const late = lateOnes(made, from)
      const missing = counts === 'records' ? made.droppedRecords : made.dropped
      const {missing: gaps, noted} = accountOf(account)
      t.deepEqual([...gaps], [['sequence-gap', missing]])
      t.is(noted.get('duplicate'), made.duplicated)
      t.is(noted.get('reordered'), late)
      t.is(noted.get('sequence-reset'), undefined)
      if (name !== 'sflow') t.is(records(), sent)
      const [{sums}] = losses(A)
      const told: Partial<SequenceCounts> = {
        missing,
        duplicates: made.duplicated,
        reordered: late,
        resets: 0,
      }
      t.like(sums, told)
    })
  }

  test(`${name}: an Exporter that begins anew is no loss`, async (t) => {
    const {send, account: accountOf, losses} = await collecting()
    const run = (from: number, time: number): void => {
      if (template !== undefined) send(A, template({sequence: from, time}))
      const first = from + (template !== undefined && counts === 'messages' ? 1 : 0)
      for (let i = 0; i < 300; i++) send(A, data({sequence: first + i, time: time + i}))
    }
    run(5_000_000, 1_700_000_000)
    run(0, 1_700_001_000)
    // It was down for a moment and came back with a clock that is behind.
    run(0, 1_600_000_000)
    const {missing, noted} = accountOf(account)
    t.deepEqual([...missing], [])
    t.is(noted.get('sequence-reset'), 2)
    t.is(losses(A)[0].sums.resets, 2)
  })

  for (const [where, other] of [
    ['', B],
    [' behind one address', '192.0.2.1:40001'],
  ] as const)
    test(`${name}: two Exporters with one domain number${where} are counted apart`, async (t) => {
      const {send, losses} = await collecting()
      const templates = template !== undefined && counts === 'messages' ? 1 : 0
      for (const one of [A, other]) if (template !== undefined) send(one, template({sequence: 0}))
      for (let i = 0; i < 1000; i++) {
        // A loses every tenth, B none.
        if (i % 10 !== 5) send(A, data({sequence: i + templates}))
        send(other, data({sequence: i + templates}))
      }
      t.is(losses(A)[0].sums.missing, 100)
      t.is(losses(other)[0].sums.missing, 0)
    })
}

test('sflow: samples that the agent dropped are missing though every datagram came', async (t) => {
  const {send, account, losses} = await collecting()
  for (let i = 0; i < 100; i++) send(A, sflow({sequence: i, sample: i < 50 ? i : i + 7}))
  t.deepEqual([...account('sflow').missing], [['sequence-gap', 7]])
  t.deepEqual([...account('sflow-messages').missing], [])
  t.is(losses(A)[0].sums.missing, 0)
})

test('a Template that changes in mid-stream costs no record, and none is misread', async (t) => {
  const {send, out, account} = await collecting()
  send(A, ipfixTemplate({sequence: 0}))
  send(A, ipfix({sequence: 0, records: 3}))
  // The same number with a field more, destinationIPv4Address, and data in the same Message behind it.
  const changed = new Uint8Array(16 + 16 + 12)
  const view = new DataView(changed.buffer)
  view.setUint16(0, 10)
  view.setUint16(2, changed.length)
  view.setUint32(4, 1_700_000_001)
  view.setUint32(8, 3)
  changed.set([0, 2, 0, 16, 1, 0, 0, 2, 0, 8, 0, 4, 0, 12, 0, 4], 16)
  changed.set([1, 0, 0, 12, 10, 0, 0, 1, 10, 0, 0, 2], 32)
  send(A, changed)
  send(B, ipfixTemplate({sequence: 0}))
  send(B, ipfix({sequence: 0, records: 2}))
  t.deepEqual(
    out.map(({template, count}) => [template.fields.length, count]),
    [
      [1, 3],
      [2, 1],
      [1, 2],
    ],
  )
  t.is(account('ipfix-messages').noted.get('template-redefined'), 1)
  t.is(account('ipfix').totalMissing() + account('ipfix').totalLost(), 0)
})
