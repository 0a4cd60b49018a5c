import {readFileSync} from 'node:fs'
import type {ExecutionContext} from 'ava'
import {authority, noCertificates, type Authority, type Identity} from '../support/certificates.js'
import {bin, darta, folder, start, type Ended} from '../support/darta.js'
import {numberedRecords} from '../support/numbered.js'
import {needing} from '../support/needing.js'

const withOpenssl = needing(noCertificates)

interface Server {
  readonly port: number
  /** Ends it; what it said and what it got, mixed. */
  stop(): Promise<Buffer>
}

/** OpenSSL as the Collector: it demands a certificate of ours, and writes what it gets to standard output. */
async function openssl(
  t: ExecutionContext,
  {cert, key}: Identity,
  ca: string,
  ...more: string[]
): Promise<Server> {
  const running = start(t, 'openssl', [
    ...['s_server', '-accept', '127.0.0.1:0', '-cert', cert, '-key', key],
    ...['-Verify', '1', '-verify_return_error', '-CAfile', ca, ...more],
  ])
  let words = ''
  const port = await new Promise<number>((resolve) => {
    running.child.stdout.on('data', (chunk: Buffer) => {
      words += chunk.toString('latin1')
      const found = /ACCEPT \S+:(\d+)/.exec(words)
      if (found !== null) resolve(Number(found[1]))
    })
  })
  return {
    port,
    async stop() {
      running.child.kill('SIGTERM')
      const {stdout, stderr} = await running.ended
      return Buffer.concat([stdout, Buffer.from(stderr)])
    },
  }
}

function credentials({cert, key}: Identity, ca: string): string[] {
  return ['--tls-cert', cert, '--tls-key', key, '--tls-ca', ca]
}

/** Sends ten records there and does not wait for better times. */
function sendTo(t: ExecutionContext, to: string, ...args: string[]): Promise<Ended> {
  return darta(t, ['ipfix-export', '--linger', '0', to, ...args], numberedRecords(10))
}

/** Source and destination address of each record. */
const addresses = Buffer.from('c0000201c6336402', 'hex')

/** What both sides have; made once for each test. */
function setting(t: ExecutionContext): {ca: Authority; server: Identity; client: Identity} {
  const ca = authority(folder(t))
  return {ca, server: ca.issue('127.0.0.1'), client: ca.issue('exporter.example')}
}

withOpenssl('records reach a peer that both sides have verified', async (t) => {
  const {ca, server, client} = setting(t)
  const peer = await openssl(t, server, ca.ca)
  const {code, stderr} = await sendTo(
    t,
    `tls://127.0.0.1:${peer.port}`,
    ...credentials(client, ca.ca),
  )
  t.is(code, 0, stderr)
  const got = await peer.stop()
  t.true(got.includes(addresses))
  t.true(got.includes('CN = exporter.example'))
})

withOpenssl('--tls-peer says under which name the peer is expected', async (t) => {
  const {ca, client} = setting(t)
  const peer = await openssl(t, ca.issue('collector.example'), ca.ca)
  const args = [...credentials(client, ca.ca), '--tls-peer', 'collector.example']
  const {code, stderr} = await sendTo(t, `tls://127.0.0.1:${peer.port}`, ...args)
  t.is(code, 0, stderr)
  t.true((await peer.stop()).includes(addresses))
})

type Case = readonly [
  what: string,
  make: (place: string) => {server: Identity; trusts: string; client: Identity; ca: string},
  more: readonly string[],
  /** What the exporter says. */
  words: RegExp,
  /** What the peer says, where its handshake fails too. */
  peerWords: RegExp,
]

const refusals: Case[] = [
  [
    'whose certificate bears another name',
    (place) => {
      const ca = authority(place)
      const client = ca.issue('exporter.example')
      return {server: ca.issue('other.example'), trusts: ca.ca, client, ca: ca.ca}
    },
    [],
    /cannot connect: its certificate is for DNS:other\.example, not 127\.0\.0\.1/,
    /./,
  ],
  [
    'of an unknown authority',
    (place) => {
      const ca = authority(place)
      const other = authority(place, 'other')
      const client = ca.issue('exporter.example')
      return {server: other.issue('127.0.0.1'), trusts: ca.ca, client, ca: ca.ca}
    },
    [],
    /cannot connect: its certificate is from an unknown authority/,
    // Node looks at the certificate when the handshake is done, and closes.
    /unexpected eof/,
  ],
  [
    'whose certificate has expired',
    (place) => {
      const ca = authority(place)
      const client = ca.issue('exporter.example')
      return {server: ca.issue('127.0.0.1', -1), trusts: ca.ca, client, ca: ca.ca}
    },
    [],
    /cannot connect: its certificate has expired/,
    /unexpected eof/,
  ],
  [
    'that speaks nothing newer than TLS 1.1',
    (place) => {
      const ca = authority(place)
      const client = ca.issue('exporter.example')
      return {server: ca.issue('127.0.0.1'), trusts: ca.ca, client, ca: ca.ca}
    },
    ['-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0'],
    /cannot connect: TLS: .*(version|protocol)/,
    /version|protocol/,
  ],
  [
    'that refuses our authority',
    (place) => {
      const ca = authority(place)
      const other = authority(place, 'other')
      const client = other.issue('exporter.example')
      return {server: ca.issue('127.0.0.1'), trusts: ca.ca, client, ca: ca.ca}
    },
    [],
    /cannot connect: it refused us: TLS: .*unknown ca/,
    /unable to (get local issuer|verify)|certificate verify failed/,
  ],
  [
    'that finds our certificate expired',
    (place) => {
      const ca = authority(place)
      const client = ca.issue('exporter.example', -1)
      return {server: ca.issue('127.0.0.1'), trusts: ca.ca, client, ca: ca.ca}
    },
    [],
    /cannot connect: it refused us: TLS: .*expired/,
    /certificate has expired/,
  ],
]

for (const [what, make, more, words, peerWords] of refusals) {
  withOpenssl(`no record goes to a peer ${what}`, async (t) => {
    const {server, trusts, client, ca} = make(folder(t))
    const peer = await openssl(t, server, trusts, ...more)
    const {code, stderr} = await sendTo(
      t,
      `tls://127.0.0.1:${peer.port}`,
      ...credentials(client, ca),
    )
    t.is(code, 1)
    t.regex(stderr, words)
    t.regex(stderr, /10 records in, 0 out, lost 10 \(undelivered 10\)/)
    const got = await peer.stop()
    t.false(got.includes(addresses))
    t.regex(got.toString('latin1'), peerWords)
  })
}

withOpenssl('secrets are in nothing that is said', async (t) => {
  const {ca, server, client} = setting(t)
  const peer = await openssl(t, server, ca.ca)
  const to = `tls://127.0.0.1:${peer.port}`
  const {stderr} = await sendTo(t, to, ...credentials(client, ca.ca), '-vv', '--json')
  const secret = readFileSync(client.key, 'utf8').split('\n')[1]
  t.true(secret.length > 40)
  t.false(stderr.includes(secret))
})

withOpenssl(
  'darta collect takes whom it trusts, and both sides log whom it does not',
  async (t) => {
    const place = folder(t)
    const ca = authority(place)
    const other = authority(place, 'other')
    const server = credentials(ca.issue('127.0.0.1'), ca.ca)
    const args = ['collect', 'tls://127.0.0.1:0', '-o', 'ndjson', ...server]
    const collecting = start(t, bin, args)
    await collecting.says(/listening on tls:\/\/127\.0\.0\.1:\d+/)
    const to = /listening on (tls:\S+)/.exec(collecting.words())![1]
    for (const client of [other.issue('exporter.example'), ca.issue('exporter.example', -1)]) {
      const {code, stderr} = await sendTo(t, to, ...credentials(client, ca.ca))
      t.is(code, 1)
      t.regex(stderr, /cannot connect: /)
    }
    await collecting.says(/a peer was refused: /)
    const good = await sendTo(t, to, ...credentials(ca.issue('exporter.example'), ca.ca))
    t.is(good.code, 0, good.stderr)
    collecting.child.kill('SIGTERM')
    const {stdout, stderr} = await collecting.ended
    t.regex(stderr, /lost 2 \(refused 2\)/)
    const lines = stdout.toString().split('\n')
    t.is(lines.filter((line) => line.includes('"flowId"')).length, 10)
  },
)

const strangers: [
  what: string,
  issue: (ca: Authority, place: string) => Identity | undefined,
  words: RegExp,
][] = [
  ['shows no certificate', () => undefined, /was refused: .*peer did not return a certificate/],
  [
    'is of an unknown authority',
    (_, place) => authority(place, 'other').issue('exporter.example'),
    /was refused: .*(UNABLE_TO|unable to|self.signed)/i,
  ],
  [
    'shows an expired certificate',
    (ca) => ca.issue('exporter.example', -1),
    /was refused: .*expired/i,
  ],
  [
    'bears another name',
    (ca) => ca.issue('intruder.example'),
    /was refused: its certificate is for DNS:intruder\.example/,
  ],
]

for (const [what, issue, words] of strangers) {
  withOpenssl(
    `darta collect takes no octet of a peer that ${what}, though it sends at once, and says so`,
    async (t) => {
      const place = folder(t)
      const ca = authority(place)
      const collecting = start(t, bin, [
        ...['collect', 'tls://127.0.0.1:0', '-o', 'ndjson', '--tls-peer', 'exporter.example'],
        ...credentials(ca.issue('127.0.0.1'), ca.ca),
      ])
      await collecting.says(/listening on tls:\/\/127\.0\.0\.1:\d+/)
      const to = /listening on tls:\/\/(\S+)/.exec(collecting.words())![1]
      const client = issue(ca, place)
      const shown = client === undefined ? [] : ['-cert', client.cert, '-key', client.key]
      // With TLS 1.3 the peer takes the connection for good before it is told otherwise.
      const args = ['s_client', '-connect', to, '-CAfile', ca.ca, '-quiet', '-tls1_3', ...shown]
      const peer = start(t, 'openssl', args)
      peer.child.stdin.write(numberedRecords(10))
      await collecting.says(words)
      await peer.ended
      const good = ca.issue('exporter.example')
      const sent = await sendTo(t, `tls://${to}`, ...credentials(good, ca.ca))
      t.is(sent.code, 0, sent.stderr)
      collecting.child.kill('SIGTERM')
      const {stdout, stderr} = await collecting.ended
      t.regex(stderr, /2 messages in, 1 out, lost 1 \(refused 1\)/)
      const lines = stdout.toString().split('\n')
      t.is(lines.filter((line) => line.includes('"flowId"')).length, 10)
    },
  )
}
