import {ie} from '../../registry/lookup.js'
import {fixedProtocol} from '../fixed-protocol.js'

/** NetFlow 1, the oldest, without sequence numbers: what is missing cannot be known. */
export default fixedProtocol({
  name: 'netflow1',
  summary: 'NetFlow version 1',
  version: 1,
  headerOctets: 16,
  sequenced: false,
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
