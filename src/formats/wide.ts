import type {Format} from '../record/format.js'
import {tableEncoder} from './human/table-encoder.js'

const format: Format = {
  summary:
    'table with end time, interfaces, AS numbers, MAC addresses, exporter and domain as well',
  binary: false,
  encoder: (context) => {
    const words = [
      ...[
        'ts',
        'te',
        'td',
        'pr',
        'sap',
        'dap',
        'flg',
        'tos',
        'svln',
        'pkt',
        'byt',
        'fl',
        'pps',
        'bps',
        'bpp',
        'er',
      ],
      ...['in', 'out', 'sas', 'das', 'smk', 'dmk', 'nh', 'ismc', 'odmc', 'un', 'exp', 'odid'],
    ]
    return tableEncoder(context, 'wide', words, [...words, 'opkt', 'obyt'])
  },
}

export default format
