import {textTable} from '../../cli/text-table.js'
import {visible} from '../../formats/human/presentation.js'
import {loadNative} from '../../io/native.js'
import {missingCapabilities} from '../../metering/capabilities.js'
import {listInterfaces, type InterfaceFacts} from '../../metering/interfaces.js'
import {DartaError} from '../../record/errors.js'
import {liveBackends} from './live.js'

/** Whether a backend can be used here and now. */
interface BackendState {
  readonly name: string
  readonly summary: string
  readonly usable: boolean
  /** Why not. */
  readonly reason?: string
}

/**
 * What `capture -D` prints: the interfaces, and the backends with the reason why one cannot be used by this process.
 *
 * @param format `table`, the default, or `json`
 * @throws DartaError DARTA_USAGE
 */
export async function interfaceList(format = 'table'): Promise<string> {
  if (format !== 'table' && format !== 'json') {
    throw new DartaError('DARTA_USAGE', `-D lists as table or json, not as ${format}`)
  }
  const interfaces = listInterfaces()
  const backends = await backendStates()
  if (format === 'json') return `${JSON.stringify({interfaces, backends}, undefined, 2)}\n`
  const rows = interfaces.map(row)
  return (
    textTable(['interface', 'state', 'link', 'mtu', 'queues', 'addresses'], rows) +
    '\n' +
    textTable(
      ['backend', 'usable', 'what it is, or why it is not'],
      backends.map(({name, summary, usable, reason}) => [
        name,
        usable ? 'yes' : 'no',
        reason ?? summary,
      ]),
    )
  )
}

function row({name, up, link, mtu, queues, addresses, macAddress}: InterfaceFacts): string[] {
  return [
    visible(name),
    up === undefined ? '-' : up ? 'up' : 'down',
    link ?? '-',
    String(mtu ?? '-'),
    String(queues ?? '-'),
    addresses.join(' ') || (macAddress ?? '-'),
  ]
}

async function backendStates(): Promise<BackendState[]> {
  const addon = loadNative()
  const states: BackendState[] = []
  for (const [name, {summary, capabilities, absence}] of await liveBackends()) {
    const missing = missingCapabilities(capabilities) ?? []
    const absent = await absence(addon)
    const reason = absent ?? (missing.length > 0 ? `this process lacks ${missing.join(', ')}` : '')
    states.push({name, summary, usable: reason === '', ...(reason !== '' && {reason})})
  }
  return states
}
