import {readFileSync} from 'node:fs'
import {bothPrograms, bpfOctets, createBpfAssembler, type BpfInstruction} from './bpf-assembler.js'
import {compileFilter} from './compile-filter.js'
import {
  goneFault,
  openFault,
  sumCounters,
  type KernelCounters,
  type LiveCapture,
  type LiveSource,
  type ShareOf,
  type ChangingShare,
} from './live.js'
import type {MeterOptions} from './meter.js'
import {
  addonOptions,
  readCounters,
  readOutputs,
  type AddonCounters,
  type AddonOptions,
} from './native.js'
import {DartaError} from '../record/errors.js'

interface LiveNumbers {
  readonly threads: number
  /** Partly filled buffers are handed over now and then. */
  readonly prompt: boolean
}

/** The part of the native addon that captures; src/io/native.ts tells what its functions do. */
export interface LiveAddon<Handle = unknown> {
  liveOpen(
    options: AddonOptions & LiveNumbers & {readonly keeper?: unknown},
    sources: readonly (RingOptions | XdpSocketOptions)[],
  ): Handle | [call: string, errno: number, source: number]
  liveStart(live: Handle, wake: () => void): void
  liveTake(live: Handle): unknown[]
  liveNotices(live: Handle): number[]
  liveFilter(live: Handle, source: number, filter: Uint8Array): number
  liveStop(live: Handle): void
  liveFlush(live: Handle): void
  liveCounters(live: Handle): AddonCounters[]
  liveStatistics(live: Handle): number[]
  liveClose(live: Handle): void
  turnsLoad(program: Uint8Array, valueOctets: number): unknown
  turnsDescriptor(turns: unknown): number
  turnsRead(turns: unknown): Uint8Array
}

export interface RingOptions {
  readonly interface: string
  readonly ringOctets: number
  /** How long the kernel may wait for a block of the ring to fill. */
  readonly blockMs: number
  readonly promiscuous: boolean
  readonly filter: Uint8Array
  readonly filterDescriptor: number
  readonly changeable?: boolean
  readonly fanoutGroup: number
  readonly fanout: Uint8Array
  /** An XDP program for the interface; empty: none. */
  readonly early: Uint8Array
}

export interface XdpSocketOptions {
  readonly interface: string
  readonly queue: number
  readonly queues: number
  readonly ringOctets: number
  readonly snapOctets: number
  readonly promiscuous: boolean
  readonly instructions: Uint8Array
}

/** LINKTYPE_ numbers of hardware types (ARPHRD_) whose link header the kernel gives as it is. */
const linkTypes: Readonly<Record<number, number>> = {
  1: 1,
  772: 1,
  519: 101,
  65534: 101,
  768: 101,
  769: 101,
  776: 101,
}
export const RAW_IP = 101
/** Types of packets and of hardware, and where the kernel has them for a socket filter (SKF_AD_OFF, linux/filter.h). */
const PACKET_OUTGOING = 4
const [ARPHRD_ETHER, ARPHRD_LOOPBACK] = [1, 772]
const [SKB_PACKET_TYPE, SKB_HARDWARE_TYPE] = [-0x1000 + 4, -0x1000 + 28]
/** Kernel buffer of each interface and thread. */
export const RING_OCTETS = 64 << 20
const [ENODEV, ENETDOWN] = [19, 100]

/** Why what is Linux's own cannot be used. */
export async function noLinux(addon: LiveAddon | undefined): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'needs Linux'
  return addon === undefined ? 'needs the native addon: npm run build' : undefined
}

/** @throws DartaError DARTA_NATIVE_MISSING */
export function needAddon(addon: LiveAddon | undefined): LiveAddon {
  if (addon !== undefined) return addon
  throw new DartaError(
    'DARTA_NATIVE_MISSING',
    'live capture needs the native addon: npm run build; --backend libpcap does without',
  )
}

/** What the kernel lets through: the user's filter and the share, cut to the snap length. */
export async function filterOf(source: LiveSource, name: string): Promise<BpfInstruction[]> {
  return (await filterMaker(source, name, 'frames'))(source.share)
}

/**
 * Makes such filters for any share; the user's part is compiled once.
 *
 * @param at what it filters: frames alone, or what a packet socket sees
 */
export async function filterMaker(
  source: LiveSource,
  name: string,
  at: 'frames' | 'packet-socket',
): Promise<(share: ShareOf | undefined) => BpfInstruction[]> {
  const seen = seenLinkType(name)
  const socket = at === 'packet-socket'
  const compiledAt = socket && name !== 'any' ? name : undefined
  const parts: BpfInstruction[][] = []
  if (socket && hasLoopback(name)) parts.push(onceOverLoopback())
  if (source.filter !== undefined) parts.push(await compileFilter(source.filter, seen, compiledAt))
  const whole: BpfInstruction[] = [{code: 0x06, jt: 0, jf: 0, k: source.snapOctets}]
  return (share) =>
    parts.reduceRight(
      (rest, part) => bothPrograms(part, rest),
      share?.program(seen, source.snapOctets) ?? whole,
    )
}

/**
 * Refuses what a loopback interface sends: a packet socket there gets each packet as it leaves and once more as it
 * arrives, in one place. Other interfaces show the two in different hosts, or different packets.
 */
function onceOverLoopback(): BpfInstruction[] {
  const b = createBpfAssembler()
  b.load(4, SKB_PACKET_TYPE)
  b.branch('eq', PACKET_OUTGOING, 'next', 'accept')
  b.load(4, SKB_HARDWARE_TYPE)
  b.branch('eq', ARPHRD_LOOPBACK, 'reject', 'accept')
  b.label('reject')
  b.accept(0)
  b.label('accept')
  b.accept(1)
  return b.assemble()
}

/** LINKTYPE_ of what a socket filter sees: without any link header where the socket is a cooked one. */
export function seenLinkType(name: string): number {
  return linkTypeOf(name) ?? RAW_IP
}

function linkTypeOf(name: string): number | undefined {
  return name === 'any' ? undefined : linkTypes[hardwareType(name)]
}

/** Whether there may be packets of a loopback interface among those of `name`. */
function hasLoopback(name: string): boolean {
  return name === 'any' || hardwareType(name) === ARPHRD_LOOPBACK
}

/** ARPHRD_ of an interface. */
function hardwareType(name: string): number {
  try {
    return Number(readFileSync(`/sys/class/net/${name}/type`, 'utf8'))
  } catch {
    // The backend itself tells what is wrong with the name.
    return ARPHRD_ETHER
  }
}

/**
 * Opens sources whose meters run in the addon's threads.
 *
 * @param owner the interface of each source
 * @param fault what a failed call means
 */
export function openNative(
  addon: LiveAddon,
  options: MeterOptions & LiveNumbers,
  sources: readonly (RingOptions | XdpSocketOptions)[],
  owner: readonly string[],
  fault: typeof openFault,
  changing?: ChangingShare & {readonly filters: readonly ((share: ShareOf) => BpfInstruction[])[]},
): LiveCapture {
  const {threads, prompt, ...meter} = options
  const keeper = changing === undefined ? {} : {keeper: changing.keeper}
  const live = addon.liveOpen({...addonOptions(meter), threads, prompt, ...keeper}, sources)
  if (Array.isArray(live)) {
    const [call, errno, source] = live as [string, number, number]
    throw fault(call, errno, owner[source])
  }
  const capture = running(addon, live, owner, changing)
  if (changing === undefined) return capture
  return {
    ...capture,
    changeShare(share) {
      const made = new Map<(share: ShareOf) => BpfInstruction[], Uint8Array>()
      changing.filters.forEach((make, i) => {
        const filter = made.get(make) ?? bpfOctets(make(share))
        made.set(make, filter)
        const errno = addon.liveFilter(live, i, filter)
        if (errno !== 0) throw fault('SO_ATTACH_FILTER', errno, owner[i])
      })
    },
  }
}

function running(
  addon: LiveAddon,
  live: unknown,
  owner: readonly string[],
  changing: ChangingShare | undefined,
): LiveCapture {
  let wake: (() => void) | undefined
  let woken = false
  const downs = new Map<string, number>()
  /** Sources of each interface that are still there. */
  const left = new Map<string, number>()
  for (const name of owner) left.set(name, (left.get(name) ?? 0) + 1)
  /** Each interface once, though it may have several sources. */
  function notices(): Map<string, 'down' | 'gone'> {
    const list = addon.liveNotices(live)
    const found = new Map<string, 'down' | 'gone'>()
    for (let i = 0; i < list.length; i += 2) {
      const name = owner[list[i]]
      if (list[i + 1] === ENETDOWN) found.set(name, 'down')
      else {
        left.set(name, left.get(name)! - 1)
        if (left.get(name) === 0) found.set(name, 'gone')
      }
    }
    for (const [name, what] of found) {
      if (what === 'down') downs.set(name, (downs.get(name) ?? 0) + 1)
    }
    return found
  }
  return {
    async *outputs(notice) {
      addon.liveStart(live, () => {
        woken = true
        wake?.()
      })
      for (;;) {
        woken = false
        // First: what is accounted for there is then among the buffers.
        changing?.before()
        const taken = addon.liveTake(live)
        const [ended, error] = taken as number[]
        const outputs = readOutputs(taken)
        if (outputs.length > 0) yield outputs
        await changing?.after()
        for (const [name, what] of notices()) notice(name, what)
        if (ended === 1) {
          if (error === -1) {
            throw new DartaError(
              'DARTA_FLOW_TABLE_FULL',
              'the flow table is full: no room for more',
            )
          }
          if (error === ENODEV) {
            throw goneFault([...left.keys()].filter((name) => left.get(name)! > 0).join(', '))
          }
          if (error !== 0) throw openFault('the socket', error, owner.join(', '))
          return
        }
        if (!woken) await new Promise<void>((resolve) => (wake = resolve))
        wake = undefined
      }
    },
    stop: () => addon.liveStop(live),
    flush: () => addon.liveFlush(live),
    counters: () => sumCounters(addon.liveCounters(live).map(readCounters)),
    kernel() {
      const numbers = addon.liveStatistics(live)
      const sums = new Map<
        string,
        {packets: number; drops: number; freezes: number; taken: number}
      >()
      owner.forEach((name, i) => {
        const sum = sums.get(name) ?? {packets: 0, drops: 0, freezes: 0, taken: 0}
        sum.packets += numbers[5 * i]
        sum.drops += numbers[5 * i + 1]
        sum.freezes += numbers[5 * i + 2]
        sum.taken += numbers[5 * i + 4]
        sums.set(name, sum)
      })
      return [...sums].map(([name, sum]): KernelCounters => ({
        interface: name,
        ...sum,
        downs: downs.get(name) ?? 0,
      }))
    },
    close: () => addon.liveClose(live),
  }
}
