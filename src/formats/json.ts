import type {Format} from '../record/format.js'
import {createArrayDecoder} from './text/array-decoder.js'
import {firstOctet} from './text/json-scan.js'
import {createObjectDecoder} from './text/object-decoder.js'
import {createObjectEncoder} from './text/object-encoder.js'

const json: Format = {
  summary: 'one JSON array of the objects that ndjson has; json:all, json:bare likewise',
  binary: false,
  detects: (head) => firstOctet(head) === 91,
  decoder(context) {
    const account = context.ledger.stage('json', 'records')
    const foreign = context.ledger.stage('json members', 'fields')
    return createArrayDecoder(createObjectDecoder(context, account, foreign), account)
  },
  encoder: (context) => createObjectEncoder(context, 'json'),
}

export default json
