import type {RecordBatch} from '../../record/batch.js'
import {fieldIndex, type Template} from '../../record/template.js'
import {ie} from '../../registry/lookup.js'
import {
  createKeeper,
  unfitFields,
  type DatagramEncoder,
  type LegacyAccounts,
} from './legacy-wire.js'
import {
  boundedNumber,
  createBoot,
  flowTimes,
  isBiflow,
  MOST_SPREAD,
  numberOf,
  type FlowTimes,
  type NumberOf,
} from './netflow-rows.js'

const HEADER_OCTETS = 24
const RECORD_OCTETS = 48
/** Records of one datagram. */
const MOST_RECORDS = 30
const MOST_COUNT = 2 ** 32 - 1

/** A field of NetFlow 5 that is a number: its place in the record, its octets, and the elements it is made of. */
const numbers = [
  {at: 12, octets: 2, elements: [ie.ingressInterface]},
  {at: 14, octets: 2, elements: [ie.egressInterface]},
  {at: 32, octets: 2, elements: [ie.sourceTransportPort, ie.udpSourcePort, ie.tcpSourcePort]},
  {
    at: 34,
    octets: 2,
    elements: [
      ie.destinationTransportPort,
      ie.udpDestinationPort,
      ie.tcpDestinationPort,
      ie.icmpTypeCodeIPv4,
    ],
  },
  {at: 37, octets: 1, elements: [ie.tcpControlBits]},
  {at: 38, octets: 1, elements: [ie.protocolIdentifier]},
  {at: 39, octets: 1, elements: [ie.ipClassOfService]},
  {at: 40, octets: 2, elements: [ie.bgpSourceAsNumber]},
  {at: 42, octets: 2, elements: [ie.bgpDestinationAsNumber]},
  {at: 44, octets: 1, elements: [ie.sourceIPv4PrefixLength]},
  {at: 45, octets: 1, elements: [ie.destinationIPv4PrefixLength]},
] as const

/** What changes places when the direction is turned. */
const turned: Readonly<Record<number, number>> = {
  12: 14,
  14: 12,
  32: 34,
  34: 32,
  40: 42,
  42: 40,
  44: 45,
  45: 44,
}

/** Where a number goes in the record, in how many octets. */
interface NumberField {
  readonly at: number
  readonly octets: number
  readonly read: NumberOf
}

interface Direction {
  /** Addresses are numbers of 32 bits. */
  readonly source: NumberOf
  readonly destination: NumberOf
  readonly nextHop: NumberOf | undefined
  readonly octets: NumberOf | undefined
  readonly packets: NumberOf | undefined
  readonly times: FlowTimes
  readonly fields: readonly NumberField[]
}

/** How records of a Template become NetFlow 5, or why they do not. */
type Plan = string | {readonly forward: Direction; readonly reverse: Direction | undefined}

/**
 * NetFlow 5: datagrams of up to 30 records of 48 octets, IPv4 only. Counters that 32 bits do not hold are spread over several
 * records, so that sums stay right; a Biflow becomes two records. Times are those of the records, so header times are the
 * export times of the original.
 */
export function netflow5Encoder({records, fields}: LegacyAccounts): DatagramEncoder {
  const plans = new WeakMap<Template, Plan>()
  const boot = createBoot()
  const keep = createKeeper()
  let sequence = 0
  let messages: Uint8Array[] = []
  let counts: number[] = []
  const datagram = new Uint8Array(HEADER_OCTETS + MOST_RECORDS * RECORD_OCTETS)
  const view = new DataView(datagram.buffer)
  let rows = 0
  let sources = 0
  let latest = 0
  let domain = 0
  /** Of the record and direction at hand, as `measure` has found them. */
  let octets = 0
  let packets = 0
  let start = 0
  let end = 0

  function planOf(template: Template): Plan {
    let plan = plans.get(template)
    if (plan !== undefined) return plan
    plan = makePlan(template)
    plans.set(template, plan)
    return plan
  }

  function makePlan(template: Template): Plan {
    if (template.scopeCount > 0) return 'options-record'
    const source = fieldIndex(template, ie.sourceIPv4Address)
    const destination = fieldIndex(template, ie.destinationIPv4Address)
    if (source < 0 || destination < 0) {
      const six = fieldIndex(template, ie.sourceIPv6Address) >= 0
      return six ? 'ipv6' : 'without-addresses'
    }
    const times = flowTimes(template)
    if (times === undefined) return 'without-times'
    const used = new Set([source, destination, ...times.fields])
    const hop = fieldIndex(template, ie.ipNextHopIPv4Address)
    if (hop >= 0) used.add(hop)
    const read = (reverse: boolean, ...elements: Parameters<typeof numberOf>[2][]) => {
      const found = numberOf(template, reverse, ...elements)
      if (found !== undefined) used.add(found[1])
      return found?.[0]
    }
    const direction = (reverse: boolean): Direction => {
      const own: NumberField[] = []
      for (const {at, octets, elements} of numbers) {
        // Of a turned record, addresses and ports are those of the record the other way about, flags its own.
        const turns = reverse && Object.hasOwn(turned, at)
        const reader = read(reverse && !turns && at === 37, ...elements)
        if (reader !== undefined) own.push({at: turns ? turned[at] : at, octets, read: reader})
      }
      const [a, b] = reverse ? [destination, source] : [source, destination]
      return {
        source: boundedNumber(template, a),
        destination: boundedNumber(template, b),
        nextHop: hop < 0 || reverse ? undefined : boundedNumber(template, hop),
        octets: read(reverse, ie.octetDeltaCount, ie.octetTotalCount),
        packets: read(reverse, ie.packetDeltaCount, ie.packetTotalCount),
        times,
        fields: own,
      }
    }
    const forward = direction(false)
    const reverse = isBiflow(template) ? direction(true) : undefined
    unfitFields(template, used, fields)
    return {forward, reverse: reverse?.packets === undefined ? undefined : reverse}
  }

  function close(): void {
    if (rows === 0) return
    const ms = Math.max(latest, boot.at)
    view.setUint16(0, 5)
    view.setUint16(2, rows)
    view.setUint32(4, ms - boot.at)
    view.setUint32(8, Math.floor(ms / 1000))
    view.setUint32(12, (ms % 1000) * 1_000_000)
    view.setUint32(16, sequence)
    view.setUint16(20, domain & 0xffff)
    view.setUint16(22, 0)
    messages.push(keep(datagram, HEADER_OCTETS + rows * RECORD_OCTETS))
    // What a record has nothing for stays 0.
    datagram.fill(0)
    counts.push(sources)
    sequence = (sequence + rows) >>> 0
    rows = 0
    sources = 0
    latest = 0
  }

  /** Why a direction of a record has no place; undefined if it has. */
  function measure(batch: RecordBatch, index: number, direction: Direction): string | undefined {
    const {times} = direction
    octets = direction.octets?.(batch, index) ?? 0
    packets = direction.packets?.(batch, index) ?? 0
    if (octets > MOST_SPREAD || packets > MOST_SPREAD) return 'counter-range'
    start = times.start(batch, index)
    end = times.end(batch, index)
    if (!Number.isFinite(start + end)) return 'time-range'
    if (end < start) end = start
    return undefined
  }

  /** Writes what was measured last. */
  function write(batch: RecordBatch, index: number, direction: Direction): void {
    if (!boot.fits(start, end)) {
      close()
      boot.rebase(start)
    }
    do {
      if (rows === MOST_RECORDS) close()
      const at = HEADER_OCTETS + rows * RECORD_OCTETS
      view.setUint32(at, direction.source(batch, index))
      view.setUint32(at + 4, direction.destination(batch, index))
      if (direction.nextHop !== undefined) view.setUint32(at + 8, direction.nextHop(batch, index))
      for (const {at: place, octets: size, read} of direction.fields) {
        const value = read(batch, index)
        if (size === 1) datagram[at + place] = Math.min(value, 255)
        // An AS number of 32 bits has a stand-in. RFC 6793.
        else if (value > 65535) view.setUint16(at + place, place >= 40 ? 23456 : 0)
        else view.setUint16(at + place, value)
      }
      const partOctets = Math.min(octets, MOST_COUNT)
      const partPackets = Math.min(packets, MOST_COUNT)
      view.setUint32(at + 16, partPackets)
      view.setUint32(at + 20, partOctets)
      view.setUint32(at + 24, start - boot.at)
      view.setUint32(at + 28, end - boot.at)
      octets -= partOctets
      packets -= partPackets
      rows++
      latest = Math.max(latest, end, batch.message.exportTime * 1000)
      if (octets > 0 || packets > 0) records.note('counter-spread')
    } while (octets > 0 || packets > 0)
  }

  return {
    push(batch) {
      records.in += batch.count
      const plan = planOf(batch.template)
      if (typeof plan === 'string') {
        records.skip(plan, batch.count)
        return
      }
      const own = batch.message.observationDomainId
      if (own !== domain) close()
      domain = own
      for (let i = 0; i < batch.count; i++) {
        const {forward, reverse} = plan
        const fault = measure(batch, i, forward) ?? (reverse && measure(batch, i, reverse))
        if (fault !== undefined) {
          records.skip(fault)
          continue
        }
        if (reverse !== undefined) measure(batch, i, forward)
        write(batch, i, forward)
        sources++
        if (reverse !== undefined) {
          measure(batch, i, reverse)
          if (packets > 0) write(batch, i, reverse)
        }
        records.out++
      }
    },
    flush() {
      close()
      const made = {messages, counts}
      messages = []
      counts = []
      return made
    },
    announce: () => [],
    save: () => sequence,
    restore(state) {
      sequence = state as number
    },
  }
}
