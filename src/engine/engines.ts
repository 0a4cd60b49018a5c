import {DartaError} from '../record/errors.js'
import type {Engine, EngineOptions} from './engine.js'

type Connect = (options: EngineOptions) => Promise<Engine>

const nats: Connect = async (options) => (await import('./nats.js')).connectNats(options)
const kafka: Connect = async (options) => (await import('./kafka.js')).connectKafka(options)

/** Engines between machines, by the scheme of their URLs. */
const engines: Readonly<Record<string, Connect>> = {
  ...{nats, tls: nats},
  ...{kafka, 'kafka+tls': kafka},
}

/** @throws DartaError DARTA_USAGE there is no such engine; DARTA_ENGINE nobody answers */
export async function connectEngine(options: EngineOptions): Promise<Engine> {
  const [, scheme] = /^([a-z+]+):\/\/[^/\s]+$/.exec(options.url) ?? []
  if (scheme === undefined || !Object.hasOwn(engines, scheme)) {
    const forms = Object.keys(engines).map((name) => `${name}://HOST[:PORT]`)
    throw new DartaError(
      'DARTA_USAGE',
      `--engine: expected ${forms.slice(0, -1).join(', ')} or ${forms[forms.length - 1]}, not '${options.url}'`,
    )
  }
  return engines[scheme](options)
}
