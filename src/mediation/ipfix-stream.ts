import {createMessageStream} from '../ipfix/message-stream.js'
import type {CollectingProcess} from '../ipfix/session.js'
import type {RecordBatch} from '../record/batch.js'
import {messageHeader, plainSource, type DomainLosses, type Exporter} from './protocol.js'
import type {Relay, RelaySession} from './relay.js'

/** One Transport Session over a stream: TCP, TLS, a Unix socket, a file. RFC 7011 section 10.4. */
export interface IpfixStream {
  /**
   * Takes the next octets, cut anywhere; they are the stream's from now on.
   *
   * @param relay passes on Messages that need no look, and takes what `out` holds and would get
   */
  push(octets: Uint8Array, receivedMs: number | undefined, out: RecordBatch[], relay?: Relay): void
  end(out: RecordBatch[]): void
  /** Messages in a row that were damaged. */
  readonly damagedInRow: number
  losses(): Iterable<DomainLosses>
}

/** @param process one that is reliable */
export function createIpfixStream(process: CollectingProcess, exporter: Exporter): IpfixStream {
  const session = process.session(exporter.name, exporter.address)
  /** For the relay; nobody forgets a connection. */
  const lanes: RelaySession = {used: false}
  let to: RecordBatch[] = []
  let ms = 0
  /** Of the octets at hand. */
  let through: Relay | undefined
  /** The last one, which may have lanes. */
  let known: Relay | undefined
  let damagedInRow = 0
  const stream = createMessageStream({
    skip(octets, _view, at) {
      if (through === undefined) return at
      const {next, count} = through.messages(octets, at, lanes, ms)
      if (count > 0) damagedInRow = 0
      return next
    },
    message(octets, view, start, length, offset) {
      damagedInRow = 0
      const message = through && octets.subarray(start, start + length)
      if (message !== undefined) through?.settle(lanes, message)
      session.message(octets, view, start, length, offset, to)
      if (message === undefined) return
      through?.write(to)
      to.length = 0
      through?.learn(lanes, exporter, message, plainSource(session, messageHeader, message))
    },
    damage(damage) {
      damagedInRow++
      known?.forget(lanes)
      session.damage(damage)
    },
  })
  return {
    push(octets, receivedMs, out, relay) {
      to = out
      through = receivedMs === undefined ? undefined : relay
      known = relay ?? known
      ms = receivedMs ?? 0
      if (through !== undefined) {
        through.write(out)
        out.length = 0
      }
      session.receive(receivedMs)
      stream.push(octets)
    },
    end(out) {
      to = out
      through = undefined
      known?.forget(lanes)
      stream.end()
      session.end()
    },
    get damagedInRow() {
      return damagedInRow
    },
    *losses() {
      for (const [observationDomainId, sums] of session.losses()) {
        yield {observationDomainId, counts: 'records', sums}
      }
    },
  }
}
