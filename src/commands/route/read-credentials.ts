import {readFileSync} from 'node:fs'
import type {EngineOptions} from '../../engine/engine.js'
import {readError} from '../../io/errors.js'
import {checkPrivate} from '../../io/private-file.js'

/**
 * Reads who connects to an engine, which the engine itself understands. The file must be its owner's alone.
 *
 * @throws DartaError DARTA_FILE_READ, DARTA_PERMISSION, DARTA_USAGE
 */
export function readCredentials(path: string): NonNullable<EngineOptions['credentials']> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw readError(path, error)
  }
  checkPrivate(path, 'DARTA_USAGE')
  return {path, text}
}
