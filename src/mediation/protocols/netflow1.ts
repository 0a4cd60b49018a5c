import {ie} from '../../registry/lookup.js'
import {firstFields, fixedProtocol} from '../fixed-protocol.js'

/** NetFlow 1, the oldest, without sequence numbers: what is missing cannot be known. */
export default fixedProtocol({
  name: 'netflow1',
  summary: 'NetFlow version 1',
  version: 1,
  headerOctets: 16,
  sequenced: false,
  fields: [
    ...firstFields,
    {element: ie.paddingOctets, length: 2},
    {element: ie.protocolIdentifier, length: 1},
    {element: ie.ipClassOfService, length: 1},
    {element: ie.tcpControlBits, length: 1},
    {element: ie.netflow1Reserved, length: 7},
  ],
  columns: [],
  domainOf: () => 0,
  writeColumns() {},
})
