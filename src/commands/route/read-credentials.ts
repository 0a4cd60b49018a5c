import {readFileSync, statSync} from 'node:fs'
import type {NatsOptions} from '../../engine/nats.js'
import {readError} from '../../io/errors.js'
import {DartaError} from '../../record/errors.js'

/**
 * Reads who connects to an engine: the seed of an NKey, or credentials as NATS writes them. The file must be its owner's alone.
 *
 * @throws DartaError DARTA_FILE_READ, DARTA_PERMISSION, DARTA_USAGE
 */
export function readCredentials(path: string): NonNullable<NatsOptions['credentials']> {
  let text: string
  let mode: number
  try {
    text = readFileSync(path, 'utf8')
    ;({mode} = statSync(path))
  } catch (error) {
    throw readError(path, error)
  }
  if ((mode & 0o077) !== 0) {
    throw new DartaError(
      'DARTA_USAGE',
      `${path} can be read by others (mode ${(mode & 0o777).toString(8)}): chmod 600 it`,
    )
  }
  if (text.includes('-----BEGIN NATS USER JWT-----')) return {kind: 'jwt', text}
  const [seed] = /^SU[A-Z2-7]{56}$/m.exec(text) ?? []
  if (seed === undefined) {
    throw new DartaError('DARTA_USAGE', `${path} holds neither an NKey's seed nor NATS credentials`)
  }
  return {kind: 'seed', text: seed}
}
