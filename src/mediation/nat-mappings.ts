import type {RecordBatch} from '../record/batch.js'
import type {InformationElement} from '../record/element.js'
import {makeColumnReader} from '../record/group-reader.js'
import type {StageLedger} from '../record/ledger.js'
import {numberReader, octetsReader, readerOf} from '../record/readers.js'
import type {Template} from '../record/template.js'
import {ie} from '../registry/elements.js'
import {endColumn, startColumn} from '../registry/flow-columns.js'

/** One end, the other, protocol, each as text that two records share. */
export interface Ends {
  readonly source: string
  readonly dest: string
  readonly protocol: string
}

export type EndsReader = (batch: RecordBatch, index: number) => Ends | undefined

/** An address and a port as text of `Ends`. */
const endText = (address: Uint8Array, port: number): string =>
  `${String.fromCharCode(...address)}:${port};`

const addressReader = (
  template: Template,
  ...elements: readonly InformationElement[]
): ((batch: RecordBatch, index: number) => Uint8Array) | undefined => {
  for (const element of elements) {
    const reader = readerOf(template, element, octetsReader)
    if (reader !== undefined) return reader
  }
  return undefined
}

/** Ends of flow records; undefined for those without addresses and protocol. */
export function endsReader(template: Template): EndsReader {
  const source = addressReader(template, ie.sourceIPv4Address, ie.sourceIPv6Address)
  const dest = addressReader(template, ie.destinationIPv4Address, ie.destinationIPv6Address)
  const sourcePort = readerOf(template, ie.sourceTransportPort, numberReader)
  const destPort = readerOf(template, ie.destinationTransportPort, numberReader)
  const protocol = readerOf(template, ie.protocolIdentifier, numberReader)
  if (source === undefined || dest === undefined || protocol === undefined) return () => undefined
  return (batch, i) => ({
    source: endText(source(batch, i), sourcePort?.(batch, i) ?? 0),
    dest: endText(dest(batch, i), destPort?.(batch, i) ?? 0),
    protocol: `${protocol(batch, i)};`,
  })
}

/** Values of natEvent by what they do to a mapping. RFC 8158 section 4.3, and those of before. */
const CREATED = new Set([1, 4, 6, 8, 10])
const DELETED = new Set([2, 5, 7, 9, 11])

/** What one end inside is outside, for a time. */
interface Mapping {
  readonly inside: string
  /** The other end as it is inside and outside; undefined: any, and the same on both sides. */
  readonly peer: {readonly inside: string; readonly outside: string} | undefined
  startMs: number
  endMs: number
}

/** What a translator made of addresses and ports. */
export interface NatMappings {
  readonly size: number
  /** Takes records of NAT events or of translated flows; others are skipped by name. */
  learn(batch: RecordBatch): void
  /** The ends as they are on the inside of the translator; undefined if nothing is known of them at that time. */
  inside(ends: Ends, startMs: number, endMs: number): Ends | undefined
}

interface MappingReader {
  /** What the mapping is told apart by: protocol and the outer end. */
  key(batch: RecordBatch, i: number): string
  inside(batch: RecordBatch, i: number): string
  peer(batch: RecordBatch, i: number): Mapping['peer']
  event(batch: RecordBatch, i: number): number | undefined
  times(batch: RecordBatch, i: number): {startMs: number; endMs: number}
}

/**
 * Mappings of RFC 8158: events that create and delete sessions and bindings, or flow records with addresses before and after.
 * Both sides' clocks may differ by `slackMs`. An end may be mapped again and again; whoever had it at the time is found.
 */
export function createNatMappings(slackMs: number, account: StageLedger): NatMappings {
  const mappings = new Map<string, Mapping[]>()
  const readers = new Map<Template, MappingReader | undefined>()
  let size = 0

  const best = (key: string, peer: string, startMs: number, endMs: number): Mapping | undefined => {
    let found: Mapping | undefined
    let most = -Infinity
    for (const one of mappings.get(key) ?? []) {
      if (one.peer !== undefined && one.peer.outside !== peer) continue
      const overlap = Math.min(one.endMs, endMs) - Math.max(one.startMs, startMs)
      if (overlap < -slackMs || overlap <= most) continue
      most = overlap
      found = one
    }
    return found
  }
  return {
    get size() {
      return size
    },
    learn(batch) {
      account.in += batch.count
      if (!readers.has(batch.template)) readers.set(batch.template, mappingReader(batch.template))
      const reader = readers.get(batch.template)
      if (reader === undefined) {
        account.skip('no-mapping', batch.count)
        return
      }
      for (let i = 0; i < batch.count; i++) {
        const event = reader.event(batch, i)
        if (event !== undefined && !CREATED.has(event) && !DELETED.has(event)) {
          account.skip('no-mapping')
          continue
        }
        account.out++
        const key = reader.key(batch, i)
        const inside = reader.inside(batch, i)
        const peer = reader.peer(batch, i)
        const {startMs, endMs} = reader.times(batch, i)
        let list = mappings.get(key)
        if (list === undefined) mappings.set(key, (list = []))
        const ended = event !== undefined && DELETED.has(event)
        const open = ended
          ? list.findLast(
              (one) =>
                one.endMs === Infinity &&
                one.inside === inside &&
                one.peer?.outside === peer?.outside,
            )
          : undefined
        if (open !== undefined) {
          open.endMs = startMs
          continue
        }
        size++
        list.push({
          inside,
          peer,
          // Of a mapping whose beginning was not told.
          startMs: ended ? -Infinity : startMs,
          endMs: event === undefined ? endMs : ended ? startMs : Infinity,
        })
      }
    },
    inside(ends, startMs, endMs) {
      const {source, dest, protocol} = ends
      const out = best(protocol + source, dest, startMs, endMs)
      if (out !== undefined) {
        return {source: out.inside, dest: out.peer?.inside ?? dest, protocol}
      }
      const back = best(protocol + dest, source, startMs, endMs)
      if (back !== undefined) {
        return {source: back.peer?.inside ?? source, dest: back.inside, protocol}
      }
      return undefined
    },
  }
}

function mappingReader(template: Template): MappingReader | undefined {
  const number = (element: InformationElement) => readerOf(template, element, numberReader)
  const inner = addressReader(template, ie.sourceIPv4Address, ie.sourceIPv6Address)
  const outer = addressReader(template, ie.postNATSourceIPv4Address, ie.postNATSourceIPv6Address)
  const innerPort = number(ie.sourceTransportPort)
  const outerPort = number(ie.postNAPTSourceTransportPort) ?? innerPort
  const protocol = number(ie.protocolIdentifier)
  if (!inner || !outer || !innerPort || !outerPort || !protocol || template.scopeCount > 0) {
    return undefined
  }
  const peer = addressReader(template, ie.destinationIPv4Address, ie.destinationIPv6Address)
  const peerPort = number(ie.destinationTransportPort)
  const outerPeer =
    addressReader(template, ie.postNATDestinationIPv4Address, ie.postNATDestinationIPv6Address) ??
    peer
  const outerPeerPort = number(ie.postNAPTDestinationTransportPort) ?? peerPort
  const event = number(ie.natEvent)
  const time = number(ie.observationTimeMilliseconds)
  const start = makeColumnReader(startColumn, template)
  const end = makeColumnReader(endColumn, template)
  return {
    key: (batch, i) => `${protocol(batch, i)};${endText(outer(batch, i), outerPort(batch, i))}`,
    inside: (batch, i) => endText(inner(batch, i), innerPort(batch, i)),
    peer(batch, i) {
      if (!peer || !peerPort || !outerPeer || !outerPeerPort) return undefined
      return {
        inside: endText(peer(batch, i), peerPort(batch, i)),
        outside: endText(outerPeer(batch, i), outerPeerPort(batch, i)),
      }
    },
    event: (batch, i) => event?.(batch, i),
    times(batch, i) {
      const at = time?.(batch, i) ?? start?.(batch, i) ?? batch.message.exportTime * 1000
      return {startMs: at, endMs: end?.(batch, i) ?? at}
    },
  }
}
