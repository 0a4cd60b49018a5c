import {createCollectingProcess} from '../../ipfix/session.js'
import {createSystemInit, systemInitColumns} from '../system-init.js'
import {netflow9Elements} from '../netflow9-elements.js'
import {
  endOfSets,
  messageOfPacket,
  PACKET_HEADER_OCTETS,
  type PacketFaults,
} from '../netflow9-message.js'
import {messageSession, type ExportProtocol, type PlainHeader} from '../protocol.js'

const packetHeader: PlainHeader = {
  protocol: 9,
  columns: systemInitColumns,
  domainAt: 16,
  setsAt: PACKET_HEADER_OCTETS,
}

/**
 * NetFlow 9. An Export Packet becomes an IPFIX Message with the same Sets, so that Templates and data are managed by the
 * rules of IPFIX over UDP. Its sequence numbers count packets. RFC 3954.
 */
export default {
  summary: 'NetFlow version 9 (RFC 3954)',
  port: 2055,
  detects: (octets) => octets.length >= 2 && octets[0] === 0 && octets[1] === 9,
  isWhole(octets) {
    if (octets.length < PACKET_HEADER_OCTETS + 4) return false
    const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
    return endOfSets(octets, view) >= 0
  },
  open(context) {
    const process = createCollectingProcess({
      ...context,
      reliable: false,
      name: 'netflow9',
      counts: 'messages',
      elements: netflow9Elements,
    })
    const account = context.ledger.stages.find(({stage}) => stage === 'netflow9-messages')!
    return {
      session(exporter) {
        const init = createSystemInit()
        return messageSession(process, exporter, {
          counts: 'messages',
          header: packetHeader,
          read(session, octets, receivedMs, offset, out) {
            if (octets.length < PACKET_HEADER_OCTETS) {
              session.damage({code: 'DARTA_MESSAGE_TRUNCATED', offset, octets: octets.length})
              return
            }
            const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
            session.receive(receivedMs, init.columns(view.getUint32(8) * 1000 - view.getUint32(4)))
            const faults: PacketFaults = (reason, octet, n = 1) => {
              account.note(reason, n, offset + octet)
            }
            const message = messageOfPacket(octets, view, faults)
            if (message === undefined) {
              session.damage({
                code: 'DARTA_SET_LENGTH',
                offset,
                octets: octets.length,
                observationDomainId: view.getUint32(16),
              })
            } else {
              session.datagram(message, offset, out)
            }
          },
        })
      },
    }
  },
} satisfies ExportProtocol
