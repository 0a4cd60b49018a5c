import {DartaError} from '../record/errors.js'
import type {BpfInstruction} from './bpf-assembler.js'
import type {Capability} from './capabilities.js'
import type {MeterCounters, MeterOptions, MeterOutput} from './meter.js'
import type {Share} from './share.js'
import type {TurnCounter} from './turn-counter.js'

/** Where live packets come from, and how much of them is wanted. */
export interface LiveSource {
  /** Interface names; `any` is all of them, with cooked headers. */
  readonly interfaces: readonly string[]
  /** A filter in the language of pcap-filter(7); undefined: everything. */
  readonly filter: string | undefined
  /** Octets of each frame that are captured. */
  readonly snapOctets: number
  /** Octets of kernel buffer for each interface and thread; undefined: the backend knows best. */
  readonly ringOctets: number | undefined
  readonly promiscuous: boolean
  /** What others are to take is dropped before the host's kernel sees it. */
  readonly mirrorPort: boolean
  /** Threads that divide the Flows of each interface between them. */
  readonly threads: number
  /** Whether records are wanted soon after they are made, and not only when a buffer is full. */
  readonly prompt: boolean
  /** How long a packet may wait for others before it is looked at, in milliseconds; for backends that can choose. */
  readonly waitMs: number
  /** One node's part of the link; undefined: all of it. */
  readonly share: ShareOf | undefined
  /** Every N-th packet instead of a part by hash. */
  readonly turn?: TurnOf
  /** Decides, behind the kernel's filter, what a share that changes takes. */
  readonly changing?: ChangingShare
}

/** What goes with a share that changes while packets come. */
export interface ChangingShare {
  /** The addon's keeper of the share; coordination/share-control.ts. */
  readonly keeper: unknown
  /** Called before buffers are taken. */
  before(): void
  /** Called when the buffers that were taken then have been handed on. */
  after(): Promise<void>
}

/** One node's packets in turn, which are counted from the first one that a filter lets pass, or from the start. */
export interface TurnOf {
  readonly share: Share
  readonly begin: string | undefined
}

/** Makes the part of the filter that decides a share, for frames of a link type. */
export interface ShareOf {
  readonly text: string
  /** Whether a frame of a link type is in the share, for backends whose kernel cannot decide. */
  owns(frame: Uint8Array, linkType: number): boolean
  program(linkType: number, acceptOctets: number): BpfInstruction[]
  /** The same for a program in front of that one, which may let pass what it cannot decide; not there if the share changes. */
  early?(linkType: number): BpfInstruction[]
}

/** What the kernel counted of one interface since the start. */
export interface KernelCounters {
  readonly interface: string
  /** Frames that passed the filter, dropped ones too. */
  readonly packets: number
  /** Frames that found no room in the ring or buffer; undefined where the backend cannot tell. */
  readonly drops: number | undefined
  /** Frames that were taken and looked at; the rest of those not dropped still lies in the ring. */
  readonly taken: number
  /** How often the ring stood still. */
  readonly freezes: number
  /** How often the interface went down while it was captured. */
  readonly downs: number
}

/** A running capture with its own meters. */
export interface LiveCapture {
  /**
   * Buffers as they fill. Ends after `stop` or at the packet limit, or throws when the last interface goes away.
   * `notice` is told what happens to interfaces meanwhile: one is down, one of several is gone, or was down and is not
   * captured any more.
   */
  outputs(
    notice: (interfaceName: string, what: 'down' | 'gone' | 'ended') => void,
  ): AsyncIterable<readonly MeterOutput[]>
  /** Exports all Flows; `outputs` then ends. */
  stop(): void
  /** Hands over partly filled buffers (SIGUSR2). */
  flush(): void
  /** Sums over all threads. */
  counters(): MeterCounters
  kernel(): KernelCounters[]
  /** Puts another share into the kernel's filters; there only if the source was opened with one that changes. */
  changeShare?(share: ShareOf): void
  close(): void
  /** Of each interface, where packets are taken in turn. */
  readonly turns?: readonly TurnCounter[]
}

/** A way to capture live packets. Each file of src/metering/backends whose `kind` is `live` is one. */
export interface LiveBackend<Addon> {
  readonly kind: 'live'
  readonly summary: string
  /** Rights that opening takes. */
  readonly capabilities: readonly Capability[]
  /** What users of this backend have to know, told once before it starts. */
  readonly caution?: (source: LiveSource) => string | undefined
  /** Why it cannot work on this machine; undefined if it can, as far as can be told without opening. */
  readonly absence: (addon: Addon | undefined) => Promise<string | undefined>
  /**
   * Opens everything that needs privileges and starts nothing.
   *
   * @throws DartaError DARTA_PERMISSION (names the capability), DARTA_INTERFACE, DARTA_NATIVE_MISSING, DARTA_USAGE
   */
  open(source: LiveSource, options: MeterOptions, addon: Addon | undefined): Promise<LiveCapture>
}

/** The counters of several meters as those of one. */
export function sumCounters(list: readonly MeterCounters[]): MeterCounters {
  const add = (
    name:
      | 'frames'
      | 'ipPackets'
      | 'ipOctets'
      | 'lostOctets'
      | 'inputOctets'
      | 'flowsCreated'
      | 'flowsExported'
      | 'flowsLive'
      | 'flowsEvicted'
      | 'memoryOctets',
  ): number => list.reduce((sum, counters) => sum + counters[name], 0)
  const join = (name: 'skipped' | 'lost'): Map<string, number> => {
    const sums = new Map<string, number>()
    for (const counters of list) {
      for (const [reason, n] of counters[name]) sums.set(reason, (sums.get(reason) ?? 0) + n)
    }
    return sums
  }
  const times = (name: 'firstTimeNs' | 'lastTimeNs' | 'firstLostNs' | 'lastLostNs'): bigint[] =>
    list.map((counters) => counters[name]).filter((time) => time !== undefined)
  const least = (all: bigint[]): bigint | undefined =>
    all.length === 0 ? undefined : all.reduce((a, b) => (a < b ? a : b))
  const greatest = (all: bigint[]): bigint | undefined =>
    all.length === 0 ? undefined : all.reduce((a, b) => (a > b ? a : b))
  return {
    frames: add('frames'),
    ipPackets: add('ipPackets'),
    ipOctets: add('ipOctets'),
    lostOctets: add('lostOctets'),
    inputOctets: add('inputOctets'),
    flowsCreated: add('flowsCreated'),
    flowsExported: add('flowsExported'),
    flowsLive: add('flowsLive'),
    flowsEvicted: add('flowsEvicted'),
    memoryOctets: add('memoryOctets'),
    skipped: join('skipped'),
    lost: join('lost'),
    // Frames of an interface have numbers, not places in a file.
    firstOffset: new Map(),
    firstTimeNs: least(times('firstTimeNs')),
    lastTimeNs: greatest(times('lastTimeNs')),
    firstLostNs: least(times('firstLostNs')),
    lastLostNs: greatest(times('lastLostNs')),
  }
}

/** @throws DartaError DARTA_USAGE for a backend that cannot take packets in turn */
export function refuseTurns({turn}: LiveSource): void {
  if (turn === undefined) return
  throw new DartaError(
    'DARTA_USAGE',
    '--by packets is counted by packet sockets: --backend tpacket',
  )
}

/** @throws DartaError DARTA_USAGE where what others are to take cannot be told by a program on the interface */
export function refuseMirrorPort({mirrorPort, interfaces, share, turn}: LiveSource): void {
  if (!mirrorPort) return
  const fail = (words: string): never => {
    throw new DartaError('DARTA_USAGE', `--mirror-port ${words}`)
  }
  if (interfaces.includes('any')) fail('is said of interfaces that are named: no any')
  if (turn !== undefined) fail('goes with shares by hash: packets in turn are counted behind it')
  if (share?.early === undefined) fail('goes with --share: it drops what is of other shares')
}

/**
 * What is wrong with the names of interfaces, or with what is asked of all together. Backends would take an empty name for
 * all interfaces, and count twice what comes by one that is named beside `any`.
 *
 * @throws DartaError DARTA_USAGE, DARTA_INTERFACE
 */
export function checkSource({interfaces, ringOctets = 0, threads}: LiveSource): void {
  if (interfaces.includes('')) {
    throw new DartaError('DARTA_USAGE', '-i names an interface, or any for all: it is empty')
  }
  const beside = interfaces.find((name) => name !== 'any')
  if (beside !== undefined && interfaces.includes('any')) {
    throw new DartaError('DARTA_USAGE', `-i any has the packets of ${beside} already: one of them`)
  }
  // The kernel would end this process, or another one, to find so much.
  const asked = ringOctets * threads * interfaces.length
  const free = process.availableMemory()
  if (asked <= free) return
  const gibibytes = (octets: number): string => (octets / 2 ** 30).toFixed(1)
  throw new DartaError(
    'DARTA_INTERFACE',
    `cannot capture on ${interfaces.join(', ')}: buffers of ${gibibytes(asked)} GiB are more than the ${gibibytes(free)} GiB of memory that are free: a smaller -B may do`,
  )
}

/** The interface was captured and is not there any more, or is not captured any more since it went down. */
export function goneFault(name: string, what: 'gone' | 'ended' = 'gone'): DartaError {
  const why = what === 'gone' ? 'went away' : 'went down, and is not taken up again by this backend'
  return new DartaError('DARTA_INTERFACE', `cannot capture on ${name}: the interface ${why}`)
}

/** What a failed call of the kernel means to a person. */
export function openFault(call: string, errno: number, name: string): DartaError {
  const [EPERM, EACCES, ENODEV, ENOMEM, ENETDOWN, EINVAL] = [1, 13, 19, 12, 100, 22]
  if (errno === EPERM || errno === EACCES) {
    return new DartaError(
      'DARTA_PERMISSION',
      `capturing on ${name} needs CAP_NET_RAW, which this process has not (${call})`,
    )
  }
  const words =
    errno === ENODEV
      ? 'there is no such interface; darta capture -D lists those there are'
      : errno === ENOMEM
        ? 'the kernel has no memory for the ring: a smaller -B may do'
        : errno === ENETDOWN
          ? 'the interface is down'
          : errno === EINVAL
            ? `${call} is refused as invalid`
            : `${call} failed with error ${errno}`
  return new DartaError('DARTA_INTERFACE', `cannot capture on ${name}: ${words}`)
}
