import test, {type ExecutionContext} from 'ava'
import {execFileSync} from 'node:child_process'
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {createServer, type Socket} from 'node:net'
import {join} from 'node:path'
import {accountingAnswer, readAccountingRequest} from '../../src/mediation/diameter/accounting.js'
import {createPeer} from '../../src/mediation/diameter/peer.js'
import {authority, noCertificates} from '../support/certificates.js'
import {bin, darta, folder, start, type Running} from '../support/darta.js'
import {freePort} from '../support/free-port.js'
import {needing, root, tools} from '../support/needing.js'
import {look} from './user-looks.js'

const extension = (name: string): string => `/usr/lib/freeDiameter/${name}.fdx`
const needed = [
  tools('freeDiameterd', 'gcc'),
  existsSync(extension('acl_wl')) ? undefined : 'not installed: freediameter-extensions',
  existsSync('/usr/include/freeDiameter/extension.h')
    ? undefined
    : 'not installed: libfreediameter-dev',
  noCertificates,
]

/** What a server wrote of one accounting request. */
interface Line {
  readonly session: string
  readonly user: string
  readonly type: number
  readonly number: number
  readonly endToEnd: number
  readonly retransmitted: boolean
  readonly inputOctets?: number
  readonly outputOctets?: number
}

interface FreeDiameter {
  readonly port: number
  readonly url: string
  readonly flags: readonly string[]
  /** Starts it, and waits until it can be connected to. */
  begin(): Promise<Running>
  lines(): Line[]
  /** Resolves when so many lines are there. */
  has(count: number): Promise<void>
}

async function freeDiameter(t: ExecutionContext, secure: boolean): Promise<FreeDiameter> {
  const at = folder(t)
  const path = (name: string): string => join(at, name)
  const ca = authority(at)
  const server = ca.issue('server.darta.example')
  const client = ca.issue('nas.darta.example')
  execFileSync('gcc', [
    ...['-shared', '-fPIC', '-O1', '-o', path('accounting.fdx')],
    ...[join(root, 'test/interop/freediameter/accounting.c'), '-lfdcore', '-lfdproto'],
  ])
  const port = await freePort()
  writeFileSync(path('acl'), secure ? '*.darta.example\n' : 'ALLOW_IPSEC *.darta.example\n')
  writeFileSync(path('records'), '')
  writeFileSync(
    path('conf'),
    [
      'Identity = "server.darta.example"',
      'Realm = "darta.example"',
      `Port = ${secure ? 0 : port}`,
      `SecPort = ${secure ? port : 0}`,
      'No_SCTP',
      'No_IPv6',
      'ListenOn = "127.0.0.1"',
      `TLS_Cred = "${server.cert}", "${server.key}"`,
      `TLS_CA = "${ca.ca}"`,
      `LoadExtension = "${extension('dict_nasreq')}"`,
      `LoadExtension = "${extension('acl_wl')}" : "${path('acl')}"`,
      `LoadExtension = "${path('accounting.fdx')}" : "${path('records')}"`,
      '',
    ].join(';\n'),
  )
  const lines = (): Line[] =>
    readFileSync(path('records'), 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Line)
  return {
    port,
    url: `diameter${secure ? 's' : ''}://127.0.0.1:${port}`,
    flags: [
      ...['--identity', 'nas.darta.example', '--reconnect', '200ms'],
      ...(secure
        ? [
            ...['--tls-cert', client.cert, '--tls-key', client.key, '--tls-ca', ca.ca],
            ...['--tls-peer', 'server.darta.example'],
          ]
        : []),
    ],
    async begin() {
      // Its log goes to standard output.
      const running = start(t, 'sh', ['-c', `exec freeDiameterd -c ${path('conf')} 1>&2`])
      await running.says(/daemon initialized/)
      return running
    },
    lines,
    async has(count) {
      while (lines().length < count) await new Promise((resolve) => setTimeout(resolve, 20))
    },
  }
}

/** That each session has its records from 0 to the last, each once if repetitions with T are left out. */
function complete(t: ExecutionContext, lines: readonly Line[], users: number, looks: number): void {
  const sessions = new Map<string, Map<number, Line>>()
  for (const line of lines) {
    const numbers = sessions.get(line.session) ?? new Map<number, Line>()
    sessions.set(line.session, numbers)
    const before = numbers.get(line.number)
    if (before !== undefined) {
      // The server works on several requests at once: either may have been written first.
      t.true(before.retransmitted || line.retransmitted, `${line.session} ${line.number}`)
      t.is(line.endToEnd, before.endToEnd)
      t.is(line.outputOctets, before.outputOctets)
    }
    numbers.set(line.number, line)
  }
  t.is(sessions.size, users)
  for (const numbers of sessions.values()) {
    const last = numbers.size - 1
    t.deepEqual(
      [...numbers.keys()].sort((a, b) => a - b),
      [...numbers.keys()].map((_, i) => i),
    )
    t.is(numbers.get(0)!.type, 2)
    t.is(numbers.get(last)!.type, 4)
    t.is(numbers.get(last)!.inputOctets, looks * 100)
    t.is(numbers.get(last)!.outputOctets, looks * 1000)
    for (let n = 1; n < last; n++) t.is(numbers.get(n)!.type, 3)
  }
}

for (const secure of [false, true]) {
  needing(...needed)(
    `freeDiameter takes the accounts of users${secure ? ' over TLS' : ''}`,
    async (t) => {
      const server = await freeDiameter(t, secure)
      await server.begin()
      const input = [0, 60, 120, 180].map((s) => look(s, 5)).join('')
      const {code, stderr} = await darta(
        t,
        ['user-map', 'account', server.url, ...server.flags, '--linger', '60s'],
        input,
      )
      t.is(code, 0, stderr)
      t.regex(stderr, /to diameters?:.*: 20 records in, 20 out, noted connections 1\n/)
      complete(t, server.lines(), 5, 4)
      t.deepEqual(
        server.lines().filter(({retransmitted}) => retransmitted),
        [],
      )
    },
  )
}

needing(...needed)('an outage of freeDiameter loses nothing', async (t) => {
  t.timeout(120_000)
  const server = await freeDiameter(t, false)
  const first = await server.begin()
  const spool = join(folder(t), 'spool')
  const words = ['user-map', 'account', server.url, ...server.flags, '--linger', '60s']
  const client = start(t, bin, [...words, '--spool', spool])
  const users = 40
  client.child.stdin.write(look(0, users))
  client.child.stdin.write(look(60, users))
  await server.has(users)
  // It dies while requests are on their way.
  for (let n = 2; n < 10; n++) client.child.stdin.write(look(60 * n, users))
  first.child.kill('SIGKILL')
  await first.ended
  for (let n = 10; n < 20; n++) client.child.stdin.write(look(60 * n, users))
  await client.says(/cannot connect/)
  await server.begin()
  for (let n = 20; n < 22; n++) client.child.stdin.write(look(60 * n, users))
  client.child.stdin.end()
  const {code, stderr} = await client.ended
  t.is(code, 0, stderr)
  t.regex(stderr, /noted .*connections 2/)
  complete(t, server.lines(), users, 22)
  t.log(stderr.trim().split('\n').at(-1))
  t.is(readFileSync(spool).length, 0)
})

needing(...needed, tools('tshark'))('tshark finds no fault in what is sent', async (t) => {
  const at = folder(t)
  // With nobody there all requests stay in the spool, as they would be sent.
  const spool = join(at, 'spool')
  const url = `diameter://127.0.0.1:${await freePort()}`
  const words = ['user-map', 'account', url, '--identity', 'nas.darta.example', '--linger', '10ms']
  const {code, stderr} = await darta(t, [...words, '--spool', spool], look(0, 2) + look(60, 2))
  t.is(code, 0, stderr)
  t.regex(stderr, /4 records in, 0 out, skipped 4 \(spooled 4\)/)
  const pcap = join(at, 'out.pcap')
  writeFileSync(pcap, segment(readFileSync(spool)))
  const fields = ['cmd.code', 'flags.T', 'Session-Id', 'User-Name', 'Accounting-Record-Type']
  const shown = execFileSync(
    'tshark',
    [
      ...['-r', pcap, '-T', 'fields', '-E', 'occurrence=a', '-e', '_ws.malformed'],
      ...['-e', '_ws.expert.message', '-e', 'diameter.avp.unknown'],
      ...fields.flatMap((name) => ['-e', `diameter.${name}`]),
      ...['-e', 'diameter.Accounting-Input-Octets', '-e', 'diameter.Accounting-Output-Octets'],
    ],
    {encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore']},
  )
  const [malformed, expert, unknown, codes, retransmitted, , names, types, input, output] = shown
    .replace(/\n$/, '')
    .split('\t')
  t.deepEqual([malformed, expert, unknown], ['', '', ''])
  t.is(codes, '271,271,271,271')
  t.is(retransmitted, '0,0,0,0')
  t.is(names, 'u1001,u1002,u1001,u1002')
  t.is(types, '2,2,4,4')
  t.is(input, '200,200')
  t.is(output, '2000,2000')
})

/** A capture of one TCP segment to the port of Diameter. */
function segment(payload: Buffer): Buffer {
  const head = Buffer.alloc(24 + 16 + 40)
  head.writeUInt32LE(0xa1b2c3d4, 0)
  head.writeUInt16LE(2, 4)
  head.writeUInt16LE(4, 6)
  head.writeUInt32LE(0xffff, 16)
  // Raw IP.
  head.writeUInt32LE(101, 20)
  head.writeUInt32LE(40 + payload.length, 32)
  head.writeUInt32LE(40 + payload.length, 36)
  const ip = head.subarray(40)
  ip[0] = 0x45
  ip.writeUInt16BE(40 + payload.length, 2)
  ip.set([64, 6], 8)
  ip.set([127, 0, 0, 1, 127, 0, 0, 1], 12)
  ip.writeUInt16BE(40_000, 20)
  ip.writeUInt16BE(3868, 22)
  ip.set([0x50, 0x18, 0xff, 0xff], 32)
  return Buffer.concat([head, payload])
}

interface Scripted {
  readonly url: string
  /** Types and numbers of what came, with T where it was there. */
  readonly came: string[]
}

/**
 * A server of our own that answers requests with `answer`, by how many came before: a Result-Code, silence or the end of the
 * connection.
 */
async function scripted(
  t: ExecutionContext,
  answer: (n: number) => number | 'silence' | 'cut',
): Promise<Scripted> {
  const came: string[] = []
  let n = 0
  const talk = (socket: Socket): void => {
    socket.on('error', () => {})
    let silent = false
    const peer = createPeer(
      'responder',
      {
        identity: 'aaa.darta.example',
        realm: 'darta.example',
        addresses: [Uint8Array.of(127, 0, 0, 1)],
        originStateId: 1,
        applications: [3],
        watchdogMs: 30_000,
      },
      {
        send: (octets) => {
          if (!silent) socket.write(octets)
        },
        opened: () => {},
        answered: () => {},
        requested(request) {
          const record = readAccountingRequest(request)
          came.push(`${record.type} ${record.number}${request.retransmitted ? ' T' : ''}`)
          const how = answer(n++)
          silent = typeof how === 'string'
          if (how === 'cut') socket.destroy()
          return {
            resultCode: typeof how === 'number' ? how : 2001,
            avps: accountingAnswer(record),
          }
        },
        closed: () => void socket.end(),
      },
    )
    peer.start(0)
    socket.on('data', (chunk) => {
      silent = false
      peer.receive(new Uint8Array(chunk as Buffer), 0)
    })
  }
  const server = createServer(talk)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const {port} = server.address() as {port: number}
  return {url: `diameter://127.0.0.1:${port}`, came}
}

const client = ['--identity', 'nas.darta.example', '--reconnect', '50ms', '--linger', '60s']

test('what had no answer when the connection broke is sent again with T, the rest without', async (t) => {
  // The second request is the last that this connection carries.
  const {url, came} = await scripted(t, (n) => (n === 1 ? 'cut' : 2001))
  const {code, stderr} = await darta(
    t,
    ['user-map', 'account', url, ...client],
    [0, 60, 120].map((s) => look(s, 1)).join(''),
  )
  t.is(code, 0, stderr)
  const repeated = Number(/repeated (\d+)/.exec(stderr)![1])
  t.true(repeated >= 1)
  t.is(came.filter((line) => line.endsWith(' T')).length, repeated)
  t.deepEqual([...new Set(came.map((line) => line.replace(' T', '')))].sort(), [
    'interim 1',
    'start 0',
    'stop 2',
  ])
})

test('a server that is busy gets the record again, one that refuses it for good does not', async (t) => {
  const {url, came} = await scripted(t, (n) => (n === 0 ? 3004 : n === 1 ? 5005 : 2001))
  const {code, stderr} = await darta(t, ['user-map', 'account', url, ...client], look(0, 1))
  t.is(code, 0, stderr)
  t.deepEqual([...came].sort(), ['start 0', 'start 0 T', 'stop 1'])
  t.regex(stderr, /2 records in, 1 out, lost 1 \(refused-5005 1\)/)
  t.regex(stderr, /noted .*busy 1/)
})

test('what was spooled when the process died goes out with T after a restart', async (t) => {
  const spool = join(folder(t), 'spool')
  // Nothing is answered: the process is killed with all of it on its way.
  const silent = await scripted(t, () => 'silence')
  const words = (url: string): string[] => ['user-map', 'account', url, ...client, '--spool', spool]
  const killed = start(t, bin, words(silent.url))
  killed.child.stdin.write(look(0, 3))
  killed.child.stdin.write(look(60, 3))
  while (silent.came.length < 3) await new Promise((resolve) => setTimeout(resolve, 10))
  killed.child.kill('SIGKILL')
  await killed.ended
  // A crash may have cut the last message.
  const left = readFileSync(spool)
  writeFileSync(spool, Buffer.concat([left, left.subarray(0, 33)]))
  const {url, came} = await scripted(t, () => 2001)
  const {code, stderr} = await darta(t, words(url), look(600, 1))
  t.is(code, 0, stderr)
  t.regex(stderr, /3 records from before go first/)
  t.deepEqual(came, ['start 0 T', 'start 0 T', 'start 0 T', 'start 0', 'stop 1'])
  t.is(readFileSync(spool).length, 0)
})

test('without a server records are told to be undelivered, or wait in the spool', async (t) => {
  const url = `diameter://127.0.0.1:${await freePort()}`
  const words = ['user-map', 'account', url, '--identity', 'nas.darta.example', '--linger', '50ms']
  const lost = await darta(t, words, look(0, 1))
  t.is(lost.code, 1)
  t.regex(lost.stderr, /has not answered 2 records.*DARTA_UNDELIVERED/)
  const wrong = await darta(t, ['user-map', 'account', 'tcp://127.0.0.1'], look(0, 1))
  t.is(wrong.code, 2)
})
