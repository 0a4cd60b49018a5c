import type {MessageContext, RecordBatch} from '../record/batch.js'
import {fullLength, VARIABLE, type InformationElement} from '../record/element.js'
import {append, createOctetWriter, extend} from '../record/octet-writer.js'
import {createTemplate, type FieldSpecifier, type Template} from '../record/template.js'
import {ie} from '../registry/lookup.js'
import {counterRecords} from './sflow-counters.js'
import type {ReadSampledHeader, SampledHeader, SampledPacket} from './protocol.js'

/** Told what is wrong with samples, and their numbers. Octets are of the datagram. */
export interface SampleFaults {
  lost(reason: string, octet: number, n: number): void
  noted(reason: string, octet: number): void
  sample(kind: 'flow' | 'counter', source: string, sequence: number, octet: number): void
}

export interface SampleRecords {
  /** Makes a record of each of `count` samples that begin at `at`; returns how many. */
  read(
    octets: Uint8Array,
    view: DataView,
    at: number,
    count: number,
    message: MessageContext,
    faults: SampleFaults,
    out: RecordBatch[],
  ): number
}

/** Fields that always come together. */
type Segment = readonly FieldSpecifier[]

/** For packets that the agent itself sends or takes. */
const NO_INTERFACE = 0x3fffffff

/** Templates that are kept: what samples of real agents hold has few forms. */
const MAX_TEMPLATES = 4096

function whole(...elements: InformationElement[]): Segment {
  return elements.map((element) => ({element, length: fullLength(element.type)}))
}

function sized(...fields: (readonly [InformationElement, number])[]): Segment {
  return fields.map(([element, length]) => ({element, length}))
}

const source = [ie.sflowSampleSequence, ie.sflowSourceIdType, ie.sflowSourceIdIndex]
const flowSample: Segment = [
  ...whole(...source, ie.samplingInterval, ie.sflowSamplePool, ie.sflowSampleDrops),
  ...whole(ie.ingressInterface, ie.egressInterface),
  ...whole(ie.sflowInputFormat, ie.sflowInputValue, ie.sflowOutputFormat, ie.sflowOutputValue),
]
const counterSample = whole(...source)
const dropSample: Segment = [
  ...whole(...source, ie.sflowSampleDrops, ie.ingressInterface, ie.egressInterface),
  ...whole(ie.sflowOutputFormat, ie.sflowOutputValue),
]
const unknownSample = whole(ie.sflowSampleFormat, ie.sflowSampleOctets)
const unknownRecord = whole(ie.sflowRecordFormat, ie.sflowRecordOctets)

const rawHeader = sized(
  [ie.sflowHeaderProtocol, 4],
  [ie.layer2OctetDeltaCount, 4],
  [ie.sflowHeaderStripped, 4],
)
const linkSection = whole(ie.dataLinkFrameSection)
const ipSection = whole(ie.ipHeaderPacketSection)
const otherSection = whole(ie.sflowHeaderSection)
const onePacket = sized([ie.packetDeltaCount, 1])
const macs = whole(ie.destinationMacAddress, ie.sourceMacAddress)
const oneTag = whole(ie.dot1qVlanId)
const twoTags = whole(ie.dot1qVlanId, ie.dot1qCustomerVlanId)
const packetV4 = sized(
  [ie.octetDeltaCount, 4],
  [ie.sourceIPv4Address, 4],
  [ie.destinationIPv4Address, 4],
  [ie.protocolIdentifier, 1],
  [ie.ipClassOfService, 1],
  [ie.ipTTL, 1],
)
const packetV6 = sized(
  [ie.octetDeltaCount, 4],
  [ie.sourceIPv6Address, 16],
  [ie.destinationIPv6Address, 16],
  [ie.protocolIdentifier, 1],
  [ie.ipClassOfService, 1],
  [ie.ipTTL, 1],
)
const ports = whole(ie.sourceTransportPort, ie.destinationTransportPort)
const tcpBits = whole(ie.tcpControlBits)
const icmpV4 = whole(ie.icmpTypeCodeIPv4)
const icmpV6 = whole(ie.icmpTypeCodeIPv6)

const ethernet = sized(
  [ie.layer2OctetDeltaCount, 4],
  [ie.sourceMacAddress, 6],
  [ie.destinationMacAddress, 6],
  [ie.ethernetType, 2],
)
const addressesV4 = sized(
  [ie.octetDeltaCount, 4],
  [ie.protocolIdentifier, 1],
  [ie.sourceIPv4Address, 4],
  [ie.destinationIPv4Address, 4],
  [ie.sourceTransportPort, 2],
  [ie.destinationTransportPort, 2],
  [ie.tcpControlBits, 2],
  [ie.ipClassOfService, 1],
)
const addressesV6 = sized(
  [ie.octetDeltaCount, 4],
  [ie.protocolIdentifier, 1],
  [ie.sourceIPv6Address, 16],
  [ie.destinationIPv6Address, 16],
  [ie.sourceTransportPort, 2],
  [ie.destinationTransportPort, 2],
  [ie.tcpControlBits, 2],
  [ie.sflowPriority, 4],
)
const vlans = sized(
  [ie.vlanId, 2],
  [ie.sflowSourceVlanPriority, 4],
  [ie.postVlanId, 2],
  [ie.sflowDestinationVlanPriority, 4],
)
const routerV4 = whole(
  ie.ipNextHopIPv4Address,
  ie.sourceIPv4PrefixLength,
  ie.destinationIPv4PrefixLength,
)
const routerV6 = whole(
  ie.ipNextHopIPv6Address,
  ie.sourceIPv6PrefixLength,
  ie.destinationIPv6PrefixLength,
)
const gateway = whole(
  ie.sflowRouterAsNumber,
  ie.bgpSourceAsNumber,
  ie.bgpPrevAdjacentAsNumber,
  ie.bgpNextAdjacentAsNumber,
  ie.bgpDestinationAsNumber,
  ie.sflowDestinationSystems,
  ie.sflowCommunities,
  ie.sflowLocalPreference,
)
const bgpHopV4 = whole(ie.bgpNextHopIPv4Address)
const bgpHopV6 = whole(ie.bgpNextHopIPv6Address)
const portName = whole(ie.sflowPortName)
const hostDescription = sized(
  [ie.sflowHostName, VARIABLE],
  [ie.sflowHostUuid, 16],
  [ie.sflowHostMachineType, 4],
  [ie.sflowHostOsName, 4],
  [ie.sflowHostOsRelease, VARIABLE],
)

const counterSegments = new Map<number, {segment: Segment; octets: number}>()
for (const [format, elements] of Object.entries(counterRecords)) {
  const segment = whole(...elements)
  const octets = segment.reduce((sum, {length}) => sum + length, 0)
  counterSegments.set(Number(format), {segment, octets})
}

/** What records of samples are made of, for who makes samples of records. */
export const sampleSegments = {
  flowSample,
  counterSample,
  dropSample,
  unknownSample,
  unknownRecord,
  rawHeader,
  linkSection,
  ipSection,
  otherSection,
  macs,
  oneTag,
  twoTags,
  packetV4,
  packetV6,
  ports,
  tcpBits,
  icmpV4,
  icmpV6,
  onePacket,
  ethernet,
  addressesV4,
  addressesV6,
  vlans,
  routerV4,
  routerV6,
  gateway,
  bgpHopV4,
  bgpHopV6,
  portName,
  hostDescription,
} as const

const numbers = new Map<Segment, number>()

/** Makes records of samples: fields whose octets are IPFIX's are copied, the rest is put in its form. */
export function createSampleRecords(readHeader: ReadSampledHeader): SampleRecords {
  const templates = new Map<string, Template>()
  const writer = createOctetWriter(4096)
  /** Starts of the records that are not in a batch yet. */
  let starts: number[] = []
  /** Of the record being made. */
  let segments: Segment[] = []
  let signature = ''
  /** Of the records before it. */
  let current: Template | undefined
  let currentSignature = ''
  /** Whether the record has its packet counted. */
  let counted = false

  function add(segment: Segment): void {
    let number = numbers.get(segment)
    if (number === undefined) {
      number = numbers.size + 1
      numbers.set(segment, number)
    }
    segments.push(segment)
    signature += String.fromCharCode(number)
  }

  function u8(value: number): void {
    const at = extend(writer, 1)
    writer.octets[at] = value
  }

  function u16(value: number): void {
    const at = extend(writer, 2)
    writer.view.setUint16(at, value)
  }

  function u32(value: number): void {
    const at = extend(writer, 4)
    writer.view.setUint32(at, value)
  }

  function variable(octets: Uint8Array, from: number, to: number): void {
    const length = to - from
    if (length < 255) u8(length)
    else {
      u8(255)
      u16(length)
    }
    append(writer, octets.subarray(from, to))
  }

  function templateOf(): Template {
    let template = templates.get(signature)
    if (template === undefined) {
      if (templates.size >= MAX_TEMPLATES) templates.clear()
      template = createTemplate(256, segments.flat())
      templates.set(signature, template)
    }
    return template
  }

  function takeBatch(message: MessageContext, out: RecordBatch[]): void {
    if (current === undefined || starts.length === 0) return
    const octets = writer.octets.slice(0, writer.length)
    const fixed = current.recordOctets > 0
    out.push({
      template: current,
      octets,
      view: new DataView(octets.buffer),
      start: 0,
      count: starts.length,
      offsets: fixed ? undefined : Uint32Array.from([...starts, writer.length]),
      message,
      templates: undefined,
      elements: undefined,
    })
    starts = []
    writer.length = 0
  }

  /** The record that was made joins those of the same form before it. */
  function finish(begin: number, message: MessageContext, out: RecordBatch[]): void {
    if (signature !== currentSignature && starts.length > 0) {
      const own = writer.octets.slice(begin, writer.length)
      writer.length = begin
      takeBatch(message, out)
      append(writer, own)
      begin = 0
    }
    if (signature !== currentSignature || current === undefined) {
      current = templateOf()
      currentSignature = signature
    }
    starts.push(begin)
  }

  function countPacket(): void {
    if (counted) return
    counted = true
    add(onePacket)
    u8(1)
  }

  /** A record, or a sample, that is kept as it came. */
  function keep(
    segment: Segment,
    format: number,
    octets: Uint8Array,
    from: number,
    to: number,
  ): void {
    add(segment)
    u32(format)
    variable(octets, from, to)
  }

  /** One record of a sample; false if it is not as its format says, and nothing was written. */
  function readRecord(
    octets: Uint8Array,
    view: DataView,
    format: number,
    at: number,
    end: number,
    flow: boolean,
  ): boolean {
    if (!flow) return readCounters(octets, view, format, at, end)
    const size = end - at
    switch (format) {
      case 1:
        return readRawHeader(octets, view, at, end)
      case 2:
        if (size !== 24 || view.getUint32(at + 20) > 65535) return false
        add(ethernet)
        u32(view.getUint32(at))
        append(writer, octets.subarray(at + 4, at + 10))
        append(writer, octets.subarray(at + 12, at + 18))
        u16(view.getUint32(at + 20))
        countPacket()
        return true
      case 3:
        if (size !== 32 || !small(view, at + 4, 1, 255) || !small(view, at + 16, 3, 65535)) {
          return false
        }
        if (view.getUint32(at + 28) > 255) return false
        add(addressesV4)
        u32(view.getUint32(at))
        u8(view.getUint32(at + 4))
        append(writer, octets.subarray(at + 8, at + 16))
        for (let i = 16; i < 28; i += 4) u16(view.getUint32(at + i))
        u8(view.getUint32(at + 28))
        countPacket()
        return true
      case 4:
        if (size !== 56 || !small(view, at + 4, 1, 255) || !small(view, at + 40, 3, 65535)) {
          return false
        }
        add(addressesV6)
        u32(view.getUint32(at))
        u8(view.getUint32(at + 4))
        append(writer, octets.subarray(at + 8, at + 40))
        for (let i = 40; i < 52; i += 4) u16(view.getUint32(at + i))
        u32(view.getUint32(at + 52))
        countPacket()
        return true
      case 1001:
        if (size !== 16 || !small(view, at, 1, 65535) || !small(view, at + 8, 1, 65535))
          return false
        add(vlans)
        u16(view.getUint32(at))
        u32(view.getUint32(at + 4))
        u16(view.getUint32(at + 8))
        u32(view.getUint32(at + 12))
        return true
      case 1002: {
        const address = addressAt(view, at, end)
        if (address === 0 || size !== 12 + address || !small(view, at + 4 + address, 2, 255)) {
          return false
        }
        add(address === 4 ? routerV4 : routerV6)
        append(writer, octets.subarray(at + 4, at + 4 + address))
        u8(view.getUint32(at + 4 + address))
        u8(view.getUint32(at + 8 + address))
        return true
      }
      case 1003:
        return readGateway(octets, view, at, end)
      default:
        return false
    }
  }

  /** sampled_header: protocol | frame length | stripped | header length | header */
  function readRawHeader(octets: Uint8Array, view: DataView, at: number, end: number): boolean {
    if (end - at < 16) return false
    const protocol = view.getUint32(at)
    const frameOctets = view.getUint32(at + 4)
    const length = view.getUint32(at + 12)
    const from = at + 16
    if (length > end - from || end - from - length > 3) return false
    add(rawHeader)
    append(writer, octets.subarray(at, at + 12))
    add(
      protocol === 1 ? linkSection : protocol === 11 || protocol === 12 ? ipSection : otherSection,
    )
    variable(octets, from, from + length)
    const header = readHeader(octets, from, from + length, protocol, frameOctets)
    addLink(octets, header)
    if (header.packet !== undefined) addPacket(octets, header.packet)
    countPacket()
    return true
  }

  function addLink(octets: Uint8Array, {macs: at, vlanCount, vlans: ids}: SampledHeader): void {
    if (at >= 0) {
      add(macs)
      append(writer, octets.subarray(at, at + 12))
    }
    if (vlanCount > 0) {
      add(vlanCount > 1 ? twoTags : oneTag)
      u16(ids[0])
      if (vlanCount > 1) u16(ids[1])
    }
  }

  function addPacket(octets: Uint8Array, p: SampledPacket): void {
    const size = p.version === 4 ? 4 : 16
    add(p.version === 4 ? packetV4 : packetV6)
    u32(p.ipOctets)
    append(writer, octets.subarray(p.source, p.source + size))
    append(writer, octets.subarray(p.destination, p.destination + size))
    u8(p.protocol)
    u8(p.classOfService)
    u8(p.ttl)
    if (p.protocol === 1 || p.protocol === 58) {
      add(p.version === 4 ? icmpV4 : icmpV6)
      u16(p.icmpTypeCode)
      return
    }
    add(ports)
    u16(p.sourcePort)
    u16(p.destinationPort)
    if (p.protocol === 6) {
      add(tcpBits)
      u16(p.tcpBits)
    }
  }

  /** extended_gateway: next hop | own AS | source AS | source peer AS | path segments | communities | local preference */
  function readGateway(octets: Uint8Array, view: DataView, at: number, end: number): boolean {
    const address = addressAt(view, at, end)
    if (address === 0 || end - at < 4 + address + 16) return false
    let place = at + 4 + address + 12
    const path = place + 4
    let left = view.getUint32(place)
    let neighbour = 0
    let destination = 0
    place += 4
    for (; left > 0; left--) {
      if (end - place < 8) return false
      const n = view.getUint32(place + 4)
      if (n > (end - place - 8) / 4) return false
      // The path goes from the neighbour to the destination.
      if (n > 0) {
        if (neighbour === 0) neighbour = view.getUint32(place + 8)
        destination = view.getUint32(place + 4 + 4 * n)
      }
      place += 8 + 4 * n
    }
    const pathEnd = place
    if (end - place < 8) return false
    const communities = view.getUint32(place)
    place += 4
    if (communities > (end - place - 4) / 4 || end - place - 4 !== 4 * communities) return false
    add(address === 4 ? bgpHopV4 : bgpHopV6)
    append(writer, octets.subarray(at + 4, at + 4 + address))
    add(gateway)
    append(writer, octets.subarray(at + 4 + address, at + 16 + address))
    u32(neighbour)
    u32(destination)
    variable(octets, path, pathEnd)
    variable(octets, place, place + 4 * communities)
    append(writer, octets.subarray(end - 4, end))
    return true
  }

  function readCounters(
    octets: Uint8Array,
    view: DataView,
    format: number,
    at: number,
    end: number,
  ): boolean {
    const known = counterSegments.get(format)
    if (known !== undefined) {
      if (known.octets === end - at) {
        add(known.segment)
        append(writer, octets.subarray(at, end))
        return true
      }
      // Earlier versions of a structure have fewer fields.
      const prefix = prefixOf(known.segment, end - at)
      if (prefix === undefined) return false
      add(prefix)
      append(writer, octets.subarray(at, end))
      return true
    }
    if (format === 1005) {
      const length = stringAt(view, at, end)
      if (length < 0 || padded(length) !== end - at - 4) return false
      add(portName)
      variable(octets, at + 4, at + 4 + length)
      return true
    }
    if (format === 2000) {
      const name = stringAt(view, at, end)
      if (name < 0) return false
      const middle = at + 4 + padded(name)
      if (end - middle < 28) return false
      const release = stringAt(view, middle + 24, end)
      if (release < 0 || padded(release) !== end - middle - 28) return false
      add(hostDescription)
      variable(octets, at + 4, at + 4 + name)
      append(writer, octets.subarray(middle, middle + 24))
      variable(octets, middle + 28, middle + 28 + release)
      return true
    }
    return false
  }

  /** The records of a sample, `count` of them by its header. */
  function readRecords(
    octets: Uint8Array,
    view: DataView,
    at: number,
    end: number,
    count: number,
    flow: boolean,
    faults: SampleFaults,
  ): void {
    for (let i = 0; i < count; i++) {
      if (end - at < 8) {
        faults.noted('record-cut', at)
        return
      }
      const format = view.getUint32(at)
      const length = view.getUint32(at + 4)
      if (length > end - at - 8) {
        faults.noted('record-cut', at)
        return
      }
      const body = at + 8
      if (!readRecord(octets, view, format, body, body + length, flow)) {
        if (length > 65535) faults.noted('record-too-long', at)
        else keep(unknownRecord, format, octets, body, body + length)
      }
      at = body + padded(length)
    }
  }

  /** One sample, whose body is from `at` to `end`; false if it is shorter than its own header. */
  function readSample(
    octets: Uint8Array,
    view: DataView,
    format: number,
    at: number,
    end: number,
    faults: SampleFaults,
  ): boolean {
    const size = end - at
    const flow = format === 1 || format === 3 || format === 5
    const head = {1: 32, 2: 12, 3: 44, 4: 16, 5: 32}[format]
    if (head === undefined) {
      if (size > 65535) return false
      keep(unknownSample, format, octets, at, end)
      return true
    }
    if (size < head) return false
    const sequence = view.getUint32(at)
    const expanded = format > 2
    const type = expanded ? view.getUint32(at + 4) : view.getUint8(at + 4)
    const index = expanded ? view.getUint32(at + 8) : view.getUint32(at + 4) & 0xffffff
    faults.sample(flow ? 'flow' : 'counter', `${type}:${index}`, sequence, at)
    add(format === 5 ? dropSample : flow ? flowSample : counterSample)
    u32(sequence)
    u32(type)
    u32(index)
    if (format === 5) {
      append(writer, octets.subarray(at + 12, at + 24))
      u32(1)
      append(writer, octets.subarray(at + 24, at + 28))
    } else if (flow) {
      const rest = at + (expanded ? 12 : 8)
      append(writer, octets.subarray(rest, rest + 12))
      const pairs = expanded ? expandedPorts(view, rest + 12) : compactPorts(view, rest + 12)
      const [inFormat, inValue, outFormat, outValue] = pairs
      u32(inFormat === 0 && inValue !== NO_INTERFACE ? inValue : 0)
      u32(outFormat === 0 && outValue !== NO_INTERFACE ? outValue : 0)
      for (const value of pairs) u32(value)
    }
    readRecords(octets, view, at + head, end, view.getUint32(at + head - 4), flow, faults)
    return true
  }

  return {
    read(octets, view, at, count, message, faults, out) {
      let read = 0
      for (let i = 0; i < count; i++) {
        const length = octets.length - at < 8 ? -1 : view.getUint32(at + 4)
        if (length < 0 || length > octets.length - at - 8) {
          // A made-up number of samples is no loss: no more could be in the octets that are there.
          faults.lost('sample-cut', at, 1)
          break
        }
        segments = []
        signature = ''
        counted = false
        const begin = writer.length
        const body = at + 8
        if (readSample(octets, view, view.getUint32(at), body, body + length, faults)) {
          finish(begin, message, out)
          read++
        } else {
          writer.length = begin
          faults.lost('malformed-sample', at, 1)
        }
        at = body + length
      }
      takeBatch(message, out)
      current = undefined
      currentSignature = ''
      return read
    },
  }
}

function compactPorts(view: DataView, at: number): [number, number, number, number] {
  const input = view.getUint32(at)
  const output = view.getUint32(at + 4)
  return [input >>> 30, input & 0x3fffffff, output >>> 30, output & 0x3fffffff]
}

function expandedPorts(view: DataView, at: number): [number, number, number, number] {
  return [
    view.getUint32(at),
    view.getUint32(at + 4),
    view.getUint32(at + 8),
    view.getUint32(at + 12),
  ]
}

/** Whether `n` numbers from `at` on are at most `most`. */
function small(view: DataView, at: number, n: number, most: number): boolean {
  for (let i = 0; i < n; i++) if (view.getUint32(at + 4 * i) > most) return false
  return true
}

/** Octets of the address behind the type at `at`; 0 if it is no IP address or does not fit. */
function addressAt(view: DataView, at: number, end: number): 0 | 4 | 16 {
  if (end - at < 8) return 0
  const type = view.getUint32(at)
  if (type === 1) return 4
  return type === 2 && end - at >= 20 ? 16 : 0
}

/** Octets of the string at `at`, behind its length; −1 if it does not fit. */
function stringAt(view: DataView, at: number, end: number): number {
  if (end - at < 4) return -1
  const length = view.getUint32(at)
  return length <= end - at - 4 && padded(length) <= end - at - 4 ? length : -1
}

function padded(length: number): number {
  return (length + 3) & ~3
}

const prefixes = new Map<Segment, Map<number, Segment>>()

/** The first fields of a segment that fill so many octets. */
function prefixOf(segment: Segment, octets: number): Segment | undefined {
  let sum = 0
  for (const [i, {length}] of segment.entries()) {
    sum += length
    if (sum < octets) continue
    if (sum > octets) return undefined
    let known = prefixes.get(segment)
    if (known === undefined) prefixes.set(segment, (known = new Map<number, Segment>()))
    let prefix = known.get(octets)
    if (prefix === undefined) known.set(octets, (prefix = segment.slice(0, i + 1)))
    return prefix
  }
  return undefined
}
