import {recordStart, type RecordBatch} from '../../record/batch.js'
import type {FieldSpecifier, Template} from '../../record/template.js'
import {append, extend, type OctetWriter} from '../../record/octet-writer.js'
import {counterRecords} from '../../mediation/sflow-counters.js'
import {sampleSegments} from '../../mediation/sflow-records.js'
import {fullLength, VARIABLE, type InformationElement} from '../../record/element.js'
import {ie} from '../../registry/lookup.js'

/** The fields of one record: where each begins, and its octets. */
export interface Spans {
  readonly starts: Uint32Array
  readonly lengths: Uint32Array
}

/** Finds the fields of record `index`; the same arrays serve all records of the Template. */
export function readSpans(batch: RecordBatch, index: number, {starts, lengths}: Spans): void {
  const {octets, template} = batch
  let at = recordStart(batch, index)
  for (const [i, {length}] of template.fields.entries()) {
    let n = length
    if (n === VARIABLE) {
      n = octets[at++]
      if (n === 255) {
        n = (octets[at] << 8) | octets[at + 1]
        at += 2
      }
    }
    starts[i] = at
    lengths[i] = n
    at += n
  }
}

/** Writes a part of a sample whose fields begin at field `first` of the record. */
type WritePart = (
  writer: OctetWriter,
  octets: Uint8Array,
  spans: Spans,
  first: number,
  factor: number,
) => void

/** A run of fields that is one part of a sample: its header, a record in it, or what only repeats another part. */
interface Part {
  readonly fields: readonly FieldSpecifier[]
  readonly kind: 'flow' | 'counter' | 'drop' | 'sample' | 'record' | 'derived'
  readonly format: number
  readonly write: WritePart
}

/** A number of `length` octets, in 32 bits; what is longer and does not fit is the greatest. */
function number(octets: Uint8Array, at: number, length: number): number {
  let value = 0
  for (let i = 0; i < length; i++) value = value * 256 + octets[at + i]
  return value
}

/** Writes fields `first` and following as numbers of `size` octets, whatever their length in the record. */
function writeNumber(
  writer: OctetWriter,
  octets: Uint8Array,
  {starts, lengths}: Spans,
  field: number,
  size: number,
): void {
  const at = extend(writer, size)
  const length = Math.min(lengths[field], size)
  writer.octets.fill(0, at, at + size - length)
  const from = starts[field] + lengths[field] - length
  writer.octets.set(octets.subarray(from, from + length), at + size - length)
}

export function u32(writer: OctetWriter, value: number): void {
  const at = extend(writer, 4)
  writer.view.setUint32(at, Math.min(value, 0xffffffff))
}

/** A counter as it was before it was made up for sampling. */
function writeCount(
  writer: OctetWriter,
  octets: Uint8Array,
  {starts, lengths}: Spans,
  field: number,
  factor: number,
): void {
  u32(writer, Math.round(number(octets, starts[field], lengths[field]) / factor))
}

/** Octets of XDR: filled up to four. */
export function opaque(
  writer: OctetWriter,
  octets: Uint8Array,
  from: number,
  length: number,
): void {
  append(writer, octets.subarray(from, from + length))
  const rest = -length & 3
  const at = extend(writer, rest)
  writer.octets.fill(0, at, at + rest)
}

function text(writer: OctetWriter, octets: Uint8Array, spans: Spans, field: number): void {
  u32(writer, spans.lengths[field])
  opaque(writer, octets, spans.starts[field], spans.lengths[field])
}

/** An address behind its type: 1 IPv4, 2 IPv6. */
function address(writer: OctetWriter, octets: Uint8Array, spans: Spans, field: number): void {
  u32(writer, spans.lengths[field] === 4 ? 1 : 2)
  append(writer, octets.subarray(spans.starts[field], spans.starts[field] + spans.lengths[field]))
}

/** Segments of a path of autonomous systems: type | count | numbers. */
function pathSegments(octets: Uint8Array, start: number, length: number): number {
  let n = 0
  for (let at = 0; at + 8 <= length; at += 8 + 4 * number(octets, start + at + 4, 4)) n++
  return n
}

const nothing: WritePart = () => {}

/** Sections of a sampled header stand behind its lengths. */
const header: WritePart = (writer, octets, spans, first, factor) => {
  writeNumber(writer, octets, spans, first, 4)
  writeCount(writer, octets, spans, first + 1, factor)
  writeNumber(writer, octets, spans, first + 2, 4)
  text(writer, octets, spans, first + 3)
}

const flowAddresses: WritePart = (writer, octets, spans, first, factor) => {
  writeCount(writer, octets, spans, first, factor)
  writeNumber(writer, octets, spans, first + 1, 4)
  for (const field of [first + 2, first + 3]) {
    append(writer, octets.subarray(spans.starts[field], spans.starts[field] + spans.lengths[field]))
  }
  for (let i = 4; i < 8; i++) writeNumber(writer, octets, spans, first + i, 4)
}

const mac: WritePart = (writer, octets, spans, field) => {
  opaque(writer, octets, spans.starts[field], spans.lengths[field])
}

const s = sampleSegments

function counters(format: number): readonly FieldSpecifier[] {
  return counterRecords[format].map((element) => ({element, length: fullLength(element.type)}))
}

/** All parts whose fields are these and no others. */
const wholeParts: readonly Part[] = [
  {fields: s.flowSample, kind: 'flow', format: 1, write: nothing},
  {fields: s.dropSample, kind: 'drop', format: 5, write: nothing},
  {fields: s.counterSample, kind: 'counter', format: 2, write: nothing},
  {fields: s.unknownSample, kind: 'sample', format: 0, write: nothing},
  ...[s.linkSection, s.ipSection, s.otherSection].map((section): Part => ({
    fields: [...s.rawHeader, ...section],
    kind: 'record',
    format: 1,
    write: header,
  })),
  {
    fields: s.ethernet,
    kind: 'record',
    format: 2,
    write(writer, octets, spans, first, factor) {
      writeCount(writer, octets, spans, first, factor)
      mac(writer, octets, spans, first + 1, factor)
      mac(writer, octets, spans, first + 2, factor)
      writeNumber(writer, octets, spans, first + 3, 4)
    },
  },
  {fields: s.addressesV4, kind: 'record', format: 3, write: flowAddresses},
  {fields: s.addressesV6, kind: 'record', format: 4, write: flowAddresses},
  {
    fields: s.vlans,
    kind: 'record',
    format: 1001,
    write(writer, octets, spans, first) {
      for (let i = 0; i < 4; i++) writeNumber(writer, octets, spans, first + i, 4)
    },
  },
  ...[s.routerV4, s.routerV6].map((fields): Part => ({
    fields,
    kind: 'record',
    format: 1002,
    write(writer, octets, spans, first) {
      address(writer, octets, spans, first)
      writeNumber(writer, octets, spans, first + 1, 4)
      writeNumber(writer, octets, spans, first + 2, 4)
    },
  })),
  ...[s.bgpHopV4, s.bgpHopV6].map((hop): Part => ({
    fields: [...hop, ...s.gateway],
    kind: 'record',
    format: 1003,
    write(writer, octets, spans, first) {
      address(writer, octets, spans, first)
      // Neighbour and destination are in the path.
      for (const i of [1, 2, 3]) writeNumber(writer, octets, spans, first + i, 4)
      const path = first + 6
      u32(writer, pathSegments(octets, spans.starts[path], spans.lengths[path]))
      opaque(writer, octets, spans.starts[path], spans.lengths[path])
      u32(writer, spans.lengths[path + 1] / 4)
      opaque(writer, octets, spans.starts[path + 1], spans.lengths[path + 1])
      writeNumber(writer, octets, spans, path + 2, 4)
    },
  })),
  {
    fields: s.portName,
    kind: 'record',
    format: 1005,
    write: (writer, octets, spans, first) => text(writer, octets, spans, first),
  },
  {
    fields: s.hostDescription,
    kind: 'record',
    format: 2000,
    write(writer, octets, spans, first) {
      text(writer, octets, spans, first)
      opaque(writer, octets, spans.starts[first + 1], spans.lengths[first + 1])
      writeNumber(writer, octets, spans, first + 2, 4)
      writeNumber(writer, octets, spans, first + 3, 4)
      text(writer, octets, spans, first + 4)
    },
  },
  {fields: s.unknownRecord, kind: 'record', format: 0, write: nothing},
  ...[
    s.macs,
    s.twoTags,
    s.oneTag,
    s.packetV4,
    s.packetV6,
    s.ports,
    s.tcpBits,
    s.icmpV4,
    s.icmpV6,
  ].map((fields): Part => ({fields, kind: 'derived', format: 0, write: nothing})),
  {fields: s.onePacket, kind: 'derived', format: 0, write: nothing},
]
/** The longest first: of two that begin alike it is the one. */
const parts = [...wholeParts].sort((a, b) => b.fields.length - a.fields.length)

/** Counters of a structure, of which an earlier version has only the first. */
const counterParts = Object.keys(counterRecords).map((format) => ({
  format: Number(format),
  fields: counters(Number(format)),
}))

function sameElements(
  {fields}: Template,
  first: number,
  specifiers: readonly FieldSpecifier[],
): boolean {
  return specifiers.every(({element}, i) => {
    const own = fields[first + i]?.element
    return own?.elementId === element.elementId && own.enterpriseNumber === element.enterpriseNumber
  })
}

function partAt(template: Template, first: number): Part | undefined {
  const whole = parts.find(({fields}) => sameElements(template, first, fields))
  if (whole !== undefined) return whole
  for (const {format, fields} of counterParts) {
    let n = 0
    while (n < fields.length && sameElements(template, first + n, [fields[n]])) n++
    if (n === 0) continue
    const own = fields.slice(0, n)
    return {
      fields: own,
      kind: 'record',
      format,
      write(writer, octets, spans, at) {
        for (const [i, {length}] of own.entries())
          writeNumber(writer, octets, spans, at + i, length)
      },
    }
  }
  return undefined
}

function isInside({kind}: Part): boolean {
  return kind === 'record' || kind === 'derived'
}

/** Whether what a part says goes out with it, or with the sampled header that it was read from. */
function isTold({kind, fields}: Part, records: SamplePlan['records']): boolean {
  return (
    kind !== 'derived' || fields === s.onePacket || records.some(({part}) => part.write === header)
  )
}

/** How the records of a Template become the samples that they were. */
export interface SamplePlan {
  readonly head: 'flow' | 'counter' | 'drop' | 'sample'
  /** Field that the head begins with. */
  readonly at: number
  readonly records: readonly {readonly at: number; readonly part: Part}[]
  /** Fields of which nothing is lost. */
  readonly used: ReadonlySet<number>
}

/** The plan of a Template that collect made of samples; undefined: it is another one. */
export function samplePlan(template: Template): SamplePlan | undefined {
  const used = new Set<number>()
  const records: {at: number; part: Part}[] = []
  let head: SamplePlan['head'] | undefined
  let headAt = 0
  for (let at = 0; at < template.fields.length;) {
    const part = partAt(template, at)
    // What stands alone says nothing of samples; behind a head it repeats what the sampled header says.
    if (part === undefined || (head === undefined && isInside(part)) || !isTold(part, records)) {
      at++
      continue
    }
    if (part.kind === 'record') records.push({at, part})
    else if (part.kind !== 'derived') {
      if (head !== undefined) return undefined
      head = part.kind
      headAt = at
    }
    for (let i = 0; i < part.fields.length; i++) used.add(at + i)
    at += part.fields.length
  }
  return head === undefined ? undefined : {head, at: headAt, records, used}
}

/** Values of a compact sample have fewer bits than those of an expanded one. */
const MOST_TYPE = 0xff
const MOST_INDEX = 0xffffff
const MOST_PORT_FORMAT = 3
const MOST_PORT = 0x3fffffff

/** Begins a sample with its format; `closeSample` says its length. @returns where it begins */
export function openSample(writer: OctetWriter, format: number): number {
  const begin = writer.length
  u32(writer, format)
  u32(writer, 0)
  return begin
}

export function closeSample(writer: OctetWriter, begin: number): void {
  writer.view.setUint32(begin + 4, writer.length - begin - 8)
}

/** Interface in or out: what the value is, and the value. */
export type Port = readonly [format: number, value: number]

export interface FlowHead {
  readonly sequence: number
  readonly sourceType: number
  readonly sourceIndex: number
  readonly rate: number
  readonly pool: number
  readonly drops: number
  readonly input: Port
  readonly output: Port
}

/** Writes the head of a flow sample, compact where its values fit. @returns where the sample begins */
export function openFlowSample(writer: OctetWriter, head: FlowHead, records: number): number {
  const {sourceType, sourceIndex, input, output} = head
  const compact =
    fitsCompact(sourceType, sourceIndex) &&
    [input, output].every(([format, value]) => format <= MOST_PORT_FORMAT && value <= MOST_PORT)
  const begin = openSample(writer, compact ? 1 : 3)
  u32(writer, head.sequence)
  writeSource(writer, compact, sourceType, sourceIndex)
  for (const value of [head.rate, head.pool, head.drops]) u32(writer, value)
  for (const [format, value] of [input, output]) {
    if (compact) u32(writer, format * 2 ** 30 + value)
    else {
      u32(writer, format)
      u32(writer, value)
    }
  }
  u32(writer, records)
  return begin
}

function fitsCompact(type: number, index: number): boolean {
  return type <= MOST_TYPE && index <= MOST_INDEX
}

function writeSource(writer: OctetWriter, compact: boolean, type: number, index: number): void {
  if (compact) u32(writer, type * 2 ** 24 + index)
  else {
    u32(writer, type)
    u32(writer, index)
  }
}

/** Writes record `spans` of a planned Template as the sample that it was; counters are divided by `factor`. */
export function writeSample(
  writer: OctetWriter,
  octets: Uint8Array,
  spans: Spans,
  plan: SamplePlan,
  factor: number,
): void {
  const {head, at, records} = plan
  const value = (field: number): number => number(octets, spans.starts[field], spans.lengths[field])
  if (head === 'sample') {
    const begin = openSample(writer, value(at))
    append(
      writer,
      octets.subarray(spans.starts[at + 1], spans.starts[at + 1] + spans.lengths[at + 1]),
    )
    closeSample(writer, begin)
    return
  }
  const [sequence, sourceType, sourceIndex] = [at, at + 1, at + 2].map(value)
  let begin: number
  if (head === 'flow') {
    const [rate, pool, drops, , , ...port] = [3, 4, 5, 6, 7, 8, 9, 10, 11].map((i) => value(at + i))
    const flow = {sequence, sourceType, sourceIndex, rate, pool, drops}
    const [input, output]: Port[] = [
      [port[0], port[1]],
      [port[2], port[3]],
    ]
    begin = openFlowSample(writer, {...flow, input, output}, records.length)
  } else {
    const compact = head === 'counter' && fitsCompact(sourceType, sourceIndex)
    begin = openSample(writer, head === 'drop' ? 5 : compact ? 2 : 4)
    u32(writer, sequence)
    writeSource(writer, compact, sourceType, sourceIndex)
    // Drops, input, output; the format of the reason why is always the same.
    if (head === 'drop') for (const i of [3, 4, 5, 7]) u32(writer, value(at + i))
    u32(writer, records.length)
  }
  for (const {at: first, part} of records) {
    if (part.fields === s.unknownRecord) {
      u32(writer, value(first))
      text(writer, octets, spans, first + 1)
      continue
    }
    const start = openSample(writer, part.format)
    part.write(writer, octets, spans, first, factor)
    // The length of a record leaves out what fills it up.
    closeSample(writer, start)
  }
  closeSample(writer, begin)
}

/** Where a Template says who the agent is; −1: it does not. */
export function agentField(template: Template): number {
  // One of another length is no address that a header could have.
  const of = ({elementId, enterpriseNumber, type}: InformationElement): number =>
    template.fields.findIndex(
      ({element, length}) =>
        element.elementId === elementId &&
        element.enterpriseNumber === enterpriseNumber &&
        length === (type === 'ipv4Address' ? 4 : 16),
    )
  for (const element of [
    ie.sflowAgentIPv4Address,
    ie.sflowAgentIPv6Address,
    ie.originalExporterIPv4Address,
    ie.originalExporterIPv6Address,
    ie.exporterIPv4Address,
    ie.exporterIPv6Address,
  ]) {
    const field = of(element)
    if (field >= 0) return field
  }
  return -1
}
