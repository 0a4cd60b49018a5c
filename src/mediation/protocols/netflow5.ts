import {ie} from '../../registry/lookup.js'
import {firstFields, fixedProtocol} from '../fixed-protocol.js'

/**
 * NetFlow 5.
 *
 *     header behind the nanoseconds:  16 flow sequence | 20 engine type | 21 engine id | 22 sampling mode (2 bits) and interval (14)
 */
export default fixedProtocol({
  name: 'netflow5',
  summary: 'NetFlow version 5',
  version: 5,
  headerOctets: 24,
  sequenced: true,
  relays: true,
  fields: [
    ...firstFields,
    {element: ie.paddingOctets, length: 1},
    {element: ie.tcpControlBits, length: 1},
    {element: ie.protocolIdentifier, length: 1},
    {element: ie.ipClassOfService, length: 1},
    {element: ie.bgpSourceAsNumber, length: 2},
    {element: ie.bgpDestinationAsNumber, length: 2},
    {element: ie.sourceIPv4PrefixLength, length: 1},
    {element: ie.destinationIPv4PrefixLength, length: 1},
    {element: ie.paddingOctets, length: 2},
  ],
  columns: [
    {element: ie.engineType, length: 1},
    {element: ie.engineId, length: 1},
    {element: ie.samplingAlgorithm, length: 1},
    {element: ie.samplingInterval, length: 2},
  ],
  domainOf: (view) => view.getUint16(20),
  writeColumns(view, to, at) {
    to.setUint16(at, view.getUint16(20))
    const sampling = view.getUint16(22)
    to.setUint8(at + 2, sampling >> 14)
    to.setUint16(at + 3, sampling & 0x3fff)
  },
})
