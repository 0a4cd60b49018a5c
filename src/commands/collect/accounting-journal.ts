import {createHash} from 'node:crypto'
import {readFileSync} from 'node:fs'
import {open, rename, type FileHandle} from 'node:fs/promises'
import {readError, writeError} from '../../io/errors.js'
import type {RequestIdentity} from '../../mediation/recent-requests.js'
import {DartaError} from '../../record/errors.js'

/** A request as it stands in the journal. */
export interface JournalEntry {
  /** Name of a protocol of `answering`. */
  readonly protocol: string
  readonly identity: RequestIdentity
  /** Who sent it: name for people, address in hexadecimal digits, port. */
  readonly sender: {readonly name: string; readonly address?: string; readonly port?: number}
  readonly receivedMs: number
  readonly octets: Uint8Array
}

/** Requests that are on disk before they are answered, until their records are safe elsewhere. */
export interface AccountingJournal {
  /** Requests of an earlier process whose records are in no output that is known to be whole, in their order. */
  readonly pending: readonly JournalEntry[]
  /** Identities of those that are done with. */
  readonly done: readonly RequestIdentity[]
  /** Puts requests on disk; resolves when they are there. @throws DartaError DARTA_FILE_WRITE */
  add(entries: readonly JournalEntry[]): Promise<void>
  /** The first `count` of all that wait are done with; resolves when that is on disk. */
  settle(count: number): Promise<void>
  close(): Promise<void>
}

/** An entry; an identity alone, of one that is done with; how many of those that wait are done with. */
const KIND = {entry: 1, identity: 2, settled: 3} as const
const HEAD_OCTETS = 9
const MAGIC = Buffer.from('DARTAACC')
/** What lies in a file that is done with, before it is written anew. */
const MOST_DONE_OCTETS = 16 << 20
/** Identities of done requests that a new file begins with. */
export const MOST_IDENTITIES = 65536

/**
 * Opens a journal, a row of pieces behind eight octets that name it. What a crash left of a last piece is taken off.
 *
 *     0      1        5          9
 *     kind | length | checksum | body
 *
 * @throws DartaError DARTA_SPILL, DARTA_FILE_READ, DARTA_FILE_WRITE, DARTA_PERMISSION
 */
export async function openAccountingJournal(path: string): Promise<AccountingJournal> {
  /** Where those lie in the file that wait, and as what they are known. */
  let waiting: {readonly at: number; readonly octets: number; readonly identity: RequestIdentity}[]
  let identities: RequestIdentity[] = []
  const pending: JournalEntry[] = []
  let handle: FileHandle
  let octets = 0
  try {
    handle = await open(path, 'a+', 0o600)
    octets = restore(path, pending, identities)
    const {size} = await handle.stat()
    if (size > octets) await handle.truncate(octets)
    // What is done with is not carried along.
    const pieces = pending.map(entryPiece)
    await shorten(pieces)
    waiting = placesOf(pending, pieces, octets)
  } catch (error) {
    throw readError(path, error)
  }
  const done = [...identities]

  async function append(pieces: readonly Uint8Array[]): Promise<void> {
    const all = Buffer.concat(pieces)
    try {
      await handle.appendFile(all)
      await handle.datasync()
    } catch (error) {
      // A part of a piece would be taken for the end.
      await handle.truncate(octets).catch(() => {})
      throw writeError(path, error)
    }
    octets += all.length
  }

  /** What is still needed alone, in a file that takes the place of this one. */
  async function shorten(entries: readonly Uint8Array[]): Promise<void> {
    identities = identities.slice(-MOST_IDENTITIES)
    const all = Buffer.concat([
      MAGIC,
      ...identities.map((one) => pieceOf(KIND.identity, Buffer.from(JSON.stringify(one)))),
      ...entries,
    ])
    const temporary = `${path}.tmp`
    const next = await open(temporary, 'w+', 0o600)
    await next.writeFile(all)
    await next.datasync()
    await next.close()
    await rename(temporary, path)
    await handle.close()
    handle = await open(path, 'a+')
    octets = all.length
  }

  async function readPiece({at, octets: length}: (typeof waiting)[number]): Promise<Uint8Array> {
    const piece = Buffer.alloc(length)
    await handle.read(piece, 0, length, at)
    return piece
  }

  return {
    pending,
    done,
    async add(entries) {
      const pieces = entries.map(entryPiece)
      await append(pieces)
      for (const place of placesOf(entries, pieces, octets)) waiting.push(place)
    },
    async settle(count) {
      if (count === 0) return
      const body = Buffer.alloc(4)
      body.writeUInt32BE(count)
      await append([pieceOf(KIND.settled, body)])
      for (const {identity} of waiting.slice(0, count)) identities.push(identity)
      waiting = waiting.slice(count)
      if (identities.length > 2 * MOST_IDENTITIES) identities = identities.slice(-MOST_IDENTITIES)
      const needed = waiting.reduce((sum, one) => sum + one.octets, 0)
      if (octets > MOST_DONE_OCTETS + 2 * needed) {
        try {
          const pieces = await Promise.all(waiting.map(readPiece))
          await shorten(pieces)
          let at = octets - needed
          waiting = waiting.map((one) => ({...one, at: (at += one.octets) - one.octets}))
        } catch (error) {
          throw writeError(path, error)
        }
      }
    },
    async close() {
      await handle.close()
    },
  }
}

/** Where these entries lie, whose pieces end at `end`. */
function placesOf(
  entries: readonly JournalEntry[],
  pieces: readonly Uint8Array[],
  end: number,
): {at: number; octets: number; identity: RequestIdentity}[] {
  let at = end - pieces.reduce((sum, {length}) => sum + length, 0)
  return entries.map(({identity}, i) => {
    const octets = pieces[i].length
    at += octets
    return {at: at - octets, octets, identity}
  })
}

function pieceOf(kind: number, body: Uint8Array): Buffer {
  const head = Buffer.alloc(HEAD_OCTETS)
  head[0] = kind
  head.writeUInt32BE(body.length, 1)
  head.set(checksum(body), 5)
  return Buffer.concat([head, body])
}

/** It tells a torn piece from a whole one; nobody is kept from changing the file by it. */
function checksum(body: Uint8Array): Uint8Array {
  return createHash('md5').update(body).digest().subarray(0, 4)
}

function entryPiece({octets, ...head}: JournalEntry): Buffer {
  const words = Buffer.from(JSON.stringify(head))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(words.length)
  return pieceOf(KIND.entry, Buffer.concat([length, words, octets]))
}

/** Fills `waiting` and `identities`; how many octets of the file are whole pieces. */
function restore(path: string, waiting: JournalEntry[], identities: RequestIdentity[]): number {
  const all = readFileSync(path)
  if (all.length < MAGIC.length && MAGIC.subarray(0, all.length).equals(all)) return 0
  if (!all.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new DartaError('DARTA_SPILL', `${path} is no journal of accounting`, 0)
  }
  let at = MAGIC.length
  while (all.length - at >= HEAD_OCTETS) {
    const end = at + HEAD_OCTETS + all.readUInt32BE(at + 1)
    if (end > all.length) break
    const body = all.subarray(at + HEAD_OCTETS, end)
    if (!all.subarray(at + 5, at + HEAD_OCTETS).equals(checksum(body))) {
      // The last one may be torn; one in the middle may not.
      if (end === all.length) break
      throw new DartaError('DARTA_SPILL', `${path} is damaged`, at)
    }
    try {
      take(all[at], body, waiting, identities)
    } catch (error) {
      throw new DartaError('DARTA_SPILL', `${path} is no journal of accounting`, at, error)
    }
    at = end
  }
  return at
}

function take(
  kind: number,
  body: Buffer,
  waiting: JournalEntry[],
  identities: RequestIdentity[],
): void {
  if (kind === KIND.identity) {
    identities.push(JSON.parse(body.toString()) as RequestIdentity)
  } else if (kind === KIND.settled) {
    for (const {identity} of waiting.splice(0, body.readUInt32BE(0))) identities.push(identity)
  } else if (kind === KIND.entry) {
    const length = body.readUInt32BE(0)
    const head = JSON.parse(body.toString('utf8', 4, 4 + length)) as Omit<JournalEntry, 'octets'>
    waiting.push({...head, octets: new Uint8Array(body.subarray(4 + length))})
  } else throw new RangeError(`kind ${kind}`)
}
