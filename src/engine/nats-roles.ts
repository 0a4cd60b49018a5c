import {createRequire} from 'node:module'
import {DartaError} from '../record/errors.js'

/** Who uses an engine: each may do what its work takes, and no more. */
export const roles = ['publisher', 'unit', 'reader', 'operator'] as const
export type Role = (typeof roles)[number]

interface Rights {
  readonly publish: readonly string[]
  readonly never?: readonly string[]
}

const api = (...names: string[]): string[] => names.map((name) => `$JS.API.${name}`)
/** To read buckets: what there is of them, and the value of a key. */
const read = (...buckets: string[]): string[] =>
  buckets.flatMap((bucket) =>
    api(`STREAM.INFO.KV_darta_${bucket}`, `STREAM.MSG.GET.KV_darta_${bucket}`),
  )
const write = (...buckets: string[]): string[] => buckets.map((bucket) => `$KV.darta_${bucket}.>`)

/**
 * What each role may send; what it may hear is what is answered to itself alone. Names of streams hold those of applications, and
 * NATS has no patterns for parts of names: where a role makes or empties streams of any application it may do so to other
 * streams too, but for those that are excepted.
 */
const rightsOf: Readonly<Record<Role, Rights>> = {
  // Declares applications, sends records, and says that it is alive.
  publisher: {
    publish: [
      ...['darta.*.*', ...write('apps', 'publishers')],
      ...api('INFO', 'STREAM.INFO.*', 'STREAM.CREATE.*', 'STREAM.PURGE.KV_darta_publishers'),
      ...read('apps', 'publishers'),
    ],
  },
  // Reads records, stores its state and results; the one that leads says who has gone, and makes the log forget.
  unit: {
    publish: [
      ...['darta.*.*', ...write('publishers', 'live', 'state', 'progress', 'results', 'final')],
      ...api(
        'INFO',
        'CONSUMER.CREATE.*.*.darta.*.*',
        'CONSUMER.MSG.NEXT.*.*',
        'CONSUMER.DELETE.*.*',
      ),
      ...api('STREAM.INFO.*', 'STREAM.PURGE.*'),
      ...read('apps', 'publishers', 'live', 'state', 'progress', 'results', 'final'),
    ],
    never: api('STREAM.PURGE.KV_darta_apps'),
  },
  // Reads results and how all is.
  reader: {
    publish: [...api('INFO'), ...read('apps', 'publishers', 'live', 'progress', 'final')],
  },
  // Removes applications.
  operator: {publish: ['darta.>', '$KV.>', '$JS.API.>']},
}

/** Who shares a server with others, and sees and hears nothing of what is theirs. */
export interface Tenant {
  /** Of the server's account. */
  readonly name: string
  /** Public NKey of each role. */
  readonly keys: Readonly<Record<Role, string>>
}

/**
 * The part of a NATS server's configuration that says who may do what; a server's own file includes it.
 *
 * @param tls files of the server's certificate and key
 */
export function rolesConfig(
  tenants: readonly Tenant[],
  tls?: {readonly cert: string; readonly key: string},
): string {
  const secure =
    tls === undefined
      ? ''
      : `tls {\n  cert_file: ${JSON.stringify(tls.cert)}\n  key_file: ${JSON.stringify(tls.key)}\n}\n`
  return `accounts {\n${tenants.map(accountConfig).join('')}}\n${secure}`
}

function accountConfig({name, keys}: Tenant): string {
  const list = (subjects: readonly string[]): string =>
    `[${subjects.map((subject) => JSON.stringify(subject)).join(', ')}]`
  const users = roles.map((role) => {
    const {publish, never} = rightsOf[role]
    const deny = never === undefined ? '' : `, deny: ${list(never)}`
    return (
      `      # ${role}\n` +
      `      { nkey: ${keys[role]}, permissions: {\n` +
      `        publish: { allow: ${list(publish)}${deny} }\n` +
      `        subscribe: { allow: ${list([`_INBOX.${keys[role]}.>`])} }\n` +
      '      } }\n'
    )
  })
  return `  ${name} {\n    jetstream: enabled\n    users: [\n${users.join('')}    ]\n  }\n`
}

/** A new key of a user: the seed is its secret. @throws DartaError DARTA_ENGINE the npm package nats is not installed */
export function createUserKey(): {readonly seed: string; readonly publicKey: string} {
  let nkeys: {createUser(): {getSeed(): Uint8Array; getPublicKey(): string}}
  try {
    ;({nkeys} = createRequire(import.meta.url)('nats') as {nkeys: typeof nkeys})
  } catch (error) {
    throw new DartaError(
      'DARTA_ENGINE',
      'the npm package nats, which makes keys, is not installed',
      undefined,
      error,
    )
  }
  const pair = nkeys.createUser()
  return {seed: new TextDecoder().decode(pair.getSeed()), publicKey: pair.getPublicKey()}
}
