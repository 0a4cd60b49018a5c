import type {DecodeContext, Decoder, Format} from '../record/format.js'
import type {RecordBatch} from '../record/batch.js'
import {createXdrDecoder, isXdrDocument} from './ipdr/xdr-document.js'
import {createXmlDecoder, latin1} from './ipdr/xml-document.js'

/** IPDR documents in either encoding. */
export default {
  summary: 'IPDR documents in XML and XDR',
  binary: false,
  detects: (head) =>
    isXdrDocument(head) ||
    /^(?:\xef\xbb\xbf)?\s*<(?:[^]*<)?(?:\w+:)?IPDRDoc\b/.test(latin1(head.subarray(0, 2048))),
  decoder: createDocumentDecoder,
} satisfies Format

/** The first octet tells: that of a number of four octets, or a letter. */
function createDocumentDecoder(context: DecodeContext): Decoder {
  let decoder: Decoder | undefined
  return {
    push(octets): RecordBatch[] {
      if (octets.length === 0) return []
      decoder ??= octets[0] === 0 ? createXdrDecoder(context) : createXmlDecoder(context)
      return decoder.push(octets)
    },
    end: () => (decoder ?? createXmlDecoder(context)).end(),
  }
}
