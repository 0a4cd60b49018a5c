import type {DartaCommand} from '../../cli/base-command.js'
import {openRecords} from '../../cli/record-input.js'
import {
  verifyCoverage,
  type CoverageReport,
  type CoverageResult,
} from '../../metering/coordination/verify-coverage.js'
import {DartaError} from '../../record/errors.js'
import {readRecord} from '../../record/readers.js'
import type {Value} from '../../record/value.js'

/**
 * Reads the reports of all nodes of a group and says whether every packet was taken.
 *
 * @throws DartaError DARTA_COVERAGE if not, or if it cannot be told
 */
export async function verifyReports(
  command: DartaCommand,
  files: readonly string[],
  format: 'table' | 'json',
): Promise<void> {
  const report: CoverageReport = {spans: [], listed: [], plans: [], drops: []}
  const account = command.ledger.stage('verify', 'records')
  for await (const batches of await openRecords(command, {read: files})) {
    for (const batch of batches) {
      account.in += batch.count
      for (let i = 0; i < batch.count; i++) {
        const values = new Map(readRecord(batch, i).map(([{name}, value]) => [name, value]))
        if (take(report, values)) account.out++
        else account.skip('other-records')
      }
    }
  }
  if (report.spans.length === 0 && report.plans.length === 0) {
    throw new DartaError(
      'DARTA_USAGE',
      `${files.join(', ')}: no report of a capture node; capture --report writes them`,
    )
  }
  const result = verifyCoverage([report])
  command.print(format === 'json' ? `${JSON.stringify(result)}\n` : coverageText(result))
  if (result.faults.length > 0) {
    const n = result.faults.length
    throw new DartaError('DARTA_COVERAGE', `not every packet was taken as it should: ${n} faults`)
  }
}

/** Enters one record; false if it is none of a report. */
function take(report: CoverageReport, values: ReadonlyMap<string, Value>): boolean {
  const text = (name: string): string => {
    const value = values.get(name)
    return typeof value === 'string' ? value : ''
  }
  const number = (name: string): number => Number(values.get(name) ?? 0)
  const word = (name: string): bigint => BigInt(values.get(name) as number | bigint)
  if (!values.has('dartaShareNode')) return false
  const node = text('dartaShareNode')
  const epoch = number('dartaShareEpoch')
  if (values.has('dartaDigestSum')) {
    report.spans.push({
      ...{node, epoch, planDigest: number('dartaSharePlanDigest')},
      ...{owners: text('dartaShareOwners'), standby: text('dartaShareStandby')},
      owner: number('dartaShareRole') === 1,
      startMs: number('dartaWindowStartMilliseconds'),
      endMs: number('dartaWindowEndMilliseconds'),
      packets: number('packetDeltaCount'),
      ...{sum: word('dartaDigestSum'), xor: word('dartaDigestXor')},
    })
  } else if (values.has('digestHashValue')) {
    report.listed.push({
      ...{node, epoch, slot: number('dartaShareSlot')},
      previousOwners: text('dartaSharePreviousOwners'),
      previousStandby: text('dartaSharePreviousStandby'),
      ...{owners: text('dartaShareOwners'), standby: text('dartaShareStandby')},
      taken: values.get('dartaShareTaken') === true,
      mark: number('dartaShareMark'),
      lost: text('dartaShareLostNode'),
      timeMs: number('observationTimeMilliseconds'),
      digest: word('digestHashValue'),
    })
  } else if (values.has('dartaShareThruMilliseconds')) {
    report.plans.push({
      ...{node, epoch, planDigest: number('dartaSharePlanDigest')},
      at: number('dartaWindowStartMilliseconds'),
      installedMs: number('observationTimeMilliseconds'),
      guardMs: number('dartaShareGuardMilliseconds'),
      lost: text('dartaShareLostNode'),
      thru: number('dartaShareThruMilliseconds'),
    })
  } else if (values.has('droppedPacketTotalCount')) {
    report.drops.push({
      node,
      timeMs: number('observationTimeMilliseconds'),
      packets: number('droppedPacketTotalCount'),
    })
  } else return false
  return true
}

export function coverageText(result: CoverageResult): string {
  const {nodes, epochs, packets, markedCopies, recovered, unwitnessed, witnessMissed, faults} =
    result
  const range =
    epochs.length === 1 ? `epoch ${epochs[0]}` : `epochs ${epochs[0]}-${epochs[epochs.length - 1]}`
  const lines = [
    `${packets} packets taken by ${nodes.length} nodes (${nodes.join(', ')}) in ${range}`,
  ]
  if (recovered > 0) lines.push(`${recovered} of them recovered for nodes that died`)
  if (markedCopies > 0) lines.push(`${markedCopies} copies, all with marks`)
  if (unwitnessed > 0)
    lines.push(
      `${unwitnessed} packets were seen by one node only: nothing proves that it missed none`,
    )
  if (witnessMissed > 0)
    lines.push(`${witnessMissed} packets were taken, but not seen by their second node`)
  for (const {kind, node, epoch, fromMs, toMs, packets: n, why} of faults) {
    const what = n === undefined ? '' : ` ${n} packets`
    const time = `${new Date(fromMs).toISOString()} to ${new Date(toMs).toISOString()}`
    const words = kind === 'unknown' ? 'cannot be told' : kind
    lines.push(`${words}:${what} of node ${node}, epoch ${epoch}, ${time}: ${why}`)
  }
  if (faults.length === 0) {
    const whole = unwitnessed === 0 ? 'every packet' : 'every packet that two nodes saw'
    lines.push(`${whole} was taken exactly once`)
  }
  return `${lines.join('\n')}\n`
}
