import {ie} from '../../registry/lookup.js'
import {firstFields, fixedProtocol} from '../fixed-protocol.js'

/** NetFlow 7, of Catalyst switches: as version 5, with what of a record is not valid and the router that was bypassed. */
export default fixedProtocol({
  name: 'netflow7',
  summary: 'NetFlow version 7',
  version: 7,
  headerOctets: 24,
  sequenced: true,
  fields: [
    ...firstFields,
    {element: ie.netflow7ValidFlags, length: 1},
    {element: ie.tcpControlBits, length: 1},
    {element: ie.protocolIdentifier, length: 1},
    {element: ie.ipClassOfService, length: 1},
    {element: ie.bgpSourceAsNumber, length: 2},
    {element: ie.bgpDestinationAsNumber, length: 2},
    {element: ie.sourceIPv4PrefixLength, length: 1},
    {element: ie.destinationIPv4PrefixLength, length: 1},
    {element: ie.netflow7InvalidFields, length: 2},
    {element: ie.netflow7BypassedRouter, length: 4},
  ],
  columns: [],
  domainOf: () => 0,
  writeColumns() {},
})
