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
  haveTimes,
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

/** A number, its place in the record, and how many octets it has there. */
interface NumberField {
  readonly at: number
  readonly octets: number
  readonly field: number
}

interface Direction {
  /**
   * Fields that have as many octets as their place, of records of one size: pairs of where they go in the record and where they
   * are in the other one, for those of 4, 2 and 1 octets.
   */
  readonly copied: readonly [fours: Int32Array, twos: Int32Array, ones: Int32Array]
  /** All others. */
  readonly read: readonly (NumberField & {readonly read: NumberOf})[]
  readonly octets: NumberOf | undefined
  readonly packets: NumberOf | undefined
  readonly times: FlowTimes
}

/** How records of a Template become NetFlow 5, or why they do not. */
type Plan = string | {readonly forward: Direction; readonly reverse: Direction | undefined}

/** Which of these fields are copied as they are, and which are read. */
function placed(
  template: Template,
  fields: readonly NumberField[],
): Pick<Direction, 'copied' | 'read'> {
  const isCopied = ({octets, field}: NumberField): boolean =>
    template.recordOctets > 0 && template.fields[field].length === octets
  const pairs = (octets: number): Int32Array =>
    Int32Array.from(
      fields
        .filter((one) => one.octets === octets && isCopied(one))
        .flatMap(({at, field}) => [at, template.fields[field].offset]),
    )
  return {
    copied: [pairs(4), pairs(2), pairs(1)],
    read: fields
      .filter((one) => !isCopied(one))
      .map((one) => ({...one, read: boundedNumber(template, one.field)})),
  }
}

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
      const [a, b] = reverse ? [destination, source] : [source, destination]
      const own: NumberField[] = [
        {at: 0, octets: 4, field: a},
        {at: 4, octets: 4, field: b},
      ]
      if (hop >= 0 && !reverse) own.push({at: 8, octets: 4, field: hop})
      for (const {at, octets, elements} of numbers) {
        // Of a turned record, addresses and ports are those of the record the other way about, flags its own.
        const turns = reverse && Object.hasOwn(turned, at)
        const found = numberOf(template, reverse && !turns && at === 37, ...elements)
        if (found === undefined) continue
        used.add(found[1])
        own.push({at: turns ? turned[at] : at, octets, field: found[1]})
      }
      return {
        ...placed(template, own),
        octets: read(reverse, ie.octetDeltaCount, ie.octetTotalCount),
        packets: read(reverse, ie.packetDeltaCount, ie.packetTotalCount),
        times,
      }
    }
    const forward = direction(false)
    const reverse = isBiflow(template) ? direction(true) : undefined
    unfitFields(template, used, fields)
    return {forward, reverse: reverse?.packets === undefined ? undefined : reverse}
  }

  function close(): void {
    if (rows === 0) return
    const ms = boot.headerMs(latest)
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
    if (!haveTimes(start, end)) return 'time-range'
    if (end < start) end = start
    return undefined
  }

  /** Writes the fields of `count` records from `index` on to rows from `at` on: all of a field, then the next one. */
  function place(
    batch: RecordBatch,
    index: number,
    {copied, read}: Direction,
    at: number,
    count: number,
  ): void {
    const size = batch.template.recordOctets
    const {view: from, octets: fromOctets} = batch
    const [fours, twos, ones] = copied
    const begin = batch.start + index * size
    for (let i = 0; i < fours.length; i += 2) {
      let [to, field] = [at + fours[i], begin + fours[i + 1]]
      for (let n = 0; n < count; n++, to += RECORD_OCTETS, field += size) {
        view.setUint32(to, from.getUint32(field))
      }
    }
    for (let i = 0; i < twos.length; i += 2) {
      let [to, field] = [at + twos[i], begin + twos[i + 1]]
      for (let n = 0; n < count; n++, to += RECORD_OCTETS, field += size) {
        view.setUint16(to, from.getUint16(field))
      }
    }
    for (let i = 0; i < ones.length; i += 2) {
      let [to, field] = [at + ones[i], begin + ones[i + 1]]
      for (let n = 0; n < count; n++, to += RECORD_OCTETS, field += size) {
        datagram[to] = fromOctets[field]
      }
    }
    for (const {at: column, octets: width, read: valueOf} of read) {
      for (let n = 0; n < count; n++) {
        const to = at + column + n * RECORD_OCTETS
        const value = valueOf(batch, index + n)
        if (width === 4) view.setUint32(to, value)
        else if (width === 1) datagram[to] = Math.min(value, 255)
        // An AS number of 32 bits has a stand-in. RFC 6793.
        else if (value > 65535) view.setUint16(to, column >= 40 ? 23456 : 0)
        else view.setUint16(to, value)
      }
    }
  }

  /** Writes counters and times of a row. */
  function count(at: number, packets: number, octets: number, start: number, end: number): void {
    view.setUint32(at + 16, packets)
    view.setUint32(at + 20, octets)
    view.setUint32(at + 24, start - boot.at)
    view.setUint32(at + 28, end - boot.at)
  }

  /**
   * Writes records from `index` on, as many as the datagram has room for and need one row each, without another boot time.
   *
   * @returns how many
   */
  function writeMany(batch: RecordBatch, index: number, direction: Direction): number {
    if (rows === MOST_RECORDS) close()
    const at = HEADER_OCTETS + rows * RECORD_OCTETS
    const most = Math.min(MOST_RECORDS - rows, batch.count - index)
    let done = 0
    for (; done < most; done++) {
      if (measure(batch, index + done, direction) !== undefined) break
      if (octets > MOST_COUNT || packets > MOST_COUNT || !boot.fits(start, end)) break
      count(at + done * RECORD_OCTETS, packets, octets, start, end)
      if (end > latest) latest = end
    }
    if (done === 0) return 0
    latest = Math.max(latest, batch.message.exportTime * 1000)
    place(batch, index, direction, at, done)
    rows += done
    return done
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
      place(batch, index, direction, at, 1)
      const partOctets = Math.min(octets, MOST_COUNT)
      const partPackets = Math.min(packets, MOST_COUNT)
      count(at, partPackets, partOctets, start, end)
      octets -= partOctets
      packets -= partPackets
      rows++
      latest = Math.max(latest, end, batch.message.exportTime * 1000)
      if (octets > 0 || packets > 0) records.note('counter-spread')
    } while (octets > 0 || packets > 0)
  }

  /** Writes a record as however many rows it needs, or counts why it has no place. */
  function writeOne(
    batch: RecordBatch,
    index: number,
    forward: Direction,
    reverse: Direction | undefined,
  ): void {
    const fault = measure(batch, index, forward) ?? (reverse && measure(batch, index, reverse))
    if (fault !== undefined) {
      records.skip(fault)
      return
    }
    if (reverse !== undefined) measure(batch, index, forward)
    write(batch, index, forward)
    sources++
    if (reverse !== undefined) {
      measure(batch, index, reverse)
      if (packets > 0) write(batch, index, reverse)
    }
    records.out++
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
      const {forward, reverse} = plan
      for (let i = 0; i < batch.count;) {
        const many = reverse === undefined ? writeMany(batch, i, forward) : 0
        sources += many
        records.out += many
        i += many
        if (many === 0) writeOne(batch, i++, forward, reverse)
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
