import {createCaptureReader, type Frame} from '../../metering/capture-file.js'
import {createDissector} from '../../metering/dissect.js'
import type {Packet} from '../../metering/packet.js'
import type {StageLedger} from '../../record/ledger.js'

/** One end of a conversation, as octets; the address is a copy. */
export interface Payload {
  readonly source: Uint8Array
  readonly sourcePort: number
  readonly destination: Uint8Array
  readonly destinationPort: number
  /** Milliseconds since 1970 of the packet that brought the last of it. */
  readonly timeMs: number
  /** Octet of the capture where the record of that packet begins. */
  readonly offset: number
  /** A copy. */
  readonly octets: Uint8Array
}

export interface PayloadSink {
  datagram(payload: Payload): void
  /** The next octets of one direction of a TCP connection, in order. */
  stream(payload: Payload): void
  /** Nothing more comes in this direction. */
  streamEnd(payload: Payload): void
}

const UDP = 17
const TCP = 6
/** Fragmented packets that are put together at once, and octets of all of them. */
const MAX_FRAGMENTED = 256
/** TCP directions that are followed at once. */
const MAX_STREAMS = 4096
/** Octets of a direction that wait for those before them. */
const MAX_AHEAD_OCTETS = 1 << 20

interface Fragmented {
  /** Offset and octets of each fragment. */
  readonly parts: {at: number; octets: Uint8Array}[]
  /** Octets of the whole, once the last fragment came. */
  total: number
}

interface Stream {
  /** Sequence number of the octet that comes next. */
  next: number
  readonly ahead: {sequence: number; octets: Uint8Array}[]
  aheadOctets: number
}

/**
 * Takes a capture apart into what was sent by UDP and TCP: fragments are put together (RFC 791, RFC 8200), segments
 * are put in order and those that were sent again count once (RFC 9293).
 */
export function createPayloadReader(
  sink: PayloadSink,
  account: StageLedger,
): {push(octets: Uint8Array): void; finish(): void} {
  const clock = {ms: 0, ns: 0}
  const dissector = createDissector(false, clock)
  const fragmented = new Map<string, Fragmented>()
  const streams = new Map<string, Stream>()

  function frame(one: Frame): void {
    account.in++
    if (one.time.ms > clock.ms) clock.ms = one.time.ms
    const outcome = dissector.dissect(one)
    if (outcome === 'lost') {
      account.lose(dissector.refusal(), 1, one.offset)
      return
    }
    if (outcome === 'skipped') {
      account.skip(dissector.refusal())
      return
    }
    const {packet} = dissector
    const cut = packet.end - packet.start < packet.ipOctets
    if (packet.protocol !== UDP && packet.protocol !== TCP) {
      account.skip('other-protocol')
      return
    }
    // The meter looks at headers, of which a part is enough; of a payload it is not.
    if (cut) {
      account.lose('snapped', 1, one.offset)
      return
    }
    if (!packet.fragment) {
      segment(packet, packet.octets, packet.payload, packet.end, one)
      return
    }
    const whole = assemble(packet)
    if (whole === undefined) account.skip('fragment')
    else segment(packet, whole, 0, whole.length, one)
  }

  /** The payload of the packet that this fragment completes. */
  function assemble(packet: Packet): Uint8Array | undefined {
    const {octets, source, addressOctets, identification, version} = packet
    const key =
      latin1(octets, source, source + 2 * addressOctets) +
      latin1(octets, identification, identification + (version === 4 ? 2 : 4)) +
      String.fromCharCode(packet.protocol)
    let one = fragmented.get(key)
    if (one === undefined) {
      if (fragmented.size >= MAX_FRAGMENTED) {
        fragmented.delete(fragmented.keys().next().value as string)
        account.note('fragments-given-up')
      }
      one = {parts: [], total: -1}
      fragmented.set(key, one)
    }
    const at = packet.fragmentOffset * 8
    const part = octets.slice(packet.payload, packet.end)
    if (!one.parts.some((known) => known.at === at)) one.parts.push({at, octets: part})
    if ((packet.fragmentFlags & 0x20) === 0) one.total = at + part.length
    if (one.total < 0 || one.total > 65535) return undefined
    one.parts.sort((a, b) => a.at - b.at)
    let reach = 0
    for (const {at: from, octets: body} of one.parts) {
      if (from > reach) return undefined
      reach = Math.max(reach, from + body.length)
    }
    if (reach < one.total) return undefined
    fragmented.delete(key)
    const whole = new Uint8Array(reach)
    for (const {at: from, octets: body} of one.parts) whole.set(body, from)
    return whole.subarray(0, one.total)
  }

  function segment(
    packet: Packet,
    octets: Uint8Array,
    at: number,
    end: number,
    {time, offset}: Frame,
  ): void {
    const {source, destination, addressOctets} = packet
    const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
    const head = packet.protocol === UDP ? 8 : 20
    if (end - at < head) {
      account.lose('truncated', 1, offset)
      return
    }
    const payload = (from: number, to: number): Payload => ({
      source: packet.octets.slice(source, source + addressOctets),
      sourcePort: view.getUint16(at),
      destination: packet.octets.slice(destination, destination + addressOctets),
      destinationPort: view.getUint16(at + 2),
      timeMs: time.ms,
      offset,
      octets: octets.slice(from, to),
    })
    if (packet.protocol === UDP) {
      const length = view.getUint16(at + 4)
      // Padding of short frames lies behind the datagram; a length of 0 is a jumbogram's.
      const to = length >= 8 ? Math.min(end, at + length) : end
      account.out++
      sink.datagram(payload(at + 8, to))
      return
    }
    const from = at + (octets[at + 12] >> 4) * 4
    account.out++
    if (from < at + 20 || from > end) return
    follow(payload(from, end), view.getUint32(at + 4), octets[at + 13])
  }

  function follow(payload: Payload, sequence: number, flags: number): void {
    const key =
      latin1(payload.source) +
      latin1(payload.destination) +
      String.fromCharCode(payload.sourcePort, payload.destinationPort)
    const syn = (flags & 2) !== 0
    let stream = streams.get(key)
    if (stream === undefined || syn) {
      if (stream !== undefined && sequence + 1 !== stream.next) sink.streamEnd(payload)
      if (streams.size >= MAX_STREAMS) streams.delete(streams.keys().next().value as string)
      stream = {next: (sequence + (syn ? 1 : 0)) >>> 0, ahead: [], aheadOctets: 0}
      streams.set(key, stream)
    }
    deliver(stream, payload, syn ? (sequence + 1) >>> 0 : sequence)
    // FIN or RST
    if ((flags & 5) !== 0 && stream.ahead.length === 0) {
      streams.delete(key)
      sink.streamEnd(payload)
    }
  }

  function deliver(stream: Stream, payload: Payload, sequence: number): void {
    const {octets} = payload
    if (octets.length === 0) return
    const ahead = (sequence - stream.next) | 0
    if (ahead > 0) {
      stream.ahead.push({sequence, octets})
      stream.aheadOctets += octets.length
      // What is missing was not captured: go on behind it.
      if (stream.aheadOctets > MAX_AHEAD_OCTETS) {
        stream.ahead.sort((a, b) => (a.sequence - b.sequence) | 0)
        account.miss('segments-not-captured')
        stream.next = stream.ahead[0].sequence
        drain(stream, payload)
      }
      return
    }
    if (-ahead >= octets.length) return
    stream.next = (sequence + octets.length) >>> 0
    sink.stream({...payload, octets: octets.subarray(-ahead)})
    if (stream.ahead.length > 0) drain(stream, payload)
  }

  function drain(stream: Stream, payload: Payload): void {
    for (;;) {
      const i = stream.ahead.findIndex(({sequence}) => ((sequence - stream.next) | 0) <= 0)
      if (i < 0) return
      const [{sequence, octets}] = stream.ahead.splice(i, 1)
      stream.aheadOctets -= octets.length
      deliver(stream, {...payload, octets}, sequence)
    }
  }

  const reader = createCaptureReader({
    frame,
    lost: (reason, offset) => {
      account.in++
      account.lose(reason, 1, offset)
    },
    full: () => false,
  })
  return {
    push: (octets) => reader.push(octets),
    finish: () => reader.finish(),
  }
}

function latin1(octets: Uint8Array, from = 0, to = octets.length): string {
  return Buffer.from(octets.buffer, octets.byteOffset + from, to - from).toString('latin1')
}
