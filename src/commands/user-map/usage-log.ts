import {hash} from 'node:crypto'
import {closeSync, openSync, readSync} from 'node:fs'
import {DartaError} from '../../record/errors.js'
import {readError} from '../../io/errors.js'

/*
 * A usage log is NDJSON of which each line, an entry, holds the hash of the one before:
 *
 *     {"_chain":{"entry":7,"previous":"6b…"},"userName":"anna",…,"_hash":"c0…"}
 *
 * `_hash` is SHA-256 over the octets of the line in front of `,"_hash"`, `previous` is the `_hash` of the entry before, 64
 * zeros in entry 0. What is changed, taken out, put in or moved breaks the chain there.
 */

export const NO_PREVIOUS = '0'.repeat(64)
const HASH_MEMBER = ',"_hash":"'
/** `,"_hash":"`, 64 digits, `"}` */
const TAIL_OCTETS = HASH_MEMBER.length + 64 + 2
const MOST_LINE_OCTETS = 1 << 16
const READ_OCTETS = 1 << 17

export type EntryMember = string | number | bigint | boolean | Record<string, string | number>

/** What an entry tells of the log itself and not of users. */
export type LogEvent = 'opened' | 'mended' | 'closed'

/** One line, with its line feed, and its hash. */
export function entryLine(
  entry: number,
  previous: string,
  members: Iterable<readonly [name: string, value: EntryMember]>,
): {line: string; hash: string} {
  let text = `{"_chain":{"entry":${entry},"previous":"${previous}"}`
  for (const [name, value] of members) {
    text += `,"${name}":${typeof value === 'bigint' ? value : JSON.stringify(value)}`
  }
  const own = hash('sha256', text, 'hex')
  return {line: `${text}${HASH_MEMBER}${own}"}\n`, hash: own}
}

/** An entry whose own hash is right. */
interface Entry {
  readonly entry: number
  readonly previous: string
  readonly hash: string
  readonly members: Record<string, unknown>
}

/** The entry in a line without line feed; else why it is none. */
function readEntry(line: Uint8Array): Entry | string {
  const text = Buffer.from(line.buffer, line.byteOffset, line.length)
  const at = line.length - TAIL_OCTETS
  const tail = at > 0 ? text.toString('latin1', at) : ''
  if (!/^,"_hash":"[0-9a-f]{64}"\}$/.test(tail)) return 'it is no entry of a usage log'
  const own = tail.slice(HASH_MEMBER.length, -2)
  if (hash('sha256', text.subarray(0, at), 'hex') !== own) return 'it was changed'
  try {
    const members = JSON.parse(text.toString()) as Record<string, unknown>
    const {entry, previous} = members._chain as {entry: unknown; previous: unknown}
    if (typeof entry === 'number' && typeof previous === 'string') {
      return {entry, previous, hash: own, members}
    }
  } catch {
    // As below.
  }
  return 'it is no entry of a usage log'
}

/** Lines of a file with their offset; the last one may lack its line feed. One that is too long comes cut to its beginning. */
function* linesOf(
  path: string,
): Iterable<{line: Uint8Array; offset: number; octets: number; whole: boolean}> {
  const descriptor = openSync(path, 'r')
  try {
    const buffer = Buffer.allocUnsafe(MOST_LINE_OCTETS + READ_OCTETS)
    let held = 0
    let offset = 0
    /** Octets of a line that is too long, which have been let go. */
    let gone = 0
    for (;;) {
      const n = readSync(descriptor, buffer, held, READ_OCTETS, null)
      held += n
      let start = 0
      for (let end; (end = buffer.indexOf(10, start)) !== -1 && end < held; start = end + 1) {
        const octets = gone + end - start + 1
        yield {line: buffer.subarray(start, end), offset, octets, whole: true}
        offset += octets
        gone = 0
      }
      if (n === 0) {
        if (gone + held - start > 0) {
          const octets = gone + held - start
          yield {line: buffer.subarray(start, held), offset, octets, whole: false}
        }
        return
      }
      buffer.copyWithin(0, start, held)
      held -= start
      if (held > MOST_LINE_OCTETS) {
        gone += held
        held = 0
      }
    }
  } finally {
    closeSync(descriptor)
  }
}

/** The first entry that is not as it was written. */
export interface LogFault {
  /** Its number if it were whole, from 0. */
  readonly entry: number
  /** Octets in front of its line. */
  readonly offset: number
  readonly reason: string
  /** Lines that follow it, and how many of these are whole entries. */
  readonly behind: number
  readonly behindWhole: number
}

/** What a usage log holds, from its beginning to the first fault. */
export interface LogState {
  /** Entries that are as they were written. */
  readonly entries: number
  /** Hash of the last one of these. */
  readonly head: string
  /** Octets of these. */
  readonly octets: number
  /** Of the first and the last of these, as they have them; undefined where they have none. */
  readonly from: string | undefined
  readonly to: string | undefined
  /** Whether the last one says that the writer ended in order. */
  readonly closed: boolean
  readonly fault: LogFault | undefined
  /** A last line without its end: what a crash, or a knife, left. */
  readonly cut:
    {readonly offset: number; readonly octets: number; readonly hash: string} | undefined
}

/**
 * Reads a usage log and holds each entry against the one before.
 *
 * @param seen called with each entry that is as it was written
 * @throws DartaError DARTA_FILE_READ, DARTA_PERMISSION
 */
export function readUsageLog(
  path: string,
  seen: (entry: number, hash: string, members: Record<string, unknown>) => void = () => {},
): LogState {
  let entries = 0
  let head = NO_PREVIOUS
  let octets = 0
  let from: string | undefined
  let to: string | undefined
  let closed = false
  let fault: LogFault | undefined
  let cut: LogState['cut']
  let behind = 0
  let behindWhole = 0
  try {
    for (const {line, offset, octets: length, whole} of linesOf(path)) {
      if (!whole) {
        cut = {offset, octets: length, hash: hash('sha256', line, 'hex')}
        break
      }
      const entry = readEntry(line)
      if (fault !== undefined) {
        behind++
        if (typeof entry !== 'string') behindWhole++
        continue
      }
      const reason = typeof entry === 'string' ? entry : misfit(entry, entries, head)
      if (typeof entry === 'string' || reason !== undefined) {
        fault = {entry: entries, offset, reason: reason!, behind: 0, behindWhole: 0}
        continue
      }
      seen(entries, entry.hash, entry.members)
      entries++
      head = entry.hash
      octets = offset + length
      closed = entry.members.event === 'closed'
      const time = entry.members.observationTimeMilliseconds
      if (typeof time === 'string') {
        from ??= time
        to = time
      }
    }
  } catch (error) {
    throw readError(path, error)
  }
  if (fault !== undefined) fault = {...fault, behind, behindWhole}
  return {entries, head, octets, from, to, closed, fault, cut}
}

/** Why an entry that is whole is not the next one; undefined if it is. */
function misfit(entry: Entry, expected: number, head: string): string | undefined {
  if (entry.entry > expected)
    return `entry ${entry.entry} stands here: those between were taken out`
  if (entry.entry < expected) return `entry ${entry.entry} stands here again`
  if (entry.previous !== head) return 'it does not follow from the one before: that was exchanged'
  return undefined
}

/** `ENTRY:HASH`, of which the second part may be shortened to 8 digits. @throws DartaError DARTA_USAGE */
export function parseHead(input: string): {entry: number; hash: string} {
  const match = /^(\d{1,15}):([0-9a-f]{8,64})$/.exec(input)
  if (match === null) {
    throw new DartaError('DARTA_USAGE', `expected ENTRY:HASH as user-map told it, not '${input}'`)
  }
  return {entry: Number(match[1]), hash: match[2]}
}
