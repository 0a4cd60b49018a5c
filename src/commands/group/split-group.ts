import type {DartaCommand} from '../../cli/base-command.js'
import {TIMING, timingFor} from '../../metering/coordination/timing.js'
import {selectorByName} from '../../metering/selector-by-name.js'
import {DartaError} from '../../record/errors.js'
import {coordinate, coordinateByEngine} from './coordinate.js'
import {parseGroupUrl} from './group-url.js'
import {groupMeeting} from './meeting.js'
import {showStatus} from './show-status.js'
import type {GroupSplitValues} from './split-flags.js'
import {verifyReports} from './verify-reports.js'

/** Does what the flags ask for of which `asksForGroup` tells. */
export async function runGroup(command: DartaCommand, flags: GroupSplitValues): Promise<void> {
  if (flags.verify !== undefined) {
    await verifyReports(command, flags.verify, textFormat(flags.output))
    return
  }
  const url = parseGroupUrl(
    (flags.coordinate ?? flags.status)!,
    flags.coordinate === undefined ? 'connect' : 'listen',
  )
  const meeting = await groupMeeting(url, flags)
  if (flags.coordinate === undefined) {
    await showStatus(command, meeting, textFormat(flags.output))
    return
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
  const timing = timingFor(ttl, guard)
  const settings = {redundancy, by, seed: flags['share-seed']}
  if (meeting.kind === 'engine') await coordinateByEngine(command, meeting, settings, timing)
  else await coordinate(command, meeting, settings, timing)
}

function textFormat(output: string | undefined): 'table' | 'json' {
  if (output === undefined || output === 'table') return 'table'
  if (output === 'json') return 'json'
  throw new DartaError('DARTA_USAGE', `this is written as table or json, not as ${output}`)
}
