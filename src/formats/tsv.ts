import type {Format} from '../record/format.js'
import {createRowEncoder} from './text/row-encoder.js'

const tsv: Format = {
  summary: 'tab-separated values under a header line; tsv:a,b,… chooses columns',
  binary: false,
  encoder: (context) => createRowEncoder(context, 'tsv'),
}

export default tsv
