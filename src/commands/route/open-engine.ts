import * as Flags from '@oclif/core/flags'
import {parseSize} from '../../cli/values.js'
import type {Engine} from '../../engine/engine.js'
import {connectEngine} from '../../engine/engines.js'
import {readCredentials} from './read-credentials.js'

export const engineFlags = {
  engine: Flags.string({
    helpValue: 'URL',
    summary:
      'Use this engine between machines: nats://HOST[:PORT] or kafka://HOST[:PORT]; with verified servers tls:// or kafka+tls://.',
  }),
  replicas: Flags.integer({
    min: 1,
    max: 5,
    helpValue: 'N',
    dependsOn: ['engine'],
    summary: 'Copies that the engine keeps; unless said otherwise 3 in a cluster, else 1.',
  }),
  'engine-size': Flags.custom<number>({parse: async (input) => parseSize(input)})({
    helpValue: 'SIZE',
    dependsOn: ['engine'],
    summary:
      'Most octets of records that wait in the engine; a full one blocks; 1G unless said otherwise.',
  }),
  'engine-ca': Flags.string({
    helpValue: 'FILE',
    dependsOn: ['engine'],
    summary: 'Certificates that a tls:// or kafka+tls:// engine is verified by, as PEM.',
  }),
  'engine-credentials': Flags.string({
    helpValue: 'FILE',
    dependsOn: ['engine'],
    summary:
      'Who connects to the engine: the seed of an NKey, NATS credentials, or for Kafka lines of sasl.mechanism, sasl.username and sasl.password; nobody but its owner may read the file.',
  }),
  'allow-old-server': Flags.boolean({
    dependsOn: ['engine'],
    summary: 'Use a cluster of servers that are known to lose messages.',
  }),
}

/** @throws DartaError DARTA_USAGE, DARTA_FILE_READ, DARTA_PERMISSION, DARTA_ENGINE */
export async function openEngine(flags: {
  readonly engine?: string
  readonly replicas?: number
  readonly 'engine-size'?: number
  readonly 'engine-ca'?: string
  readonly 'engine-credentials'?: string
  readonly 'allow-old-server': boolean
}): Promise<Engine> {
  const who = flags['engine-credentials']
  const credentials = who === undefined ? undefined : readCredentials(who)
  return connectEngine({
    url: flags.engine ?? '',
    replicas: flags.replicas,
    maxOctets: flags['engine-size'] ?? 1_000_000_000,
    tls: {...(flags['engine-ca'] !== undefined && {caFile: flags['engine-ca']})},
    credentials,
    allowOldServer: flags['allow-old-server'],
  })
}
