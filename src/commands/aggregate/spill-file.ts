import {closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {readError, writeError} from '../../io/errors.js'
import type {SpillStore} from '../../mediation/aggregation/spill.js'

/**
 * Keeps what does not fit memory in one file below TMPDIR. The file has no name any more once it is open, so that it goes away
 * with the process, however that ends.
 *
 * @throws DartaError DARTA_FILE_WRITE, DARTA_PERMISSION
 */
export function openSpillFile(): SpillStore {
  const folder = tmpdir()
  let fd: number
  try {
    const place = mkdtempSync(join(folder, 'darta-'))
    try {
      fd = openSync(join(place, 'groups'), 'wx+', 0o600)
    } finally {
      rmSync(place, {recursive: true, force: true})
    }
  } catch (error) {
    throw writeError(folder, error)
  }
  const pieces = new Map<string, {offset: number; length: number}[]>()
  let end = 0
  return {
    append(name, octets) {
      try {
        for (let at = 0; at < octets.length;) {
          at += writeSync(fd, octets, at, octets.length - at, end + at)
        }
      } catch (error) {
        throw writeError(`a file in ${folder}`, error, end)
      }
      const list = pieces.get(name)
      const piece = {offset: end, length: octets.length}
      if (list === undefined) pieces.set(name, [piece])
      else list.push(piece)
      end += octets.length
    },
    *read(name) {
      for (const {offset, length} of pieces.get(name) ?? []) {
        const octets = new Uint8Array(length)
        for (let at = 0; at < length;) {
          let n: number
          try {
            n = readSync(fd, octets, at, length - at, offset + at)
          } catch (error) {
            throw readError(`a file in ${folder}`, error, offset)
          }
          if (n === 0) throw readError(`a file in ${folder}`, new Error('it is cut short'), offset)
          at += n
        }
        yield octets
      }
    },
    close: () => closeSync(fd),
  }
}
