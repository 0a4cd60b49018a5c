import {DATAGRAM_NUMBERS, type DatagramBlock} from '../../io/udp-receiver.js'
import type {Collector, NamedProtocol, Source} from '../../mediation/collector.js'
import type {Relay} from '../../mediation/relay.js'
import type {RecordBatch} from '../../record/batch.js'
import {addressText} from '../../record/value.js'
import {endpointText} from './read-files.js'

/** Hands datagrams of many senders to a collector, or passes them on. */
export interface DatagramIntake {
  /**
   * Takes a block. Records come to `out`; with `relays` to the relay, which passes on what needs no look, behind those that
   * `out` has already.
   */
  take(block: DatagramBlock, out: RecordBatch[], relays: boolean): void
  /** Counts datagrams of so many octets that the relay has passed on by itself. */
  passed(datagrams: number, octets: number): void
  /** Octets of datagrams so far: the place of a fault is told by them. */
  readonly octets: number
  readonly datagrams: number
}

export interface IntakeOptions {
  readonly collector: Collector
  readonly relay: Relay | undefined
  readonly ignorePorts: boolean
  readonly decodeAs: ReadonlyMap<number, NamedProtocol>
  /** Of the sockets, by their number. */
  readonly ports: readonly number[]
}

/** Senders up to which nobody looks for those that are gone. */
const LEAST_SWEPT = 1024
const MOST_SOURCES = 65536
/** They are looked for again when there are more by this part of those that were left. */
const SWEPT_PART = 4

/** A sender of datagrams as one socket sees it. */
interface Known {
  readonly hash: number
  readonly socket: number
  readonly port: number
  readonly address: Uint8Array
  readonly source: Source
  readonly forced: NamedProtocol | undefined
}

export function createDatagramIntake(options: IntakeOptions): DatagramIntake {
  const {collector, relay, ignorePorts, decodeAs, ports} = options
  /** Sources by the hash of sender and socket, each with its address, so that no text is made of it every time. */
  const sources = new Map<number, Known[]>()
  /** When those that are gone are looked for. */
  let most = LEAST_SWEPT
  let seen = 0
  let taken = 0
  let last: Known | undefined

  function knownSource(datagrams: Uint32Array, addresses: Uint8Array, at: number): Known {
    const socket = datagrams[at + 2]
    const hash = datagrams[at + 3]
    if (last?.hash === hash && !last.source.gone && isKnown(last, datagrams, addresses, at)) {
      return last
    }
    const list = sources.get(hash)
    const found = list?.find((one) => !one.source.gone && isKnown(one, datagrams, addresses, at))
    if (found !== undefined) {
      last = found
      return found
    }
    const port = datagrams[at + 4]
    const begin = 4 * (at + 7)
    const address = addresses.slice(begin, begin + datagrams[at + 5])
    const name = endpointText(address, port)
    const key = ignorePorts ? addressText(address) : [name, ports[socket]].join('>')
    const source = collector.source(key, () => ({name, address, port}))
    const forced = decodeAs.get(ports[socket]) ?? decodeAs.get(port)
    const made = {hash, socket, port, address, source, forced}
    const others = list?.filter((one) => !one.source.gone).slice(-7) ?? []
    // An array that is spread has room for sixteen more.
    sources.set(hash, others.length === 0 ? [made] : [...others, made])
    if (sources.size > most) sweep()
    last = made
    return made
  }

  function sweep(): void {
    for (const [hash, list] of sources) {
      // Those that nothing is kept of were never taken in.
      if (list.every(({source}) => source.session === undefined)) sources.delete(hash)
    }
    if (sources.size > MOST_SOURCES) sources.clear()
    most = Math.max(LEAST_SWEPT, sources.size + sources.size / SWEPT_PART)
  }

  function passed(datagrams: number, octets: number): void {
    collector.passed(datagrams)
    seen += octets
    taken += datagrams
  }

  return {
    take({octets, datagrams, baseMs}, out, relays) {
      const addresses = new Uint8Array(datagrams.buffer, datagrams.byteOffset, datagrams.byteLength)
      const through = relays ? relay : undefined
      if (through !== undefined) {
        through.write(out)
        out.length = 0
      }
      for (let at = 0; at < datagrams.length; at += DATAGRAM_NUMBERS) {
        if (through !== undefined) {
          const {
            next,
            count,
            octets: sum,
          } = through.datagrams(octets, datagrams, at / DATAGRAM_NUMBERS, baseMs)
          passed(count, sum)
          at = DATAGRAM_NUMBERS * next
          if (at >= datagrams.length) break
        }
        const one = knownSource(datagrams, addresses, at)
        const {source} = one
        const from = octets.byteOffset + datagrams[at]
        const datagram = new Uint8Array(octets.buffer, from, datagrams[at + 1])
        through?.settle(source, datagram)
        source.datagram(datagram, baseMs + datagrams[at + 6], seen, out, one.forced)
        seen += datagrams[at + 1]
        taken++
        if (through === undefined) continue
        through.write(out)
        out.length = 0
        through.learn(source, source.exporter, datagram, source.session?.plain?.(datagram), one)
      }
    },
    passed,
    get octets() {
      return seen
    },
    get datagrams() {
      return taken
    },
  }
}

function isKnown(
  {socket, port, address}: Known,
  datagrams: Uint32Array,
  addresses: Uint8Array,
  at: number,
): boolean {
  if (datagrams[at + 2] !== socket || datagrams[at + 4] !== port) return false
  if (datagrams[at + 5] !== address.length) return false
  const begin = 4 * (at + 7)
  for (let i = 0; i < address.length; i++) if (addresses[begin + i] !== address[i]) return false
  return true
}
