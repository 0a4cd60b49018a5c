import {ie} from '../../registry/lookup.js'
import {fixedProtocol} from '../fixed-protocol.js'

/** NetFlow 7, of Catalyst switches: as version 5, with what of a record is not valid and the router that was bypassed. */
export default fixedProtocol({
  name: 'netflow7',
  summary: 'NetFlow version 7',
  version: 7,
  headerOctets: 24,
  sequenced: true,
  fields: [
    {element: ie.sourceIPv4Address, length: 4},
    {element: ie.destinationIPv4Address, length: 4},
    {element: ie.ipNextHopIPv4Address, length: 4},
    {element: ie.ingressInterface, length: 2},
    {element: ie.egressInterface, length: 2},
    {element: ie.packetDeltaCount, length: 4},
    {element: ie.octetDeltaCount, length: 4},
    {element: ie.flowStartSysUpTime, length: 4},
    {element: ie.flowEndSysUpTime, length: 4},
    {element: ie.sourceTransportPort, length: 2},
    {element: ie.destinationTransportPort, length: 2},
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
