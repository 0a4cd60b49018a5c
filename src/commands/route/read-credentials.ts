import type {EngineOptions} from '../../engine/engine.js'
import {readPrivateFile} from '../../io/private-file.js'

/**
 * Reads who connects to an engine, which the engine itself understands. The file must be its owner's alone.
 *
 * @throws DartaError DARTA_FILE_READ, DARTA_PERMISSION, DARTA_USAGE
 */
export function readCredentials(path: string): NonNullable<EngineOptions['credentials']> {
  return {path, text: readPrivateFile(path, 'DARTA_USAGE').toString()}
}
