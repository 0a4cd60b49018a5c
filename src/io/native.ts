import {existsSync} from 'node:fs'
import {createRequire} from 'node:module'
import {dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'
import type {CreateCryptoPanKernel} from '../record/crypto-pan-kernel.js'
import type {CreateFilter} from '../record/filter-kernel.js'
import type {CreateRelay} from '../record/relay-kernel.js'
import type {DealRecords} from '../record/deal-kernel.js'
import type {ComposeRows} from '../record/compose-rows.js'
import type {GatherMessages} from '../record/gather-kernel.js'
import type {CreateGroups} from '../record/group-kernel.js'
import type {RenderText} from '../record/text-kernel.js'

declare const meterHandle: unique symbol

/** A meter in C++; only its own functions can use it. */
export interface MeterHandle {
  readonly [meterHandle]: true
}

/**
 * What native/build/darta.node exports. A status is 0 done, 1 no capture, 2 the flow table is full, 3 the file shrank.
 * Results are [status, done, octets, template, count, exportTime, octets, …].
 */
export interface NativeAddon {
  readonly createGroups: CreateGroups
  readonly dealRecords: DealRecords
  readonly gatherMessages: GatherMessages
  readonly composeRows: ComposeRows
  readonly renderText: RenderText
  readonly createRelay: CreateRelay
  readonly createFilter: CreateFilter
  readonly createCryptoPan: CreateCryptoPanKernel
  /** @throws an error with code DARTA_USAGE: a field that the meter cannot fill, a system without memory */
  meterCreate(options: NativeMeterOptions): MeterHandle
  meterPush(meter: MeterHandle, octets: Uint8Array): unknown[]
  /** Status. */
  meterEndCapture(meter: MeterHandle): number
  /** The errno, 0 for done, and the status of the capture before. */
  meterOpen(meter: MeterHandle, path: string): [errno: number, status: number]
  meterStep(meter: MeterHandle, octets: number): unknown[]
  meterFinish(meter: MeterHandle): unknown[]
  meterFlush(meter: MeterHandle): unknown[]
  meterFull(meter: MeterHandle): boolean
  /** After status 1: how many octets the input began with, 0..4, and those 4 as a number in network order. */
  meterBeginning(meter: MeterHandle): [octets: number, magic: number]
  meterCounters(meter: MeterHandle): NativeMeterCounters
  meterClose(meter: MeterHandle): void
  /** UDP sockets; or what failed and for which one. */
  receiverOpen(
    sockets: readonly NativeSocket[],
  ): ReceiverHandle | [call: string, errno: number, socket: number]
  /** Starts the thread; `wake` is called when there is something to take, and at the end. */
  receiverStart(receiver: ReceiverHandle, wake: () => void): void
  /** [ended 0 or 1, octets, datagrams, baseMs, octets, …]; see `DatagramBlock`. */
  receiverTake(receiver: ReceiverHandle): unknown[]
  /** [ended 0 or 1, when the first datagram of the oldest block came, and its last one], or only the first where there is no block. */
  receiverNext(receiver: ReceiverHandle): [ended: number, fromMs?: number, toMs?: number]
  receiverStop(receiver: ReceiverHandle): void
  /** Port, octets of the buffer, received and dropped datagrams of each socket, one after another. */
  receiverStatistics(receiver: ReceiverHandle): number[]
  receiverClose(receiver: ReceiverHandle): void
  /** See `AppendTails` of src/record/append-tails.ts. */
  appendTails(
    octets: Uint8Array,
    program: Uint32Array,
    steps: number,
    tails: Uint8Array,
    out: Uint8Array,
    to: number,
  ): void
  /** 0, or the errno of what failed. */
  dropCapabilities(): number
  /**
   * Live capture: options with `threads` and whether partly filled buffers are handed over now and then (`prompt`), and
   * what frames come from; or what failed and where.
   */
  liveOpen(
    options: NativeMeterOptions & {readonly threads: number; readonly prompt: boolean},
    sources: readonly (NativeRing | NativeXdpSocket)[],
  ): LiveHandle | [call: string, errno: number, source: number]
  /** Starts the threads; `wake` is called when there is something to take, and at the end. */
  liveStart(live: LiveHandle, wake: () => void): void
  /** [ended 0 or 1, errno or −1 for a full flow table, octets, template, count, exportTime, octets, …] */
  liveTake(live: LiveHandle): unknown[]
  /** Number of a source and errno, and the next, of what happened since the last call: ENETDOWN, ENODEV. */
  liveNotices(live: LiveHandle): number[]
  liveStop(live: LiveHandle): void
  liveFlush(live: LiveHandle): void
  /** Of each thread. */
  liveCounters(live: LiveHandle): NativeMeterCounters[]
  /** Packets, drops, freezes, link type and frames taken of each source, one after another. */
  liveStatistics(live: LiveHandle): number[]
  /** Changes the socket filter of a ring that was opened as changeable; 0 or an errno. */
  liveFilter(live: LiveHandle, source: number, filter: Uint8Array): number
  liveClose(live: LiveHandle): void
  /** A connected UDP socket that never fragments; `address` is numeric. [descriptor or −1, errno] */
  udpOpen(address: string, port: number): [descriptor: number, errno: number]
  /** Octets that an IP packet to the peer may have, as far as the system knows. */
  udpMtu(descriptor: number): [octets: number, errno: number]
  /** Sends datagrams `from` to `to`; datagram i is from ends[i − 1], or 0, to ends[i]. */
  udpSend(
    descriptor: number,
    octets: Uint8Array,
    ends: Uint32Array,
    from: number,
    to: number,
  ): [sent: number, errno: number]
  udpClose(descriptor: number): void
  /**
   * Of a stream socket: octets that the peer's system has not acknowledged (of a Unix socket: that the peer has not read),
   * and the window that it offers, 0 if unknown. Undefined where the system does not tell.
   */
  streamState(descriptor: number): [outstanding: number, window: number] | undefined
  /** Loads struct bpf_insn after struct bpf_insn as a socket filter with a map of one value; or what failed and the kernel's reasons. */
  turnsLoad(
    program: Uint8Array,
    valueOctets: number,
  ): TurnsHandle | [call: string, errno: number, log: string]
  /** Nanoseconds of processor time a packet, or what failed; native/meter/capacity.h says of what. Takes a second or more. */
  measureCapacity(
    meter: NativeMeterOptions,
    options: NativeCapacityOptions,
  ): NativeCapacity | [call: string, errno: number]
  /** Shares that change; src/metering/coordination/share-control.ts says what goes in and out. */
  shareCreate(options: {
    readonly ringOctets: number
    readonly ringMs: number
    readonly headerOctets: number
  }): unknown
  sharePlan(keeper: unknown, plan: object): void
  /** Up to this capture time, ms since 1970, packets are taken without a mark. */
  shareLease(keeper: unknown, ms: number): void
  shareTake(keeper: unknown): {
    readonly rows: BigUint64Array
    readonly listed: BigUint64Array
    readonly counters: BigUint64Array
  }
  turnsDescriptor(turns: TurnsHandle): number
  /** A copy of the map's value, and what fills its last page. */
  turnsRead(turns: TurnsHandle): Uint8Array
  /** Sends one netlink message and takes all that answers it, an error message too. */
  netlinkAsk(protocol: number, message: Uint8Array): [answer: Uint8Array, errno: number]
  /** bpf(2): the address of each `octets` is put at the offset before it. */
  bpfCall(
    command: number,
    attributes: Uint8Array,
    ...pointers: (number | Uint8Array)[]
  ): [result: number, errno: number]
}

export interface NativeCapacityOptions {
  readonly frameOctets: number
  readonly flows: number
  readonly batch: number
  readonly rounds: number
  /** struct sock_filter after struct sock_filter */
  readonly reject: Uint8Array
  readonly accept: Uint8Array
  readonly whole: Uint8Array
  /** Descriptor of an eBPF filter that rejects nearly all; 0: none. */
  readonly turn: number
  /** XDP programs, struct bpf_insn after struct bpf_insn: one drops all frames, one lets all pass. */
  readonly earlyDrop: Uint8Array
  readonly earlyPass: Uint8Array
}

export interface NativeCapacity {
  readonly send: number
  readonly receive: number
  readonly rejectAll: number
  readonly reject: number
  readonly rejectTurn: number
  readonly accept: number
  readonly acceptWhole: number
  readonly meter: number
  /** Below 0 where it cannot be measured. */
  readonly earlyDrop: number
  readonly earlyPass: number
}

declare const turnsHandle: unique symbol

/** A loaded socket filter that counts, with its map; both go away with the handle. */
export interface TurnsHandle {
  readonly [turnsHandle]: true
}

declare const receiverHandle: unique symbol

/** UDP sockets that a thread reads; only its own functions can use it. */
export interface ReceiverHandle {
  readonly [receiverHandle]: true
}

export interface NativeSocket {
  /** In numbers; empty where `descriptor` is given. */
  readonly address: string
  readonly port: number
  readonly bufferOctets: number
  /** Of a socket that is bound already; −1: none. */
  readonly descriptor: number
}

declare const liveHandle: unique symbol

/** A live capture in C++; only its own functions can use it. */
export interface LiveHandle {
  readonly [liveHandle]: true
}

/** A packet ring, one for each interface and thread. */
export interface NativeRing {
  /** Empty: all interfaces. */
  readonly interface: string
  readonly ringOctets: number
  readonly promiscuous: boolean
  /** struct sock_filter after struct sock_filter */
  readonly filter: Uint8Array
  /** Of an eBPF socket filter in place of `filter`; 0: none. */
  readonly filterDescriptor: number
  /** 0: no fanout */
  readonly fanoutGroup: number
  readonly fanout: Uint8Array
  /** How long the kernel may wait for a block of the ring to fill, milliseconds. */
  readonly blockMs: number
  /** An XDP program for the interface, struct bpf_insn after struct bpf_insn; empty: none. */
  readonly early: Uint8Array
}

/** An AF_XDP socket, one for each receive queue; those of an interface stand together. */
export interface NativeXdpSocket {
  readonly interface: string
  readonly queue: number
  /** Receive queues of the interface. */
  readonly queues: number
  readonly ringOctets: number
  readonly snapOctets: number
  readonly promiscuous: boolean
  /** struct bpf_insn after struct bpf_insn */
  readonly instructions: Uint8Array
}

/** MeterOptions in numbers. */
export interface NativeMeterOptions {
  /** 0 flows, 1 packets, 2 pcap */
  readonly emit: number
  /** Bit n is part n of the key, as src/metering/meter.ts lists them. */
  readonly key: number
  readonly biflow: boolean
  readonly decap: boolean
  readonly idleTimeoutMs: number
  readonly activeTimeoutMs: number
  readonly tcpFinTimeoutMs: number
  readonly tcpRstTimeoutMs: number
  readonly maxMemoryOctets: number
  readonly maxFlows: number
  readonly maxFrames: number
  /** 0 evict, 1 drop, 2 fail */
  readonly onFull: number
  readonly sectionOctets: number
  /** Of the frames that are metered: 1 by hash, 2 in turn; absent or 0: all. */
  readonly shareBy?: number
  /** 0 both, 1 source, 2 destination */
  readonly shareAddresses?: number
  readonly shareProtocol?: number
  readonly sharePorts?: number
  readonly shareSeed?: number
  /** One octet for each slot: whether it is ours. */
  readonly shareOwned?: Uint8Array
  /** Turns that are ours, from 0, of each `shareParts`. */
  readonly shareFirst?: number
  readonly shareLast?: number
  readonly shareParts?: number
  readonly seed: number | undefined
  /** Enterprise number, element number and length of each field. */
  readonly v4: Uint32Array
  readonly v6: Uint32Array
}

export interface NativeMeterCounters {
  readonly frames: number
  readonly ipPackets: number
  readonly ipOctets: number
  readonly lostOctets: number
  readonly inputOctets: number
  readonly flowsCreated: number
  readonly flowsExported: number
  readonly flowsLive: number
  readonly flowsEvicted: number
  readonly memoryOctets: number
  readonly firstTimeNs: bigint | undefined
  readonly lastTimeNs: bigint | undefined
  readonly firstLostNs: bigint | undefined
  readonly lastLostNs: bigint | undefined
  /** Name, count and first offset of each reason. */
  readonly skipped: readonly (string | number)[]
  readonly lost: readonly (string | number)[]
}

let loaded: NativeAddon | undefined
let why: string | undefined

/**
 * The native addon, loaded once; undefined where it is not built, does not fit this machine, or is
 * switched off by DARTA_NATIVE=0 in the environment. `nativeAbsence` then says why.
 */
export function loadNative(): NativeAddon | undefined {
  if (loaded !== undefined || why !== undefined) return loaded
  if (process.env.DARTA_NATIVE === '0') {
    why = 'DARTA_NATIVE is 0'
    return undefined
  }
  const path = join(packageRoot(), 'native/build/darta.node')
  if (!existsSync(path)) {
    why = `${path} is not built`
    return undefined
  }
  try {
    loaded = createRequire(import.meta.url)(path) as NativeAddon
  } catch (error) {
    why = error instanceof Error ? error.message : String(error)
  }
  return loaded
}

/** Why `loadNative` gives nothing; undefined if it does. */
export function nativeAbsence(): string | undefined {
  loadNative()
  return why
}

/** The nearest folder above with a package.json: this file lies in build/src/io or, bundled, in dist. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) {
    const above = dirname(folder)
    if (above === folder) break
    folder = above
  }
  return folder
}
