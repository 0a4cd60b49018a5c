import type {Format} from '../record/format.js'
import {createRowEncoder} from './text/row-encoder.js'

const csv: Format = {
  summary: 'comma-separated values under a header line (RFC 4180); csv:a,b,… chooses columns',
  binary: false,
  encoder: (context) => createRowEncoder(context, 'csv'),
}

export default csv
