import {chmodSync, writeFileSync} from 'node:fs'
import {once} from 'node:events'
import {connect, createServer, type TLSSocket} from 'node:tls'
import type {AddressInfo} from 'node:net'
import {join} from 'node:path'
import type {ExecutionContext} from 'ava'
import {tlsCredentials} from '../../src/cli/tls-flags.js'
import {
  handshakeFault,
  loadTlsCredentials,
  peerFault,
  tlsOptions,
} from '../../src/io/tls-credentials.js'
import type {DartaError} from '../../src/record/errors.js'
import {authority, noCertificates, type Authority} from '../support/certificates.js'
import {folder} from '../support/darta.js'
import {needing} from '../support/needing.js'

const withOpenssl = needing(noCertificates)

function loaded(
  ca: Authority,
  name: string,
  peers: string[] = [],
  days?: number,
): ReturnType<typeof loadTlsCredentials> {
  return loadTlsCredentials({...ca.issue(name, days), ca: ca.ca, peers})
}

withOpenssl(
  'a key that others can read is refused, and its octets are in no message',
  async (t) => {
    const place = folder(t)
    const ca = authority(place)
    const {cert, key} = ca.issue('a.example')
    chmodSync(key, 0o640)
    const error = t.throws<DartaError>(() => loadTlsCredentials({cert, key, ca: ca.ca}))
    t.is(error.code, 'DARTA_TLS')
    t.is(error.message, `${key} can be read by others (mode 640): chmod 600 it`)
  },
)

withOpenssl('what is no certificate, no key or no authority is told by its file', (t) => {
  const place = folder(t)
  const ca = authority(place)
  const {cert, key} = ca.issue('a.example')
  const other = ca.issue('b.example')
  const text = join(place, 'text')
  writeFileSync(text, 'PLANTED-SECRET\n', {mode: 0o600})
  for (const [files, words] of [
    [{cert: text, key, ca: ca.ca}, /text holds no usable certificate/],
    [{cert, key: text, ca: ca.ca}, /text holds no usable key/],
    [{cert, key, ca: text}, /text holds no certificate of an authority/],
    [{cert, key: other.key, ca: ca.ca}, /holds no usable key of that certificate/],
    [{cert: join(place, 'none'), key, ca: ca.ca}, /cannot read .*none/],
  ] as const) {
    const error = t.throws(() => loadTlsCredentials(files))
    t.regex(error?.message ?? '', words)
    t.notRegex(error?.message ?? '', /PLANTED/)
  }
})

withOpenssl('the flags are needed together, and only for tls endpoints', async (t) => {
  const udp = {transport: 'udp', name: 'udp://127.0.0.1:4739'}
  const tls = {transport: 'tls', name: 'tls://127.0.0.1:4740'}
  t.is(await tlsCredentials({}, [udp]), undefined)
  await t.throwsAsync(tlsCredentials({'tls-ca': 'x'}, [udp]), {message: /--tls-ca is for tls/})
  await t.throwsAsync(tlsCredentials({'tls-cert': 'x'}, [udp, tls]), {
    message: 'tls://127.0.0.1:4740 needs --tls-key, --tls-ca',
  })
  const ca = authority(folder(t))
  const {cert, key} = ca.issue('a.example')
  const flags = {'tls-cert': cert, 'tls-key': key, 'tls-ca': ca.ca, 'tls-peer': ['b.example']}
  t.deepEqual((await tlsCredentials(flags, [tls]))?.peers, ['b.example'])
})

/** What each side thinks of the other after one handshake; undefined: nothing wrong. */
async function meet(
  t: ExecutionContext,
  server: Parameters<typeof createServer>[0],
  client: Parameters<typeof tlsOptions>[0],
  names: readonly string[],
): Promise<string | undefined> {
  const listening = createServer(server)
  t.teardown(() => listening.close())
  const refused = new Promise<string>((resolve) => {
    listening.on('tlsClientError', (error, socket) => resolve(handshakeFault(error, socket)))
  })
  const met = new Promise<string | undefined>((resolve) => {
    listening.on('secureConnection', (socket: TLSSocket) => {
      socket.on('error', () => {})
      resolve(peerFault(socket, names))
    })
  })
  listening.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  const {port} = listening.address() as AddressInfo
  const socket = connect({...tlsOptions(client), port, host: '127.0.0.1', servername: 's.example'})
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  return Promise.race([met, refused])
}

withOpenssl('a peer of our authority under an expected name may be talked to', async (t) => {
  const ca = authority(folder(t))
  const server = tlsOptions(loaded(ca, 's.example'))
  const client = loaded(ca, 'c.example')
  t.is(await meet(t, server, client, ['c.example']), undefined)
  t.is(await meet(t, server, client, []), undefined)
  t.is(await meet(t, server, client, ['x.example', 'c.example']), undefined)
})

withOpenssl('a peer under another name is refused, and both names are told', async (t) => {
  const ca = authority(folder(t))
  const server = tlsOptions(loaded(ca, 's.example'))
  const fault = await meet(t, server, loaded(ca, 'c.example'), ['d.example', 'e.example'])
  t.is(fault, 'its certificate is for DNS:c.example, not d.example or e.example')
})

withOpenssl(
  'a peer of another authority, or with an expired certificate, gets no handshake',
  async (t) => {
    const place = folder(t)
    const ca = authority(place)
    const other = authority(place, 'other')
    const server = tlsOptions(loaded(ca, 's.example'))
    const stranger = {...loaded(other, 'c.example'), ca: loaded(ca, 'x').ca}
    t.truthy(await meet(t, server, stranger, []))
    t.regex((await meet(t, server, loaded(ca, 'c.example', [], -1), [])) ?? '', /expired/i)
  },
)

withOpenssl('a peer without certificate gets no handshake', async (t) => {
  const ca = authority(folder(t))
  const server = tlsOptions(loaded(ca, 's.example'))
  const bare = {...loaded(ca, 'c.example'), cert: undefined, key: undefined}
  t.regex((await meet(t, server, bare as never, [])) ?? '', /peer did not return a certificate/)
})

withOpenssl('TLS 1.1 is not spoken', async (t) => {
  const ca = authority(folder(t))
  const credentials = loaded(ca, 's.example')
  t.is(tlsOptions(credentials).minVersion, 'TLSv1.2')
  const old = {...tlsOptions(credentials), minVersion: 'TLSv1', maxVersion: 'TLSv1.1'} as const
  t.truthy(await meet(t, old, loaded(ca, 'c.example'), []))
})
