import test from 'ava'
import {VARIABLE} from '../../src/record/element.js'
import type {RecordBatch} from '../../src/record/batch.js'
import {StageLedger} from '../../src/record/ledger.js'
import {createUserFlows, mapUsers} from '../../src/mediation/map-users.js'
import {ie} from '../../src/registry/elements.js'
import {flowBatches, START} from '../support/flows.js'
import {address, batchOf, templateOf} from '../support/records.js'
import {plainRecords} from '../support/results.js'

type UserFlowRow = readonly [
  local: string,
  port: number,
  remote: string,
  remotePort: number,
  uid: number,
  name: string,
  start: number,
  end: number,
]

/** Flows of users as `user-map --processes` writes them. */
function userFlows(...rows: UserFlowRow[]): RecordBatch {
  const template = templateOf([
    ie.flowStartMilliseconds,
    ie.flowEndMilliseconds,
    ie.sourceIPv4Address,
    ie.destinationIPv4Address,
    ie.sourceTransportPort,
    ie.destinationTransportPort,
    ie.protocolIdentifier,
    [ie.userName, VARIABLE],
    ie.dartaUserId,
  ])
  return batchOf(
    template,
    rows.map(([local, port, remote, remotePort, uid, name, start, end]) => [
      ...[start, end, address(local), address(remote), port, remotePort, 6, name, uid],
    ]),
  )
}

async function tag(
  batches: readonly RecordBatch[],
  rows: readonly UserFlowRow[],
  slackMs = 1000,
): Promise<{batches: RecordBatch[]; account: StageLedger}> {
  const flows = createUserFlows(slackMs)
  flows.learn(userFlows(...rows))
  const account = new StageLedger('tag', 'records')
  const stage = mapUsers(() => flows, account)
  const out: RecordBatch[] = []
  async function* source(): AsyncGenerator<RecordBatch[]> {
    yield [...batches]
  }
  for await (const some of stage(source(), {signal: new AbortController().signal})) {
    out.push(...some)
  }
  return {batches: out, account}
}

test('the user of this host’s end is put behind a record, whichever end that is', async (t) => {
  const {batches, account} = await tag(
    flowBatches([
      {from: '10.0.0.1', to: '192.0.2.9', ports: [4000, 443]},
      {from: '192.0.2.9', to: '10.0.0.1', ports: [443, 4000]},
      {from: '192.0.2.9', to: '10.0.0.1', ports: [443, 4001]},
    ]),
    [['10.0.0.1', 4000, '192.0.2.9', 443, 1001, 'anna', START, START + 1000]],
  )
  const records = plainRecords(batches)
  t.deepEqual(
    records.map(({userName, dartaUserId}) => [userName, dartaUserId]),
    [
      ['anna', 1001],
      ['anna', 1001],
      [undefined, undefined],
    ],
  )
  // Everything that the records had is still in them, in its place.
  t.deepEqual(
    records.map((r) => [r.sourceTransportPort, r.octetDeltaCount]),
    [
      [4000, 100],
      [443, 100],
      [443, 100],
    ],
  )
  t.deepEqual([account.in, account.out], [3, 3])
  t.deepEqual([...account.noted], [['no-user-flow', 1]])
})

test('between two users of one host the source’s is the user and the other the peer', async (t) => {
  const {batches} = await tag(
    flowBatches([{from: '10.0.0.1', to: '10.0.0.1', ports: [4000, 80]}]),
    [
      ['10.0.0.1', 4000, '10.0.0.1', 80, 1001, 'anna', START, START + 1000],
      ['10.0.0.1', 80, '10.0.0.1', 4000, 1002, 'bert', START, START + 1000],
    ],
  )
  const [record] = plainRecords(batches)
  t.is(record.userName, 'anna')
  t.is(record.dartaPeerUserName, 'bert')
  t.is(record.dartaPeerUserId, 1002)
})

test('processes come along with how they are known, at either end, where there is one', async (t) => {
  const template = templateOf([
    ...[ie.flowStartMilliseconds, ie.flowEndMilliseconds],
    ...[ie.sourceIPv4Address, ie.destinationIPv4Address],
    ...[ie.sourceTransportPort, ie.destinationTransportPort, ie.protocolIdentifier],
    ...[ie.dartaUserId, ie.dartaProcessId],
    ...[ie.dartaProcessName, ie.dartaProcessAttribution].map((e) => [e, VARIABLE] as const),
  ])
  const own = address('10.0.0.1')
  const row = (ports: [number, number], ...process: [number, string, string]) =>
    [START, START + 1000, own, own, ...ports, 6, 1001, ...process] as const
  const flows = createUserFlows(1000)
  flows.learn(
    batchOf(template, [
      row([4000, 80], 0, '', 'none'),
      row([80, 4000], 8, 'nginx', 'open'),
      row([4001, 80], 9, 'wget', 'open'),
      // A later look knows more, or no more.
      row([4000, 80], 7, 'curl', 'used'),
      row([4000, 80], 0, '', 'none'),
      row([80, 4002], 0, '', 'none'),
    ]),
  )
  const ends = {from: '10.0.0.1', to: '10.0.0.1'}
  async function* source(): AsyncGenerator<RecordBatch[]> {
    yield flowBatches([4000, 4001, 4002].map((port) => ({...ends, ports: [port, 80]})))
  }
  const account = new StageLedger('tag', 'records')
  const out: RecordBatch[] = []
  const {signal} = new AbortController()
  for await (const some of mapUsers(() => flows, account)(source(), {signal})) out.push(...some)
  t.deepEqual(
    plainRecords(out).map((r) => [
      ...[r.dartaProcessId, r.dartaProcessName, r.dartaProcessAttribution],
      ...[r.dartaPeerProcessId, r.dartaPeerProcessName, r.dartaPeerProcessAttribution],
      r.dartaUserId,
    ]),
    [
      [7, 'curl', 'used', 8, 'nginx', 'open', 1001],
      [9, 'wget', 'open', undefined, undefined, undefined, 1001],
      [undefined, undefined, undefined, undefined, undefined, undefined, 1001],
    ],
  )
})

test('who had the ports at the time of the record is its user', async (t) => {
  const hour = 3_600_000
  const rows: UserFlowRow[] = [
    ['10.0.0.1', 4000, '192.0.2.9', 443, 1001, 'anna', START, START + 1000],
    ['10.0.0.1', 4000, '192.0.2.9', 443, 1002, 'bert', START + hour, START + hour + 1000],
  ]
  const at = (start: number): RecordBatch[] =>
    flowBatches([{from: '10.0.0.1', to: '192.0.2.9', ports: [4000, 443], start}])
  const early = await tag(at(START + 500), rows)
  t.is(plainRecords(early.batches)[0].userName, 'anna')
  const late = await tag(at(START + hour - 900), rows)
  t.is(plainRecords(late.batches)[0].userName, 'bert')
  const never = await tag(at(START + hour / 2), rows)
  t.false('userName' in plainRecords(never.batches)[0])
  t.deepEqual([...never.account.noted], [['other-time', 1]])
  // A slack that reaches further finds the nearer one.
  const lax = await tag(at(START + hour / 2 - 10_000), rows, hour)
  t.is(plainRecords(lax.batches)[0].userName, 'anna')
})

test('records without addresses pass as they are, and are noted', async (t) => {
  const batch = batchOf(templateOf([ie.octetDeltaCount, ie.interfaceName]), [[7, 'eth0']])
  const {batches, account} = await tag([batch], [])
  t.deepEqual(batches[0].octets, batch.octets)
  t.deepEqual([...account.noted], [['no-addresses', 1]])
})

test('the order of records is kept where tagged and untagged ones alternate', async (t) => {
  const rows = Array.from({length: 300}, (_, i) => ({
    from: '10.0.0.1',
    to: '192.0.2.9',
    ports: [1000 + i, 443] as const,
  }))
  const {batches, account} = await tag(
    flowBatches(rows),
    rows
      .filter((_, i) => i % 3 > 0)
      .map(({ports}): UserFlowRow => {
        const name = 'x'.repeat(ports[0] % 200)
        return ['10.0.0.1', ports[0], '192.0.2.9', 443, ports[0], name, START, START + 1000]
      }),
  )
  const records = plainRecords(batches)
  t.deepEqual(
    records.map((r) => r.sourceTransportPort),
    rows.map(({ports}) => ports[0]),
  )
  for (const [i, record] of records.entries()) {
    const fields = new Map(Object.entries(record))
    t.is(fields.get('dartaUserId'), i % 3 > 0 ? 1000 + i : undefined)
    t.is(fields.get('userName'), i % 3 > 0 ? 'x'.repeat((1000 + i) % 200) : undefined)
  }
  t.is(account.noted.get('no-user-flow'), 100)
})
