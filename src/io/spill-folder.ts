import {createHash} from 'node:crypto'
import {
  closeSync,
  constants,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import {open, type FileHandle} from 'node:fs/promises'
import {join} from 'node:path'
import {DartaError} from '../record/errors.js'
import {isSystemError, writeError} from './errors.js'
import {writeWithRoom, type FullDisk} from './full-disk.js'

/** Octets after which a new segment begins: what is done with is removed a segment at a time. */
const SEGMENT_OCTETS = 1 << 26
/** How long octets may lie in the system's memory only: they outlive this process at once, the machine after that. */
const SYNC_MS = 1000
const CURSOR_OCTETS = 512

/** Where a reader of the folder was. */
export interface Cursor {
  readonly name: string
  /** Nothing before this place is needed. */
  readonly safe: number
  /** What lies between may have been used already. */
  readonly sent: number
  /** Records that were used, may be used again, and of which nobody has been told yet. */
  readonly doubtful: number
}

/**
 * Octets on disk, in order, in files that are named after the place of their first octet, and how far each reader has
 * come. What was appended outlives the process, and the machine from the next second on.
 */
export interface SpillFolder {
  readonly path: string
  /** Place of the first octet that is held, and behind the last. */
  readonly start: number
  readonly end: number
  /** As they were when the folder was opened. */
  readonly cursors: readonly Cursor[]
  /** What `remember` was given since the folder was made. */
  readonly remembered: Uint8Array
  /** Resolves when the system has them; while the disk is full, it waits. @throws DartaError DARTA_FILE_WRITE */
  append(chunks: readonly Uint8Array[]): Promise<void>
  /** Octets from `position` on, `octets` of them unless a segment or the folder ends before. */
  read(position: number, octets: number): Promise<Uint8Array>
  /** Cuts off what lies behind `position`: an octet run that was written in part. */
  truncate(position: number): Promise<void>
  /** Keeps octets that are needed for as long as the folder is. Resolves as `append` does. */
  remember(octets: Uint8Array): Promise<void>
  checkpoint(cursor: Cursor): void
  /** Removes segments that lie wholly before `position`. */
  trim(position: number): Promise<void>
  close(): Promise<void>
}

interface Segment {
  readonly start: number
  readonly file: string
  octets: number
}

/**
 * Opens or makes the folder. One process at a time has it.
 *
 * @param whole how many of the first octets of what was remembered are not cut off in the middle
 * @throws DartaError DARTA_SPILL, DARTA_FILE_WRITE, DARTA_PERMISSION
 */
export async function openSpillFolder(
  path: string,
  whole: (octets: Uint8Array) => number,
  full: FullDisk,
): Promise<SpillFolder> {
  try {
    // Records tell who talked to whom.
    mkdirSync(path, {recursive: true, mode: 0o700})
    lock(path)
    const segments: Segment[] = readdirSync(path)
      .filter((name) => /^\d{16}\.ipfix$/.test(name))
      .sort()
      .map((name) => {
        const file = join(path, name)
        return {start: Number(name.slice(0, 16)), file, octets: statSync(file).size}
      })
    for (const [i, {start, octets}] of segments.entries()) {
      const next = segments[i + 1]
      if (next !== undefined && next.start !== start + octets) {
        throw new DartaError('DARTA_SPILL', `${path}: a file before ${next.file} is missing or cut`)
      }
    }
    const memory = join(path, 'templates.ipfix')
    const kept = existsSync(memory) ? readFileSync(memory) : new Uint8Array(0)
    const remembered = kept.subarray(0, whole(kept))
    return new OpenFolder(path, segments, readCursors(path), remembered, full)
  } catch (error) {
    throw writeError(path, error)
  }
}

/** A process that was killed leaves its lock; its number may be another's by then. */
function lock(path: string): void {
  const file = join(path, 'lock')
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), {flag: 'wx', mode: 0o600})
      return
    } catch (error) {
      if (!isSystemError(error) || error.code !== 'EEXIST') throw error
    }
    const owner = Number(readFileSync(file, 'latin1'))
    if (owner !== process.pid && isDarta(owner)) {
      throw new DartaError('DARTA_SPILL', `${path} is in use by process ${owner}`)
    }
    unlinkSync(file)
  }
}

function isDarta(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes('ipfix-export')
  } catch {
    return false
  }
}

function cursorFile(path: string, name: string): string {
  return join(path, `cursor-${createHash('sha256').update(name).digest('hex').slice(0, 16)}`)
}

function readCursors(path: string): Cursor[] {
  return readdirSync(path)
    .filter((name) => /^cursor-[0-9a-f]{16}$/.test(name))
    .map((name) => {
      const file = join(path, name)
      try {
        const kept = JSON.parse(readFileSync(file, 'utf8')) as Partial<Cursor>
        // Folders of earlier versions have none.
        const {name: of, safe, sent, doubtful = 0} = kept
        if (typeof of === 'string' && isPlace(safe) && isPlace(sent) && isPlace(doubtful)) {
          return {name: of, safe, sent, doubtful}
        }
      } catch {
        // Told below.
      }
      throw new DartaError('DARTA_SPILL', `${file} is damaged; without it all is sent again`)
    })
}

function isPlace(value: unknown): value is number {
  return Number.isSafeInteger(value)
}

class OpenFolder implements SpillFolder {
  readonly path: string
  readonly cursors: readonly Cursor[]
  readonly remembered: Uint8Array
  readonly #segments: Segment[]
  readonly #full: FullDisk
  readonly #cursorFiles = new Map<string, number>()
  #writer: FileHandle | undefined
  #reader: {readonly segment: Segment; readonly handle: FileHandle} | undefined
  #dirty = false
  readonly #timer: NodeJS.Timeout
  #memory: FileHandle | undefined
  #remembered: number

  constructor(
    path: string,
    segments: Segment[],
    cursors: readonly Cursor[],
    remembered: Uint8Array,
    full: FullDisk,
  ) {
    this.path = path
    this.cursors = cursors
    this.#segments = segments
    this.#full = full
    this.remembered = remembered
    this.#remembered = remembered.length
    this.#timer = setInterval(() => void this.#sync(), SYNC_MS)
    this.#timer.unref()
  }

  get start(): number {
    return this.#segments[0]?.start ?? 0
  }

  get end(): number {
    const last = this.#segments.at(-1)
    return last === undefined ? 0 : last.start + last.octets
  }

  async append(chunks: readonly Uint8Array[]): Promise<void> {
    for (const chunk of chunks) {
      let segment: Segment | undefined
      await this.#write(chunk, async (at) => {
        // All of it in one segment.
        segment ??= await this.#segmentToWrite()
        const {bytesWritten} = await this.#writer!.write(
          chunk,
          at,
          chunk.length - at,
          segment.octets,
        )
        segment.octets += bytesWritten
        return bytesWritten
      })
    }
  }

  async remember(octets: Uint8Array): Promise<void> {
    await this.#write(octets, async (at) => {
      this.#memory ??= await open(
        join(this.path, 'templates.ipfix'),
        constants.O_RDWR | constants.O_CREAT,
        0o600,
      )
      const {bytesWritten} = await this.#memory.write(
        octets,
        at,
        octets.length - at,
        this.#remembered,
      )
      this.#remembered += bytesWritten
      return bytesWritten
    })
  }

  /** Writes all of it, and waits while there is no room. */
  async #write(octets: Uint8Array, put: (at: number) => Promise<number>): Promise<void> {
    try {
      for (let at = 0; at < octets.length;) {
        at += await writeWithRoom(
          this.path,
          () => octets.length - at,
          this.#full,
          () => put(at),
        )
        this.#dirty = true
      }
    } catch (error) {
      throw writeError(this.path, error)
    }
  }

  /** The segment that is written to. */
  async #segmentToWrite(): Promise<Segment> {
    let segment = this.#segments.at(-1)
    if (segment !== undefined && segment.octets >= SEGMENT_OCTETS) {
      await this.#writer?.datasync()
      await this.#writer?.close()
      this.#writer = undefined
      segment = undefined
    }
    if (segment === undefined) {
      const start = this.end
      const file = join(this.path, `${String(start).padStart(16, '0')}.ipfix`)
      this.#writer = await open(file, 'wx', 0o600)
      segment = {start, file, octets: 0}
      this.#segments.push(segment)
    }
    this.#writer ??= await open(segment.file, 'r+')
    return segment
  }

  async read(position: number, octets: number): Promise<Uint8Array> {
    const segment = this.#segments.findLast(({start}) => start <= position)
    if (segment === undefined || position >= segment.start + segment.octets) {
      return new Uint8Array(0)
    }
    if (this.#reader?.segment !== segment) {
      await this.#reader?.handle.close()
      this.#reader = {segment, handle: await open(segment.file, 'r')}
    }
    const within = position - segment.start
    const room = Buffer.allocUnsafeSlow(Math.min(octets, segment.octets - within))
    let at = 0
    while (at < room.length) {
      const {bytesRead} = await this.#reader.handle.read(room, at, room.length - at, within + at)
      if (bytesRead === 0) break
      at += bytesRead
    }
    return room.subarray(0, at)
  }

  async truncate(position: number): Promise<void> {
    const last = this.#segments.at(-1)
    if (last === undefined || position < last.start) return
    const fd = openSync(last.file, 'r+')
    ftruncateSync(fd, position - last.start)
    closeSync(fd)
    last.octets = position - last.start
  }

  checkpoint(cursor: Cursor): void {
    let fd = this.#cursorFiles.get(cursor.name)
    if (fd === undefined) {
      const file = cursorFile(this.path, cursor.name)
      fd = openSync(file, existsSync(file) ? 'r+' : 'w+', 0o600)
      this.#cursorFiles.set(cursor.name, fd)
    }
    // One write of one length: whoever reads it sees the old or the new one.
    const text = `${JSON.stringify(cursor)}`
    writeSync(fd, `${text.padEnd(CURSOR_OCTETS - 1)}\n`, 0)
    this.#dirty = true
  }

  async trim(position: number): Promise<void> {
    while (this.#segments.length > 1 && this.#segments[1].start <= position) {
      const segment = this.#segments.shift()!
      if (this.#reader?.segment === segment) {
        await this.#reader.handle.close()
        this.#reader = undefined
      }
      unlinkSync(segment.file)
    }
  }

  async #sync(): Promise<void> {
    if (!this.#dirty) return
    this.#dirty = false
    try {
      await this.#writer?.datasync()
    } catch {
      // The next write tells.
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#sync()
    await this.#writer?.close()
    await this.#reader?.handle.close()
    for (const fd of this.#cursorFiles.values()) closeSync(fd)
    await this.#memory?.close()
    unlinkSync(join(this.path, 'lock'))
  }
}
