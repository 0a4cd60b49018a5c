import test from 'ava'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {balance, deviceOctets, lookAt, readDevices} from '../../src/commands/user-map/audit.js'
import {processesTable, usersTable} from '../../src/commands/user-map/live-table.js'
import {userNames} from '../../src/commands/user-map/user-names.js'
import type {UserReading, UserTotal} from '../../src/metering/user-account.js'
import {connection} from '../support/connection.js'
import {darta, folder} from '../support/darta.js'
import {native} from '../support/native-addon.js'
import {needing, tools} from '../support/needing.js'

const total = (uid: number | undefined, direction: 'in' | 'out', octets: number): UserTotal => ({
  row: uid === undefined ? 'kernel' : 'user',
  uid,
  nsUid: uid === 1001 ? 0 : uid,
  ipVersion: 4,
  protocol: 'udp',
  direction,
  packets: 1,
  octets,
})

const reading = (totals: UserTotal[]): UserReading => ({
  timeMs: 0,
  totals,
  flows: [],
  statistics: new Map(),
})

test('the table has the fastest user first, and what is nobody’s by its name', (t) => {
  const before = new Map([['user 1001 4 udp in', total(1001, 'in', 900)]])
  const text = usersTable(
    reading([total(undefined, 'out', 40), total(1001, 'in', 1000), total(1002, 'out', 5000)]),
    before,
    2,
    userNames(true),
    'none',
  )
  t.deepEqual(text.trim().split('\n'), [
    'user         uid  in bit/s  out bit/s    in   out  IPv6  TCP   UDP  ICMP  other',
    '1002        1002         0      20000     0  5000     0    0  5000     0      0',
    '1001    1001 (0)       400          0  1000     0     0    0  1000     0      0',
    'kernel         -         0        160     0    40     0    0    40     0      0',
  ])
})

test('processes are summed over their flows', (t) => {
  const flow = {
    ipVersion: 4 as const,
    protocol: 6,
    local: '10.0.0.1',
    localPort: 1,
    remote: '10.0.0.2',
    remotePort: 2,
    uid: 1001,
    pid: 77,
    command: 'curl',
    cgroup: 0n,
    cookie: 1n,
    ifindex: 1,
    startMs: 0,
    endMs: 0,
    inPackets: 1,
    inOctets: 100,
    outPackets: 1,
    outOctets: 10,
  }
  const text = processesTable([flow, {...flow, localPort: 3}], userNames(true), 'none')
  t.regex(text, /^1001 +1001 +77 +curl +- +2 +200 +20$/m)
  const guessed = {...flow, localPort: 4, isProcessGuessed: true}
  t.regex(
    processesTable([flow, guessed], userNames(true), 'none'),
    /^1001 +1001 +77 +curl\? +- +2 +200 +20$/m,
  )
})

needing(tools('getent'))('names of users come from the name service', (t) => {
  const names = userNames()
  names.learn([0, 3_999_999_999])
  t.is(names.of(0), 'root')
  t.is(names.of(3_999_999_999), '3999999999')
})

test('what an interface counted and no account has is left over', (t) => {
  const dev = (packets: number, octets: number): string =>
    'Inter-| Receive\n face |bytes\n' +
    `  eth0: ${octets} ${packets} 0 0 0 0 0 0 ${octets} ${packets} 0 0 0 0 0 0\n`
  const look = (packets: number, octets: number, inPackets: number, inOctets: number) => ({
    before: readDevices(dev(packets, octets)),
    after: readDevices(dev(packets, octets)),
    reading: {
      ...reading([]),
      interfaces: [
        {
          name: 'eth0',
          ipVersion: 4 as const,
          inPackets,
          inOctets,
          outPackets: inPackets,
          outOctets: inOctets,
        },
      ],
    },
  })
  const lines = balance(look(10, 1140, 5, 500), look(13, 1140 + 342, 8, 800), () => 14)
  t.deepEqual(
    lines.map(({direction, restPackets, restOctets}) => [direction, restPackets, restOctets]),
    [
      ['in', 0, 0],
      ['out', 0, 0],
    ],
  )
  const [lost] = balance(look(10, 1140, 5, 500), look(13, 1140 + 342, 7, 700), () => 14)
  t.deepEqual([lost.restPackets, lost.restOctets], [1, 100])
  // What came while it was looked may be on either side.
  const moving = {...look(13, 1140 + 342, 7, 700), before: readDevices(dev(12, 1140 + 228))}
  const [within] = balance(look(10, 1140, 5, 500), moving, () => 14)
  t.deepEqual([within.restPackets, within.restOctets], [0, 0])
})

test('octets of all interfaces are those of IP, in and out', (t) => {
  const dev = (octets: number, packets: number): string =>
    `lo: ${octets} ${packets} 0 0 0 0 0 0 ${octets} ${packets} 0 0 0 0 0 0\n` +
    `eth0: ${octets} ${packets} 0 0 0 0 0 0 ${2 * octets} ${packets} 0 0 0 0 0 0\n`
  const from = readDevices(dev(1000, 10))
  const to = readDevices(dev(2000, 15))
  t.is(
    deviceOctets(from, to, (name) => (name === 'lo' ? 0 : 14)),
    1000 + 1000 + 1000 + 2000 - 2 * 5 * 14,
  )
})

test('a look at accounts and interfaces is made again while packets come', (t) => {
  let n = 0
  const dev = (packets: number): string => `eth0: 0 ${packets} 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n`
  const look = lookAt(
    () => reading([]),
    () => readDevices(dev(Math.min(n++, 5))),
  )
  t.is(look.before.get('eth0')!.inPackets, 5)
  t.is(n, 8)
  let always = 0
  const restless = lookAt(
    () => reading([]),
    () => readDevices(dev(always++)),
  )
  t.is(restless.after.get('eth0')!.inPackets, restless.before.get('eth0')!.inPackets + 1)
})

needing(native)('a source that cannot be used says why, and status says it of all', async (t) => {
  const status = await darta(t, ['user-map', 'status'])
  t.is(status.code, 0)
  t.regex(status.stdout.toString(), /^sockets +can be used/m)
  const none = await darta(t, ['user-map', '--source', 'kmod', '--once'], '', {
    env: {...process.env, DARTA_NATIVE: '0'},
  })
  if (!status.stdout.toString().includes('linubia 1.')) {
    t.is(none.code, 1)
    t.regex(none.stderr, /kmod: the module linubia is not loaded \(DARTA_USER_SOURCE\)/)
  }
  const wrong = await darta(t, ['user-map', 'tag', '--users', '/nonexistent'])
  t.is(wrong.code, 1)
})

needing(native)(
  'records of users and flows can be read by the other commands, and tagged with',
  async (t) => {
    const {port, localPort} = await connection(t, 10_000)
    const users = join(folder(t), 'users.ipfix')
    const made = await darta(t, [
      ...['user-map', '--source', 'sockets', '--once', '--interval', '10ms'],
      ...['--processes', '-w', users],
    ])
    t.is(made.code, 0, made.stderr)
    const input = JSON.stringify({
      flowStartMilliseconds: new Date().toISOString(),
      flowEndMilliseconds: new Date().toISOString(),
      sourceIPv4Address: '127.0.0.1',
      destinationIPv4Address: '127.0.0.1',
      sourceTransportPort: localPort,
      destinationTransportPort: port,
      protocolIdentifier: 6,
      octetDeltaCount: 123,
    })
    const tagged = await darta(
      t,
      ['user-map', 'tag', '--users', users, '--slack', '10s', '-o', 'ndjson'],
      `${input}\n${input.replace(String(port), String(port ^ 1))}\n`,
    )
    t.is(tagged.code, 0, tagged.stderr)
    const [first, second] = tagged.stdout
      .toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    t.is(first.dartaUserId, process.getuid!())
    t.is(first.dartaPeerUserId, process.getuid!())
    t.is(first.dartaProcessId, process.pid)
    t.is(first.dartaProcessAttribution, 'open')
    t.is(first.dartaPeerProcessId, process.pid)
    t.is(first.dartaPeerProcessAttribution, 'open')
    t.is(first.octetDeltaCount, 123)
    t.is(second.dartaUserId, undefined)
    t.regex(tagged.stderr, /tag: 2 records in, 2 out.*no-user-flow/)
    writeFileSync(users, '')
  },
)
