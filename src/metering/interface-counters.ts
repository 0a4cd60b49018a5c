import {readFileSync} from 'node:fs'

/** What an interface itself has counted since its capture began. */
export interface InterfaceCounters {
  readonly interface: string
  /** Packets received. */
  readonly packets: number
  /** Packets for which the card had no room: no capture knows of them. */
  readonly missed: number
  /** Packets that were dropped between card and kernel for another reason. */
  readonly dropped: number
  /** Packets with errors. */
  readonly errors: number
}

type Counter = 'packets' | 'missed' | 'dropped' | 'errors'

/** Files of /sys/class/net/NAME/statistics; the sum of each list. */
const files: Readonly<Record<Counter, readonly string[]>> = {
  packets: ['rx_packets'],
  missed: ['rx_missed_errors', 'rx_fifo_errors'],
  dropped: ['rx_dropped'],
  errors: ['rx_errors'],
}

/**
 * Counts from now on. The result is asked for what was counted so far; interfaces that do not tell (`any`, other systems)
 * are left out, one that went away tells what it said last.
 */
export function watchInterfaces(names: readonly string[]): () => InterfaceCounters[] {
  const watched = names.flatMap((name) => {
    const begin = readCounters(name)
    return begin === undefined ? [] : [{name, begin, last: begin}]
  })
  return () =>
    watched.map((one) => {
      one.last = readCounters(one.name) ?? one.last
      // Some drivers begin anew when they are reset.
      const since = (counter: Counter): number =>
        Math.max(0, one.last[counter] - one.begin[counter])
      return {
        interface: one.name,
        packets: since('packets'),
        missed: since('missed'),
        dropped: since('dropped'),
        errors: since('errors'),
      }
    })
}

function readCounters(name: string): Record<Counter, number> | undefined {
  const read = (file: string): number =>
    Number(readFileSync(`/sys/class/net/${name}/statistics/${file}`, 'utf8'))
  const sum = (counter: Counter): number =>
    files[counter].reduce((total, file) => total + read(file), 0)
  try {
    return {
      packets: sum('packets'),
      missed: sum('missed'),
      dropped: sum('dropped'),
      errors: sum('errors'),
    }
  } catch {
    return undefined
  }
}
