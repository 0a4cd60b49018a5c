import {existsSync} from 'node:fs'
import {resolve} from 'node:path'
import {pathToFileURL} from 'node:url'
import {DartaError} from '../record/errors.js'

/**
 * What a user's module has as its default export.
 *
 * @throws DartaError DARTA_USAGE there is no such file, or it cannot be loaded
 */
export async function defaultExport(path: string): Promise<unknown> {
  if (!existsSync(path)) throw new DartaError('DARTA_USAGE', `${path}: no such file`)
  try {
    const {default: found} = (await import(pathToFileURL(resolve(path)).href)) as {
      default?: unknown
    }
    return found
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new DartaError('DARTA_USAGE', `${path} cannot be loaded: ${why}`, undefined, error)
  }
}
