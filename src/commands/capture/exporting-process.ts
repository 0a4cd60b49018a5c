import {
  MESSAGE_HEADER_OCTETS,
  OPTIONS_TEMPLATE_SET_ID,
  sealMessage,
  SET_HEADER_OCTETS,
  TEMPLATE_SET_ID,
} from '../../ipfix/message.js'
import {templateRecordOctets, writeTemplateRecord} from '../../ipfix/template-record.js'
import {typeRecordValues, typeTemplate} from '../../ipfix/type-records.js'
import type {MeterCounters, MeterOptions, MeterOutput} from '../../metering/meter.js'
import type {Landmark} from '../../metering/turn-counter.js'
import {DARTA_PEN, VARIABLE, type InformationElement} from '../../record/element.js'
import {createTemplate, type Template} from '../../record/template.js'
import type {Value} from '../../record/value.js'
import {ie} from '../../registry/lookup.js'
import {keyOfElement} from './meter-options.js'
import {
  liveRows,
  selectionRows,
  selectionStatisticsRows,
  type LiveReport,
  type OptionsRows,
} from './process-reports.js'
import {ipSelector, type SelectorReport} from './selection.js'

/** Template IDs that follow the two of the meter's records, 256 and 257; process-reports.ts has those behind. */
const FLOW_KEYS_ID = 258
const TYPES_ID = 259
const STATISTICS_ID = 260
const RELIABILITY_ID = 261
const LANDMARKS_ID = 262

/** RFC 7011 section 4.4. */
const flowKeysTemplate = createTemplate(
  FLOW_KEYS_ID,
  [
    {element: ie.templateId, length: 2},
    {element: ie.flowKeyIndicator, length: 8},
  ],
  1,
)

/** RFC 7011 section 4.1. */
const statisticsTemplate = createTemplate(
  STATISTICS_ID,
  [
    {element: ie.observationDomainId, length: 4},
    {element: ie.exportedMessageTotalCount, length: 8},
    {element: ie.exportedFlowRecordTotalCount, length: 8},
    {element: ie.exportedOctetTotalCount, length: 8},
  ],
  1,
)

/** RFC 7011 section 4.2: the times are those of the first and the last packet that was ignored. */
const reliabilityTemplate = createTemplate(
  RELIABILITY_ID,
  [
    {element: ie.observationDomainId, length: 4},
    {element: ie.ignoredPacketTotalCount, length: 8},
    {element: ie.ignoredOctetTotalCount, length: 8},
    {element: ie.observationTimeMilliseconds, length: 8},
    {element: ie.observationTimeMilliseconds, length: 8},
  ],
  1,
)

/** Where a node that takes packets in turn was in its count. */
const landmarksTemplate = createTemplate(
  LANDMARKS_ID,
  [
    {element: ie.observationDomainId, length: 4},
    {element: ie.interfaceName, length: VARIABLE},
    {element: ie.dartaShare, length: VARIABLE},
    {element: ie.observationTimeMilliseconds, length: 8},
    {element: ie.dartaLandmarkDigest, length: 4},
    {element: ie.dartaTurnPacketCount, length: 8},
  ],
  1,
)

/**
 * The Exporting Process (RFC 7011): makes Messages of a meter's buffers and of what it has to say about them. It only
 * makes octets; where they go is another's business.
 */
export interface ExportingProcess {
  /**
   * Messages, in order: before the first buffer the Templates, the Flow Keys and the types of darta's own elements.
   * The buffers' own octets are used.
   */
  export(outputs: readonly MeterOutput[]): Uint8Array[]
  landmarks(landmarks: readonly Landmark[]): Uint8Array[]
  /** The statistics so far, while a capture runs; with what comes before all if nothing was exported yet. */
  report(counters: MeterCounters, live: LiveReport): Uint8Array[]
  /** What is left to say at the end: Templates if there was no record at all, then the statistics. */
  finish(counters: MeterCounters, live?: LiveReport): Uint8Array[]
  /** Data Records made of the meter's so far. */
  readonly records: number
}

/** @param selectors what packets passed before they are reported; only of interest where they are */
export function createExportingProcess(
  options: MeterOptions,
  observationDomainId: number,
  selectors: readonly SelectorReport[] = [ipSelector],
): ExportingProcess {
  const templates = [options.fields.v4, options.fields.v6].map((fields, i) =>
    createTemplate(256 + i, fields),
  )
  if (options.emit === 'packets') templates.pop()
  let sequenceNumber = 0
  let messages = 0
  let octetsSent = 0
  let records = 0
  let begun = false
  /** Templates, by number, and darta's own elements that were described. */
  const said = new Set<number>()
  const described = new Set<InformationElement>()
  let lastTime = 0

  function seal(octets: Uint8Array, count: number, exportTime: number): Uint8Array {
    // RFC 5655 section 7.2: export times do not go back, whatever order the captures come in.
    lastTime = Math.max(lastTime, exportTime)
    sealMessage(octets, {exportTime: lastTime, sequenceNumber, observationDomainId})
    sequenceNumber = (sequenceNumber + count) >>> 0
    messages++
    octetsSent += octets.byteLength
    return octets
  }

  /** The Message that comes before all others. */
  function begin(exportTime: number): Uint8Array {
    begun = true
    const rows: OptionsRows[] = []
    if (options.emit === 'flows') {
      rows.push([
        flowKeysTemplate,
        templates.map((template) => [template.id, flowKeyIndicator(template, options)]),
      ])
    } else rows.push(...selectionRows(selectors))
    const before = templateSet(TEMPLATE_SET_ID, templates)
    return message(rows, exportTime, [before], templates)
  }

  /** Types (RFC 5610) of darta's own elements in the Templates that were not described yet. */
  function typeRows(used: readonly Template[]): OptionsRows[] {
    const own = new Set(
      used
        .flatMap(({fields}) => fields.map(({element}) => element))
        .filter((element) => element.enterpriseNumber === DARTA_PEN && !described.has(element)),
    )
    for (const element of own) described.add(element)
    const rows = [...own].map((element) => typeRecordValues(element))
    return rows.length === 0 ? [] : [[{...typeTemplate, id: TYPES_ID}, rows]]
  }

  /**
   * A Message of Options Records, with the Templates that were not sent yet.
   *
   * @param sets what stands in front
   * @param other Templates in front of which own elements are to be described too
   */
  function message(
    rows: readonly OptionsRows[],
    exportTime: number,
    sets: readonly Uint8Array[] = [],
    other: readonly Template[] = [],
  ): Uint8Array {
    const types = typeRows([...other, ...rows.map(([template]) => template)])
    // What comes first must be known first.
    const data = other.length > 0 ? [...rows, ...types] : [...types, ...rows]
    const fresh = data.map(([template]) => template).filter(({id}) => !said.has(id))
    for (const {id} of fresh) said.add(id)
    const parts = [...sets]
    if (fresh.length > 0) parts.push(templateSet(OPTIONS_TEMPLATE_SET_ID, fresh))
    let count = 0
    for (const [template, list] of data) {
      count += list.length
      const body = list.map((values) => encodeOptions(template, values))
      parts.push(set(template.id, body))
    }
    const octets = Buffer.concat([new Uint8Array(MESSAGE_HEADER_OCTETS), ...parts])
    return seal(octets, count, exportTime)
  }

  /** RFC 7011 sections 4.1 to 4.3, RFC 5476 section 6.5.3. */
  function statistics(counters: MeterCounters, live: LiveReport | undefined): OptionsRows[] {
    const row = [observationDomainId, messages, records, octetsSent]
    const rows: OptionsRows[] = [[statisticsTemplate, [row]]]
    const ignored = [...counters.lost.values()].reduce((a, b) => a + b, 0)
    if (ignored > 0) {
      // Packets whose own time could not be read were ignored about when the last one was seen.
      const ms = (ns: bigint | undefined): number =>
        Number((ns ?? counters.lastTimeNs ?? 0n) / 1_000_000n)
      const {lostOctets, firstLostNs, lastLostNs} = counters
      const times = [ms(firstLostNs), ms(lastLostNs)]
      rows.push([reliabilityTemplate, [[observationDomainId, ignored, lostOctets, ...times]]])
    }
    if (options.emit === 'packets') {
      rows.push(selectionStatisticsRows(selectors, counters, live?.kernel))
    }
    if (live !== undefined) {
      const made = options.emit === 'packets' ? counters.ipPackets : counters.flowsExported
      rows.push(...liveRows(live, Math.max(0, made - records)))
    }
    return rows
  }

  return {
    get records() {
      return records
    },
    export(outputs) {
      const made: Uint8Array[] = []
      for (const {octets, count, exportTime} of outputs) {
        if (!begun) made.push(begin(exportTime))
        records += count
        made.push(seal(octets, count, exportTime))
      }
      return made
    },
    landmarks(landmarks) {
      const time = Math.floor(Math.max(0, ...landmarks.map(({timeMs}) => timeMs)) / 1000)
      const made = begun ? [] : [begin(time)]
      const rows = landmarks.map((one): Value[] => [
        observationDomainId,
        one.interfaceName,
        one.share,
        Math.floor(one.timeMs),
        one.digest,
        one.packets,
      ])
      // A record has under 64 octets: so many fit a Message.
      for (let at = 0; at < rows.length; at += 500) {
        made.push(message([[landmarksTemplate, rows.slice(at, at + 500)]], time))
      }
      return made
    },
    report(counters, live) {
      const time = Math.floor(Date.now() / 1000)
      const made = begun ? [] : [begin(time)]
      made.push(message(statistics(counters, live), time))
      return made
    },
    finish(counters, live) {
      const time = Number((counters.lastTimeNs ?? 0n) / 1_000_000_000n)
      const made = begun ? [] : [begin(time)]
      made.push(message(statistics(counters, live), time))
      return made
    },
  }
}

/** Bit n is set if field n of the Template is a Flow Key; the first field is bit 0. RFC 7011 section 4.4. */
function flowKeyIndicator({fields}: Template, {key}: MeterOptions): bigint {
  let bits = 0n
  for (const [i, {element}] of fields.slice(0, 64).entries()) {
    const part = keyOfElement[element.name]
    if (part !== undefined && key.includes(part)) bits |= 1n << BigInt(i)
  }
  return bits
}

function set(id: number, bodies: readonly Uint8Array[]): Uint8Array {
  const octets = Buffer.concat([new Uint8Array(SET_HEADER_OCTETS), ...bodies])
  octets.writeUInt16BE(id, 0)
  octets.writeUInt16BE(octets.byteLength, 2)
  return octets
}

function templateSet(id: number, templates: readonly Template[]): Uint8Array {
  const bodies = templates.map((template) => {
    const octets = new Uint8Array(templateRecordOctets(template))
    writeTemplateRecord(new DataView(octets.buffer), 0, template)
    return octets
  })
  return set(id, bodies)
}

/** A record of unsigned integers and strings, which is all that options need. */
function encodeOptions({fields}: Template, values: readonly Value[]): Uint8Array {
  const parts = fields.map(({length}, i) => {
    const value = values[i]
    if (length === VARIABLE) {
      const text = Buffer.from(value as string).subarray(0, 254)
      return Buffer.concat([Uint8Array.of(text.byteLength), text])
    }
    const octets = Buffer.alloc(8)
    octets.writeBigUInt64BE(BigInt(value as number | bigint))
    return octets.subarray(8 - length)
  })
  return Buffer.concat(parts)
}
