import {nearest} from '../../cli/suggest.js'
import type {NamedProtocol} from '../../mediation/collector.js'
import type {ExportProtocol} from '../../mediation/protocol.js'
import {protocols as table} from '../../mediation/protocols/index.js'
import {DartaError} from '../../record/errors.js'

const registry: Readonly<Record<string, () => Promise<{default: ExportProtocol}>>> = table

/** All protocols that there are. */
export async function openProtocols(): Promise<NamedProtocol[]> {
  return Promise.all(
    Object.entries(registry).map(async ([name, load]) => ({
      name,
      protocol: (await load()).default,
    })),
  )
}

/**
 * Ports and their protocols, of `PORT=PROTOCOL`.
 *
 * @throws DartaError DARTA_USAGE
 */
export function decodings(
  words: readonly string[],
  protocols: readonly NamedProtocol[],
): Map<number, NamedProtocol> {
  return new Map(
    words.map((word) => {
      const [, port, name] = /^(\d{1,5})=(\w+)$/.exec(word) ?? []
      if (port === undefined || Number(port) > 65535) {
        throw new DartaError(
          'DARTA_USAGE',
          `--decode-as: expected PORT=PROTOCOL like 2055=netflow9, not '${word}'`,
        )
      }
      return [Number(port), protocolNamed(name, protocols, '--decode-as')]
    }),
  )
}

/** @throws DartaError DARTA_USAGE */
export function protocolNamed(
  name: string,
  protocols: readonly NamedProtocol[],
  flag: string,
): NamedProtocol {
  const found = protocols.find((one) => one.name === name)
  if (found !== undefined) return found
  const names = protocols.map((one) => one.name)
  const [near] = nearest(name, names)
  const hint = near === undefined ? names.join(', ') : `did you mean ${near}?`
  throw new DartaError('DARTA_USAGE', `${flag}: no protocol '${name}'; ${hint}`)
}
