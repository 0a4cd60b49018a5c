import {createDecoder} from '../../ipfix/decoder.js'
import {
  MESSAGE_HEADER_OCTETS,
  OPTIONS_TEMPLATE_SET_ID,
  SET_HEADER_OCTETS,
  writeMessageHeader,
} from '../../ipfix/message.js'
import {templateRecordOctets, writeTemplateRecord} from '../../ipfix/template-record.js'
import {joinMessages, templateMessages} from '../../ipfix/template-table.js'
import type {Messages, TemplateTable} from '../../ipfix/template-table.js'
import type {RecordBatch} from '../../record/batch.js'
import {Ledger} from '../../record/ledger.js'
import {createTemplate, type Template} from '../../record/template.js'
import {ie} from '../../registry/lookup.js'
import {numberOf, type NumberOf} from './netflow-rows.js'

/** Of domain 0, which stands for the Exporting Process as a whole; as far from those of the records as can be. */
const MOST_TEMPLATE_ID = 65535
const RECORD_OCTETS = 4 + 5 * 8
const MOST_TOTAL = 2n ** 64n - 1n

/** RFC 7011 section 4.3: the times are those at which the first and the last Flow Record was given up. */
function reliabilityTemplate(id: number): Template {
  return createTemplate(
    id,
    [
      {element: ie.exportingProcessId, length: 4},
      {element: ie.notSentFlowTotalCount, length: 8},
      {element: ie.notSentPacketTotalCount, length: 8},
      {element: ie.notSentOctetTotalCount, length: 8},
      {element: ie.observationTimeMilliseconds, length: 8},
      {element: ie.observationTimeMilliseconds, length: 8},
    ],
    1,
  )
}

/** What one Collector was not sent, and will never be. */
export interface NotSent {
  /** Counts the Flow Records of these Messages, of which the first lies before `position` of the log. */
  add(messages: readonly Uint8Array[], position: number): void
  /** Counts records `from` to before `to` of a batch, if they are Flow Records. */
  addRecords(batch: RecordBatch, from: number, to: number): void
  /** Flow Records so far. */
  readonly flows: number
  /** Something came since the last report. */
  readonly news: boolean
  /** A Message, for `Wire.insert`, that tells all so far; with the Template that it needs. RFC 7011 section 4.3. */
  report(exportTime: number): Messages
}

/**
 * @param processId scope of what is told
 * @param now milliseconds since 1970
 */
export function createNotSent(
  table: TemplateTable,
  processId: number,
  now: () => number = Date.now,
): NotSent {
  const counters = new WeakMap<Template, {packets: NumberOf[]; octets: NumberOf[]}>()
  let flows = 0
  let packets = 0
  let octets = 0
  let firstMs = 0
  let lastMs = 0
  let news = false
  let template: Template | undefined

  function countersOf(of: Template): {packets: NumberOf[]; octets: NumberOf[]} {
    let found = counters.get(of)
    if (found === undefined) {
      const both = (...elements: Parameters<typeof numberOf>[2][]): NumberOf[] =>
        [false, true].flatMap((reverse) => {
          const read = numberOf(of, reverse, ...elements)
          return read === undefined ? [] : [read[0]]
        })
      found = {
        packets: both(ie.packetDeltaCount, ie.packetTotalCount),
        octets: both(ie.octetDeltaCount, ie.octetTotalCount),
      }
      counters.set(of, found)
    }
    return found
  }

  function addRecords(batch: RecordBatch, from: number, to: number): void {
    if (batch.template.scopeCount > 0 || from >= to) return
    lastMs = now()
    if (flows === 0) firstMs = lastMs
    news = true
    const own = countersOf(batch.template)
    flows += to - from
    for (let i = from; i < to; i++) {
      for (const read of own.packets) packets += read(batch, i)
      for (const read of own.octets) octets += read(batch, i)
    }
  }

  return {
    get flows() {
      return flows
    },
    get news() {
      return news
    },
    add(messages, position) {
      const decoder = createDecoder({ledger: new Ledger(), source: 'log'})
      const known = templateMessages(table.before(position), 65535, 0).octets
      const batches = [known, ...messages].flatMap((octets) => decoder.push(octets))
      for (const batch of [...batches, ...decoder.end()]) addRecords(batch, 0, batch.count)
    },
    addRecords,
    report(exportTime) {
      news = false
      if (template === undefined) {
        let id = MOST_TEMPLATE_ID
        while (table.find(0, id) !== undefined) id--
        template = reliabilityTemplate(id)
      }
      const announcement = SET_HEADER_OCTETS + templateRecordOctets(template)
      const set = MESSAGE_HEADER_OCTETS + announcement
      const message = new Uint8Array(set + SET_HEADER_OCTETS + RECORD_OCTETS)
      const view = new DataView(message.buffer)
      writeMessageHeader(view, 0, {
        length: message.length,
        exportTime,
        sequenceNumber: 0,
        observationDomainId: 0,
      })
      view.setUint16(MESSAGE_HEADER_OCTETS, OPTIONS_TEMPLATE_SET_ID)
      view.setUint16(MESSAGE_HEADER_OCTETS + 2, announcement)
      writeTemplateRecord(view, MESSAGE_HEADER_OCTETS + SET_HEADER_OCTETS, template)
      view.setUint16(set, template.id)
      view.setUint16(set + 2, SET_HEADER_OCTETS + RECORD_OCTETS)
      let at = set + SET_HEADER_OCTETS
      view.setUint32(at, processId)
      at += 4
      for (const value of [flows, packets, octets, firstMs, lastMs]) {
        view.setBigUint64(at, value < 2 ** 64 ? BigInt(value) : MOST_TOTAL)
        at += 8
      }
      return joinMessages([message], Uint32Array.of(1))
    },
  }
}
