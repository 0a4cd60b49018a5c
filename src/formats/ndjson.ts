import type {Format} from '../record/format.js'
import {createLineDecoder} from './text/line-decoder.js'
import {createObjectDecoder} from './text/object-decoder.js'
import {createObjectEncoder} from './text/object-encoder.js'
import {firstOctet} from './text/json-scan.js'

const ndjson: Format = {
  summary: 'one JSON object a line; ndjson:all with all of the Message, ndjson:bare without',
  binary: false,
  detects: (head) => firstOctet(head) === 123,
  decoder(context) {
    const account = context.ledger.stage('ndjson', 'lines')
    const foreign = context.ledger.stage('ndjson members', 'fields')
    return createLineDecoder(createObjectDecoder(context, account, foreign), account)
  },
  encoder: (context) => createObjectEncoder(context, 'ndjson'),
}

export default ndjson
