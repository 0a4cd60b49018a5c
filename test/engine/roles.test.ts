import {chmodSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {createRequire} from 'node:module'
import {join} from 'node:path'
import type {ExecutionContext} from 'ava'
import {writeEntry} from '../../src/engine/entry.js'
import type {Engine} from '../../src/engine/engine.js'
import {connectNats} from '../../src/engine/nats.js'
import {roles, type Role} from '../../src/engine/nats-roles.js'
import {DartaError} from '../../src/record/errors.js'
import {authority, noCertificates} from '../support/certificates.js'
import {bash, bin, darta, folder, start} from '../support/darta.js'
import {freePort} from '../support/free-port.js'
import {needing, optionalPackage, root, tools} from '../support/needing.js'

interface Secured {
  readonly url: string
  /** What a command of this role is told. */
  readonly as: (role: Role, tenant?: string) => string[]
  readonly ca: string
  readonly other: string
  readonly seed: (role: Role) => string
}

/** A server with TLS that takes its users from what `route --engine-roles` wrote. */
async function secured(t: ExecutionContext, ...tenants: string[]): Promise<Secured> {
  const path = folder(t)
  const own = authority(path)
  const {cert, key} = own.issue('127.0.0.1')
  const keys = join(path, 'keys')
  const made = await darta(t, [
    ...['route', '-q', '--engine-roles', keys, '--tls-cert', cert, '--tls-key', key],
    ...tenants.flatMap((name) => ['--tenant', name]),
  ])
  t.is(made.code, 0, made.stderr)
  const port = await freePort()
  const conf = join(keys, 'nats.conf')
  writeFileSync(
    conf,
    `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${join(path, 'store')}" }\ninclude darta.conf\n`,
  )
  const env = {...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin`}
  const server = start(t, 'nats-server', ['-c', conf], {env})
  await server.says(/Server is ready/)
  const url = `tls://127.0.0.1:${port}`
  const file = (role: Role, tenant = ''): string => join(keys, tenant, `${role}.nk`)
  return {
    url,
    ca: own.ca,
    other: authority(path, 'other').ca,
    as: (role, tenant) => [
      ...['--engine', url, '--engine-ca', own.ca, '--engine-credentials', file(role, tenant)],
    ],
    seed: (role) => readFileSync(file(role), 'utf8').trim(),
  }
}

const real = needing(tools('nats-server'), optionalPackage('nats'), noCertificates)

real(
  'publisher, unit, reader and operator each do their work over TLS, and no other’s',
  async (t) => {
    const {as, url, ca, other} = await secured(t)
    const flows = join(folder(t), 'lab.ipfix')
    await darta(t, ['capture', '-q', '-r', join(root, 'test/fixtures/lab.pcap'), '-w', flows])
    const route = ['route', '-q', '-r', flows, '--app', 'top -k 0', '--parts', '4']

    const routed = await darta(t, [...route, ...as('publisher')])
    t.is(routed.code, 0, routed.stderr)
    const works = start(t, bin, ['analyze', 'top', ...as('unit')])
    const results = await darta(t, ['analyze', 'top', '--follow', '-o', 'csv', ...as('reader')])
    t.is(results.code, 0, results.stderr)
    t.true(results.stdout.toString().split('\n').length > 10)
    const worked = await works.ended
    t.is(worked.code, 0, worked.stderr)
    const status = await darta(t, ['route', '-q', '--status', ...as('reader')])
    t.is(status.code, 0, status.stderr)
    t.like(JSON.parse(status.stdout.toString()), {app: 'top', ended: true, publishers: 0})

    const refused = async (words: string[], why: RegExp, status = 1): Promise<void> => {
      const {code, stderr} = await darta(t, words)
      t.is(code, status, words.join(' '))
      t.regex(stderr, why, words.join(' '))
    }
    const forbidden = /may not use .*\(DARTA_PERMISSION\)/
    const remove = ['route', '--remove', 'top']
    await refused([...route, ...as('reader')], forbidden, 4)
    const another = ['route', '-q', '-r', flows, '--app', 'matrix']
    await refused([...another, ...as('unit')], forbidden, 4)
    await refused(['analyze', 'top', ...as('reader')], forbidden, 4)
    await refused(['analyze', 'top', ...as('publisher')], forbidden, 4)
    await refused([...remove, ...as('reader')], forbidden, 4)
    await refused([...remove, ...as('unit')], forbidden, 4)
    await refused([...remove, ...as('publisher')], forbidden, 4)
    const unknown = ['route', '--status', '--engine', url]
    await refused([...unknown, '--engine-ca', ca], /asks who connects/)
    await refused([...unknown, '--engine-ca', other, ...as('reader').slice(4)], /DARTA_ENGINE/)
    await refused([...unknown, ...as('reader').slice(4)], /DARTA_ENGINE/)

    const removed = await darta(t, [...remove, ...as('operator')])
    t.is(removed.code, 0, removed.stderr)
    const none = await darta(t, ['route', '-q', '--status', '-o', 'table', ...as('reader')])
    t.is(none.stdout.toString(), 'no applications\n')
  },
)

/** What may be asked of an engine, and who may. */
const rights: readonly [
  string,
  (engine: Engine, role: Role) => Promise<unknown>,
  readonly Role[],
][] = [
  ['declare', (e, role) => e.declare(`of-${role}`, 1, []), ['publisher', 'operator']],
  ['append', (e) => e.append('top', 0, entry), ['publisher', 'unit', 'operator']],
  ['read', (e) => e.read('top', 0, 1, 1), ['unit', 'operator']],
  ['trim', (e) => e.trim('top', [2]), ['unit', 'operator']],
  ['say how a publisher is', (e) => set(e, 'publishers/top'), ['publisher', 'unit', 'operator']],
  ['deploy', (e) => set(e, 'apps'), ['publisher', 'operator']],
  ['say that a unit is alive', (e) => set(e, 'live/top'), ['unit', 'operator']],
  ['store state', (e) => set(e, 'state/top'), ['unit', 'operator']],
  ['store results', (e) => set(e, 'results/top'), ['unit', 'operator']],
  ['store merged results', (e) => set(e, 'final/top'), ['unit', 'operator']],
  ['read applications', (e) => e.get('apps', 'x'), ['publisher', 'unit', 'reader', 'operator']],
  ['list units', (e) => e.keys('live/top'), ['publisher', 'unit', 'reader', 'operator']],
  ['read state', (e) => e.get('state/top', 'x'), ['unit', 'operator']],
  ['read parts of results', (e) => e.get('results/top', 'x'), ['unit', 'operator']],
  ['read merged results', (e) => e.get('final/top', 'x'), ['unit', 'reader', 'operator']],
  ['undeploy', (e) => e.delete('apps', 'x'), ['operator']],
  ['drop', (e) => e.drop('of-publisher', []), ['operator']],
]
const entry = writeEntry(
  {kind: 'punctuation', publisher: '0'.repeat(16), before: 0, records: 0, watermark: 0},
  [],
)
const set = async (engine: Engine, bucket: string): Promise<unknown> =>
  engine.put(bucket, String(Math.random()).slice(2), new Uint8Array(1), 0)

real('what each role may ask of the engine is what is written of it', async (t) => {
  const {url, ca, seed} = await secured(t)
  const open = (role: Role): Promise<Engine> =>
    connectNats({
      ...{url, maxOctets: 1e6, tls: {caFile: ca}},
      credentials: {path: role, text: seed(role)},
    })
  const engines = new Map<Role, Engine>()
  for (const role of roles) {
    const engine = await open(role)
    t.teardown(() => engine.close())
    engines.set(role, engine)
  }
  const buckets = ['apps', 'publishers', 'live', 'state', 'progress', 'results', 'final']
  await engines.get('operator')!.declare('top', 1, buckets)
  for (const [what, ask, allowed] of rights) {
    for (const role of roles) {
      const name = `${role}: ${what}`
      const work = ask(engines.get(role)!, role)
      if (allowed.includes(role)) await t.notThrowsAsync(work, name)
      else {
        const error = await t.throwsAsync<DartaError>(work, {instanceOf: DartaError}, name)
        t.is(error.code, 'DARTA_PERMISSION', name)
      }
    }
  }

  // Nobody hears what is meant for others.
  const nats = createRequire(import.meta.url)('nats') as {
    connect(options: object): Promise<{
      subscribe(subject: string): {closed: Promise<void>}
      status(): AsyncIterable<{type: string; data: string}>
      close(): Promise<void>
    }>
    nkeyAuthenticator(seed: Uint8Array): unknown
  }
  for (const subject of ['darta.>', '_INBOX.>', '$KV.>']) {
    const connection = await nats.connect({
      servers: url.replace('tls://', ''),
      tls: {caFile: ca, checkServerIdentity: () => undefined},
      authenticator: nats.nkeyAuthenticator(new TextEncoder().encode(seed('reader'))),
    })
    t.teardown(() => connection.close())
    const told = (async () => {
      for await (const {type, data} of connection.status()) if (type === 'error') return data
      return ''
    })()
    connection.subscribe(subject).closed.catch(() => {})
    t.is(await told, 'PERMISSIONS_VIOLATION', subject)
  }
})

real(
  'tenants of one server have applications of the same name, and see nothing of one another',
  async (t) => {
    const {as, url, ca} = await secured(t, 'north', 'south')
    const place = folder(t)
    const capture = join(root, 'test/fixtures/lab.pcap')
    const results = new Map<string, string>()
    for (const [tenant, filter] of [
      ['north', 'tcp'],
      ['south', 'udp'],
    ]) {
      const flows = join(place, `${tenant}.ipfix`)
      await bash(t, `darta capture -q -r ${capture} | darta filter -q ${filter} -w ${flows}`)
      const route = ['route', '-q', '-r', flows, '--app', 'protocols', '--parts', '4']
      const routed = await darta(t, [...route, ...as('publisher', tenant)])
      t.is(routed.code, 0, routed.stderr)
      const worked = await darta(t, ['analyze', 'protocols', ...as('unit', tenant)])
      t.is(worked.code, 0, worked.stderr)
      const alone = await darta(t, ['analyze', 'protocols', '-q', '-r', flows, '-o', 'csv'])
      results.set(tenant, alone.stdout.toString())
    }
    for (const [tenant, alone] of results) {
      const follow = ['analyze', 'protocols', '--follow', '-q', '-o', 'csv']
      const {code, stdout, stderr} = await darta(t, [...follow, ...as('reader', tenant)])
      t.is(code, 0, stderr)
      t.is(stdout.toString(), alone)
    }
    t.not(results.get('north'), results.get('south'))

    // Even an operator has nothing to do with what is another tenant's, and cannot harm it.
    const removed = await darta(t, ['route', '--remove', 'protocols', ...as('operator', 'north')])
    t.is(removed.code, 0, removed.stderr)
    const status = async (tenant: string): Promise<string> => {
      const ask = ['route', '-q', '--status', '-o', 'table', ...as('reader', tenant)]
      return (await darta(t, ask)).stdout.toString()
    }
    t.is(await status('north'), 'no applications\n')
    t.regex(await status('south'), /^protocols/)
    const entries = await connectNats({
      ...{url, maxOctets: 1e6, tls: {caFile: ca}},
      credentials: {path: 'north', text: readFileSync(as('operator', 'north')[5], 'utf8').trim()},
    })
    t.teardown(() => entries.close())
    await t.throwsAsync(entries.read('protocols', 0, 1, 1), {instanceOf: DartaError})
  },
)

real('credentials that others can read, or that are none, are refused', async (t) => {
  const path = folder(t)
  const open = join(path, 'open.nk')
  writeFileSync(open, 'SUAKYRHVIOREXV7EUZTBHUHL7NUMHPMAS7QMDU3GTIUWEI5LDNOXD43IZY\n')
  chmodSync(open, 0o644)
  const none = join(path, 'none.nk')
  writeFileSync(none, 'user:password\n', {mode: 0o600})
  const ask = (file: string): string[] => [
    ...['route', '--status', '--engine', 'nats://127.0.0.1:1', '--engine-credentials', file],
  ]
  const readable = await darta(t, ask(open))
  t.is(readable.code, 2)
  t.regex(readable.stderr, /can be read by others \(mode 644\): chmod 600 it/)
  const useless = await darta(t, ask(none))
  t.is(useless.code, 2)
  t.regex(useless.stderr, /holds neither an NKey's seed nor NATS credentials/)
})

real('keys of roles are their owner’s alone, and are not replaced unasked', async (t) => {
  const path = join(folder(t), 'roles')
  const write = (...more: string[]) => darta(t, ['route', '--engine-roles', path, ...more])
  t.is((await write()).code, 0)
  const before = readFileSync(join(path, 'unit.nk'), 'utf8')
  for (const role of roles) {
    t.is(statSync(join(path, `${role}.nk`)).mode & 0o777, 0o600)
    // The configuration knows nobody's secret.
    const conf = readFileSync(join(path, 'darta.conf'), 'utf8')
    t.false(conf.includes(readFileSync(join(path, `${role}.nk`), 'utf8').trim()))
  }
  const again = await write()
  t.is(again.code, 1)
  t.regex(again.stderr, /DARTA_FILE_EXISTS/)
  t.is((await write('--force')).code, 0)
  t.not(readFileSync(join(path, 'unit.nk'), 'utf8'), before)
})
