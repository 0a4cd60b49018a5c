import {readFileSync} from 'node:fs'
import type {NatsOptions} from '../../engine/nats.js'
import {readError} from '../../io/errors.js'
import {checkPrivate} from '../../io/private-file.js'
import {DartaError} from '../../record/errors.js'

/**
 * Reads who connects to an engine: the seed of an NKey, or credentials as NATS writes them. The file must be its owner's alone.
 *
 * @throws DartaError DARTA_FILE_READ, DARTA_PERMISSION, DARTA_USAGE
 */
export function readCredentials(path: string): NonNullable<NatsOptions['credentials']> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw readError(path, error)
  }
  checkPrivate(path, 'DARTA_USAGE')
  if (text.includes('-----BEGIN NATS USER JWT-----')) return {kind: 'jwt', text}
  const [seed] = /^SU[A-Z2-7]{56}$/m.exec(text) ?? []
  if (seed === undefined) {
    throw new DartaError('DARTA_USAGE', `${path} holds neither an NKey's seed nor NATS credentials`)
  }
  return {kind: 'seed', text: seed}
}
