import {parseEndpoint, type InternetEndpoint} from '../../io/endpoint.js'
import {NAME} from '../../metering/coordination/message.js'
import {DartaError} from '../../record/errors.js'

/** Where a group of capture nodes meets, and what it is called. */
export interface GroupUrl {
  readonly endpoint: InternetEndpoint
  readonly name: string
}

/** Port of a coordinator; in the range that nobody has to register. */
export const GROUP_PORT = 4790

/**
 * Reads `tcp://HOST[:PORT]/NAME` or `tls://…`. Without a name the group is `darta`.
 *
 * @throws DartaError DARTA_USAGE
 */
export function parseGroupUrl(input: string, role: 'connect' | 'listen'): GroupUrl {
  const match = /^([a-z]+:\/\/[^/]*)(?:\/([^/]*))?$/.exec(input)
  const name = match?.[2] === undefined || match[2] === '' ? 'darta' : match[2]
  const endpoint = parseEndpoint(match?.[1] ?? input, {
    role,
    port: GROUP_PORT,
    transports: ['tcp', 'tls'],
  })
  if (!NAME.test(name)) {
    throw new DartaError(
      'DARTA_USAGE',
      `'${input}': a group's name has up to 64 letters, digits, dots, colons, hyphens and underscores`,
    )
  }
  return {endpoint: endpoint as InternetEndpoint, name}
}
