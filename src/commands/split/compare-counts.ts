import type {DartaCommand} from '../../cli/base-command.js'
import {openRecords} from '../../cli/record-input.js'
import {textTable} from '../../cli/text-table.js'
import type {Landmark} from '../../metering/turn-counter.js'
import {findDrift} from '../../metering/turn-drift.js'
import {fieldIndex} from '../../record/template.js'
import {readRecord} from '../../record/readers.js'
import {DartaError} from '../../record/errors.js'
import {ie} from '../../registry/lookup.js'

/**
 * Holds the counts of nodes that take packets in turn against each other: each input is what one node wrote. Says where one
 * counts otherwise than the others.
 *
 * @throws DartaError DARTA_DRIFT if one does; DARTA_USAGE if there is nothing to compare
 */
export async function compareCounts(
  command: DartaCommand,
  inputs: readonly string[],
): Promise<void> {
  const nodes = new Map<string, Landmark[]>()
  for (const input of inputs) {
    for await (const batches of await openRecords(command, {read: [input]})) {
      for (const batch of batches) {
        if (fieldIndex(batch.template, ie.dartaLandmarkDigest) < 0) continue
        for (let i = 0; i < batch.count; i++) {
          const record = Object.fromEntries(
            readRecord(batch, i).map(([element, value]) => [element.name, value]),
          )
          const interfaceName = text(record.interfaceName)
          const name = `${input} ${interfaceName}`
          const landmarks = nodes.get(name) ?? []
          nodes.set(name, landmarks)
          landmarks.push({
            interfaceName,
            share: text(record.dartaShare),
            timeMs: Number(record.observationTimeMilliseconds),
            digest: Number(record.dartaLandmarkDigest),
            packets: Number(record.dartaTurnPacketCount),
          })
        }
      }
    }
  }
  const report = findDrift([...nodes].map(([name, landmarks]) => ({name, landmarks})))
  const shares = [...nodes.values()].map(([{share}]) => share)
  command.print(
    `${nodes.size} nodes (${shares.join(', ')}), ${report.common} landmarks in common: ` +
      (report.drifts.length === 0 ? 'all count alike\n' : 'not all count alike\n'),
  )
  if (report.drifts.length > 0) command.print(table(report.drifts))
  if (report.common === 0) {
    throw new DartaError(
      'DARTA_USAGE',
      'these inputs have no landmarks in common: nothing can be said',
    )
  }
  if (report.drifts.length > 0) {
    const names = new Set(report.drifts.map(({node}) => node))
    throw new DartaError(
      'DARTA_DRIFT',
      `${names.size} of ${nodes.size} nodes counted otherwise: packets were missed or taken twice`,
    )
  }
}

/** Of a string element; empty where the record does not have it. */
function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function table(drifts: ReturnType<typeof findDrift>['drifts']): string {
  const time = (ms: number | undefined): string =>
    ms === undefined ? 'the start' : new Date(ms).toISOString()
  return textTable(
    ['node', 'after', 'by', 'counts'],
    drifts.map(({node, packets, afterMs, byMs}) => [
      node,
      time(afterMs),
      time(byMs),
      packets === 0 ? 'alike again' : packets > 0 ? `${packets} ahead` : `${-packets} behind`,
    ]),
  )
}
