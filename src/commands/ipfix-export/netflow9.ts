import {fieldSpan, type RecordBatch} from '../../record/batch.js'
import {REVERSE_PEN, VARIABLE} from '../../record/element.js'
import type {Template} from '../../record/template.js'
import {elementByNumber} from '../../registry/lookup.js'
import {
  createKeeper,
  unfitFields,
  type DatagramEncoder,
  type LegacyAccounts,
} from './legacy-wire.js'
import {
  createBoot,
  flowTimes,
  haveTimes,
  isBiflow,
  numberOf,
  type FlowTimes,
  type NumberOf,
} from './netflow-rows.js'
import {ie} from '../../registry/elements.js'

const HEADER_OCTETS = 20
const FLOWSET_HEADER_OCTETS = 4
/** FIRST_SWITCHED and LAST_SWITCHED. */
const FIRST = 22
const LAST = 21

/** A field of a NetFlow 9 record: copied from a field of ours, or a time. */
interface Column {
  readonly type: number
  readonly octets: number
  /** Field of our Template; −1: the start, −2: the end. */
  readonly field: number
}

interface Layout {
  readonly id: number
  readonly columns: readonly Column[]
  readonly octets: number
  readonly times: FlowTimes | undefined
  /** The same with what the other direction has in place of it; undefined: no Biflow. */
  readonly reverse: readonly Column[] | undefined
  readonly reversePackets: NumberOf | undefined
}

interface SourceState {
  sequence: number
  /** What was announced last under each Template ID. */
  readonly known: Map<number, Layout>
}

/** What changes places when the direction of a record is turned. */
const turned = new Map(
  (
    [
      [ie.sourceIPv4Address, ie.destinationIPv4Address],
      [ie.sourceIPv6Address, ie.destinationIPv6Address],
      [ie.sourceTransportPort, ie.destinationTransportPort],
      [ie.ingressInterface, ie.egressInterface],
      [ie.bgpSourceAsNumber, ie.bgpDestinationAsNumber],
      [ie.sourceIPv4PrefixLength, ie.destinationIPv4PrefixLength],
      [ie.sourceIPv6PrefixLength, ie.destinationIPv6PrefixLength],
      [ie.sourceMacAddress, ie.destinationMacAddress],
    ] as const
  ).flatMap(([a, b]) => [
    [a.elementId, b.elementId],
    [b.elementId, a.elementId],
  ]),
)

/**
 * NetFlow 9 (RFC 3954): the fields that it has a type for, IANA's elements of fixed length; absolute times become those since
 * the device started. A Biflow becomes two records. Header times are the export times of the original.
 */
export function netflow9Encoder(
  {records, fields}: LegacyAccounts,
  maxOctets: () => number,
): DatagramEncoder {
  const layouts = new WeakMap<Template, Layout | string>()
  /** By source ID and Template ID, to announce again. */
  const announced = new Map<string, [source: number, layout: Layout]>()
  let sources = new Map<number, SourceState>()
  const boot = createBoot()
  const keep = createKeeper()
  let messages: Uint8Array[] = []
  let counts: number[] = []
  let datagram = new Uint8Array(0)
  let view = new DataView(datagram.buffer)
  let at = 0
  let source = 0
  let rows = 0
  let records_ = 0
  let set = -1
  let latest = 0

  function layoutOf(template: Template): Layout | string {
    let layout = layouts.get(template)
    if (layout !== undefined) return layout
    layout = makeLayout(template)
    layouts.set(template, layout)
    return layout
  }

  function makeLayout(template: Template): Layout | string {
    if (template.scopeCount > 0) return 'options-record'
    const times = flowTimes(template)
    const columns: Column[] = []
    const used = new Set<number>(times?.fields ?? [])
    for (const [field, {element, length}] of template.fields.entries()) {
      const {enterpriseNumber: pen, elementId} = element
      if (pen !== 0 || length === VARIABLE || used.has(field)) continue
      // Types of absolute times that are not the Flow's own stay as they are: collectors know the number.
      if (elementId === FIRST || elementId === LAST) continue
      columns.push({type: elementId, octets: length, field})
      used.add(field)
    }
    if (times !== undefined) {
      columns.push({type: FIRST, octets: 4, field: -1}, {type: LAST, octets: 4, field: -2})
    }
    if (columns.length === 0) return 'without-fields'
    let reverse: Column[] | undefined
    let reversePackets: NumberOf | undefined
    if (isBiflow(template)) {
      reversePackets = numberOf(template, true, ie.packetDeltaCount, ie.packetTotalCount)?.[0]
      reverse = columns.map((column) => {
        if (column.field < 0) return column
        const other = turned.get(column.type)
        const pen = other === undefined ? REVERSE_PEN : 0
        const element = elementByNumber(pen, other ?? column.type)
        const place = template.fields.findIndex(
          (field) =>
            field.element.enterpriseNumber === element?.enterpriseNumber &&
            field.element.elementId === element.elementId &&
            field.length === column.octets,
        )
        if (place >= 0) used.add(place)
        return place < 0 ? column : {...column, field: place}
      })
    }
    unfitFields(template, used, fields)
    const octets = columns.reduce((n, column) => n + column.octets, 0)
    return {id: template.id, columns, octets, times, reverse, reversePackets}
  }

  function stateOf(id: number): SourceState {
    let state = sources.get(id)
    if (state === undefined) {
      state = {sequence: 0, known: new Map()}
      sources.set(id, state)
    }
    return state
  }

  function closeSet(): void {
    if (set < 0) return
    // A FlowSet of nothing: what it was begun for has gone elsewhere, or nowhere.
    if (at === set + FLOWSET_HEADER_OCTETS) {
      at = set
      set = -1
      return
    }
    // FlowSets end at 32 bits.
    while ((at - set) % 4 !== 0) datagram[at++] = 0
    view.setUint16(set + 2, at - set)
    set = -1
  }

  function close(): void {
    if (at === 0) return
    closeSet()
    if (at === HEADER_OCTETS) {
      at = 0
      return
    }
    const state = stateOf(source)
    const ms = boot.headerMs(latest)
    view.setUint16(0, 9)
    view.setUint16(2, rows)
    view.setUint32(4, (ms - boot.at) >>> 0)
    view.setUint32(8, Math.floor(ms / 1000))
    view.setUint32(12, state.sequence)
    view.setUint32(16, source)
    messages.push(keep(datagram, at))
    counts.push(records_)
    state.sequence = (state.sequence + 1) >>> 0
    at = 0
    rows = 0
    records_ = 0
  }

  /** Whether any datagram has room for so much. */
  function fits(octets: number): boolean {
    return HEADER_OCTETS + FLOWSET_HEADER_OCTETS + octets + 3 <= maxOctets()
  }

  /** Makes room for a record of this FlowSet, which fits. */
  function reserve(of: number, id: number, octets: number): void {
    const most = maxOctets()
    if (at > 0 && (of !== source || datagram.length !== most)) close()
    const header = set >= 0 && view.getUint16(set) === id ? 0 : FLOWSET_HEADER_OCTETS + 3
    if (at > 0 && at + header + octets + 3 > most) close()
    if (at === 0) {
      if (datagram.length !== most) {
        datagram = new Uint8Array(most)
        view = new DataView(datagram.buffer)
      }
      source = of
      at = HEADER_OCTETS
      set = -1
      latest = 0
    }
    if (set < 0 || view.getUint16(set) !== id) {
      closeSet()
      set = at
      view.setUint16(at, id)
      at += FLOWSET_HEADER_OCTETS
    }
  }

  function announce(of: number, layout: Layout): boolean {
    const octets = 4 + 4 * layout.columns.length
    if (!fits(octets)) return false
    reserve(of, 0, octets)
    view.setUint16(at, layout.id)
    view.setUint16(at + 2, layout.columns.length)
    at += 4
    for (const column of layout.columns) {
      view.setUint16(at, column.type)
      view.setUint16(at + 2, column.octets)
      at += 4
    }
    rows++
    return true
  }

  function write(
    batch: RecordBatch,
    index: number,
    layout: Layout,
    columns: readonly Column[],
  ): void {
    const start = layout.times?.start(batch, index) ?? 0
    const end = Math.max(layout.times?.end(batch, index) ?? 0, start)
    if (layout.times !== undefined && !boot.fits(start, end)) {
      close()
      boot.rebase(start)
    }
    reserve(batch.message.observationDomainId, layout.id, layout.octets)
    const {fields, recordOctets} = batch.template
    const {octets: from} = batch
    const begin = batch.start + index * recordOctets
    for (const {octets, field} of columns) {
      if (field === -1) view.setUint32(at, start - boot.at)
      else if (field === -2) view.setUint32(at, end - boot.at)
      else {
        // Records of one size have their fields at known places.
        const place =
          recordOctets > 0 ? begin + fields[field].offset : fieldSpan(batch, index, field).start
        for (let k = 0; k < octets; k++) datagram[at + k] = from[place + k]
      }
      at += octets
    }
    rows++
    latest = Math.max(latest, end, batch.message.exportTime * 1000)
  }

  return {
    push(batch) {
      records.in += batch.count
      const layout = layoutOf(batch.template)
      if (typeof layout === 'string') {
        records.skip(layout, batch.count)
        return
      }
      const of = batch.message.observationDomainId
      const state = stateOf(of)
      if (!fits(layout.octets)) {
        records.lose('record-too-long', batch.count)
        return
      }
      if (state.known.get(layout.id) !== layout) {
        if (!announce(of, layout)) {
          records.lose('template-too-long', batch.count)
          return
        }
        state.known.set(layout.id, layout)
        announced.set(`${of}/${layout.id}`, [of, layout])
      }
      const {times} = layout
      for (let i = 0; i < batch.count; i++) {
        if (times !== undefined && !haveTimes(times.start(batch, i), times.end(batch, i))) {
          records.skip('time-range')
          continue
        }
        write(batch, i, layout, layout.columns)
        if (layout.reverse !== undefined && (layout.reversePackets?.(batch, i) ?? 0) > 0) {
          write(batch, i, layout, layout.reverse)
        }
        records_++
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
    announce() {
      for (const [of, layout] of announced.values()) announce(of, layout)
      close()
      const made = messages
      messages = []
      counts = []
      return made
    },
    save: () => new Map([...sources].map(([id, {sequence}]) => [id, sequence])),
    restore(state) {
      const before = state as Map<number, number>
      sources = new Map(
        [...sources].map(([id, {known}]) => [id, {known, sequence: before.get(id) ?? 0}]),
      )
    },
  }
}
