import {createRequire} from 'node:module'
import {stateOf} from '../interfaces.js'
import {
  goneFault,
  openFault,
  refuseTurns,
  type KernelCounters,
  type LiveBackend,
  type LiveCapture,
  type LiveSource,
} from '../live.js'
import type {Meter, MeterOptions, MeterOutput} from '../meter.js'
import {createNativeMeter, type MeterAddon} from '../native.js'
import {createPcapngWriter} from '../pcapng-writer.js'
import {DartaError} from '../../record/errors.js'

/** What is used of the npm package cap. */
interface CapPackage {
  readonly Cap: new () => CapDevice
}

interface CapDevice {
  /** The name of the link type. Packets come into `frame` from now on, always from a promiscuous device. */
  open(device: string, filter: string, bufferOctets: number, frame: Buffer): string
  on(event: 'packet', heard: (octets: number, cut: boolean) => void): void
  close(): void
}

/** Octets of frames that go to the meter at once, and how long they wait for more. */
const CHUNK_OCTETS = 256 << 10
const GATHER_MS = 50
/** Octets of records that may wait to be written; what comes meanwhile is dropped and counted. */
const QUEUE_OCTETS = 64 << 20
/** The most that cap asks of libpcap. */
const LARGEST_FRAME = 65535
const WATCH_MS = 200
/** libpcap takes room for a frame of the greatest length for each one: this holds about 4000. */
const BUFFER_OCTETS = 256 << 20

const linkTypes: Readonly<Record<string, number>> = {
  NULL: 0,
  ETHERNET: 1,
  RAW: 101,
  LINKTYPE_LINUX_SLL: 113,
  IEEE802_11_RADIO: 127,
}

/** libpcap through the npm package cap: for systems without packet rings, and for links that are not fast. */
const libpcap: LiveBackend<MeterAddon<unknown>> = {
  kind: 'live',
  summary: 'libpcap, for other systems than Linux; slower, and blind to its own losses',
  capabilities: ['CAP_NET_RAW'],
  caution: () =>
    'libpcap has no drop counters here and only the times of this process: packets may be lost unseen, and at 100,000 a second they are',
  absence: async () => {
    const cap = loadCap()
    return cap instanceof DartaError ? cap.message : undefined
  },
  async open(source, options, addon) {
    const cap = loadCap()
    if (cap instanceof DartaError) throw cap
    refuseTurns(source)
    refuse(source)
    const meter =
      addon === undefined ? await scriptMeter(options) : createNativeMeter(addon, options)
    return capture(cap, source, meter)
  },
}

export default libpcap

async function scriptMeter(options: MeterOptions): Promise<Meter> {
  const {createTypescriptMeter} = await import('../typescript-meter.js')
  return createTypescriptMeter(options)
}

function loadCap(): CapPackage | DartaError {
  try {
    return createRequire(import.meta.url)('cap') as CapPackage
  } catch (error) {
    return new DartaError(
      'DARTA_NATIVE_MISSING',
      'the npm package cap is not built for this Node: install the headers of libpcap (Debian: libpcap-dev), then npm run setup',
      undefined,
      error,
    )
  }
}

function refuse({threads, promiscuous, mirrorPort}: LiveSource): void {
  const fail = (words: string): never => {
    throw new DartaError('DARTA_USAGE', `${words}; --backend libpcap`)
  }
  if (threads > 1) fail('there is one thread')
  if (mirrorPort) fail('--mirror-port takes a program in the kernel')
  if (!promiscuous) fail('devices are always promiscuous')
}

interface Device {
  readonly name: string
  readonly cap: CapDevice
  packets: number
  drops: number
  downs: number
  open: boolean
}

function capture(cap: CapPackage, source: LiveSource, meter: Meter): LiveCapture {
  const frames = createPcapngWriter(CHUNK_OCTETS)
  let queue: MeterOutput[] = []
  let queued = 0
  let wake: (() => void) | undefined
  let stopping = false

  function give(outputs: readonly MeterOutput[]): void {
    for (const output of outputs) {
      queue.push(output)
      queued += output.octets.byteLength
    }
    if (meter.full()) stopping = true
    if (queue.length > 0 || stopping) wake?.()
  }
  const push = (): void => give(meter.push(frames.take()))

  const devices = source.interfaces.map((name): Device => {
    const device: Device = {name, cap: newDevice(cap), packets: 0, drops: 0, downs: 0, open: true}
    const buffer = Buffer.alloc(LARGEST_FRAME)
    const linkType = openDevice(cap, device.cap, source, name, buffer)
    const number = frames.describe(linkType)
    device.cap.on('packet', (octets) => {
      // One call of libpcap may bring more packets after the end.
      if (stopping) return
      // libpcap takes no BPF instructions, and its language cannot look through all that the hash does.
      if (source.share?.owns(buffer.subarray(0, octets), linkType) === false) return
      device.packets++
      if (queued > QUEUE_OCTETS) {
        device.drops++
        return
      }
      const time = Math.round((performance.timeOrigin + performance.now()) * 1000)
      frames.frame(number, buffer, Math.min(octets, source.snapOctets), octets, time)
      if (frames.size >= CHUNK_OCTETS) push()
    })
    return device
  })

  function close(device: Device): void {
    if (device.open) device.cap.close()
    device.open = false
  }

  return {
    async *outputs(notice) {
      let gone: {readonly name: string; readonly what: 'gone' | 'ended'}[] = []
      const watch = setInterval(() => {
        for (const device of devices) {
          const state = device.open ? stateOf(device.name) : 'up'
          if (state === 'up') continue
          // cap looks no more at a device that was down once.
          if (state === 'down') device.downs++
          close(device)
          gone.push({name: device.name, what: state === 'down' ? 'ended' : 'gone'})
          wake?.()
        }
      }, WATCH_MS)
      const gather = setInterval(push, GATHER_MS)
      try {
        for (;;) {
          const outputs = queue
          queue = []
          queued = 0
          if (outputs.length > 0) yield outputs
          const left = devices.some(({open}) => open)
          if (stopping || !left) {
            push()
            yield [...queue.splice(0), ...meter.finish()]
            if (!left) {
              const names = gone.map(({name}) => name).join(', ')
              throw goneFault(names, gone.every(({what}) => what === 'ended') ? 'ended' : 'gone')
            }
            return
          }
          for (const {name, what} of gone) notice(name, what)
          gone = []
          if (queue.length > 0 || stopping) continue
          await new Promise<void>((resolve) => (wake = resolve))
          wake = undefined
        }
      } finally {
        clearInterval(watch)
        clearInterval(gather)
        devices.forEach(close)
      }
    },
    stop() {
      stopping = true
      wake?.()
    },
    flush() {
      push()
      give(meter.flush())
    },
    counters: () => meter.counters(),
    kernel: () =>
      devices.map(({name, packets, drops, downs}): KernelCounters => ({
        interface: name,
        packets,
        // What the kernel dropped is not known; what was dropped here is.
        drops: drops > 0 ? drops : undefined,
        taken: packets - drops,
        freezes: 0,
        downs,
      })),
    close() {
      devices.forEach(close)
      meter.close()
    },
  }
}

/** Opens a device and gives its LINKTYPE_ number. */
function openDevice(
  cap: CapPackage,
  device: CapDevice,
  source: LiveSource,
  name: string,
  buffer: Buffer,
): number {
  const filter = source.filter ?? ''
  const octets = Math.min(source.ringOctets ?? BUFFER_OCTETS, 2 ** 31 - 1)
  let found: string
  try {
    found = device.open(name, filter, octets, buffer)
  } catch (error) {
    const why = error instanceof Error ? error.message.trim() : String(error)
    if (/permission|not permitted/i.test(why)) throw openFault('libpcap', 1, name)
    if (/no such device|does ?n[o']t exist/i.test(why)) throw openFault('libpcap', 19, name)
    if (filter !== '' && opens(cap, name, buffer)) {
      throw new DartaError('DARTA_USAGE', `-f '${filter}': ${why}`, undefined, error)
    }
    throw new DartaError('DARTA_INTERFACE', `cannot capture on ${name}: ${why}`, undefined, error)
  }
  if (Object.hasOwn(linkTypes, found)) return linkTypes[found]
  const number = /^Unknown linktype (\d+)$/.exec(found)?.[1]
  if (number !== undefined) return Number(number)
  throw new DartaError('DARTA_INTERFACE', `cannot capture on ${name}: ${found}`)
}

/** Whether the device opens without a filter: then it is the filter that is wrong. */
function opens(cap: CapPackage, name: string, buffer: Buffer): boolean {
  const device = newDevice(cap)
  try {
    device.open(name, '', 1 << 20, buffer)
    device.close()
    return true
  } catch {
    return false
  }
}

/**
 * Devices are never let go of: when one is collected as garbage, cap may end the process. It tells Node of an end in the middle of the
 * collection, and stops a poll handle that it has not made if the device could not be opened.
 */
const everMade: CapDevice[] = []

function newDevice({Cap}: CapPackage): CapDevice {
  const device = new Cap()
  everMade.push(device)
  return device
}
