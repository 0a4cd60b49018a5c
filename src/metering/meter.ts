import type {InformationElement} from '../record/element.js'
import type {Selector} from './selector.js'
import type {Share} from './share.js'

/** What a Metering Process makes of packets. */
export type Emit = 'flows' | 'packets' | 'pcap'

/** Parts of the Flow Key (RFC 7011 section 2). `ports` are 0 where the protocol has none. */
export type KeyPart =
  | 'src'
  | 'dst'
  | 'proto'
  | 'srcport'
  | 'dstport'
  | 'vlan'
  | 'tunnel'
  | 'interface'
  | 'tos'
  | 'srcmac'
  | 'dstmac'

/** Everything that decides what a meter does; docs/METERING.md says what each means exactly. */
export interface MeterOptions {
  readonly emit: Emit
  readonly key: readonly KeyPart[]
  /** Both directions in one record, RFC 5103. */
  readonly biflow: boolean
  /** Meter the innermost IP header of a tunnel. */
  readonly decap: boolean
  readonly idleTimeoutMs: number
  readonly activeTimeoutMs: number
  /** How long after FIN a Flow is kept for late packets. */
  readonly tcpFinTimeoutMs: number
  /** How long after RST a Flow is kept for late packets. */
  readonly tcpRstTimeoutMs: number
  /** Octets that flow table and index may take; 0: no limit. */
  readonly maxMemoryOctets: number
  /** Flows that may be live at once; 0: no limit. */
  readonly maxFlows: number
  /**
   * `evict`: end the Flow that would expire first (flowEndReason 5). `drop`: do not meter packets of new Flows.
   * `fail`: push and step throw DARTA_FLOW_TABLE_FULL; finish still gives what was metered until then.
   */
  readonly onFull: 'evict' | 'drop' | 'fail'
  /** Of the table's hash, 0..2^53−1, so that nobody can aim at one slot; random if absent. Records do not depend on it. */
  readonly seed?: number
  /** Octets of the IP packet carried by a Packet Report. */
  readonly sectionOctets: number
  /** Frames to read, then the meter takes no more (`full`); 0: no limit. */
  readonly maxFrames: number
  /** The part of the frames that is metered; all unless given. `maxFrames` counts these alone. */
  readonly share?: MeterShare
  /** Fields of the records by IP version, in order. For packets both are the same one template (index 0). */
  readonly fields: {readonly v4: readonly MeterField[]; readonly v6: readonly MeterField[]}
}

/** As nodes divide a live link between them. */
export interface MeterShare {
  readonly share: Share
  readonly selector: Selector
  /** Of the hash, 0..2^32−1 */
  readonly seed: number
}

export interface MeterField {
  readonly element: InformationElement
  readonly length: number
}

/**
 * A filled buffer. For flows and packets: 16 octets left free for the Message Header, then one
 * Set with its header (RFC 7011 section 3.3.2) in place, so that the whole is a Message once the header is
 * written. For pcap: octets of a pcap file (the first buffer begins with the file header).
 */
export interface MeterOutput {
  readonly octets: Uint8Array
  /** 0: IPv4 template, 1: IPv6 template. The Set ID in the octets is 256 + this. Unused for pcap. */
  readonly template: number
  /** Records (or packets) inside. */
  readonly count: number
  /** Seconds since 1970: greatest packet time seen when the buffer was closed; the Message's export time. */
  readonly exportTime: number
}

/** Counters of a meter at one moment. `frames = ipPackets + Σ skipped + Σ lost`. */
export interface MeterCounters {
  /** Frames read from the capture. */
  readonly frames: number
  /** Frames whose IP header was metered. */
  readonly ipPackets: number
  /** Σ IP total length of those, as in octetDeltaCount. */
  readonly ipOctets: number
  /** Frames not metered because that is no part of the job, by kind: `arp`, `lldp`, `ethertype-0x9000` … */
  readonly skipped: ReadonlyMap<string, number>
  /** Frames not metered because they are damaged or no room was left, by reason, and the first one's offset. */
  readonly lost: ReadonlyMap<string, number>
  readonly firstOffset: ReadonlyMap<string, number>
  /**
   * Σ octets of the lost frames: IP total length for `flow-table-full`, otherwise the original length,
   * nothing where the record header itself was not read (`truncated`, `malformed`).
   */
  readonly lostOctets: number
  /** Nanoseconds since 1970 of the earliest and latest lost frame that has a time; RFC 7011 section 4.2. */
  readonly firstLostNs: bigint | undefined
  readonly lastLostNs: bigint | undefined
  /** Octets of input read. */
  readonly inputOctets: number
  readonly flowsCreated: number
  readonly flowsExported: number
  readonly flowsLive: number
  /** Flows ended early by `onFull: evict`. */
  readonly flowsEvicted: number
  /** Octets the flow table holds now. */
  readonly memoryOctets: number
  /** Nanoseconds since 1970 of the earliest and latest packet; undefined before the first. */
  readonly firstTimeNs: bigint | undefined
  readonly lastTimeNs: bigint | undefined
}

/** A Metering Process over the octets of captures (pcap or pcapng, not compressed), one after another. */
export interface Meter {
  /** Takes the next octets of the capture, cut anywhere; returns the buffers that are full. */
  push(octets: Uint8Array): MeterOutput[]
  /**
   * The capture ends here and another may follow, pcap after pcapng or whatever: a cut record is counted,
   * the reader starts anew (offsets too), Flows, clock and counters stay. Without it `finish` does the same.
   */
  endCapture(): void
  /** Whether `maxFrames` frames were read; what is pushed from then on is ignored. */
  full(): boolean
  /**
   * End of input: expires every Flow and returns the last buffers. A cut record is counted, not thrown.
   * It ends the last capture first if that was not done, and throws what that throws; called again it gives
   * what was metered.
   */
  finish(): MeterOutput[]
  /** Returns what is held so far as records without ending the capture (SIGUSR2): partly filled buffers. */
  flush(): MeterOutput[]
  counters(): MeterCounters
  /** Frees the table. */
  close(): void
}

/** A meter that can also map a regular file by itself, which saves copying it. */
export interface FileMeter extends Meter {
  /** Opens the next capture; the one before, if any, is ended and closed. @throws DartaError DARTA_FILE_READ */
  open(path: string): void
  /** Meters the next `octets` of the opened file, about; `done` at its end or when `full`: then open or finish. */
  step(octets: number): {outputs: MeterOutput[]; done: boolean}
}
