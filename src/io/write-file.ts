import {
  closeSync,
  constants,
  existsSync,
  fsync,
  linkSync,
  openSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
} from 'node:fs'
import {dirname} from 'node:path'
import {DartaError} from '../record/errors.js'
import {isSystemError, writeError} from './errors.js'
import type {FullDisk} from './full-disk.js'
import {openPipe} from './open-pipe.js'
import {DescriptorSink, type OctetSink} from './octet-sink.js'
import {forgetTemporary, rememberTemporary} from './temporaries.js'

export interface WriteFileOptions {
  /** Replace what has this name. */
  readonly force: boolean
  /** Called when the output is a named pipe and its reader went away. */
  readonly closed?: () => void
  /** Ends the wait for the reader of a named pipe. */
  readonly stopping?: AbortSignal
  /** What to do on a full disk; undefined: give up. */
  readonly full?: FullDisk
  /** What cannot be made whole stays under its temporary name, for those who recover it. */
  readonly keeps?: boolean
}

/**
 * Opens an output file. It is written under a temporary name in the same folder and gets its own
 * name when it is whole and on disk, so that whoever looks sees all of it or nothing. What is no
 * regular file (a named pipe, a device) is written in place.
 *
 * @throws DartaError DARTA_FILE_EXISTS, DARTA_FILE_WRITE, DARTA_PERMISSION
 */
export async function writeFile(path: string, options: WriteFileOptions): Promise<OctetSink> {
  try {
    const stat = statSync(path, {throwIfNoEntry: false})
    if (stat !== undefined && !stat.isFile()) {
      const fd = stat.isFIFO()
        ? await openPipe(path, constants.O_WRONLY, options.stopping)
        : openSync(path, constants.O_WRONLY)
      return new InPlace(path, fd, options.closed)
    }
    if (stat !== undefined && !options.force) throw existsError(path)
    return new AtomicFile(path, options)
  } catch (error) {
    throw writeError(path, error)
  }
}

function existsError(path: string): DartaError {
  return new DartaError('DARTA_FILE_EXISTS', `${path} exists; --force replaces it`)
}

class InPlace extends DescriptorSink {
  override async end(): Promise<void> {
    await super.end()
    closeSync(this.fd)
  }
}

class AtomicFile extends DescriptorSink {
  readonly #force: boolean
  readonly #keeps: boolean
  readonly #temporary: string
  readonly #target: string
  #open = true

  constructor(path: string, {force, full, keeps = false}: WriteFileOptions) {
    // A symbolic link stays one: what it points to is replaced.
    const target = force && existsSync(path) ? realpathSync(path) : path
    const {fd, temporary} = openTemporary(target)
    super(path, fd, undefined, full)
    this.#force = force
    this.#keeps = keeps
    this.#temporary = temporary
    this.#target = target
    rememberTemporary(temporary)
  }

  override async end(): Promise<void> {
    try {
      await super.end()
      await sync(this.fd)
      this.#close()
      this.#publish()
      forgetTemporary(this.#temporary)
      await syncFolder(dirname(this.#target))
    } catch (error) {
      await this.abort()
      throw writeError(this.name, error, this.octets)
    }
  }

  override async abort(): Promise<void> {
    // Its error, if it fails, is what the caller gives up for.
    await this.settle().catch(() => {})
    this.#close()
    if (!this.#keeps) {
      try {
        unlinkSync(this.#temporary)
      } catch {
        // Not there any more.
      }
    }
    forgetTemporary(this.#temporary)
  }

  /** Once: the number may be another file's by then. */
  #close(): void {
    if (!this.#open) return
    this.#open = false
    closeSync(this.fd)
  }

  #publish(): void {
    if (this.#force) {
      renameSync(this.#temporary, this.#target)
      return
    }
    // A link never replaces what another process made under this name in the meantime.
    try {
      linkSync(this.#temporary, this.#target)
    } catch (error) {
      if (isSystemError(error) && error.code === 'EEXIST') throw existsError(this.name)
      // A file system without links.
      if (existsSync(this.#target)) throw existsError(this.name)
      renameSync(this.#temporary, this.#target)
      return
    }
    unlinkSync(this.#temporary)
  }
}

/** A new file beside `target`; the process's umask decides its mode. */
function openTemporary(target: string): {fd: number; temporary: string} {
  for (let n = 0; ; n++) {
    const temporary = `${target}.${process.pid}${n === 0 ? '' : `-${n}`}.tmp`
    try {
      return {fd: openSync(temporary, 'wx'), temporary}
    } catch (error) {
      if (!isSystemError(error) || error.code !== 'EEXIST') throw error
    }
  }
}

function sync(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fsync(fd, (error) => (error === null ? resolve() : reject(error)))
  })
}

/** The new name itself is on disk only when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const fd = openSync(folder, 'r')
  try {
    await sync(fd)
  } catch {
    // Some file systems cannot; the file itself is safe.
  } finally {
    closeSync(fd)
  }
}
