import {createIpdrCollector, type ReceivedRecord} from '../../mediation/ipdr/collector.js'
import {MESSAGE} from '../../mediation/ipdr/message.js'
import {identityOf} from '../../mediation/ipdr/stored-record.js'
import type {Exporter} from '../../mediation/protocol.js'
import {createRecentRequests} from '../../mediation/recent-requests.js'
import type {RecordBatch} from '../../record/batch.js'
import {createFieldRecords} from '../../record/field-records.js'
import type {Ledger} from '../../record/ledger.js'
import {createIpdrRecords} from './ipdr-records.js'

/** Records that are remembered, so that one that was sent again is none. */
const MOST_KNOWN = 65536
/** A capture has whatever sessions it has. */
const EVERY_SESSION = Array.from({length: 256}, (_, session) => session)

/** One direction of a connection of IPDR/SP that others had. */
export interface IpdrStream {
  push(octets: Uint8Array, timeMs: number, out: RecordBatch[]): void
  end(out: RecordBatch[]): void
}

/** Reads connections of IPDR/SP in captures. */
export function createIpdrStreams(ledger: Ledger): {
  /** @param octets which the direction begins with */
  open(octets: Uint8Array, exporter: Exporter): IpdrStream
} {
  const account = ledger.stage('ipdr', 'records')
  const reader = createIpdrRecords(ledger, () => account)
  const recent = createRecentRequests<true>(MOST_KNOWN)

  return {
    open(octets, exporter) {
      const records = createFieldRecords()
      let seen = 0
      let now = 0

      function take(record: ReceivedRecord): void {
        account.in++
        const identity = identityOf(record, exporter.name)
        if (recent.find(identity) === true) return account.skip('duplicate')
        recent.add(identity, true)
        records.add(reader.fieldsOf(record, seen))
        account.out++
      }

      // Whoever says CONNECT is answered by the other one: what is read is always what was said.
      const role = octets[1] === MESSAGE.connect ? 'responder' : 'initiator'
      const collector = createIpdrCollector(
        role,
        {
          vendor: '',
          address: new Uint8Array(4),
          port: 0,
          keepAliveSeconds: 1,
          sessions: EVERY_SESSION,
          allFields: false,
        },
        {
          send() {},
          opened() {},
          started() {},
          record: take,
          refused(reason) {
            account.in++
            account.lose(reason, 1, seen)
          },
          missing: (count) => account.miss('sequence-gap', count, seen),
          note() {},
          closed() {},
        },
      )
      const give = (out: RecordBatch[]): void => {
        const message = {
          exportTime: Math.floor(now / 1000),
          sequenceNumber: 0,
          observationDomainId: 0,
          offset: seen,
          exporter: exporter.name,
          exporterAddress: exporter.address,
          receivedMs: now,
        }
        out.push(...records.take(message))
      }
      collector.start(0)
      return {
        push(chunk, timeMs, out) {
          now = timeMs
          collector.receive(chunk, timeMs)
          seen += chunk.length
          give(out)
        },
        end(out) {
          collector.stop()
          give(out)
        },
      }
    },
  }
}
