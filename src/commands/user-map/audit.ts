import {readFileSync} from 'node:fs'
import type {UserReading} from '../../metering/user-account.js'

/** What one interface counted: frames, and their octets. */
export interface DeviceCounters {
  readonly inPackets: number
  readonly inOctets: number
  readonly outPackets: number
  readonly outOctets: number
}

/** Accounts at one time, and what the interfaces had counted just before and just after. */
export interface AuditLook {
  readonly reading: UserReading
  readonly before: ReadonlyMap<string, DeviceCounters>
  readonly after: ReadonlyMap<string, DeviceCounters>
}

/** Looks until nothing came meanwhile, but not for ever. */
export function lookAt(
  read: () => UserReading,
  devices: () => Map<string, DeviceCounters> = systemDevices,
): AuditLook {
  const TRIES = 50
  for (let n = 1; ; n++) {
    const before = devices()
    const reading = read()
    const after = devices()
    const still = [...after].every(([name, now]) => {
      const then = before.get(name)
      return then?.inPackets === now.inPackets && then.outPackets === now.outPackets
    })
    if (still || n === TRIES) return {reading, before, after}
  }
}

/** One line of the balance: what the interface counted, what is in accounts, and what is in none. */
export interface Balance {
  readonly name: string
  readonly direction: 'in' | 'out'
  readonly devicePackets: number
  /** Octets of IP: without link layer headers. */
  readonly deviceOctets: number
  readonly packets: {readonly 4: number; readonly 6: number}
  readonly restPackets: number
  readonly restOctets: number
}

/** Counters of /proc/net/dev by name. */
export function readDevices(text: string): Map<string, DeviceCounters> {
  const devices = new Map<string, DeviceCounters>()
  for (const line of text.split('\n')) {
    const [, name = '', rest = ''] = /^\s*([^:\s]+):\s*(.*)$/.exec(line) ?? []
    const words = rest.trim().split(/\s+/).map(Number)
    if (name === '' || words.length < 10) continue
    devices.set(name, {
      inOctets: words[0],
      inPackets: words[1],
      outOctets: words[8],
      outPackets: words[9],
    })
  }
  return devices
}

export function systemDevices(): Map<string, DeviceCounters> {
  return readDevices(readFileSync('/proc/net/dev', 'utf8'))
}

/** Octets in front of IP in the frames that an interface counts: Ethernet's. Loopback counts what is behind them. */
export function linkOctets(name: string): number {
  const ETHERNET = 1
  try {
    return Number(readFileSync(`/sys/class/net/${name}/type`, 'utf8')) === ETHERNET ? 14 : 0
  } catch {
    return 0
  }
}

const none: DeviceCounters = {inPackets: 0, inOctets: 0, outPackets: 0, outOctets: 0}

/** 0 if that lies between both, else the nearer one: what is not explained by when it was looked. */
function nearest(least: number, most: number): number {
  if (least > 0) return least
  return most < 0 ? most : 0
}

/** Octets of IP, in and out, that all interfaces counted between two looks. */
export function deviceOctets(
  from: ReadonlyMap<string, DeviceCounters>,
  to: ReadonlyMap<string, DeviceCounters>,
  headerOctets: (name: string) => number,
): number {
  let sum = 0
  for (const [name, now] of to) {
    const then = from.get(name) ?? none
    const packets = now.inPackets - then.inPackets + now.outPackets - then.outPackets
    sum += now.inOctets - then.inOctets + now.outOctets - then.outOctets
    sum -= headerOctets(name) * packets
  }
  return sum
}

/** What came between two looks, interface by interface. */
export function balance(
  from: AuditLook,
  to: AuditLook,
  headerOctets: (name: string) => number,
): Balance[] {
  const lines: Balance[] = []
  for (const [name, now] of to.after) {
    const header = headerOctets(name)
    const ends = {
      first: from.before.get(name) ?? none,
      firstLater: from.after.get(name) ?? none,
      last: to.before.get(name) ?? none,
      lastLater: now,
    }
    for (const direction of ['in', 'out'] as const) {
      const count = (ipVersion: 4 | 6, unit: 'Packets' | 'Octets'): number => {
        const of = (reading: UserReading): number =>
          reading.interfaces?.find((i) => i.name === name && i.ipVersion === ipVersion)?.[
            `${direction}${unit}`
          ] ?? 0
        return of(to.reading) - of(from.reading)
      }
      const packetsOf = (counters: DeviceCounters): number => counters[`${direction}Packets`]
      const octetsOf = (counters: DeviceCounters): number =>
        counters[`${direction}Octets`] - header * packetsOf(counters)
      const packets = {4: count(4, 'Packets'), 6: count(6, 'Packets')}
      const rest = (of: (counters: DeviceCounters) => number, accounted: number): number =>
        nearest(
          of(ends.last) - of(ends.firstLater) - accounted,
          of(ends.lastLater) - of(ends.first) - accounted,
        )
      lines.push({
        name,
        direction,
        devicePackets: packetsOf(ends.last) - packetsOf(ends.first),
        deviceOctets: octetsOf(ends.last) - octetsOf(ends.first),
        packets,
        restPackets: rest(packetsOf, packets[4] + packets[6]),
        restOctets: rest(octetsOf, count(4, 'Octets') + count(6, 'Octets')),
      })
    }
  }
  return lines
}
