import type {RecordBatch} from '../record/batch.js'
import {createRecordBuilder} from '../record/record-writer.js'
import {createTemplate, type FieldSpecifier} from '../record/template.js'
import {addressText, type Value} from '../record/value.js'
import {ie} from '../registry/lookup.js'
import type {Exporter} from './protocol.js'

/** What is known of a Transport Session besides what its Messages say. */
export interface SessionFacts {
  readonly exporter: Exporter
  readonly protocol: string
  /** As IP numbers it: 6 TCP, 17 UDP. */
  readonly transport?: number
  readonly collectorPort?: number
}

/** Numbers that headers have for these; sFlow has no place in a count of NetFlow and IPFIX. */
const versions: Readonly<Record<string, number>> = {
  netflow1: 1,
  netflow5: 5,
  netflow7: 7,
  netflow9: 9,
  ipfix: 10,
}

/**
 * The Export Session Details of what passes. RFC 5655 section 8.1.3: they hold for all of a file, so that there are none where
 * its records came from several Exporters, or nobody knows from whom.
 */
export function createSessionDetails(): {
  see(batches: readonly RecordBatch[]): void
  /** The Options Record for what was seen since the last one. */
  take(factsOf: (exporter: string) => SessionFacts | undefined): RecordBatch[]
} {
  let exporter: string | undefined
  let several = false
  let first = Infinity
  let last = -Infinity

  return {
    see(batches) {
      for (const {message} of batches) {
        const {exportTime} = message
        if (exportTime < first) first = exportTime
        if (exportTime > last) last = exportTime
        if (message.exporterAddress === undefined || message.exporter === undefined) several = true
        else if (exporter === undefined) exporter = message.exporter
        else if (exporter !== message.exporter) several = true
      }
    },
    take(factsOf) {
      const facts = several || exporter === undefined ? undefined : factsOf(exporter)
      const times = [first, last]
      several = false
      exporter = undefined
      first = Infinity
      last = -Infinity
      const address = facts?.exporter.address
      if (facts === undefined || address === undefined) return []
      const fields: FieldSpecifier[] = []
      const values: Value[] = []
      const add = (element: FieldSpecifier['element'], length: number, value?: Value): void => {
        if (value === undefined) return
        fields.push({element, length})
        values.push(value)
      }
      add(ie.sessionScope, 1, 0)
      const four = address.length === 4
      add(
        four ? ie.exporterIPv4Address : ie.exporterIPv6Address,
        address.length,
        addressText(address),
      )
      add(ie.exporterTransportPort, 2, facts.exporter.port)
      add(ie.collectorTransportPort, 2, facts.collectorPort)
      add(ie.exportTransportProtocol, 1, facts.transport)
      add(ie.exportProtocolVersion, 1, versions[facts.protocol])
      add(ie.minExportSeconds, 4, times[0])
      add(ie.maxExportSeconds, 4, times[1])
      const builder = createRecordBuilder(createTemplate(256, fields, 1))
      builder.add(values)
      const message = {exportTime: times[1], sequenceNumber: 0, observationDomainId: 0, offset: 0}
      return [builder.take(message)!]
    },
  }
}
