import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  fsyncSync,
  openSync,
  writeSync,
} from 'node:fs'
import {hostname} from 'node:os'
import {dirname} from 'node:path'
import {writeError} from '../../io/errors.js'
import type {UserTotal} from '../../metering/user-account.js'
import {totalKey} from '../../metering/user-account.js'
import {DartaError} from '../../record/errors.js'
import {entryLine, NO_PREVIOUS, readUsageLog, type EntryMember, type LogEvent} from './usage-log.js'

/** What a user's name is. */
type NameOf = (uid: number) => string

/** A usage log to which entries are added. */
export interface UsageLog {
  readonly path: string
  /** What to give to `user-map verify --head` to be told whether the end was cut off. */
  readonly head: string
  /** Entries of this run. */
  readonly written: number
  /** Adds what came to each row since its last entry. All is on disk when it returns. @throws DartaError DARTA_LEDGER, DARTA_FILE_WRITE */
  append(timeMs: number, totals: readonly UserTotal[], nameOf: NameOf): void
  /** Adds the last entry. */
  close(timeMs: number): void
}

export interface UsageLogOptions {
  readonly source: string
  /** Since when the source's totals count. With another value than in the log they have begun anew. */
  readonly began: string
  readonly timeMs: number
  /** Whether the totals begin anew at each look. */
  readonly reset: boolean
}

/**
 * Opens a usage log, or begins one. One that is there is read through first, so that no chain is continued that is broken.
 * A last line that a crash left without its end is taken off, and an entry says so.
 *
 * @throws DartaError DARTA_LEDGER, DARTA_FILE_READ, DARTA_FILE_WRITE, DARTA_PERMISSION
 */
export function openUsageLog(path: string, options: UsageLogOptions): UsageLog {
  const {source, began, reset} = options
  const before = new Map<string, {packets: number; octets: number}>()
  let sameCount = false
  let entry = 0
  let previous = NO_PREVIOUS
  let octets = 0
  let written = 0
  const isNew = !existsSync(path)
  const state = isNew
    ? undefined
    : readUsageLog(path, (_entry, _hash, members) => {
        if (members.event === 'opened') {
          sameCount = members.began === began && members.dartaUserSource === source
          if (!sameCount) before.clear()
        } else if (typeof members.row === 'string') {
          before.set(members.row, {
            packets: Number(members.packetTotalCount),
            octets: Number(members.octetTotalCount),
          })
        }
      })
  if (state?.fault !== undefined) {
    const {entry: number, reason, offset} = state.fault
    throw new DartaError(
      'DARTA_LEDGER',
      `${path}: entry ${number}: ${reason}; it is not continued`,
      offset,
    )
  }
  const descriptor = opened(path)
  if (isNew) syncFolder(path)
  if (state !== undefined) {
    entry = state.entries
    previous = state.head
    octets = state.octets
    // Only what was there when it was read may go.
    if (fstatSync(descriptor).size !== octets + (state.cut?.octets ?? 0)) throw shared(path)
    if (state.cut !== undefined) ftruncateSync(descriptor, octets)
  }

  const put = (entries: Iterable<Iterable<readonly [string, EntryMember]>>): void => {
    let text = ''
    let count = 0
    let last = previous
    for (const members of entries) {
      const made = entryLine(entry + count, last, members)
      text += made.line
      last = made.hash
      count++
    }
    if (count === 0) return
    if (fstatSync(descriptor).size !== octets) throw shared(path)
    const chunk = Buffer.from(text)
    try {
      for (let at = 0; at < chunk.length;) at += writeSync(descriptor, chunk, at)
      fdatasyncSync(descriptor)
    } catch (error) {
      // A part of an entry would be taken for damage.
      ftruncateSync(descriptor, octets)
      throw writeError(path, error)
    }
    octets += chunk.length
    entry += count
    written += count
    previous = last
  }
  const event = (
    name: LogEvent,
    timeMs: number,
    ...members: (readonly [string, EntryMember])[]
  ): (readonly [string, EntryMember])[] => [
    ['observationTimeMilliseconds', new Date(timeMs).toISOString()],
    ['event', name],
    ...members,
  ]
  const first = event(
    'opened',
    options.timeMs,
    ['dartaUserSource', source],
    ['began', began],
    ['host', hostname()],
  )
  const {cut} = state ?? {}
  const mended =
    cut === undefined
      ? []
      : [event('mended', options.timeMs, ['cut', {octets: cut.octets, sha256: cut.hash}])]
  put([...mended, first])
  if (!sameCount) before.clear()

  return {
    path,
    get head() {
      return `${entry - 1}:${previous}`
    },
    get written() {
      return written
    },
    append(timeMs, totals, nameOf) {
      const time = new Date(timeMs).toISOString()
      if (reset) before.clear()
      const entries: (readonly [string, EntryMember])[][] = []
      for (const total of totals) {
        const row = totalKey(total)
        const then = before.get(row) ?? {packets: 0, octets: 0}
        const packets = total.packets - then.packets
        if (packets === 0) continue
        before.set(row, {packets: total.packets, octets: total.octets})
        const {uid} = total
        entries.push([
          ['observationTimeMilliseconds', time],
          ['dartaUserSource', source],
          ['row', row],
          ['dartaAccountRow', total.row],
          ...(uid === undefined
            ? []
            : ([
                ['userName', nameOf(uid)],
                ['dartaUserId', uid],
              ] as const)),
          ['ipVersion', total.ipVersion],
          ['dartaProtocolClass', total.protocol],
          ['flowDirection', total.direction === 'in' ? 0 : 1],
          ['packetDeltaCount', packets],
          ['octetDeltaCount', total.octets - then.octets],
          ['packetTotalCount', total.packets],
          ['octetTotalCount', total.octets],
        ])
      }
      put(entries)
    },
    close(timeMs) {
      put([event('closed', timeMs)])
      closeSync(descriptor)
    },
  }
}

function opened(path: string): number {
  try {
    // Who used what is nobody else's business.
    return openSync(path, 'a', 0o600)
  } catch (error) {
    throw writeError(path, error)
  }
}

function shared(path: string): DartaError {
  return new DartaError('DARTA_LEDGER', `${path}: somebody else writes to it too`)
}

/** A file that is new is on disk only when its folder is. */
function syncFolder(path: string): void {
  const folder = openSync(dirname(path), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
