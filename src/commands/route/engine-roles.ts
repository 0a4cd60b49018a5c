import {mkdirSync, writeFileSync} from 'node:fs'
import {join, resolve} from 'node:path'
import type {DartaCommand} from '../../cli/base-command.js'
import {createUserKey, roles, rolesConfig, type Role} from '../../engine/nats-roles.js'
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
  flags: {readonly force?: boolean; readonly 'tls-cert'?: string; readonly 'tls-key'?: string},
): void {
  const {'tls-cert': cert, 'tls-key': key} = flags
  if ((cert === undefined) !== (key === undefined)) {
    throw new DartaError('DARTA_USAGE', '--tls-cert and --tls-key go together')
  }
  const keys = Object.fromEntries(roles.map((role) => [role, createUserKey()])) as Record<
    Role,
    ReturnType<typeof createUserKey>
  >
  const publicKeys = Object.fromEntries(
    roles.map((role) => [role, keys[role].publicKey]),
  ) as Record<Role, string>
  const tls = cert === undefined ? undefined : {cert: resolve(cert), key: resolve(key!)}
  const files = [
    ...roles.map((role) => [`${role}.nk`, `${keys[role].seed}\n`] as const),
    ['darta.conf', rolesConfig(publicKeys, tls)] as const,
  ]
  try {
    mkdirSync(folder, {recursive: true, mode: 0o700})
    for (const [name, text] of files) {
      writeFileSync(join(folder, name), text, {mode: 0o600, flag: flags.force ? 'w' : 'wx'})
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      throw new DartaError('DARTA_FILE_EXISTS', `${folder} has keys already; --force replaces them`)
    }
    throw writeError(folder, error)
  }
  command.note(
    `${join(folder, 'darta.conf')} is for nats-server; give --engine-credentials ${join(folder, 'ROLE.nk')}`,
  )
}
