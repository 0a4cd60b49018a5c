import {createDecoder} from '../ipfix/decoder.js'
import {createEncoder, type EncoderOptions} from '../ipfix/encoder.js'
import {MAX_DIGESTED_OCTETS, withMessageDigests, type Md5} from '../ipfix/message-digest.js'
import {findBrokenSet, IPFIX_VERSION, MESSAGE_HEADER_OCTETS} from '../ipfix/message.js'
import type {Format} from '../record/format.js'

/** A Message Header, and Sets that fill the Message as far as `head` shows it. */
function detects(head: Uint8Array): boolean {
  if (head.length < 2) return false
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  if (view.getUint16(0) !== IPFIX_VERSION) return false
  if (head.length < MESSAGE_HEADER_OCTETS) return true
  const length = view.getUint16(2)
  if (length < MESSAGE_HEADER_OCTETS) return false
  return length > head.length || findBrokenSet(view, 0, length) < 0
}

export default {
  summary: 'IPFIX Messages back to back (RFC 7011, RFC 5655)',
  binary: true,
  detects,
  decoder: ({ledger, source, anyOrder, sift, passing}) =>
    createDecoder({ledger, source, anyOrder, sift, passing}),
  encoder({ledger, options}) {
    const md5 = options.messageDigest as Md5 | undefined
    const most = numberOption(options.maxMessageOctets)
    const encoder = createEncoder({
      ledger,
      maxMessageOctets: md5 === undefined ? most : MAX_DIGESTED_OCTETS,
      templateRefresh: numberOption(options.templateRefresh),
      newBlock: options.newBlock as EncoderOptions['newBlock'],
      leaveBlock: options.leaveBlock as EncoderOptions['leaveBlock'],
    })
    if (md5 === undefined) return encoder
    return withMessageDigests(encoder, md5, () => {
      ledger.stage('ipfix-write', 'records').note('without-digest')
    })
  },
} satisfies Format

function numberOption(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined
}
