import type {DartaCommand} from '../../cli/base-command.js'
import type {RecordStream} from '../../record/batch.js'
import {routingKeyText} from '../../processing/routing/key-values.js'
import type {WeightedUnit} from '../../processing/routing/rendezvous.js'
import {createSample, type SampleReport} from '../../processing/routing/sample.js'
import {keyText} from '../../processing/routing/shared-key.js'
import {fieldIndex} from '../../record/template.js'
import type {ExplainedGroup} from './explain.js'

/** A greatest load of more than this times the fair share is worth a warning. */
const SKEWED = 1.2

/** Reads a sample, `most` records of it, and says what the keys would do to it. */
export async function checkSample(
  command: DartaCommand,
  source: RecordStream,
  groups: readonly ExplainedGroup[],
  units: readonly WeightedUnit[],
  seed: number,
  most: number,
): Promise<void> {
  const samples = groups.map(({key, apps}) =>
    createSample(
      units,
      key,
      seed,
      apps.every(({splittable}) => splittable),
    ),
  )
  const left = groups.map(() => 0)
  let records = 0
  reading: for await (const batches of source) {
    for (const batch of batches) {
      if (batch.template.scopeCount > 0) continue
      for (const [g, {apps}] of groups.entries()) {
        const served = apps.some(({needs}) =>
          needs.every((elements) => elements.some((e) => fieldIndex(batch.template, e) >= 0)),
        )
        if (served) samples[g].add(batch)
        else left[g] += batch.count
      }
      records += batch.count
      if (records >= most || command.stopping.aborted) break reading
    }
  }
  const lines = groups.flatMap((group, g) => linesOf(group, samples[g].report(), left[g], units))
  command.print(`${lines.join('\n')}\n`)
}

function percent(part: number, whole: number): string {
  return whole === 0 ? '0 %' : `${((100 * part) / whole).toFixed(1)} %`
}

function linesOf(
  {name, key}: ExplainedGroup,
  report: SampleReport,
  left: number,
  units: readonly WeightedUnit[],
): string[] {
  const {records, withoutKey, keys, heaviest, loads} = report
  const lines = [
    `${name}`,
    `  key             ${key === undefined ? 'none: records go in turn' : keyText(key)}`,
    `  records         ${records + left}, not applicable ${left}, without the key ${withoutKey}`,
    `  keys            ${keys}`,
  ]
  if (key !== undefined && heaviest !== undefined) {
    const share = percent(heaviest.records, records)
    lines.push(`  heaviest key    ${share}: ${routingKeyText(key, heaviest.key)}`)
  }
  lines.push(
    `  skew            greatest load ${report.skew.toFixed(2)} of its share, Jain ${report.jain.toFixed(3)}`,
  )
  if (report.split !== undefined) {
    const {skew, jain} = report.split
    lines.push(
      `  with split-hot  greatest load ${skew.toFixed(2)} of its share, Jain ${jain.toFixed(3)}`,
    )
  }
  for (const [i, {id}] of units.entries()) {
    lines.push(`  ${id.padEnd(15)} ${loads[i]} records, ${percent(loads[i], records - withoutKey)}`)
  }
  return [...lines, ...warnings(report)]
}

function warnings(report: SampleReport): string[] {
  const {skew, split, conversations, partedConversations, fragmented, partedFragments} = report
  const lines: string[] = []
  if (skew > SKEWED) {
    const help =
      split === undefined
        ? 'the application has to have each key whole'
        : '--split-hot deals such keys to several units'
    lines.push(`  note: one unit has ${skew.toFixed(2)} times its share; ${help}`)
  }
  if (partedConversations > 0) {
    lines.push(
      `  note: ${partedConversations} of ${conversations} conversations have their directions in different units`,
    )
  } else if (conversations > 0) {
    lines.push(`  both directions of all ${conversations} conversations come to one unit`)
  }
  if (partedFragments > 0) {
    lines.push(
      `  note: later fragments, which have no ports, are parted from the rest in ${partedFragments} of ${fragmented} pairs of hosts`,
    )
  }
  if (report.translated > 0) {
    lines.push(
      `  note: ${report.translated} records name translated addresses: what is seen behind the translator has another key`,
    )
  }
  return lines
}
