import {findBrokenSet, MESSAGE_HEADER_OCTETS} from '../../ipfix/message.js'
import {createCollectingProcess} from '../../ipfix/session.js'
import {
  messageHeader,
  messageSession,
  type ExportProtocol,
  type MessageProtocol,
} from '../protocol.js'

const messages: MessageProtocol = {
  counts: 'records',
  header: messageHeader,
  read(session, octets, receivedMs, offset, out) {
    session.receive(receivedMs)
    session.datagram(octets, offset, out)
  },
}

export default {
  summary: 'IPFIX (RFC 7011), PSAMP (RFC 5476)',
  port: 4739,
  detects: (octets) => octets.length >= 2 && octets[0] === 0 && octets[1] === 10,
  isWhole(octets) {
    if (octets.length < MESSAGE_HEADER_OCTETS) return false
    const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
    const length = view.getUint16(2)
    return length === octets.length && findBrokenSet(view, 0, length) < 0
  },
  open(context) {
    const process = createCollectingProcess({...context, reliable: false})
    return {session: (exporter) => messageSession(process, exporter, messages)}
  },
} satisfies ExportProtocol
