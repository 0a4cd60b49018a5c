import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  fstatSync,
  linkSync,
  openSync,
  readdirSync,
  readSync,
  unlinkSync,
} from 'node:fs'
import {basename, dirname, join} from 'node:path'
import type {DartaCommand} from '../../cli/base-command.js'
import {placeName, type Rotation} from '../../cli/rotation.js'
import {strftime} from '../../formats/human/presentation.js'
import {isSystemError} from '../../io/errors.js'
import {IPFIX_VERSION, MESSAGE_HEADER_OCTETS} from '../../ipfix/message.js'
import type {Finished} from './hook.js'

/** Files of periods that began longer ago are left to people. */
const BACK_MS = 2 * 86_400_000
const MOST_PERIODS = 600

/** A temporary name, as files have until they are whole: the name, the process, and a number where that was taken. */
const temporary = /^(.+)\.(\d+)(?:-\d+)?\.tmp$/

export interface Recovery {
  readonly pattern: string
  readonly rotation: Rotation
  /** Pattern of folders between that of `pattern` and the file. */
  readonly layout: string | undefined
  /** Milliseconds since 1970. */
  readonly now: number
}

/**
 * Gives the files of a series that a collector which was killed left unfinished their names, cut behind the last whole Message. What
 * another process is writing still, and what is no IPFIX, stays as it is.
 *
 * @returns those that have a name now
 */
export function recoverFiles(command: DartaCommand, recovery: Recovery): Finished[] {
  const finished: Finished[] = []
  const names = nameExpression(basename(recovery.pattern))
  for (const folder of foldersOf(recovery)) {
    if (!existsSync(folder)) continue
    for (const name of readdirSync(folder).sort()) {
      const [, base, pid] = temporary.exec(name) ?? []
      if (base === undefined || !names.test(base) || existsSync(`/proc/${pid}`)) continue
      const from = join(folder, name)
      try {
        const {octets, cut, startMs} = finish(from)
        if (octets === 0) {
          unlinkSync(from)
          continue
        }
        const path = rename(from, join(folder, base))
        const rest = cut > 0 ? `, ${cut} octets of a Message that was not whole cut off` : ''
        command.note(`${path} is what a collector that was killed left: ${octets} octets${rest}`)
        finished.push({path, startMs})
      } catch (error) {
        // Somebody else took it over, or it is not ours to touch.
        if (!isSystemError(error)) throw error
        if (error.code !== 'ENOENT') command.note(`${from} is left as it is: ${error.message}`)
      }
    }
  }
  return finished
}

/** The folders that files of the last days may be in. */
function foldersOf({pattern, rotation, layout, now}: Recovery): Set<string> {
  const folders = new Set<string>()
  const {periodMs} = rotation
  const step = periodMs === undefined ? BACK_MS : Math.max(periodMs, BACK_MS / MOST_PERIODS)
  for (let at = now; at >= now - BACK_MS; at -= step) {
    const folder = dirname(placeName(pattern, {file: 1, startMs: at}, rotation))
    const below = layout === undefined || layout === '' ? '' : strftime(new Date(at), layout, '')
    folders.add(join(folder, below))
  }
  return folders
}

/** Names that a pattern may give: what a letter stands for is digits or a word. */
function nameExpression(pattern: string): RegExp {
  const parts = pattern.split(/%0?\d?[a-zA-Z%]/)
  const quoted = parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${quoted.join('[^/]*')}\\d*(\\.\\d+)?$`)
}

/** Cuts the file behind its last whole Message. */
function finish(path: string): {octets: number; cut: number; startMs: number} {
  const fd = openSync(path, 'r+')
  try {
    const {size, mtimeMs} = fstatSync(fd)
    const header = Buffer.alloc(4)
    let at = 0
    while (size - at >= MESSAGE_HEADER_OCTETS) {
      readSync(fd, header, 0, 4, at)
      const length = header.readUInt16BE(2)
      if (header.readUInt16BE(0) !== IPFIX_VERSION || length < MESSAGE_HEADER_OCTETS) break
      if (at + length > size) break
      at += length
    }
    if (at < size) ftruncateSync(fd, at)
    fsyncSync(fd)
    return {octets: at, cut: size - at, startMs: mtimeMs}
  } finally {
    closeSync(fd)
  }
}

/** The name, or the first that is free with a number behind it. */
function rename(from: string, plain: string): string {
  for (let n = 0; ; n++) {
    const path = n === 0 ? plain : `${plain}.${n}`
    try {
      linkSync(from, path)
      unlinkSync(from)
      return path
    } catch (error) {
      if (!isSystemError(error) || error.code !== 'EEXIST') throw error
    }
  }
}
