import {spawnSync} from 'node:child_process'

/** Names of users, by the system's name service: files, LDAP, whatever it is told to ask. */
export interface UserNames {
  /** Asks for all that are not known yet, at once. */
  learn(uids: Iterable<number>): void
  /** The user's name, or his number where he has none. */
  of(uid: number): string
}

/** Few enough for one command line. */
const AT_ONCE = 500

/** @param numeric gives numbers only and asks nobody */
export function userNames(numeric = false): UserNames {
  const names = new Map<number, string>()
  return {
    learn(uids) {
      const unknown = [...new Set(uids)].filter((uid) => !names.has(uid))
      for (const uid of unknown) names.set(uid, String(uid))
      if (numeric) return
      for (let at = 0; at < unknown.length; at += AT_ONCE) {
        // getent takes digits for a number, and leaves out who does not exist.
        const {stdout} = spawnSync(
          'getent',
          ['passwd', ...unknown.slice(at, at + AT_ONCE).map(String)],
          {encoding: 'utf8', timeout: 10_000},
        )
        for (const line of (stdout as string | null)?.split('\n') ?? []) {
          const [name, , uid] = line.split(':')
          if (uid !== undefined && name !== '') names.set(Number(uid), name)
        }
      }
    },
    of: (uid) => names.get(uid) ?? String(uid),
  }
}
