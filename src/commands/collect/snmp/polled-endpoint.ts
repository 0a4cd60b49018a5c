import {parseDuration} from '../../../cli/values.js'
import {hostAndPort, parseEndpoint} from '../../../io/endpoint.js'
import {subIdentifiers} from '../../../record/object-identifier.js'
import type {AskedObject} from '../../../mediation/snmp/rows.js'
import {DartaError} from '../../../record/errors.js'

/** An agent that is asked again and again. */
export interface PolledEndpoint {
  /** `snmp://192.0.2.1:161` */
  readonly name: string
  readonly host: string
  readonly port: number
  readonly intervalMs: number
  /** Polls after which no more is asked. */
  readonly polls: number
  /** Until a request is sent again, and how often it is. */
  readonly timeoutMs: number
  readonly retries: number
  readonly secretFile: string | undefined
  /** Of the file of secrets; undefined: its community, or the one user there is. */
  readonly user: string | undefined
  /** Of SNMPv3. */
  readonly context: string | undefined
  readonly interfaces: boolean
  readonly objects: readonly AskedObject[]
}

const PORT = 161
const INTERVAL_MS = 60_000
const TIMEOUT_MS = 2000
const RETRIES = 2
const LEAST_INTERVAL_MS = 100

const keys = [
  'secret-file',
  'user',
  'context',
  'interval',
  'polls',
  'timeout',
  'retries',
  'interfaces',
  'table',
  'object',
] as const

type Key = (typeof keys)[number]

/** Takes those endpoints from `words` that are asked. @throws DartaError DARTA_USAGE */
export function polledEndpoints(words: readonly string[]): {
  polled: PolledEndpoint[]
  received: string[]
} {
  const received: string[] = []
  const polled = words.flatMap((word) => {
    const found = polledEndpoint(word)
    if (found === undefined) received.push(word)
    return found ?? []
  })
  return {polled, received}
}

/**
 * Reads `snmp://HOST[:PORT][?KEY=VALUE&…]`; undefined for all other endpoints.
 *
 * @throws DartaError DARTA_USAGE
 */
function polledEndpoint(word: string): PolledEndpoint | undefined {
  const match = /^snmp:\/\/([^?]*)(?:\?(.*))?$/s.exec(word)
  if (match === null) return undefined
  const [, place, query = ''] = match
  const endpoint = parseEndpoint(`udp://${place}`, {
    role: 'connect',
    port: PORT,
    transports: ['udp'],
  })
  if (endpoint.transport === 'unix') throw new TypeError('SNMP is spoken over UDP')
  const given = new Map<Key, string[]>()
  for (const part of query === '' ? [] : query.split('&')) {
    const [, word, value = ''] = /^([^=]*)(?:=(.*))?$/s.exec(part)!
    const key = keys.find((one) => one === word)
    if (key === undefined) {
      // What stands there may be a secret: it is not repeated.
      throw new DartaError(
        'DARTA_USAGE',
        `snmp://: expected ${keys.join(', ')} behind the question mark`,
      )
    }
    given.set(key, [...(given.get(key) ?? []), decodeURIComponent(value)])
  }
  const last = (key: Key): string | undefined => given.get(key)?.at(-1)
  const objects = [
    ...(given.get('table') ?? []).map((oid) => asked('table', oid)),
    ...(given.get('object') ?? []).map((oid) => asked('object', oid)),
  ]
  const polls = last('polls')
  return {
    name: `snmp://${hostAndPort(endpoint.host, endpoint.port)}`,
    host: endpoint.host,
    port: endpoint.port,
    intervalMs: Math.max(LEAST_INTERVAL_MS, durationOf(last('interval'), INTERVAL_MS)),
    polls: polls === undefined ? Infinity : countOf('polls', polls, 1),
    timeoutMs: Math.max(1, durationOf(last('timeout'), TIMEOUT_MS)),
    retries: countOf('retries', last('retries') ?? String(RETRIES), 0),
    secretFile: last('secret-file'),
    user: last('user'),
    context: last('context'),
    interfaces: given.has('interfaces') || objects.length === 0,
    objects,
  }
}

function asked(kind: AskedObject['kind'], oid: string): AskedObject {
  return {kind, oid: subIdentifiers(oid).join('.')}
}

function durationOf(text: string | undefined, otherwise: number): number {
  return text === undefined ? otherwise : parseDuration(text)
}

function countOf(key: Key, text: string, least: number): number {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : -1
  if (count >= least) return count
  throw new DartaError('DARTA_USAGE', `snmp://: ${key} is a number from ${least} on, not '${text}'`)
}
