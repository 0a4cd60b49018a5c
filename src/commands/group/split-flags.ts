import * as Flags from '@oclif/core/flags'
import {tlsFlags, type TlsFlagValues} from '../../cli/tls-flags.js'
import {parseDuration} from '../../cli/values.js'
import {MAX_REDUNDANCY} from '../../metering/coordination/plan.js'

/** What `split` does for capture nodes that divide a live link between them. */
export const groupSplitFlags = {
  coordinate: Flags.string({
    helpValue: 'URL',
    helpGroup: 'group',
    summary:
      'Coordinate the capture nodes of a group: listen at tcp://[HOST][:PORT]/NAME or tls://…, or meet them at nats://HOST[:PORT]/NAME or nats+tls://….',
  }),
  redundancy: Flags.integer({
    dependsOn: ['coordinate'],
    min: 1,
    max: MAX_REDUNDANCY,
    helpValue: 'R',
    helpGroup: 'group',
    summary: 'How many nodes take each packet; 1 unless given.',
  }),
  ttl: Flags.custom<number>({parse: async (input) => parseDuration(input)})({
    dependsOn: ['coordinate'],
    helpValue: 'DURATION',
    helpGroup: 'group',
    summary: 'A node that is silent for so long is gone; 800ms unless given.',
  }),
  guard: Flags.custom<number>({parse: async (input) => parseDuration(input)})({
    dependsOn: ['coordinate'],
    helpValue: 'DURATION',
    helpGroup: 'group',
    summary:
      'How far the clocks of nodes may differ: so long before and after a switch both nodes take what moves; 50ms unless given.',
  }),
  status: Flags.string({
    exclusive: ['coordinate'],
    helpValue: 'URL',
    helpGroup: 'group',
    summary:
      'Show the nodes of a group, as a table or with -o json; a table on a terminal is renewed each second.',
  }),
  verify: Flags.string({
    multiple: true,
    exclusive: ['coordinate', 'status'],
    helpValue: 'REPORT',
    helpGroup: 'group',
    summary:
      'Prove from the reports of all nodes that every packet was taken, or name what was missed or doubled.',
  }),
  ...tlsFlags,
}

export interface GroupSplitValues extends TlsFlagValues {
  readonly coordinate?: string
  readonly redundancy?: number
  readonly ttl?: number
  readonly guard?: number
  readonly status?: string
  readonly verify?: string[]
  readonly by: string
  readonly 'share-seed': number
  readonly output?: string
}

/** Whether one of them asks for what `runGroup` does, which is loaded then. */
export function asksForGroup({coordinate, status, verify}: GroupSplitValues): boolean {
  return (coordinate ?? status ?? verify) !== undefined
}
