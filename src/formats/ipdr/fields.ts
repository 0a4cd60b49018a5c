import {readMapping, type Mapping} from '../map/mapping.js'

/** Elements of service definitions that mean what an element of IANA means; all others get described ones. */
const fields = {
  // Of ipdr.org: VoIP, streaming media, access.
  subscriberID: 'userName',
  subscriberId: 'userName',
  ipAddress: 'sourceIPv4Address',
  startTime: 'flowStartMilliseconds',
  endTime: 'flowEndMilliseconds',
  inboundByteCount: 'octetTotalCount',
  inboundPacketCount: 'packetTotalCount',
  outboundByteCount: 'reverseOctetTotalCount',
  outboundPacketCount: 'reversePacketTotalCount',
  sourceAddress: 'sourceIPv4Address',
  destAddress: 'destinationIPv4Address',
  // Of cable networks: the modem is the source, and octets are those of MAC frames (DOCSIS 2.0 and 3.0, SAMIS).
  CMTSipAddress: 'exporterIPv4Address',
  CMmacAddress: 'sourceMacAddress',
  CMipAddress: 'sourceIPv4Address',
  serviceOctetsPassed: 'layer2OctetTotalCount',
  servicePktsPassed: 'packetTotalCount',
  SLAdropPkts: 'droppedPacketTotalCount',
  CmtsIpv4Addr: 'exporterIPv4Address',
  CmtsIpv6Addr: 'exporterIPv6Address',
  CmtsMdIfName: 'interfaceName',
  CmMacAddr: 'sourceMacAddress',
  CmIpv4Addr: 'sourceIPv4Address',
  CmIpv6Addr: 'sourceIPv6Address',
  RecCreationTime: 'observationTimeMilliseconds',
  ServiceOctetsPassed: 'layer2OctetTotalCount',
  ServicePktsPassed: 'packetTotalCount',
  ServiceSlaDropPkts: 'droppedPacketTotalCount',
}

/** What becomes of the fields of IPDR documents and streams. */
export function ipdrMapping(): Mapping {
  return readMapping(JSON.stringify({format: 'jsonl', fields}), 'ipdr', 'IPDR records')
}

/** The name of a field without its namespace: `http://www.ipdr.org/namespace:movieId` is movieId. */
export function localName(name: string): string {
  return name.slice(name.lastIndexOf(':') + 1)
}
