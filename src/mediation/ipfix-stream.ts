import {createMessageStream} from '../ipfix/message-stream.js'
import type {CollectingProcess} from '../ipfix/session.js'
import type {RecordBatch} from '../record/batch.js'
import type {DomainLosses, Exporter} from './protocol.js'

/** One Transport Session over a stream: TCP, TLS, a Unix socket, a file. RFC 7011 section 10.4. */
export interface IpfixStream {
  /** Takes the next octets, cut anywhere; they are the stream's from now on. */
  push(octets: Uint8Array, receivedMs: number | undefined, out: RecordBatch[]): void
  end(out: RecordBatch[]): void
  /** Messages in a row that were damaged. */
  readonly damagedInRow: number
  losses(): Iterable<DomainLosses>
}

/** @param process one that is reliable */
export function createIpfixStream(process: CollectingProcess, exporter: Exporter): IpfixStream {
  const session = process.session(exporter.name, exporter.address)
  let to: RecordBatch[] = []
  let damagedInRow = 0
  const stream = createMessageStream({
    message(octets, view, start, length, offset) {
      damagedInRow = 0
      session.message(octets, view, start, length, offset, to)
    },
    damage(damage) {
      damagedInRow++
      session.damage(damage)
    },
  })
  return {
    push(octets, receivedMs, out) {
      to = out
      session.receive(receivedMs)
      stream.push(octets)
    },
    end(out) {
      to = out
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
