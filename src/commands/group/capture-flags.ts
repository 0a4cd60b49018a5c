import * as Flags from '@oclif/core/flags'
import type {TlsFlagValues} from '../../cli/tls-flags.js'
import {parseDuration, parseSize} from '../../cli/values.js'
import type {MeterOptions} from '../../metering/meter.js'
import {ie} from '../../registry/lookup.js'

/** What makes a capture a node of a group; capture-group.ts is loaded where they ask for it. */
export const groupCaptureFlags = {
  group: Flags.string({
    dependsOn: ['interface'],
    exclusive: ['share'],
    helpValue: 'URL',
    helpGroup: 'group',
    summary:
      'Divide the link with the other nodes of the group at tcp://HOST[:PORT]/NAME, tls://…, nats://… or nats+tls://…; see darta split --coordinate.',
  }),
  node: Flags.string({
    dependsOn: ['group'],
    helpValue: 'ID',
    helpGroup: 'group',
    summary:
      "This node's name in the group; the host's name and the process's number unless given.",
  }),
  weight: Flags.integer({
    dependsOn: ['group'],
    min: 1,
    max: 100,
    helpValue: 'N',
    helpGroup: 'group',
    summary: 'How large a part this node takes, relative to the others; 1 unless given.',
  }),
  shadow: Flags.custom<number>({parse: async (input) => parseDuration(input)})({
    dependsOn: ['group'],
    helpValue: 'DURATION',
    helpGroup: 'group',
    summary:
      'How long to keep the headers of packets that this node would have to take over; 0 keeps none. 3s unless given, and for flows the active timeout more.',
  }),
  'shadow-memory': Flags.custom<number>({parse: async (input) => parseSize(input)})({
    dependsOn: ['group'],
    helpValue: 'SIZE',
    helpGroup: 'group',
    summary: 'Most memory of each thread for that; 64Mi unless given.',
  }),
  'leave-wait': Flags.custom<number>({parse: async (input) => parseDuration(input)})({
    dependsOn: ['group'],
    helpValue: 'DURATION',
    helpGroup: 'group',
    summary:
      'How long to stay at most when leaving, until the others have taken over and exported what only this node keeps of theirs; by the times of the group unless given, 5s.',
  }),
  report: Flags.string({
    dependsOn: ['group'],
    helpValue: 'FILE',
    helpGroup: 'group',
    summary: 'Write what this node saw and took there, for darta split --verify.',
  }),
}

export interface GroupFlagValues extends TlsFlagValues {
  readonly group?: string
  readonly node?: string
  readonly weight?: number
  readonly shadow?: number
  readonly 'shadow-memory'?: number
  readonly 'leave-wait'?: number
  readonly report?: string
}

/** The records of a node of a group say how their packets came to be taken; a pcap file has no place for it. */
export function markedRecords(options: MeterOptions): MeterOptions {
  if (options.emit === 'pcap') return options
  const mark = {element: ie.dartaShareMark, length: 1}
  const {v4, v6} = options.fields
  return {...options, fields: {v4: [...v4, mark], v6: [...v6, mark]}}
}
