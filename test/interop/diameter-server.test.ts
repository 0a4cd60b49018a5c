import test, {type ExecutionContext} from 'ava'
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {authority, noCertificates} from '../support/certificates.js'
import {decoded} from '../support/collector.js'
import {bin, darta, folder, start, type Running} from '../support/darta.js'
import {freePort} from '../support/free-port.js'
import {needing, tools} from '../support/needing.js'
import type {Plain} from '../support/results.js'
import {look} from './user-looks.js'

const extension = (name: string): string => `/usr/lib/freeDiameter/${name}.fdx`
const freeDiameter = [
  tools('freeDiameterd'),
  existsSync(extension('acl_wl')) ? undefined : 'not installed: freediameter-extensions',
  noCertificates,
]

const far = 'identity=collect.far.example&realm=far.example'

async function collector(
  t: ExecutionContext,
  where: string,
  ...flags: string[]
): Promise<Running & {port: number}> {
  const running = start(t, bin, ['collect', `${where}?${far}`, '-v', ...flags])
  await running.says(/listening on diameters?:/)
  return {...running, port: Number(/diameters?:\/\/127\.0\.0\.1:(\d+)/.exec(running.words())![1])}
}

function accounts(octets: Uint8Array): Plain[] {
  return decoded(octets).records.filter((record) => 'dartaSourceSessionId' in record)
}

/** That each user has his records from the first to the last, each once. */
function complete(t: ExecutionContext, records: readonly Plain[], users: number, looks: number) {
  const seen = new Set(
    records.map(
      (one) => `${one.dartaSourceSessionId as string} ${one.dartaAccountingRecordNumber as number}`,
    ),
  )
  t.is(seen.size, records.length)
  const stops = records.filter((one) => one.dartaAccountingRecordType === 'stop')
  t.is(stops.length, users)
  for (const stop of stops) {
    t.is(stop.octetTotalCount, looks * 100)
    t.is(stop.reverseOctetTotalCount, looks * 1000)
    t.is(stop.dartaAccountingHost, 'nas.darta.example')
    const own = records.filter((one) => one.userName === stop.userName)
    t.is(own.length, Number(stop.dartaAccountingRecordNumber) + 1)
  }
}

const client = ['--identity', 'nas.darta.example', '--reconnect', '100ms', '--linger', '60s']

async function stopped(running: Running): Promise<string> {
  running.child.kill('SIGTERM')
  const {code, stderr} = await running.ended
  if (/ipfix-write: .*lost/.test(stderr)) throw new Error(stderr)
  if (code !== 0) throw new Error(stderr)
  return stderr
}

needing(...freeDiameter)(
  'freeDiameter relays accounts to a collector, and its answers back',
  async (t) => {
    t.timeout(120_000)
    const at = folder(t)
    const path = (name: string): string => join(at, name)
    const out = path('out.ipfix')
    const server = await collector(t, 'diameter://127.0.0.1:0', '-w', out)
    const ca = authority(at)
    const relay = ca.issue('relay.darta.example')
    const port = await freePort()
    writeFileSync(path('acl'), 'ALLOW_IPSEC *.darta.example\n')
    writeFileSync(
      path('conf'),
      [
        'Identity = "relay.darta.example"',
        'Realm = "darta.example"',
        `Port = ${port}`,
        'SecPort = 0',
        'No_SCTP',
        'No_IPv6',
        'ListenOn = "127.0.0.1"',
        `TLS_Cred = "${relay.cert}", "${relay.key}"`,
        `TLS_CA = "${ca.ca}"`,
        `LoadExtension = "${extension('dict_nasreq')}"`,
        `LoadExtension = "${extension('acl_wl')}" : "${path('acl')}"`,
        `ConnectPeer = "collect.far.example" { ConnectTo = "127.0.0.1"; Port = ${server.port}; No_TLS; }`,
        '',
      ].join(';\n'),
    )
    const daemon = start(t, 'sh', ['-c', `exec freeDiameterd -c ${path('conf')} 1>&2`])
    await Promise.all([daemon.says(/daemon initialized/), server.says(/is relay\.darta\.example/)])
    const {code, stderr} = await darta(
      t,
      [
        'user-map',
        'account',
        `diameter://127.0.0.1:${port}`,
        ...client,
        '--destination-realm',
        'far.example',
      ],
      [0, 60, 120].map((s) => look(s, 5)).join(''),
    )
    t.is(code, 0, stderr)
    const words = await stopped(server)
    t.regex(words, /diameter: 15 records in, 15 out, noted peers 1/)
    const records = accounts(readFileSync(out))
    t.is(records.length, 15)
    complete(t, records, 5, 3)
    t.is(records[0].dartaAccountingRealm, 'darta.example')
  },
)

needing(noCertificates)('accounts come over TLS too', async (t) => {
  const at = folder(t)
  const ca = authority(at)
  const own = ca.issue('collect.far.example')
  const nas = ca.issue('nas.darta.example')
  const tls = ({cert, key}: {cert: string; key: string}): string[] => [
    ...['--tls-cert', cert, '--tls-key', key, '--tls-ca', ca.ca],
  ]
  const out = join(at, 'out.ipfix')
  const server = await collector(t, 'diameters://127.0.0.1:0', '-w', out, ...tls(own))
  const words = [...client, ...tls(nas), '--tls-peer', 'collect.far.example']
  const url = `diameters://127.0.0.1:${server.port}`
  const {code, stderr} = await darta(t, ['user-map', 'account', url, ...words], look(0, 2))
  t.is(code, 0, stderr)
  await stopped(server)
  complete(t, accounts(readFileSync(out)), 2, 1)
})

test('a collector that is killed among accounts has each exactly once in the end', async (t) => {
  t.timeout(120_000)
  const at = folder(t)
  const [journal, out] = [join(at, 'journal'), join(at, 'out.ipfix')]
  const flags = ['--journal', journal, '-w', out]
  const first = await collector(t, 'diameter://127.0.0.1:0', ...flags)
  const url = `diameter://127.0.0.1:${first.port}`
  const sender = start(t, bin, ['user-map', 'account', url, ...client])
  const users = 50
  sender.child.stdin.write(look(0, users))
  await first.says(/is nas\.darta\.example/)
  // It dies while requests and answers are on their way.
  for (let n = 1; n < 20; n++) sender.child.stdin.write(look(60 * n, users))
  while (readFileSync(journal).length < 30_000)
    await new Promise((resolve) => setImmediate(resolve))
  first.child.kill('SIGKILL')
  await first.ended
  t.false(existsSync(out))
  await sender.says(/cannot connect|closed the connection|ECONN/)
  const second = await collector(t, `diameter://127.0.0.1:${first.port}`, ...flags)
  sender.child.stdin.write(look(1200, users))
  sender.child.stdin.end()
  const {code, stderr} = await sender.ended
  t.is(code, 0, stderr)
  const words = await stopped(second)
  t.regex(words, /requests from before go first/)
  t.log(words.split('\n').find((line) => line.includes(' diameter: ')))
  const records = accounts(readFileSync(out))
  complete(t, records, users, 21)
})
