import {accessSync, constants, readdirSync, statSync} from 'node:fs'
import {join} from 'node:path'
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
