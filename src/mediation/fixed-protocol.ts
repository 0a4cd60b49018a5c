import type {HeaderColumns, MessageContext, RecordBatch} from '../record/batch.js'
import {createTemplate, type FieldSpecifier} from '../record/template.js'
import {ie} from '../registry/lookup.js'
import {
  createDomainSequence,
  isSettled,
  observeSequence,
  type DomainSequence,
} from '../ipfix/sequence.js'
import {systemInitSpecifier, writeMilliseconds} from './system-init.js'
import type {ExportProtocol, PlainSource} from './protocol.js'

/** Engines of one Exporter whose sequence numbers are followed; the one that is quiet for longest goes for a new one. */
const MAX_ENGINES = 256

/** A protocol whose records have one form that never changes. */
export interface FixedProtocol {
  readonly name: string
  readonly summary: string
  readonly version: number
  readonly headerOctets: number
  /** Of each record, padding included. */
  readonly fields: readonly FieldSpecifier[]
  /** Of the header. Time of the system's start is not among them: it comes in front of what `columns` writes. */
  readonly columns: readonly FieldSpecifier[]
  /** Datagrams may be passed on as they are: NetFlow 5, whose header a relay kernel knows. */
  readonly relays?: boolean
  /** Whether there is a sequence number of records at octet 16. */
  readonly sequenced: boolean
  /** What stands for an Observation Domain. */
  domainOf(view: DataView): number
  /** Writes the octets of `columns` at `at`. */
  writeColumns(view: DataView, to: DataView, at: number): void
}

/** What records of NetFlow 1, 5 and 7 begin with. */
export const firstFields: readonly FieldSpecifier[] = [
  {element: ie.sourceIPv4Address, length: 4},
  {element: ie.destinationIPv4Address, length: 4},
  {element: ie.ipNextHopIPv4Address, length: 4},
  {element: ie.ingressInterface, length: 2},
  {element: ie.egressInterface, length: 2},
  {element: ie.packetDeltaCount, length: 4},
  {element: ie.octetDeltaCount, length: 4},
  {element: ie.flowStartSysUpTime, length: 4},
  {element: ie.flowEndSysUpTime, length: 4},
  {element: ie.sourceTransportPort, length: 2},
  {element: ie.destinationTransportPort, length: 2},
]

const SECONDS_AT = 8
const NANOSECONDS_AT = 12
const UPTIME_AT = 4

/**
 * NetFlow 1, 5 and 7: header and records are those of IPFIX but for their names, so that the records of a datagram are a
 * batch where they lie.
 *
 *     0         2       4        8         12            16
 *     version | count | uptime | seconds | nanoseconds | sequence … | records
 */
export function fixedProtocol(protocol: FixedProtocol): ExportProtocol {
  const {name, version, headerOctets, sequenced} = protocol
  const template = createTemplate(256, protocol.fields)
  const recordOctets = template.recordOctets
  const specifiers = [systemInitSpecifier, ...protocol.columns]
  let columnOctets = 0
  for (const {length} of specifiers) columnOctets += length
  return {
    summary: protocol.summary,
    port: 2055,
    detects: (octets) => octets.length >= 4 && octets[0] === 0 && octets[1] === version,
    isWhole(octets) {
      const count = octets[2] * 256 + octets[3]
      return count > 0 && octets.length === headerOctets + count * recordOctets
    },
    open({ledger}) {
      const messages = ledger.stage(`${name}-messages`, 'messages')
      const records = ledger.stage(name, 'records')
      return {
        session(exporter) {
          const engines = new Map<number, DomainSequence>()
          function engineOf(id: number): DomainSequence {
            let engine = engines.get(id)
            if (engine === undefined) {
              if (engines.size >= MAX_ENGINES) {
                engines.delete(engines.keys().next().value as number)
                messages.note('domain-evicted')
              }
              engine = createDomainSequence()
              engines.set(id, engine)
            } else if (engines.size >= MAX_ENGINES) {
              engines.delete(id)
              engines.set(id, engine)
            }
            return engine
          }
          function plain(octets: Uint8Array): PlainSource | undefined {
            if (protocol.relays !== true || octets.length < headerOctets) return undefined
            const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
            const id = protocol.domainOf(view)
            const sequence = engines.get(id)
            if (sequence === undefined || !isSettled(sequence)) return undefined
            return {
              protocol: 5,
              id,
              word: view.getUint32(20),
              setsAt: undefined,
              columns: specifiers,
              samplingInterval: view.getUint16(22) & 0x3fff,
              sequence,
              template: () => template,
              settled: () => engines.get(id) === sequence && isSettled(sequence),
              watch() {},
              events: () => messages.events + records.events,
              use() {},
              count(datagrams, count) {
                messages.in += datagrams
                messages.out += datagrams
                records.in += count
                records.out += count
                sequence.counts.messages += datagrams
                sequence.counts.records += count
              },
            }
          }
          return {
            datagram(octets, receivedMs, offset, out) {
              messages.in++
              if (octets.length < headerOctets) {
                messages.lose('truncated', 1, offset)
                return
              }
              const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
              const claimed = view.getUint16(2)
              const room = Math.floor((octets.length - headerOctets) / recordOctets)
              const count = Math.min(claimed, room)
              const used = headerOctets + count * recordOctets
              messages.out++
              // The header's word is taken where the octets bear it out, and only there.
              if (claimed > room) messages.note('record-count', 1, offset + 2)
              if (used < octets.length) {
                messages.note('trailing-octets', octets.length - used, offset + used)
              }
              const seconds = view.getUint32(SECONDS_AT)
              const ms = seconds * 1000 + Math.floor(view.getUint32(NANOSECONDS_AT) / 1e6)
              const values = new Uint8Array(columnOctets)
              const to = new DataView(values.buffer)
              writeMilliseconds(to, 0, Math.max(ms - view.getUint32(UPTIME_AT), 0))
              protocol.writeColumns(view, to, 8)
              const columns: HeaderColumns = {specifiers, octets: values}
              const sequenceNumber = sequenced ? view.getUint32(16) : 0
              const observationDomainId = protocol.domainOf(view)
              const message: MessageContext = {
                exportTime: seconds,
                sequenceNumber,
                observationDomainId,
                exporter: exporter.name,
                offset,
                exporterAddress: exporter.address,
                receivedMs,
                columns,
              }
              const engine = engineOf(observationDomainId)
              engine.counts.messages++
              engine.counts.records += count
              records.in += count
              records.out += count
              if (sequenced) {
                observeSequence(engine, sequenceNumber, count, seconds, offset, false, records)
              }
              if (count === 0) return
              const batch: RecordBatch = {
                template,
                octets,
                view,
                start: headerOctets,
                count,
                offsets: undefined,
                message,
                templates: undefined,
                elements: undefined,
              }
              out.push(batch)
            },
            *losses() {
              for (const [observationDomainId, {counts}] of engines) {
                yield {observationDomainId, counts: 'records', sums: counts}
              }
            },
            *templates() {},
            plain: (octets) => plain(octets),
            restore: () => false,
            end() {},
          }
        },
      }
    },
  }
}
