import {userInfo} from 'node:os'
import {execFileSync} from 'node:child_process'
import type {NativeAddon} from './native.js'
import {DartaError} from '../record/errors.js'

/**
 * Gives up all that was needed to open devices and ports, before the first octet from the network is looked at: every
 * capability of every thread, and the right to get any back. With `user`, also the user and group.
 *
 * @throws DartaError DARTA_PERMISSION if the system does not do it; DARTA_USAGE for an unknown user
 */
export function dropPrivileges(
  addon: Pick<NativeAddon, 'dropCapabilities'> | undefined,
  user?: string,
  group?: string,
): void {
  try {
    if (user !== undefined) {
      const gid = group === undefined ? Number(look('-g', user)) : group
      // @types/node does not know it.
      ;(process as unknown as {initgroups(user: string, group: string | number): void}).initgroups(
        user,
        gid,
      )
      process.setgid!(gid)
      process.setuid!(user)
    }
  } catch (error) {
    const {code} = error as NodeJS.ErrnoException
    const unknown = code === 'ERR_UNKNOWN_CREDENTIAL' || code === undefined
    throw new DartaError(
      unknown ? 'DARTA_USAGE' : 'DARTA_PERMISSION',
      unknown
        ? `there is no user or group '${[user, group].filter(Boolean).join(':')}'`
        : `cannot become ${user ?? ''}: this takes CAP_SETUID and CAP_SETGID, and ${userInfo().username} has not both`,
      undefined,
      error,
    )
  }
  const errno = addon?.dropCapabilities() ?? 0
  if (errno !== 0) {
    throw new DartaError('DARTA_PERMISSION', `capabilities cannot be given up: error ${errno}`)
  }
}

/** The system's own name service knows the user's group, wherever users are kept. */
function look(what: string, user: string): string {
  return execFileSync('id', [what, '--', user], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
}
