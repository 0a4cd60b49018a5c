import {existsSync, mkdirSync, writeFileSync} from 'node:fs'
import {dirname, join, resolve} from 'node:path'
import type {DartaCommand} from '../../cli/base-command.js'
import {createUserKey, roles, rolesConfig, type Role, type Tenant} from '../../engine/nats-roles.js'
import {writeError} from '../../io/errors.js'
import {DartaError} from '../../record/errors.js'

/**
 * Writes the configuration of a NATS server for the roles, and the key of each.
 *
 * @throws DartaError DARTA_FILE_EXISTS, DARTA_FILE_WRITE, DARTA_PERMISSION, DARTA_USAGE, DARTA_ENGINE
 */
export function writeEngineRoles(
  command: DartaCommand,
  folder: string,
  flags: {
    readonly force?: boolean
    readonly tenant?: readonly string[]
    readonly 'tls-cert'?: string
    readonly 'tls-key'?: string
  },
): void {
  const {'tls-cert': cert, 'tls-key': key} = flags
  if ((cert === undefined) !== (key === undefined)) {
    throw new DartaError('DARTA_USAGE', '--tls-cert and --tls-key go together')
  }
  const tls = cert === undefined ? undefined : {cert: resolve(cert), key: resolve(key!)}
  // Without tenants all that uses the server is one.
  const names = flags.tenant ?? []
  const files = new Map<string, string>()
  const tenants: Tenant[] = []
  for (const name of names.length > 0 ? new Set(names) : ['DARTA']) {
    if (!/^[a-z\d][a-z\d_-]{0,62}$/i.test(name)) {
      throw new DartaError('DARTA_USAGE', `a tenant's name is letters, digits, - and _: '${name}'`)
    }
    const keys = {} as Record<Role, string>
    for (const role of roles) {
      const {seed, publicKey} = createUserKey()
      keys[role] = publicKey
      files.set(names.length > 0 ? join(name, `${role}.nk`) : `${role}.nk`, `${seed}\n`)
    }
    tenants.push({name, keys})
  }
  files.set('darta.conf', rolesConfig(tenants, tls))
  const paths = new Map([...files].map(([name, text]) => [join(folder, name), text]))
  // Half of a set of keys is of no use: all or nothing is replaced.
  if (!flags.force && [...paths.keys()].some((path) => existsSync(path))) {
    throw new DartaError('DARTA_FILE_EXISTS', `${folder} has keys already; --force replaces them`)
  }
  for (const [path, text] of paths) {
    try {
      mkdirSync(dirname(path), {recursive: true, mode: 0o700})
      writeFileSync(path, text, {mode: 0o600, flag: flags.force ? 'w' : 'wx'})
    } catch (error) {
      throw writeError(path, error)
    }
  }
  command.note(
    `${join(folder, 'darta.conf')} is for nats-server; give --engine-credentials ${join(folder, names.length > 0 ? 'TENANT/ROLE.nk' : 'ROLE.nk')}`,
  )
}
