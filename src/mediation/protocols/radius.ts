import type {MessageContext} from '../../record/batch.js'
import {createFieldRecords} from '../../record/field-records.js'
import {accountingFields} from '../radius/accounting.js'
import {CODE, readPacket} from '../radius/packet.js'
import type {ExportProtocol} from '../protocol.js'

/** Requests of one sender by which one that is sent again is known. */
const MOST_RECENT = 4096

/**
 * RADIUS accounting as it goes by: each Accounting-Request becomes a record. Nobody is answered, and whether the sender knows
 * the secret is not looked at; who wants that listens on radius://.
 */
export default {
  summary: 'RADIUS accounting (RFC 2866)',
  port: 1813,
  detects: (octets) =>
    octets.length >= 20 && octets[0] === CODE.accountingRequest && isWhole(octets),
  isWhole,
  open({ledger}) {
    const account = ledger.stage('radius', 'records')
    const records = createFieldRecords()
    return {
      session(exporter) {
        const recent = new Set<string>()
        return {
          datagram(octets, receivedMs, offset, out) {
            account.in++
            const packet = readPacket(octets)
            if ('fault' in packet) {
              account.lose(packet.fault, 1, offset + packet.offset)
              return
            }
            const key = String.fromCharCode(packet.identifier, ...packet.authenticator)
            if (recent.has(key)) {
              account.skip('duplicate')
              return
            }
            const fields = accountingFields(packet, receivedMs)
            if ('fault' in fields) {
              account.lose(fields.fault, 1, offset + fields.offset)
              return
            }
            if (recent.size >= MOST_RECENT) recent.delete(recent.values().next().value as string)
            recent.add(key)
            records.add(fields)
            account.out++
            const message: MessageContext = {
              exportTime: Math.floor((receivedMs ?? 0) / 1000),
              sequenceNumber: 0,
              observationDomainId: 0,
              exporter: exporter.name,
              offset,
              exporterAddress: exporter.address,
              receivedMs,
            }
            out.push(...records.take(message))
          },
          *losses() {},
          *templates() {},
          restore: () => false,
          end() {},
        }
      },
    }
  },
} satisfies ExportProtocol

/** An Accounting-Request that fits its octets and says what it tells of: no accident. */
function isWhole(octets: Uint8Array): boolean {
  const packet = readPacket(octets)
  if ('fault' in packet || packet.octets.length !== octets.length) return false
  return packet.code === CODE.accountingRequest && !('fault' in accountingFields(packet, 0))
}
