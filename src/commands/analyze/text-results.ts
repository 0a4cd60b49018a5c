import {createLineDecoder} from '../../formats/text/line-decoder.js'
import type {Decoder} from '../../record/format.js'
import type {Ledger} from '../../record/ledger.js'
import {VARIABLE} from '../../record/element.js'
import {createRecordBuilder} from '../../record/record-writer.js'
import {createTemplate} from '../../record/template.js'
import {ie} from '../../registry/elements.js'

const line = createTemplate(256, [{element: ie.dartaTextLine, length: VARIABLE}])
/** What the length octets of a field can say. RFC 7011 section 7. */
const MOST_OCTETS = 65_535
const RETURN = 13

/** Lines of text, each a record with a dartaTextLine; blank ones are none. Octets that are no UTF-8 become U+FFFD. */
export function createTextDecoder(ledger: Ledger): Decoder {
  const account = ledger.stage('text', 'lines')
  const builder = createRecordBuilder(line)
  const utf8 = new TextDecoder()
  return createLineDecoder(
    {
      object(text, start, end) {
        account.in++
        const last = text[end - 1] === RETURN ? end - 1 : end
        const words = utf8.decode(text.subarray(start, last))
        if (Buffer.byteLength(words) > MOST_OCTETS) {
          account.lose('longer-than-a-field', 1)
          return
        }
        builder.add([words])
        account.out++
      },
      take() {
        const batch = builder.take({
          exportTime: 0,
          sequenceNumber: 0,
          observationDomainId: 0,
          offset: 0,
        })
        return batch === undefined ? [] : [batch]
      },
    },
    account,
  )
}
