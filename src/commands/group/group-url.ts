import {parseEndpoint, type InternetEndpoint} from '../../io/endpoint.js'
import {NAME} from '../../metering/coordination/message.js'
import {DartaError} from '../../record/errors.js'

/** Where a group of capture nodes meets, and what it is called: at a coordinator that listens there. */
export interface DirectGroup {
  readonly kind: 'direct'
  readonly endpoint: InternetEndpoint
  readonly name: string
}

/** A group that meets at an engine, which carries records between machines elsewhere. */
export interface EngineGroup {
  readonly kind: 'engine'
  /** As the engine is told: `nats://HOST[:PORT]`, several with commas, or `tls://…`. */
  readonly url: string
  /** As people write it. */
  readonly place: string
  readonly name: string
}

export type GroupUrl = DirectGroup | EngineGroup

/** Port of a coordinator; in the range that nobody has to register. */
export const GROUP_PORT = 4790

/**
 * Reads `tcp://HOST[:PORT]/NAME`, `tls://…`, `nats://HOST[:PORT][,HOST…]/NAME` or `nats+tls://…`. Without a name the group
 * is `darta`.
 *
 * @throws DartaError DARTA_USAGE
 */
export function parseGroupUrl(input: string, role: 'connect' | 'listen'): GroupUrl {
  const match = /^([a-z+]+:\/\/[^/]*)(?:\/([^/]*))?$/.exec(input)
  const name = match?.[2] === undefined || match[2] === '' ? 'darta' : match[2]
  if (!NAME.test(name)) {
    throw new DartaError(
      'DARTA_USAGE',
      `'${input}': a group's name has up to 64 letters, digits, dots, colons, hyphens and underscores`,
    )
  }
  const place = match?.[1] ?? input
  if (/^nats(\+tls)?:/.test(place)) {
    if (!/^nats(\+tls)?:\/\/[^\s,/]+(,[^\s,/]+)*$/.test(place)) {
      throw new DartaError('DARTA_USAGE', `expected nats://HOST[:PORT]/NAME, not '${input}'`)
    }
    return {kind: 'engine', url: place.replace('nats+tls:', 'tls:'), place, name}
  }
  const endpoint = parseEndpoint(place, {role, port: GROUP_PORT, transports: ['tcp', 'tls']})
  return {kind: 'direct', endpoint: endpoint as InternetEndpoint, name}
}
