import type {HeaderColumns, MessageContext} from '../../record/batch.js'
import {ie} from '../../registry/lookup.js'
import {createDomainSequence, observeSequence, type DomainSequence} from '../../ipfix/sequence.js'
import type {StageLedger} from '../../record/ledger.js'
import {createSampleRecords, type SampleFaults} from '../sflow-records.js'
import type {ExportProtocol} from '../protocol.js'

/** Agents and sources of one Exporter whose numbers are followed; the oldest goes for a new one. */
const MAX_AGENTS = 256
const MAX_SOURCES = 4096

const columnsV4 = [
  {element: ie.sflowAgentIPv4Address, length: 4},
  {element: ie.sflowAgentUptime, length: 4},
]
const columnsV6 = [
  {element: ie.sflowAgentIPv6Address, length: 16},
  {element: ie.sflowAgentUptime, length: 4},
]

/**
 * sFlow version 5: each sample becomes a record with all that is in it. Both datagrams and the samples of each source are
 * numbered, so that what the network lost and what the agent dropped are told apart.
 *
 *     0         4              8               8 + n     12 + n     16 + n   20 + n
 *     version | address type | agent address | sub agent | sequence | uptime | samples
 */
export default {
  summary: 'sFlow version 5: flow and counter samples',
  port: 6343,
  detects: (octets) =>
    octets.length >= 4 &&
    octets[0] === 0 &&
    octets[1] === 0 &&
    octets[2] === 0 &&
    (octets[3] === 5 || octets[3] === 4 || octets[3] === 2),
  isWhole(octets) {
    const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
    const header = readHeaderOf(view)
    if (typeof header === 'string') return false
    let {at} = header
    for (let i = 0; i < header.count; i++) {
      if (octets.length - at < 8) return false
      at += 8 + view.getUint32(at + 4)
      if (at > octets.length) return false
    }
    return at === octets.length
  },
  open({ledger, readHeader}) {
    const messages = ledger.stage('sflow-messages', 'messages')
    const records = ledger.stage('sflow', 'records')
    const samples = createSampleRecords(readHeader)
    return {
      session(exporter) {
        const agents = new Map<string, DomainSequence & {readonly subAgent: number}>()
        const sources = new Map<string, DomainSequence>()

        function followed<T>(map: Map<string, T>, key: string, most: number, make: () => T): T {
          let found = map.get(key)
          if (found === undefined) {
            if (map.size >= most) {
              map.delete(map.keys().next().value as string)
              messages.note('domain-evicted')
            }
            found = make()
            map.set(key, found)
          }
          return found
        }

        return {
          datagram(octets, receivedMs, offset, out) {
            messages.in++
            const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
            const header = readHeaderOf(view)
            if (typeof header === 'string') {
              messages.lose(header, 1, offset)
              return
            }
            messages.out++
            const {at, addressOctets, subAgent, sequenceNumber, uptime, count} = header
            const values = new Uint8Array(addressOctets + 4)
            values.set(octets.subarray(8, 8 + addressOctets))
            new DataView(values.buffer).setUint32(addressOctets, uptime)
            const columns: HeaderColumns = {
              specifiers: addressOctets === 4 ? columnsV4 : columnsV6,
              octets: values,
            }
            const message: MessageContext = {
              // The header has no time but that since the agent was started.
              exportTime: Math.floor((receivedMs ?? 0) / 1000),
              sequenceNumber,
              observationDomainId: subAgent,
              exporter: exporter.name,
              offset,
              exporterAddress: exporter.address,
              receivedMs,
              columns,
            }
            const agent = followed(agents, `${header.agent}/${subAgent}`, MAX_AGENTS, () => ({
              ...createDomainSequence(),
              subAgent,
            }))
            observeSequence(agent, sequenceNumber, 1, 0, offset, false, messages, true)
            agent.counts.messages++
            const faults: SampleFaults = {
              lost(reason, octet, n) {
                records.in += n
                records.lose(reason, n, offset + octet)
                agent.counts.lost += n
              },
              noted: (reason, octet) => records.note(reason, 1, offset + octet),
              sample(kind, source, sequence, octet) {
                const key = `${header.agent}/${subAgent}/${kind}/${source}`
                const one = followed(sources, key, MAX_SOURCES, createDomainSequence)
                observeSample(one, sequence, offset + octet, records)
              },
            }
            const read = samples.read(octets, view, at, count, message, faults, out)
            records.in += read
            records.out += read
            agent.counts.records += read
          },
          *losses() {
            for (const {subAgent, counts} of agents.values()) {
              yield {observationDomainId: subAgent, counts: 'messages', sums: counts}
            }
          },
          *templates() {},
          restore: () => false,
          end() {},
        }
      },
    }
  },
} satisfies ExportProtocol

function observeSample(
  source: DomainSequence,
  sequence: number,
  offset: number,
  records: StageLedger,
): void {
  observeSequence(source, sequence, 1, 0, offset, false, records, true)
}

interface Header {
  readonly at: number
  readonly addressOctets: number
  readonly agent: string
  readonly subAgent: number
  readonly sequenceNumber: number
  readonly uptime: number
  readonly count: number
}

/** The header, or why there is none. */
function readHeaderOf(view: DataView): Header | string {
  if (view.byteLength < 8) return 'truncated'
  if (view.getUint32(0) !== 5) return `sflow-version-${view.getUint32(0)}`
  const kind = view.getUint32(4)
  if (kind !== 1 && kind !== 2) return 'agent-address'
  const addressOctets = kind === 1 ? 4 : 16
  const at = 8 + addressOctets
  if (view.byteLength < at + 16) return 'truncated'
  let agent = ''
  for (let i = 8; i < at; i += 4) agent += `${view.getUint32(i)}.`
  return {
    at: at + 16,
    addressOctets,
    agent,
    subAgent: view.getUint32(at),
    sequenceNumber: view.getUint32(at + 4),
    uptime: view.getUint32(at + 8),
    count: view.getUint32(at + 12),
  }
}
