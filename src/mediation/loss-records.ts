import {createRecordBuilder, type RecordBuilder} from '../record/record-writer.js'
import {VARIABLE} from '../record/element.js'
import {createTemplate} from '../record/template.js'
import {addressText} from '../record/value.js'
import {ie} from '../registry/lookup.js'
import type {RecordBatch} from '../record/batch.js'
import type {DomainLosses, Exporter} from './protocol.js'

/** What a session has told so far. */
export interface Losses {
  readonly exporter: Exporter
  readonly protocol: string
  readonly losses: Iterable<DomainLosses>
}

const counters = [
  ie.dartaCollectedMessageTotalCount,
  ie.dartaCollectedRecordTotalCount,
  ie.dartaMissingMessageTotalCount,
  ie.dartaMissingRecordTotalCount,
  ie.dartaLostRecordTotalCount,
  ie.dartaDuplicateMessageTotalCount,
  ie.dartaReorderedMessageTotalCount,
  ie.dartaSequenceResetTotalCount,
].map((element) => ({element, length: 8}))

const scopes = [
  {element: ie.exporterTransportPort, length: 2},
  {element: ie.originalObservationDomainId, length: 4},
  {element: ie.dartaExportProtocol, length: VARIABLE},
]

/** Scope: who sent, from which port, for which domain, by which protocol. Without an address: a file. */
const templates = {
  none: createTemplate(256, [...scopes, ...counters], scopes.length),
  v4: createTemplate(
    257,
    [{element: ie.originalExporterIPv4Address, length: 4}, ...scopes, ...counters],
    scopes.length + 1,
  ),
  v6: createTemplate(
    258,
    [{element: ie.originalExporterIPv6Address, length: 16}, ...scopes, ...counters],
    scopes.length + 1,
  ),
}

/**
 * Options Records that say for each Exporter and Observation Domain what came and what did not, so that the end of a pipe
 * knows what its beginning missed. As the Collecting Process's twin of RFC 7011 section 4.3.
 *
 * @param exportTime of their Message, seconds since 1970
 */
export function lossRecords(sessions: Iterable<Losses>, exportTime: number): RecordBatch[] {
  const builders = new Map<keyof typeof templates, RecordBuilder>()
  for (const {exporter, protocol, losses} of sessions) {
    const {address, port = 0} = exporter
    const kind = address === undefined ? 'none' : address.length === 4 ? 'v4' : 'v6'
    let builder = builders.get(kind)
    if (builder === undefined) builders.set(kind, (builder = createRecordBuilder(templates[kind])))
    for (const {observationDomainId, counts, sums} of losses) {
      // A Message that fills a gap is counted missing when it comes before what was missing is known.
      const missing = Math.max(sums.missing, 0)
      builder.add([
        ...(address === undefined ? [] : [addressText(address)]),
        port,
        observationDomainId,
        protocol,
        sums.messages,
        sums.records,
        counts === 'messages' ? missing : 0,
        counts === 'records' ? missing : 0,
        sums.lost,
        sums.duplicates,
        sums.reordered,
        sums.resets,
      ])
    }
  }
  const message = {exportTime, sequenceNumber: 0, observationDomainId: 0, offset: 0}
  return [...builders.values()].flatMap((builder) => builder.take(message) ?? [])
}

const socketTemplate = createTemplate(
  259,
  [
    {element: ie.collectorTransportPort, length: 2},
    {element: ie.packetTotalCount, length: 8},
    {element: ie.ignoredPacketTotalCount, length: 8},
  ],
  1,
)

/** Options Records of what came to UDP ports and what of it the kernel had no room for. RFC 7011 section 4.2. */
export function socketRecords(
  sockets: readonly {
    readonly port: number
    readonly received: number
    readonly dropped: number | undefined
  }[],
  exportTime: number,
): RecordBatch[] {
  const builder = createRecordBuilder(socketTemplate)
  for (const {port, received, dropped = 0} of sockets) {
    builder.add([port, received + dropped, dropped])
  }
  const batch = builder.take({exportTime, sequenceNumber: 0, observationDomainId: 0, offset: 0})
  return batch === undefined ? [] : [batch]
}
