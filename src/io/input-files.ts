import {accessSync, constants, existsSync, readdirSync, statSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {DartaError} from '../record/errors.js'
import {readError} from './errors.js'

/**
 * The files that a name stands for: itself, or, for a directory, all files below it in the order of
 * their paths, which is the order of time for rotated files. What is hidden or still being written
 * (`.tmp`, `.current`) is left out. Each can be opened at the time of asking.
 *
 * @throws DartaError DARTA_FILE_READ, also for a directory without files; DARTA_PERMISSION
 */
export function inputFiles(name: string): string[] {
  let files = [name]
  try {
    if (statSync(name).isDirectory()) files = filesBelow(name)
  } catch (error) {
    throw readError(name, error)
  }
  if (files.length === 0) throw new DartaError('DARTA_FILE_READ', `no file in directory ${name}`)
  // Before anything is written: the second of two names may be misspelt.
  for (const file of files) {
    try {
      accessSync(file, constants.R_OK)
    } catch (error) {
      throw readError(file, error)
    }
  }
  return files
}

/**
 * The files of a range as `nfdump -R` has them: `DIR` all below it; `DIR/FIRST` and `DIR/FIRST:LAST` those from the first to the last
 * one, in the order of their paths. Of a store with folders LAST names as many of them as change: `flows/2026/11/a:12/b`.
 *
 * @throws DartaError DARTA_FILE_READ, DARTA_USAGE: the last one comes before the first
 */
export function filesOfRange(range: string): string[] {
  const colon = range.lastIndexOf(':')
  // A name may have a colon in it.
  const whole = colon < 0 || existsSync(range)
  const first = whole ? range : range.slice(0, colon)
  const names = whole ? [] : range.slice(colon + 1).split('/')
  if (isDirectory(first)) {
    if (whole) return [first]
    throw new DartaError('DARTA_USAGE', `-R ${range}: ${first} is no file but a directory`)
  }
  let base = dirname(first)
  for (const _ of names.slice(1)) base = dirname(base)
  const last = whole ? undefined : join(base, ...names)
  for (const file of last === undefined ? [first] : [first, last]) {
    if (!isFile(file)) throw new DartaError('DARTA_FILE_READ', `-R ${range}: no file ${file}`)
  }
  const files = filesBelow(base)
  const from = files.indexOf(join(first))
  const to = last === undefined ? files.length - 1 : files.indexOf(last)
  if (from < 0 || to < 0) {
    throw new DartaError(
      'DARTA_FILE_READ',
      `-R ${range}: hidden or unfinished files are in no range`,
    )
  }
  if (to < from) {
    throw new DartaError('DARTA_USAGE', `-R ${range}: ${last!} comes before ${first}`)
  }
  return files.slice(from, to + 1)
}

/** @throws DartaError DARTA_FILE_READ, DARTA_PERMISSION */
function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch (error) {
    throw readError(path, error)
  }
}

function isFile(path: string): boolean {
  return statSync(path, {throwIfNoEntry: false})?.isFile() === true
}

function filesBelow(directory: string): string[] {
  const entries = readdirSync(directory, {withFileTypes: true}).filter(
    ({name}) => !name.startsWith('.') && !/\.(tmp|current)$/.test(name),
  )
  entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  return entries.flatMap((entry) => {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) return filesBelow(path)
    const file = entry.isSymbolicLink() ? statSync(path, {throwIfNoEntry: false}) : entry
    return file?.isFile() === true ? [path] : []
  })
}
