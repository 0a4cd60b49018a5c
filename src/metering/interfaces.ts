import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {networkInterfaces} from 'node:os'

/** What the system says of an interface that could be captured; undefined where it does not say. */
export interface InterfaceFacts {
  readonly name: string
  /** Whether it is up; a cable or peer may be missing all the same. */
  readonly up: boolean | undefined
  /** `ethernet`, `loopback`, `ip` (no link header), else the number of the hardware type (ARPHRD_). */
  readonly link: string | undefined
  /** Octets of a frame's payload. */
  readonly mtu: number | undefined
  /** Receive queues: what AF_XDP can divide between threads. */
  readonly queues: number | undefined
  readonly macAddress: string | undefined
  /** With prefix length. */
  readonly addresses: readonly string[]
}

const IFF_UP = 1
const links: Readonly<Record<number, string>> = {
  1: 'ethernet',
  772: 'loopback',
  519: 'ip',
  65534: 'ip',
  768: 'ip',
  769: 'ip',
  776: 'ip',
}

/** All interfaces, in the order of their numbers where the system has numbers. */
export function listInterfaces(): InterfaceFacts[] {
  const known = networkInterfaces()
  const addressesOf = (name: string): string[] =>
    (known[name] ?? []).map(({cidr, address}) => cidr ?? address)
  const names = linuxNames()
  if (names === undefined) {
    return Object.entries(known).map(([name, list = []]) => ({
      name,
      up: true,
      link: list.some(({internal}) => internal) ? 'loopback' : undefined,
      mtu: undefined,
      queues: undefined,
      macAddress: list.find(({mac}) => !/^[0:]+$/.test(mac))?.mac,
      addresses: addressesOf(name),
    }))
  }
  return names
    .map((name): InterfaceFacts & {index: number} => {
      const flags = numberIn(name, 'flags')
      const type = numberIn(name, 'type')
      const mac = readIn(name, 'address')
      return {
        name,
        index: numberIn(name, 'ifindex') ?? 0,
        up: flags === undefined ? undefined : (flags & IFF_UP) !== 0,
        link: type === undefined ? undefined : (links[type] ?? String(type)),
        mtu: numberIn(name, 'mtu'),
        queues: receiveQueues(name),
        macAddress: mac === undefined || /^[0:]*$/.test(mac) ? undefined : mac,
        addresses: addressesOf(name),
      }
    })
    .sort((a, b) => a.index - b.index)
    .map(({index: _, ...facts}) => facts)
}

/** How many receive queues an interface has; undefined if there is no such interface, or the system is another. */
export function receiveQueues(name: string): number | undefined {
  try {
    const found = readdirSync(`/sys/class/net/${name}/queues`)
    return Math.max(1, found.filter((queue) => queue.startsWith('rx-')).length)
  } catch {
    return undefined
  }
}

/** What has become of an interface; where the system does not tell it counts as up. */
export function stateOf(name: string): 'up' | 'down' | 'gone' {
  if (name === 'any' || !existsSync('/sys/class/net')) return 'up'
  const flags = numberIn(name, 'flags')
  if (flags === undefined) return 'gone'
  return (flags & IFF_UP) === 0 ? 'down' : 'up'
}

function linuxNames(): string[] | undefined {
  try {
    // Beside the interfaces there may be files of drivers, like bonding_masters.
    return readdirSync('/sys/class/net', {withFileTypes: true})
      .filter((entry) => !entry.isFile())
      .map(({name}) => name)
  } catch {
    return undefined
  }
}

function readIn(name: string, file: string): string | undefined {
  try {
    return readFileSync(`/sys/class/net/${name}/${file}`, 'utf8').trim()
  } catch {
    return undefined
  }
}

function numberIn(name: string, file: string): number | undefined {
  const value = Number(readIn(name, file) ?? NaN)
  return Number.isFinite(value) ? value : undefined
}
