import type {DartaCommand} from '../../cli/base-command.js'
import {ipv4Octets, ipv6Octets} from '../../record/address.js'
import type {RecordBatch, RecordStream} from '../../record/batch.js'
import {DartaError} from '../../record/errors.js'
import {createRecordBuilder} from '../../record/record-writer.js'
import {fieldIndex, createTemplate} from '../../record/template.js'
import {createDealer} from '../../processing/routing/dealer.js'
import {routingKeyText} from '../../processing/routing/key-values.js'
import type {WeightedUnit} from '../../processing/routing/rendezvous.js'
import {createUniflows, isDirected} from '../../processing/routing/uniflows.js'
import {fullLength} from '../../record/element.js'
import {ie} from '../../registry/lookup.js'
import {protocolNumber} from '../../registry/protocols.js'
import type {RoutedApp} from './application.js'

/** Applications with one key, and the units that they share. */
export interface ExplainedGroup {
  readonly name: string
  readonly apps: readonly RoutedApp[]
  readonly key: RoutedApp['key']
}

/**
 * One record of what is asked about: `192.0.2.1,40000,198.51.100.1,443,tcp`; ports and protocol may be left out.
 *
 * @throws DartaError DARTA_USAGE
 */
export function tupleBatch(text: string): RecordBatch {
  const words = text.split(',').map((word) => word.trim())
  const [source, sourcePort, destination, destinationPort, protocol] =
    words.length === 2 ? [words[0], undefined, words[1], undefined, undefined] : words
  if (words.length !== 2 && words.length !== 4 && words.length !== 5) {
    throw new DartaError(
      'DARTA_USAGE',
      `--explain: SRCIP,SRCPORT,DSTIP,DSTPORT,PROTO, not '${text}'`,
    )
  }
  const v6 = source.includes(':')
  const octetsOf = (address: string): Uint8Array => (v6 ? ipv6Octets(address) : ipv4Octets(address))
  const fields = [
    [v6 ? ie.sourceIPv6Address : ie.sourceIPv4Address, octetsOf(source)],
    [v6 ? ie.destinationIPv6Address : ie.destinationIPv4Address, octetsOf(destination)],
    ...(sourcePort === undefined ? [] : [[ie.sourceTransportPort, portOf(sourcePort)] as const]),
    ...(destinationPort === undefined
      ? []
      : [[ie.destinationTransportPort, portOf(destinationPort)] as const]),
    ...(protocol === undefined ? [] : [[ie.protocolIdentifier, protocolOf(protocol)] as const]),
  ] as const
  const template = createTemplate(
    256,
    fields.map(([element]) => ({element, length: fullLength(element.type)})),
  )
  const builder = createRecordBuilder(template)
  builder.add(fields.map(([, value]) => value))
  return builder.take({exportTime: 0, sequenceNumber: 0, observationDomainId: 0, offset: 0})!
}

function portOf(text: string): number {
  const port = Number(text)
  if (/^\d+$/.test(text) && port < 65536) return port
  throw new DartaError('DARTA_USAGE', `--explain: '${text}' is no port`)
}

function protocolOf(text: string): number {
  const number = protocolNumber(text) ?? Number(text)
  if (Number.isInteger(number) && number >= 0 && number < 256) return number
  throw new DartaError('DARTA_USAGE', `--explain: '${text}' is no protocol`)
}

/** Says of each record which unit it goes to and why, a line for each group of applications. */
export async function explainRecords(
  command: DartaCommand,
  source: RecordStream,
  groups: readonly ExplainedGroup[],
  units: readonly WeightedUnit[],
  seed: number,
): Promise<void> {
  const dealers = groups.map(({key}) => createDealer(units, {key, seed, splitHot: false}))
  const uniflows = createUniflows()
  let number = 0
  for await (const batches of source) {
    for (const batch of batches) {
      if (batch.template.scopeCount > 0) {
        number += batch.count
        continue
      }
      const lines: string[] = []
      for (let i = 0; i < batch.count; i++) {
        number++
        const one = {...batch, count: 1, start: 0, offsets: undefined}
        const record = i === 0 && batch.count === 1 ? batch : sliceOf(batch, i, one)
        for (const [g, group] of groups.entries()) {
          lines.push(...explain(record, number, group, dealers[g], units, uniflows))
        }
      }
      command.print(lines.map((line) => `${line}\n`).join(''))
    }
    if (command.stopping.aborted) break
  }
}

function sliceOf(batch: RecordBatch, i: number, one: RecordBatch): RecordBatch {
  const {offsets, template} = batch
  if (offsets === undefined) return {...one, start: batch.start + i * template.recordOctets}
  return {...one, start: offsets[i], offsets: offsets.slice(i, i + 2)}
}

function explain(
  batch: RecordBatch,
  number: number,
  {name, apps, key}: ExplainedGroup,
  dealer: ReturnType<typeof createDealer>,
  units: readonly WeightedUnit[],
  uniflows: ReturnType<typeof createUniflows>,
): string[] {
  const head = `${number} ${name}:`
  const {template} = batch
  const wanting = apps.map(({needs}) =>
    needs.find((elements) => !elements.some((e) => fieldIndex(template, e) >= 0)),
  )
  if (wanting.every((lacks) => lacks !== undefined)) {
    return [`${head} not applicable: no ${wanting[0].map((e) => e.name).join(' or ')}`]
  }
  if (key === undefined) return [`${head} any unit, in turn: the application has no routing key`]
  const parts = isDirected(key) ? uniflows(batch) : [batch]
  return parts.map((part, direction) => {
    const explained = dealer.explain(part, 0)
    const which = parts.length > 1 ? (direction === 0 ? ' forward' : ' reverse') : ''
    if (explained === undefined) return `${head}${which} has no key`
    const {hash, slot, unit} = explained
    const to = unit === undefined ? 'several units in turn' : units[unit].id
    const text = routingKeyText(key, explained.key)
    return `${head}${which} ${text}: hash ${hash.toString(16).padStart(8, '0')}, slot ${slot}, ${to}`
  })
}
