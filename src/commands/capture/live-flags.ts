import * as Flags from '@oclif/core/flags'
import * as common from '../../cli/flags.js'
import {tlsFlags} from '../../cli/tls-flags.js'
import {parseDuration, parseSize} from '../../cli/values.js'
import {groupCaptureFlags, type GroupFlagValues} from '../group/capture-flags.js'

/** Octets of a frame that the meter looks at: link, IP and transport headers with room for some encapsulation. */
export const HEADER_OCTETS = 256

/** Flags about interfaces; live.ts is loaded where one is named. */
export const liveFlags = {
  'list-interfaces': Flags.boolean({
    char: 'D',
    exclusive: ['read', 'interface', 'write'],
    summary:
      'List the interfaces and backends there are, as table or with -o json, and do nothing else.',
  }),
  interface: Flags.string({
    char: 'i',
    multiple: true,
    multipleNonGreedy: true,
    helpValue: 'IFACE',
    summary: 'Capture from the interface, or from all with any. May be repeated.',
  }),
  filter: Flags.string({
    char: 'f',
    dependsOn: ['interface'],
    helpValue: 'EXPR',
    summary: 'Packets to take, in the language of pcap-filter(7).',
  }),
  backend: Flags.string({
    helpValue: 'tpacket|af-xdp|libpcap',
    default: 'tpacket',
    summary: 'How packets are taken from the interface.',
  }),
  snaplen: Flags.custom<number>({parse: async (input) => parseSize(input)})({
    char: 's',
    dependsOn: ['interface'],
    helpValue: 'OCTETS',
    summary: `Octets of each frame to take: ${HEADER_OCTETS} for flows, whole frames for pcap, unless told otherwise.`,
  }),
  buffer: Flags.custom<number>({parse: async (input) => parseSize(input)})({
    char: 'B',
    helpValue: 'SIZE',
    summary:
      'Kernel buffer of each interface and thread; 64Mi, for af-xdp 128Mi, for libpcap 256Mi, unless said otherwise.',
  }),
  threads: Flags.integer({
    min: 1,
    max: 64,
    helpValue: 'N',
    default: 1,
    summary: 'Threads that divide the Flows between them.',
  }),
  'no-promiscuous': Flags.boolean({
    summary: 'Leave the interface as it is; else it takes all frames, whoever they are for.',
  }),
  share: Flags.string({
    helpValue: 'I/N',
    summary:
      'Take part I of N equal parts of the traffic, or parts I-J; nodes with the other parts take the rest.',
  }),
  by: common.by,
  'share-seed': Flags.integer({
    min: 0,
    helpValue: 'N',
    default: 0,
    summary: 'Of the hash that decides the part; the same on all nodes.',
  }),
  'mirror-port': Flags.boolean({
    dependsOn: ['share', 'interface'],
    summary:
      'Drop packets of other shares before the kernel looks at them: for interfaces that only listen. Costs a small part of rejecting them.',
  }),
  begin: Flags.string({
    dependsOn: ['share', 'interface'],
    helpValue: 'EXPR',
    summary:
      'With --by packets: count from the first packet that this filter lets pass, and anew from each later one.',
  }),
  'stats-interval': Flags.custom<number>({parse: async (input) => parseDuration(input)})({
    helpValue: 'DURATION',
    default: 60_000,
    defaultHelp: async () => '60s',
    summary:
      'How often the counters of kernel, interfaces and metering go out as Options Records; 0 for the end alone.',
  }),
  user: Flags.string({
    char: 'u',
    dependsOn: ['interface'],
    helpValue: 'USER',
    summary: 'Become this user when all is open; all capabilities are given up in any case.',
  }),
  'user-group': Flags.string({
    char: 'g',
    helpValue: 'GROUP',
    dependsOn: ['user'],
    summary: 'Become this group; without it the main group of --user.',
  }),
  ...groupCaptureFlags,
  ...tlsFlags,
}

export interface LiveFlagValues extends GroupFlagValues {
  readonly interface?: string[]
  readonly write?: string
  readonly filter?: string
  readonly backend: string
  readonly snaplen?: number
  readonly buffer?: number
  readonly threads: number
  readonly 'no-promiscuous': boolean
  readonly share?: string
  readonly by: string
  readonly 'share-seed': number
  readonly 'mirror-port': boolean
  readonly begin?: string
  readonly 'stats-interval': number
  readonly user?: string
  readonly 'user-group'?: string
  readonly force?: boolean
}
