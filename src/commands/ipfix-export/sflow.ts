import {fieldSpan, type RecordBatch} from '../../record/batch.js'
import type {InformationElement} from '../../record/element.js'
import {append, createOctetWriter} from '../../record/octet-writer.js'
import {octetsReader, type Reader} from '../../record/readers.js'
import {fieldIndex, type Template} from '../../record/template.js'
import {rateReader} from '../../mediation/sampling.js'
import {ie} from '../../registry/lookup.js'
import {flowHeader, type FlowHeader} from './flow-header.js'
import {unfitFields, type DatagramEncoder, type LegacyAccounts} from './legacy-wire.js'
import {boundedNumber, isBiflow, MOST_SPREAD, numberOf, type NumberOf} from './netflow-rows.js'
import {
  agentField,
  closeSample,
  opaque,
  openFlowSample,
  openSample,
  readSpans,
  samplePlan,
  u32,
  writeSample,
  type Port,
  type SamplePlan,
  type Spans,
} from './sflow-samples.js'

const NO_AGENT = new Uint8Array(4)
/** Octets in front of the samples, but for the agent's address. */
const HEADER_OCTETS = 24
const MOST_COUNT = 2 ** 32 - 1
/** Of an agent that tells no uptime: it has been up for so long when it sends first. */
const BEFORE_MS = 60_000
/** Sampled packets are sent with this protocol of their header. */
const ETHERNET = 1
const IPV4 = 11
const IPV6 = 12
/** Selectors and selection sequences of which the rate is remembered. */
const MAX_RATES = 65536
/** Packets that a Flow can stand for: a record of more would be hundreds of samples, and no link has carried so many. */
const MOST_PACKETS = 2 ** 40

interface Direction {
  readonly octets: NumberOf | undefined
  readonly packets: NumberOf | undefined
  readonly flags: NumberOf | undefined
}

/** Records of what were packets or Flows. */
interface Common {
  readonly input: NumberOf | undefined
  readonly output: NumberOf | undefined
  /** What the record itself says of its sampling. */
  readonly rate: NumberOf | undefined
  readonly sampler: NumberOf | undefined
}

interface FlowPlan extends Common {
  readonly six: boolean
  readonly source: Reader<Uint8Array>
  readonly destination: Reader<Uint8Array>
  readonly protocol: NumberOf | undefined
  readonly sourcePort: NumberOf | undefined
  readonly destinationPort: NumberOf | undefined
  readonly icmp: NumberOf | undefined
  readonly classOfService: NumberOf | undefined
  readonly ttl: NumberOf | undefined
  readonly forward: Direction
  readonly reverse: Direction | undefined
  /** Made up for sampling already. */
  readonly scaled: boolean
}

interface PacketPlan extends Common {
  /** Field of the section. */
  readonly section: number
  readonly link: boolean
  readonly frameOctets: NumberOf | undefined
  readonly source: NumberOf | undefined
}

interface Plan {
  readonly sample?: SamplePlan
  readonly packet?: PacketPlan
  readonly flow?: FlowPlan
  readonly agent: number
  readonly uptime: NumberOf | undefined
  readonly subAgent: NumberOf | undefined
  readonly factor: NumberOf | undefined
  readonly spans: Spans
}

interface SourceState {
  sequence: number
  pool: number
}

/**
 * sFlow version 5. Records that collect made of samples become those samples again, each with its numbers and records;
 * Packet Reports (PSAMP) become flow samples of their packet. A Flow becomes flow samples that stand for its packets: one of n, or two
 * where the octets cannot be shared out evenly, so that what a Collector multiplies gives the Flow's packets and octets.
 * Counters that no sample has a place for are listed.
 */
export function sflowEncoder(
  {records, fields}: LegacyAccounts,
  maxOctets: () => number,
): DatagramEncoder {
  const plans = new WeakMap<Template, Plan | string>()
  /** What PSAMP options say of selectors (`s`) and of the sequences they are in (`q`), by domain. */
  const rates = new Map<string, number>()
  const body = createOctetWriter(1500)
  const sample = createOctetWriter(512)
  let agents = new Map<string, number>()
  let sources = new Map<string, SourceState>()
  let messages: Uint8Array[] = []
  let counts: number[] = []
  let bootMs: number | undefined
  /** Of the datagram that is being filled. */
  let agent: Uint8Array = NO_AGENT
  let subAgent = 0
  let uptime = 0
  let samples = 0
  let taken = 0

  function close(): void {
    if (samples === 0) return
    const head = createOctetWriter(HEADER_OCTETS + agent.length + body.length)
    const key = `${agent.join('.')}/${subAgent}`
    const sequence = agents.get(key) ?? 0
    agents.set(key, (sequence + 1) >>> 0)
    u32(head, 5)
    u32(head, agent.length === 4 ? 1 : 2)
    append(head, agent)
    for (const value of [subAgent, sequence, uptime, samples]) u32(head, value)
    append(head, body.octets.subarray(0, body.length))
    messages.push(head.octets.slice(0, head.length))
    counts.push(taken)
    body.length = 0
    samples = 0
    taken = 0
  }

  /** Puts what is in `sample`, which is `n` samples, into a datagram. @returns false if none has so much room */
  function put(n: number, of: Uint8Array, domain: number, upMs: number): boolean {
    const most = maxOctets()
    if (HEADER_OCTETS + of.length + sample.length > most) return false
    const other = domain !== subAgent || upMs !== uptime || of.join() !== agent.join()
    if (other || HEADER_OCTETS + of.length + body.length + sample.length > most) close()
    agent = of
    subAgent = domain
    uptime = upMs
    append(body, sample.octets.subarray(0, sample.length))
    samples += n
    return true
  }

  function makePlan(template: Template): Plan | string {
    const used = new Set<number>()
    const read = (...elements: InformationElement[]): NumberOf | undefined => {
      const found = numberOf(template, false, ...elements)
      if (found !== undefined) used.add(found[1])
      return found?.[0]
    }
    const agent = agentField(template)
    if (agent >= 0) used.add(agent)
    const plan = {
      agent,
      uptime: read(ie.sflowAgentUptime),
      subAgent: read(ie.originalObservationDomainId),
      factor: read(ie.dartaSamplingFactor),
      spans: {
        starts: new Uint32Array(template.fields.length),
        lengths: new Uint32Array(template.fields.length),
      },
    }
    const sample = samplePlan(template)
    if (sample !== undefined) {
      for (const field of sample.used) used.add(field)
      unfitFields(template, used, fields)
      return {...plan, sample}
    }
    const common = (): Common => {
      const rate = rateReader(template)
      for (const element of rateElements) {
        const field = rate === undefined ? -1 : fieldIndex(template, element)
        if (field >= 0) used.add(field)
      }
      return {
        input: read(ie.ingressInterface),
        output: read(ie.egressInterface),
        rate,
        sampler: read(ie.selectionSequenceId, ie.selectorId, ie.samplerId),
      }
    }
    const link = fieldIndex(template, ie.dataLinkFrameSection)
    const section = link >= 0 ? link : fieldIndex(template, ie.ipHeaderPacketSection)
    if (section >= 0) {
      used.add(section)
      const length = link >= 0 ? [ie.dataLinkFrameSize] : [ie.ipTotalLength]
      const packet = {
        section,
        link: link >= 0,
        frameOctets: read(...length),
        source: read(ie.ingressInterface, ie.observationPointId),
        ...common(),
      }
      unfitFields(template, used, fields)
      return {...plan, packet}
    }
    const flow = flowPlan(template, used, read, common)
    if (typeof flow === 'string') return flow
    unfitFields(template, used, fields)
    return {...plan, flow}
  }

  function flowPlan(
    template: Template,
    used: Set<number>,
    read: (...elements: InformationElement[]) => NumberOf | undefined,
    common: () => Common,
  ): FlowPlan | string {
    const addresses = [
      [ie.sourceIPv4Address, ie.destinationIPv4Address],
      [ie.sourceIPv6Address, ie.destinationIPv6Address],
    ].map((pair) => pair.map((element) => fieldIndex(template, element)))
    const six = addresses[0].some((field) => field < 0)
    const [source, destination] = addresses[six ? 1 : 0]
    if (source < 0 || destination < 0) return 'without-addresses'
    // Fields that cannot be what their element says are kept as they came.
    const isAddress = (field: number): boolean => template.fields[field].length === (six ? 16 : 4)
    if (!isAddress(source) || !isAddress(destination)) return 'without-addresses'
    used.add(source).add(destination)
    const direction = (reverse: boolean): Direction => {
      const own = (...elements: InformationElement[]): NumberOf | undefined => {
        const found = numberOf(template, reverse, ...elements)
        if (found !== undefined) used.add(found[1])
        return found?.[0]
      }
      return {
        octets: own(ie.octetDeltaCount, ie.octetTotalCount),
        packets: own(ie.packetDeltaCount, ie.packetTotalCount),
        flags: own(ie.tcpControlBits),
      }
    }
    const forward = direction(false)
    if (forward.packets === undefined) return 'without-packets'
    if (forward.octets === undefined) return 'without-octets'
    const reverse = isBiflow(template) ? direction(true) : undefined
    return {
      six,
      source: octetsReader(template, source),
      destination: octetsReader(template, destination),
      protocol: read(ie.protocolIdentifier),
      sourcePort: read(ie.sourceTransportPort, ie.udpSourcePort, ie.tcpSourcePort),
      destinationPort: read(
        ie.destinationTransportPort,
        ie.udpDestinationPort,
        ie.tcpDestinationPort,
      ),
      icmp: read(ie.icmpTypeCodeIPv4, ie.icmpTypeCodeIPv6),
      classOfService: read(ie.ipClassOfService),
      ttl: read(ie.ipTTL, ie.minimumTTL, ie.maximumTTL),
      forward,
      reverse: reverse?.packets === undefined ? undefined : reverse,
      scaled: fieldIndex(template, ie.dartaSamplingFactor) >= 0,
      ...common(),
    }
  }

  function planOf(template: Template): Plan | string {
    let plan = plans.get(template)
    if (plan === undefined) plans.set(template, (plan = makePlan(template)))
    return plan
  }

  /** Rates of PSAMP selectors, and the selection sequences that are made of them. */
  function learn(batch: RecordBatch): void {
    const {template, message} = batch
    const domain = message.observationDomainId
    const sequence = fieldIndex(template, ie.selectionSequenceId)
    const selectors = template.fields.flatMap(({element}, i) =>
      element.enterpriseNumber === 0 &&
      (element.elementId === ie.selectorId.elementId ||
        element.elementId === ie.samplerId.elementId)
        ? [boundedNumber(template, i)]
        : [],
    )
    const rate = rateReader(template)
    if (selectors.length === 0 || rates.size >= MAX_RATES) return
    const sequenceOf = sequence < 0 ? undefined : boundedNumber(template, sequence)
    for (let i = 0; i < batch.count; i++) {
      const numbers = selectors.map((selector) => selector(batch, i))
      // Those that are beyond all numbers could not be told apart.
      if (!numbers.every(Number.isFinite)) continue
      if (rate !== undefined) rates.set(`${domain}/s${numbers[0]}`, rate(batch, i))
      else if (sequenceOf !== undefined && Number.isFinite(sequenceOf(batch, i))) {
        // One after the other: what the first leaves is what the second takes from.
        const all = numbers.map((number) => rates.get(`${domain}/s${number}`) ?? 1)
        rates.set(
          `${domain}/q${sequenceOf(batch, i)}`,
          all.reduce((a, b) => a * b, 1),
        )
      }
    }
  }

  function rateOf(batch: RecordBatch, index: number, {rate, sampler}: Common): number {
    const own = rate?.(batch, index) ?? 0
    if (own > 0) return own
    const which = sampler?.(batch, index)
    const {observationDomainId} = batch.message
    if (which !== undefined) {
      const told =
        rates.get(`${observationDomainId}/q${which}`) ??
        rates.get(`${observationDomainId}/s${which}`)
      if (told !== undefined) return Math.max(told, 1)
    }
    return 1
  }

  function sourceOf(key: string, index: number): SourceState {
    const name = `${key}/${index}`
    let state = sources.get(name)
    if (state === undefined) sources.set(name, (state = {sequence: 0, pool: 0}))
    return state
  }

  function head(key: string, index: number, rate: number, input: number, output: number): number {
    const state = sourceOf(key, index)
    state.sequence = (state.sequence + 1) >>> 0
    state.pool = (state.pool + rate) % 2 ** 32
    const port = (value: number): Port => [0, value]
    return openFlowSample(
      sample,
      {
        sequence: state.sequence,
        sourceType: 0,
        sourceIndex: index,
        rate,
        pool: state.pool,
        drops: 0,
        input: port(input),
        output: port(output),
      },
      1,
    )
  }

  function writePacket(batch: RecordBatch, index: number, plan: PacketPlan, key: string): number {
    const {start, length} = fieldSpan(batch, index, plan.section)
    const input = plan.input?.(batch, index) ?? 0
    const output = plan.output?.(batch, index) ?? 0
    const rate = rateOf(batch, index, plan)
    const begin = head(key, plan.source?.(batch, index) ?? 0, rate, input, output)
    const record = openSample(sample, 1)
    const six = length > 0 && batch.octets[start] >> 4 === 6
    u32(sample, plan.link ? ETHERNET : six ? IPV6 : IPV4)
    u32(sample, plan.frameOctets?.(batch, index) ?? length)
    u32(sample, 0)
    u32(sample, length)
    opaque(sample, batch.octets, start, length)
    closeSample(sample, record)
    closeSample(sample, begin)
    return 1
  }

  /** Samples of one direction, which together stand for its packets and octets. @returns how many */
  function writeFlow(
    batch: RecordBatch,
    index: number,
    plan: FlowPlan,
    reverse: boolean,
    key: string,
  ): number {
    const direction = reverse ? plan.reverse! : plan.forward
    const rate = plan.scaled ? 1 : rateOf(batch, index, plan)
    const packets = direction.packets!(batch, index)
    const octets = direction.octets?.(batch, index) ?? 0
    const each = Math.floor(octets / packets)
    const longer = octets % packets
    let n = 0
    const part = (count: number, length: number): void => {
      // More than a rate can say are several samples.
      for (let left = count * rate; left > 0; left -= MOST_COUNT) {
        writeSampled(
          batch,
          index,
          plan,
          reverse,
          direction,
          key,
          Math.min(left, MOST_COUNT),
          length,
        )
        n++
      }
    }
    part(packets - longer, each)
    part(longer, each + 1)
    return n
  }

  function writeSampled(
    batch: RecordBatch,
    index: number,
    plan: FlowPlan,
    reverse: boolean,
    direction: Direction,
    key: string,
    rate: number,
    length: number,
  ): void {
    const at = (read: NumberOf | undefined): number => read?.(batch, index) ?? 0
    const turn = <T>(a: T, b: T): [T, T] => (reverse ? [b, a] : [a, b])
    const [input, output] = turn(at(plan.input), at(plan.output))
    const [source, destination] = turn(plan.source, plan.destination)
    const [sourcePort, destinationPort] = turn(at(plan.sourcePort), at(plan.destinationPort))
    const flow: FlowHeader = {
      source: source(batch, index),
      destination: destination(batch, index),
      protocol: at(plan.protocol),
      sourcePort,
      destinationPort,
      icmpTypeCode: at(plan.icmp),
      tcpBits: at(direction.flags),
      classOfService: at(plan.classOfService),
      ttl: at(plan.ttl),
      octets: length,
    }
    const begin = head(key, input, rate, input, output)
    writeHeader(flow, plan.six)
    closeSample(sample, begin)
  }

  /** Collectors read sampled headers; where there can be none, what they would have said stands by itself. */
  function writeHeader(flow: FlowHeader, six: boolean): void {
    const header = flowHeader(flow)
    if (header !== undefined) {
      const record = openSample(sample, 1)
      for (const value of [six ? IPV6 : IPV4, flow.octets, 0, header.length]) u32(sample, value)
      opaque(sample, header, 0, header.length)
      closeSample(sample, record)
      return
    }
    const record = openSample(sample, six ? 4 : 3)
    u32(sample, flow.octets)
    u32(sample, flow.protocol)
    append(sample, flow.source)
    append(sample, flow.destination)
    u32(sample, flow.sourcePort)
    u32(sample, flow.destinationPort)
    u32(sample, flow.tcpBits & 0xffff)
    u32(sample, flow.classOfService)
    closeSample(sample, record)
  }

  /** @returns how many samples were written, or why there is none */
  function write(batch: RecordBatch, index: number, plan: Plan, key: string): number | string {
    if (plan.sample !== undefined) {
      readSpans(batch, index, plan.spans)
      const factor = Math.max(plan.factor?.(batch, index) ?? 1, 1)
      writeSample(sample, batch.octets, plan.spans, plan.sample, factor)
      return 1
    }
    if (plan.packet !== undefined) return writePacket(batch, index, plan.packet, key)
    const flow = plan.flow!
    const back = flow.reverse?.packets?.(batch, index) ?? 0
    for (const {octets, packets} of flow.reverse ? [flow.forward, flow.reverse] : [flow.forward]) {
      // Packets that stand for others count as many.
      const rate = flow.scaled ? 1 : rateOf(batch, index, flow)
      if (packets!(batch, index) * rate > MOST_PACKETS) return 'counter-range'
      if ((octets?.(batch, index) ?? 0) * rate > MOST_SPREAD) return 'counter-range'
    }
    if (flow.forward.packets!(batch, index) + back === 0) return 'without-packets'
    let n = flow.forward.packets!(batch, index) > 0 ? writeFlow(batch, index, flow, false, key) : 0
    if (back > 0) n += writeFlow(batch, index, flow, true, key)
    return n
  }

  return {
    push(batch) {
      records.in += batch.count
      const {template, message} = batch
      if (template.scopeCount > 0) {
        learn(batch)
        records.skip('options-record', batch.count)
        return
      }
      const plan = planOf(template)
      if (typeof plan === 'string') {
        records.skip(plan, batch.count)
        return
      }
      const sent = message.exportTime * 1000
      bootMs ??= sent - BEFORE_MS
      for (let i = 0; i < batch.count; i++) {
        let of = NO_AGENT
        if (plan.agent >= 0) {
          const {start, length} = fieldSpan(batch, i, plan.agent)
          of = batch.octets.slice(start, start + length)
        }
        const domain = plan.subAgent?.(batch, i) ?? message.observationDomainId
        sample.length = 0
        const n = write(batch, i, plan, `${of.join('.')}/${domain}`)
        if (typeof n === 'string') {
          records.skip(n)
          continue
        }
        const upMs = plan.uptime?.(batch, i) ?? Math.max(0, sent - bootMs) % 2 ** 32
        if (!put(n, of, domain, upMs)) {
          records.lose('record-too-long')
          continue
        }
        taken++
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
    // Nothing has to be known to read a sample.
    announce: () => [],
    save: () => [new Map(agents), new Map([...sources].map(([key, state]) => [key, {...state}]))],
    restore(state) {
      const [first, second] = state as [typeof agents, typeof sources]
      agents = new Map(first)
      sources = new Map([...second].map(([key, one]) => [key, {...one}]))
    },
  }
}

/** What `rateReader` reads. */
const rateElements = [
  ie.samplingInterval,
  ie.samplerRandomInterval,
  ie.samplingPacketInterval,
  ie.samplingPacketSpace,
  ie.samplingSize,
  ie.samplingPopulation,
]
