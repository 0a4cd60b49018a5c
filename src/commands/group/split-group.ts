import * as Flags from '@oclif/core/flags'
import type {DartaCommand} from '../../cli/base-command.js'
import {tlsCredentials, tlsFlags, type TlsFlagValues} from '../../cli/tls-flags.js'
import {parseDuration} from '../../cli/values.js'
import {MAX_REDUNDANCY} from '../../metering/coordination/plan.js'
import {TIMING} from '../../metering/coordination/timing.js'
import {selectorByName} from '../../metering/selector-by-name.js'
import {DartaError} from '../../record/errors.js'
import {coordinate} from './coordinate.js'
import {parseGroupUrl} from './group-url.js'
import {showStatus} from './show-status.js'
import {verifyReports} from './verify-reports.js'

/** What `split` does for capture nodes that divide a live link between them. */
export const groupSplitFlags = {
  coordinate: Flags.string({
    helpValue: 'URL',
    helpGroup: 'group',
    summary:
      'Coordinate the capture nodes of a group: listen at tcp://[HOST][:PORT]/NAME or tls://… for captures with --group.',
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

/** Does what these flags ask for; false if they ask for nothing. */
export async function runGroup(command: DartaCommand, flags: GroupSplitValues): Promise<boolean> {
  if (flags.verify !== undefined) {
    await verifyReports(command, flags.verify, textFormat(flags.output))
    return true
  }
  const place = flags.coordinate ?? flags.status
  if (place === undefined) return false
  const url = parseGroupUrl(place, flags.coordinate === undefined ? 'connect' : 'listen')
  const credentials = await tlsCredentials(flags, [url.endpoint])
  if (flags.coordinate === undefined) {
    await showStatus(command, url, textFormat(flags.output), credentials)
    return true
  }
  const selector = await selectorByName(flags.by)
  if (selector.kind !== 'hash') {
    throw new DartaError('DARTA_USAGE', `--by ${flags.by} counts packets, which no filter can`)
  }
  const {redundancy = 1, by} = flags
  const {ttl = TIMING.ttlMs, guard = TIMING.guardMs} = flags
  if (ttl < 2 * TIMING.beatMs || ttl > 60_000 || guard < 1 || guard > 10_000) {
    throw new DartaError('DARTA_USAGE', '--ttl goes from 400ms to 60s, --guard from 1ms to 10s')
  }
  const timing = {
    ...TIMING,
    ttlMs: ttl,
    guardMs: guard,
    leadMs: Math.max(TIMING.leadMs, 2 * guard + 2 * TIMING.beatMs),
  }
  const settings = {redundancy, by, seed: flags['share-seed']}
  await coordinate(command, url, settings, timing, credentials)
  return true
}

function textFormat(output: string | undefined): 'table' | 'json' {
  if (output === undefined || output === 'table') return 'table'
  if (output === 'json') return 'json'
  throw new DartaError('DARTA_USAGE', `this is written as table or json, not as ${output}`)
}
