import test from 'ava'
import {createUserSessions, type SessionUsage} from '../../src/mediation/user-sessions.js'
import {resultBatches} from '../../src/processing/analysis/result-records.js'
import {StageLedger} from '../../src/record/ledger.js'
import {ie} from '../../src/registry/elements.js'

const message = {exportTime: 0, sequenceNumber: 0, observationDomainId: 0, offset: 0}

/** Sessions that are made of looks: seconds, user, octets sent, octets received. */
function sessionsOf(rows: readonly (readonly [number, number, number, number])[]): {
  told: SessionUsage[]
  account: StageLedger
} {
  const account = new StageLedger('sessions', 'records')
  const sessions = createUserSessions({interimMs: 60_000, idleMs: 300_000, account})
  const told: SessionUsage[] = []
  for (const [seconds, uid, sent, received] of rows) {
    const records = [
      [1, sent],
      [0, received],
    ].map(([direction, octets]) => ({
      fields: [
        [ie.observationTimeMilliseconds, seconds * 1000],
        [ie.userName, `u${uid}`],
        [ie.dartaUserId, uid],
        [ie.flowDirection, direction],
        [ie.packetDeltaCount, octets / 100],
        [ie.octetDeltaCount, octets],
      ] as const,
    }))
    for (const batch of resultBatches(message, records)) told.push(...sessions.take(batch))
  }
  return {told: [...told, ...sessions.end()], account}
}

const line = (u: SessionUsage): string =>
  `${u.session} ${u.userName} ${u.type} ${u.number} at ${u.timeMs / 1000}: ${u.sentOctets}/${u.sentPackets} ${u.receivedOctets}/${u.receivedPackets}`

test('a session begins with the first packet, is told of while it lasts, and ends with the records', (t) => {
  const {told} = sessionsOf([
    [10, 1, 100, 0],
    [20, 2, 0, 0],
    [70, 1, 200, 300],
    [80, 2, 0, 500],
    [90, 1, 0, 100],
  ])
  t.deepEqual(told.map(line), [
    '1 u1 start 0 at 10: 0/0 0/0',
    '1 u1 interim 1 at 70: 300/3 300/3',
    '2 u2 start 0 at 80: 0/0 0/0',
    '1 u1 stop 2 at 90: 300/3 400/4',
    '2 u2 stop 1 at 90: 0/0 500/5',
  ])
})

test('a user who is silent for long has another session when he comes back', (t) => {
  const {told} = sessionsOf([
    [10, 1, 100, 0],
    [200, 1, 0, 0],
    [310, 1, 0, 0],
    [400, 1, 700, 0],
  ])
  t.deepEqual(told.filter(({type}) => type !== 'interim').map(line), [
    '1 u1 start 0 at 10: 0/0 0/0',
    '1 u1 stop 2 at 310: 100/1 0/0',
    '2 u1 start 0 at 400: 0/0 0/0',
    '2 u1 stop 1 at 400: 700/7 0/0',
  ])
})

test('each octet is in one session, whatever comes when', (t) => {
  const rows = Array.from(
    {length: 400},
    (_, i) => [i * 37, i % 7, (i % 5) * 100, (i % 3) * 100] as const,
  )
  const {told, account} = sessionsOf(rows)
  const sum = (pick: (u: SessionUsage) => number): number =>
    told.filter(({type}) => type === 'stop').reduce((n, u) => n + pick(u), 0)
  t.is(
    sum((u) => u.sentOctets),
    rows.reduce((n, [, , sent]) => n + sent, 0),
  )
  t.is(
    sum((u) => u.receivedOctets),
    rows.reduce((n, [, , , received]) => n + received, 0),
  )
  t.is(account.in, 800)
  t.is(account.out, 800)
})

test('records of no user are skipped by name', (t) => {
  const account = new StageLedger('sessions', 'records')
  const sessions = createUserSessions({interimMs: 1, idleMs: 1, account})
  for (const batch of resultBatches(message, [{fields: [[ie.octetDeltaCount, 1]]}])) {
    t.deepEqual(sessions.take(batch), [])
  }
  t.is(account.skipped.get('no-user'), 1)
})
