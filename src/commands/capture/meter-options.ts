import * as Flags from '@oclif/core/flags'
import {nearest} from '../../cli/suggest.js'
import {parseDuration, parsePositive} from '../../cli/values.js'
import * as common from '../../cli/flags.js'
import {meterFields, type Precision} from '../../metering/flow-fields.js'
import type {Emit, KeyPart, MeterOptions} from '../../metering/meter.js'
import {DartaError} from '../../record/errors.js'

const keyParts: readonly KeyPart[] = [
  'src',
  'dst',
  'proto',
  'srcport',
  'dstport',
  'vlan',
  'tunnel',
  'interface',
  'tos',
  'srcmac',
  'dstmac',
]
const fiveTuple: readonly KeyPart[] = ['src', 'dst', 'proto', 'srcport', 'dstport']
const defaultKey: readonly KeyPart[] = [...fiveTuple, 'vlan', 'tunnel']

/** `src,dst,proto`, `5tuple`, `5tuple,tos`; each part once, in the order of the key's definition. */
export function parseKey(input: string): KeyPart[] {
  const chosen = new Set<KeyPart>()
  for (const word of input.split(',')) {
    const part = keyParts.find((known) => known === word)
    if (part !== undefined) chosen.add(part)
    else if (word === '5tuple') for (const one of fiveTuple) chosen.add(one)
    else {
      const [near] = nearest(word, [...keyParts, '5tuple'])
      const hint = near === undefined ? `one of ${keyParts.join(', ')}, 5tuple` : near
      throw new DartaError('DARTA_USAGE', `no part of a Flow Key is named '${word}'; ${hint}?`)
    }
  }
  return keyParts.filter((part) => chosen.has(part))
}

/** `tcp.fin=5s`: names of softflowd where darta has the same. */
export function parseTimeout(input: string): NamedTimeout {
  const equals = input.indexOf('=')
  const name = timeoutNames.find((known) => known === input.slice(0, Math.max(equals, 0)))
  if (name === undefined) {
    const names = timeoutNames.join(', ')
    throw new DartaError('DARTA_USAGE', `expected NAME=DURATION with ${names}, not '${input}'`)
  }
  return {name, ms: parseDuration(input.slice(equals + 1))}
}

const timeoutNames = ['active', 'idle', 'tcp.fin', 'tcp.rst'] as const

export interface NamedTimeout {
  readonly name: (typeof timeoutNames)[number]
  readonly ms: number
}

function parseWhole(most: number): (input: string) => Promise<number> {
  return async (input) => {
    const value = /^\d{1,16}$/.test(input) ? Number(input) : NaN
    if (value <= most) return value
    throw new DartaError('DARTA_USAGE', `expected a number from 0 to ${most}, not '${input}'`)
  }
}

/** What decides how packets become records: the flags of docs/METERING.md. */
export const meterFlags = {
  emit: Flags.option({options: ['flows', 'packets', 'pcap'] as const})({
    helpValue: 'flows|packets|pcap',
    default: 'flows',
    summary:
      'Make Flow Records, a Packet Report of each packet (RFC 5476), or a pcap file of all frames.',
  }),
  key: Flags.custom<KeyPart[]>({parse: async (input) => parseKey(input)})({
    helpValue: 'PARTS',
    summary:
      'Parts of the Flow Key: src, dst, proto, srcport, dstport, vlan, tunnel, interface, tos, srcmac, dstmac; 5tuple is the first five, the default the first seven.',
  }),
  biflow: Flags.boolean({
    summary: 'Put both directions into one record (RFC 5103).',
  }),
  decap: Flags.boolean({
    summary:
      'Look into tunnels (IP in IP, GRE, VXLAN, Geneve, GTP-U, Teredo) and meter the innermost packet.',
  }),
  timeouts: common.timeouts,
  'active-timeout': common.activeTimeout,
  'idle-timeout': common.idleTimeout,
  timeout: Flags.custom<NamedTimeout>({parse: async (input) => parseTimeout(input)})({
    multiple: true,
    multipleNonGreedy: true,
    helpValue: 'NAME=DURATION',
    summary:
      'One timeout by name: active, idle, tcp.fin and tcp.rst (both 5 s unless said otherwise).',
  }),
  precision: Flags.option({options: ['ms', 'us', 'ns'] as const})({
    helpValue: 'ms|us|ns',
    default: 'ms',
    summary: 'Precision of the times in Flow Records.',
  }),
  fields: Flags.string({
    helpValue: 'ELEMENTS',
    summary: 'Information Elements of the Flow Records, in this order, instead of the usual ones.',
  }),
  section: Flags.custom<number>({parse: parseWhole(65000)})({
    helpValue: 'OCTETS',
    default: 64,
    summary: 'How much of each IP packet goes into its Packet Report.',
  }),
  'max-memory': common.maxMemory,
  'max-flows': common.maxFlows,
  'on-full': Flags.option({options: ['evict', 'drop', 'fail'] as const})({
    helpValue: 'evict|drop|fail',
    default: 'evict',
    summary: 'At a limit: end the Flow that is due first, meter no new ones, or fail.',
  }),
  count: Flags.custom<number>({parse: async (input) => parsePositive(input)})({
    char: 'c',
    helpValue: 'N',
    summary: 'Stop after N packets.',
  }),
  seed: Flags.custom<number>({parse: parseWhole(Number.MAX_SAFE_INTEGER)})({
    helpValue: 'N',
    summary: "Of the flow table's hash; random unless given. Records never depend on it.",
  }),
}

/** The values of `meterFlags`. */
export interface MeterFlagValues {
  readonly emit: Emit
  readonly key?: KeyPart[]
  readonly biflow: boolean
  readonly decap: boolean
  readonly timeouts?: {readonly activeMs: number; readonly idleMs: number}
  readonly 'active-timeout'?: number
  readonly 'idle-timeout'?: number
  readonly timeout?: NamedTimeout[]
  readonly precision: Precision
  readonly fields?: string
  readonly section: number
  readonly 'max-memory'?: number
  readonly 'max-flows'?: number
  readonly 'on-full': MeterOptions['onFull']
  readonly count?: number
  readonly seed?: number
}

/** @throws DartaError DARTA_USAGE, DARTA_ELEMENT_UNKNOWN */
export function meterOptions(flags: MeterFlagValues): MeterOptions {
  const {emit, biflow, decap, precision} = flags
  const key = flags.key ?? defaultKey
  const fields = flags.fields?.split(',')
  if (biflow && emit !== 'flows') {
    throw new DartaError('DARTA_USAGE', `--biflow goes with flows, not with --emit ${emit}`)
  }
  const named = new Map(flags.timeout?.map(({name, ms}) => [name, ms]))
  return {
    emit,
    key,
    biflow,
    decap,
    activeTimeoutMs:
      named.get('active') ?? flags['active-timeout'] ?? flags.timeouts?.activeMs ?? 300_000,
    idleTimeoutMs: named.get('idle') ?? flags['idle-timeout'] ?? flags.timeouts?.idleMs ?? 60_000,
    tcpFinTimeoutMs: named.get('tcp.fin') ?? 5000,
    tcpRstTimeoutMs: named.get('tcp.rst') ?? 5000,
    maxMemoryOctets: flags['max-memory'] ?? 0,
    maxFlows: flags['max-flows'] ?? 0,
    onFull: flags['on-full'],
    sectionOctets: flags.section,
    maxFrames: flags.count ?? 0,
    ...(flags.seed !== undefined && {seed: flags.seed}),
    fields: meterFields({emit, key, biflow, decap, precision, fields}),
  }
}

/** Elements of the records that are parts of the Flow Key, for the record of RFC 7011 section 4.4. */
export const keyOfElement: Readonly<Record<string, KeyPart>> = {
  sourceIPv4Address: 'src',
  sourceIPv6Address: 'src',
  destinationIPv4Address: 'dst',
  destinationIPv6Address: 'dst',
  protocolIdentifier: 'proto',
  sourceTransportPort: 'srcport',
  destinationTransportPort: 'dstport',
  dot1qVlanId: 'vlan',
  dot1qCustomerVlanId: 'vlan',
  dartaTunnelDepth: 'tunnel',
  ingressInterface: 'interface',
  ipClassOfService: 'tos',
  sourceMacAddress: 'srcmac',
  destinationMacAddress: 'dstmac',
}
