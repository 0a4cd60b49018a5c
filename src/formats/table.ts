import type {Format} from '../record/format.js'
import {tableEncoder} from './human/table-encoder.js'

const format: Format = {
  summary: 'aligned columns for people',
  binary: false,
  encoder: (context) =>
    tableEncoder(
      context,
      'table',
      ['ts', 'td', 'pr', 'sap', 'dap', 'flg', 'pkt', 'byt'],
      ['ts', 'td', 'pr', 'sap', 'dap', 'flg', 'pkt', 'byt', 'opkt', 'obyt'],
    ),
}

export default format
