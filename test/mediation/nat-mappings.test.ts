import test from 'ava'
import type {RecordBatch} from '../../src/record/batch.js'
import {VARIABLE} from '../../src/record/element.js'
import {StageLedger} from '../../src/record/ledger.js'
import {createUserFlows, mapUsers} from '../../src/mediation/map-users.js'
import {createNatMappings, type NatMappings} from '../../src/mediation/nat-mappings.js'
import {ie} from '../../src/registry/elements.js'
import {flowBatches, START} from '../support/flows.js'
import {address, batchOf, templateOf} from '../support/records.js'
import {plainRecords} from '../support/results.js'

const PROTOCOL = 6
const INSIDE = '10.0.0.1'
const OUTSIDE = '203.0.113.2'
const SERVER = '192.0.2.9'

/** NAT events: when, which, port inside, port outside, port of the server. */
function sessions(...rows: [number, number, number, number, number][]): RecordBatch {
  return batchOf(
    templateOf([
      ie.observationTimeMilliseconds,
      ie.natEvent,
      ie.sourceIPv4Address,
      ie.postNATSourceIPv4Address,
      ie.protocolIdentifier,
      ie.sourceTransportPort,
      ie.postNAPTSourceTransportPort,
      ie.destinationIPv4Address,
      ie.destinationTransportPort,
    ]),
    rows.map(([at, event, inside, outside, port]) => [
      ...[at, event, address(INSIDE), address(OUTSIDE), PROTOCOL, inside, outside],
      ...[address(SERVER), port],
    ]),
  )
}

function users(...rows: [port: number, uid: number, start: number, end: number][]): RecordBatch {
  return batchOf(
    templateOf([
      ie.flowStartMilliseconds,
      ie.flowEndMilliseconds,
      ie.sourceIPv4Address,
      ie.destinationIPv4Address,
      ie.sourceTransportPort,
      ie.destinationTransportPort,
      ie.protocolIdentifier,
      [ie.userName, VARIABLE],
      ie.dartaUserId,
    ]),
    rows.map(([port, uid, start, end]) => [
      ...[start, end, address(INSIDE), address(SERVER), port, 443, PROTOCOL, `u${uid}`, uid],
    ]),
  )
}

function mappingsOf(...batches: RecordBatch[]): {nat: NatMappings; account: StageLedger} {
  const account = new StageLedger('nat', 'records')
  const nat = createNatMappings(1000, account)
  for (const batch of batches) nat.learn(batch)
  return {nat, account}
}

async function tag(
  records: readonly RecordBatch[],
  known: RecordBatch,
  nat: NatMappings,
): Promise<{ids: unknown[]; account: StageLedger}> {
  const flows = createUserFlows(1000)
  flows.learn(known)
  const account = new StageLedger('tag', 'records')
  async function* source(): AsyncGenerator<RecordBatch[]> {
    yield [...records]
  }
  const out: RecordBatch[] = []
  const stage = mapUsers(() => flows, account, nat)
  for await (const some of stage(source(), {signal: new AbortController().signal})) {
    out.push(...some)
  }
  return {ids: plainRecords(out).map(({dartaUserId}) => dartaUserId), account}
}

test('records from beyond a translator get the user behind it, in both directions', async (t) => {
  const {nat} = mappingsOf(sessions([START, 4, 4000, 2000, 443], [START, 4, 4001, 2001, 443]))
  const {ids, account} = await tag(
    flowBatches([
      {from: OUTSIDE, to: SERVER, ports: [2000, 443]},
      {from: SERVER, to: OUTSIDE, ports: [443, 2001]},
      {from: OUTSIDE, to: SERVER, ports: [2002, 443]},
      // Seen on the inside: nothing to translate.
      {from: INSIDE, to: SERVER, ports: [4000, 443]},
    ]),
    users([4000, 1001, START, START + 1000], [4001, 1002, START, START + 1000]),
    nat,
  )
  t.deepEqual(ids, [1001, 1002, undefined, 1001])
  t.is(account.noted.get('by-nat'), 2)
  t.is(account.noted.get('no-user-flow'), 1)
})

test('a port outside is the user’s who had it at the time', async (t) => {
  const HOUR = 3_600_000
  const {nat} = mappingsOf(
    sessions(
      [START - HOUR, 4, 4000, 2000, 443],
      [START - HOUR / 2, 5, 4000, 2000, 443],
      [START - 5000, 4, 4001, 2000, 443],
      [START + 5000, 5, 4001, 2000, 443],
      [START + HOUR, 4, 4000, 2000, 443],
    ),
  )
  const {ids} = await tag(
    flowBatches([{from: OUTSIDE, to: SERVER, ports: [2000, 443]}]),
    users([4000, 1001, START - HOUR, START + 2 * HOUR], [4001, 1002, START, START + 1000]),
    nat,
  )
  t.deepEqual(ids, [1002])
})

test('a session that another server had is not taken', async (t) => {
  const {nat} = mappingsOf(sessions([START, 4, 4000, 2000, 80]))
  const {ids} = await tag(
    flowBatches([{from: OUTSIDE, to: SERVER, ports: [2000, 443]}]),
    users([4000, 1001, START, START + 1000]),
    nat,
  )
  t.deepEqual(ids, [undefined])
})

test('bindings without the other end, and flows that tell both sides, are mappings too', async (t) => {
  const fields = [
    ie.sourceIPv4Address,
    ie.postNATSourceIPv4Address,
    ie.protocolIdentifier,
    ie.sourceTransportPort,
    ie.postNAPTSourceTransportPort,
  ]
  const ends = [address(INSIDE), address(OUTSIDE), PROTOCOL]
  const {nat, account} = mappingsOf(
    batchOf(templateOf([ie.observationTimeMilliseconds, ie.natEvent, ...fields]), [
      [START, 8, ...ends, 4000, 2000],
      // Ran out of ports: no mapping.
      [START, 12, ...ends, 4009, 2009],
    ]),
    batchOf(templateOf([ie.flowStartMilliseconds, ie.flowEndMilliseconds, ...fields]), [
      [START, START + 1000, ...ends, 4001, 2001],
    ]),
    users([4000, 1001, START, START]),
  )
  t.is(nat.size, 2)
  t.deepEqual([account.in, account.out, account.skipped.get('no-mapping')], [4, 2, 2])
  const {ids} = await tag(
    flowBatches([
      {from: OUTSIDE, to: SERVER, ports: [2000, 443]},
      {from: SERVER, to: OUTSIDE, ports: [443, 2001]},
      {from: OUTSIDE, to: SERVER, ports: [2009, 443]},
    ]),
    users(
      [4000, 1001, START, START + 1000],
      [4001, 1002, START, START + 1000],
      [4009, 1009, START, START + 1000],
    ),
    nat,
  )
  t.deepEqual(ids, [1001, 1002, undefined])
})

test('a mapping of which only the end was told was there before', (t) => {
  const {nat} = mappingsOf(sessions([START, 5, 4000, 2000, 443]))
  const text = (bytes: Uint8Array, port: number): string =>
    `${String.fromCharCode(...bytes)}:${port};`
  const ends = {
    source: text(address(OUTSIDE), 2000),
    dest: text(address(SERVER), 443),
    protocol: `${PROTOCOL};`,
  }
  t.is(nat.inside(ends, START - 100_000, START - 90_000)?.source, text(address(INSIDE), 4000))
  t.is(nat.inside(ends, START + 10_000, START + 20_000), undefined)
})
