import type {Format} from '../record/format.js'
import {tableEncoder} from './human/table-encoder.js'

const format: Format = {
  summary: 'table with type of service, VLAN, rates and how each Flow ended',
  binary: false,
  encoder: (context) => {
    const words = [
      'ts',
      'td',
      'pr',
      'sap',
      'dap',
      'flg',
      'tos',
      'svln',
      'pkt',
      'byt',
      'pps',
      'bps',
      'bpp',
      'fl',
      'er',
    ]
    return tableEncoder(context, 'long', words, [...words, 'opkt', 'obyt'])
  },
}

export default format
