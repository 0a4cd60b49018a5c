import {readFileSync} from 'node:fs'
import {randomInt} from 'node:crypto'
import {bothPrograms, bpfOctets, type BpfInstruction} from '../bpf-assembler.js'
import {compileFilter} from '../compile-filter.js'
import {
  openFault,
  sumCounters,
  type LiveBackend,
  type LiveCapture,
  type LiveSource,
} from '../live.js'
import type {MeterOutput} from '../meter.js'
import {
  addonOptions,
  readCounters,
  readOutputs,
  type AddonCounters,
  type AddonOptions,
} from '../native.js'
import flow from '../selectors/flow.js'
import {slotProgram} from '../share-bpf.js'
import {DartaError} from '../../record/errors.js'

/** The part of the native addon that captures; src/io/native.ts tells what its functions do. */
export interface LiveAddon<Handle = unknown> {
  liveOpen(
    options: AddonOptions & {readonly threads: number},
    rings: readonly RingOptions[],
  ): Handle | [call: string, errno: number, ring: number]
  liveStart(live: Handle, wake: () => void): void
  liveTake(live: Handle): unknown[]
  liveStop(live: Handle): void
  liveFlush(live: Handle): void
  liveCounters(live: Handle): AddonCounters[]
  liveStatistics(live: Handle): number[]
  liveClose(live: Handle): void
}

export interface RingOptions {
  readonly interface: string
  readonly ringOctets: number
  readonly promiscuous: boolean
  readonly filter: Uint8Array
  readonly fanoutGroup: number
  readonly fanout: Uint8Array
}

/** LINKTYPE_ numbers of hardware types (ARPHRD_) whose link header packet sockets give as it is. */
const linkTypes: Readonly<Record<number, number>> = {
  1: 1,
  772: 1,
  519: 101,
  65534: 101,
  768: 101,
  769: 101,
  776: 101,
}
const RAW_IP = 101

/**
 * Packet sockets with a TPACKET_V3 ring, packet(7): Linux's own way, with its nanosecond times and drop counters.
 * The meter runs in the threads that read the rings.
 */
const tpacket: LiveBackend<LiveAddon> = {
  kind: 'live',
  summary: 'Linux packet sockets with a memory-mapped ring (TPACKET_V3)',
  async open(source, options, addon) {
    if (addon === undefined) {
      throw new DartaError(
        'DARTA_NATIVE_MISSING',
        'live capture needs the native addon: npm run build',
      )
    }
    const rings: RingOptions[] = []
    const owner: string[] = []
    for (const name of source.interfaces) {
      const filter = bpfOctets(await filterOf(source, name))
      const fanoutGroup = source.threads > 1 ? randomInt(1, 65535) : 0
      const fanout =
        source.threads > 1
          ? bpfOctets(slotProgram(RAW_IP, flow, randomInt(2 ** 32)))
          : new Uint8Array(0)
      for (let thread = 0; thread < source.threads; thread++) {
        owner.push(name)
        rings.push({
          interface: name === 'any' ? '' : name,
          ringOctets: source.ringOctets,
          promiscuous: source.promiscuous,
          filter,
          fanoutGroup,
          fanout,
        })
      }
    }
    const live = addon.liveOpen({...addonOptions(options), threads: source.threads}, rings)
    if (Array.isArray(live)) {
      const [call, errno, ring] = live as [string, number, number]
      throw openFault(call, errno, owner[ring])
    }
    return running(addon, live, owner)
  },
}

export default tpacket

/** What the kernel lets into the ring: the user's filter and the share, cut to the snap length. */
async function filterOf(source: LiveSource, name: string): Promise<BpfInstruction[]> {
  const linkType = linkTypeOf(name)
  // A cooked socket's filter sees the packet without any link header.
  const seen = linkType ?? RAW_IP
  const whole: BpfInstruction[] = [{code: 0x06, jt: 0, jf: 0, k: source.snapOctets}]
  const share = source.share?.program(seen, source.snapOctets) ?? whole
  if (source.filter === undefined) return share
  return bothPrograms(await compileFilter(source.filter, seen), share)
}

function linkTypeOf(name: string): number | undefined {
  if (name === 'any') return undefined
  try {
    return linkTypes[Number(readFileSync(`/sys/class/net/${name}/type`, 'utf8'))]
  } catch {
    // The backend itself tells what is wrong with the name.
    return 1
  }
}

function running(addon: LiveAddon, live: unknown, owner: readonly string[]): LiveCapture {
  let wake: (() => void) | undefined
  let woken = false
  return {
    async *outputs() {
      addon.liveStart(live, () => {
        woken = true
        wake?.()
      })
      for (;;) {
        woken = false
        const taken = addon.liveTake(live)
        const [ended, error] = taken as number[]
        const outputs: MeterOutput[] = readOutputs(taken)
        if (outputs.length > 0) yield outputs
        if (ended === 1) {
          if (error === -1) {
            throw new DartaError(
              'DARTA_FLOW_TABLE_FULL',
              'the flow table is full: no room for more',
            )
          }
          if (error !== 0) throw openFault('the packet socket', error, owner.join(', '))
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
      const sums = new Map<string, {packets: number; drops: number; freezes: number}>()
      owner.forEach((name, i) => {
        const sum = sums.get(name) ?? {packets: 0, drops: 0, freezes: 0}
        sum.packets += numbers[4 * i]
        sum.drops += numbers[4 * i + 1]
        sum.freezes += numbers[4 * i + 2]
        sums.set(name, sum)
      })
      return [...sums].map(([name, sum]) => ({interface: name, ...sum}))
    },
    close: () => addon.liveClose(live),
  }
}
