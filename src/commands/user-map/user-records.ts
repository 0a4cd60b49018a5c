import {
  attributionOf,
  totalKey,
  type UserFlow,
  type UserReading,
  type UserTotal,
} from '../../metering/user-account.js'
import type {ResultField, ResultRecord} from '../../processing/analysis/result-records.js'
import {ie} from '../../registry/elements.js'
import {reverseOf} from '../../registry/lookup.js'
import type {UserNames} from './user-names.js'

const INGRESS = 0
const EGRESS = 1

const reverseOctets = reverseOf(ie.octetTotalCount)!
const reversePackets = reverseOf(ie.packetTotalCount)!

/** One record for each total above 0: what came since `before` as delta counts, and the totals. */
export function* totalRecords(
  source: string,
  reading: UserReading,
  before: ReadonlyMap<string, UserTotal>,
  names: UserNames,
): Iterable<ResultRecord> {
  for (const total of reading.totals) {
    if (total.packets === 0) continue
    const then = before.get(totalKey(total))
    const user: ResultField[] = []
    if (total.uid !== undefined) {
      user.push([ie.userName, names.of(total.uid)], [ie.dartaUserId, total.uid])
    }
    if (total.nsUid !== undefined) user.push([ie.dartaNamespaceUserId, total.nsUid])
    yield {
      fields: [
        [ie.observationTimeMilliseconds, reading.timeMs],
        [ie.dartaUserSource, source],
        [ie.dartaAccountRow, total.row],
        ...user,
        [ie.ipVersion, total.ipVersion],
        [ie.dartaProtocolClass, total.protocol],
        [ie.flowDirection, total.direction === 'in' ? INGRESS : EGRESS],
        [ie.packetDeltaCount, total.packets - (then?.packets ?? 0)],
        [ie.octetDeltaCount, total.octets - (then?.octets ?? 0)],
        [ie.packetTotalCount, total.packets],
        [ie.octetTotalCount, total.octets],
      ],
    }
  }
}

/** One record for each flow, its own end as the source; the other direction in reverse elements (RFC 5103). */
export function* flowRecords(
  source: string,
  flows: readonly UserFlow[],
  names: UserNames,
): Iterable<ResultRecord> {
  for (const flow of flows) {
    const v4 = flow.ipVersion === 4
    yield {
      fields: [
        [ie.flowStartMilliseconds, flow.startMs],
        [ie.flowEndMilliseconds, flow.endMs],
        [v4 ? ie.sourceIPv4Address : ie.sourceIPv6Address, flow.local],
        [v4 ? ie.destinationIPv4Address : ie.destinationIPv6Address, flow.remote],
        [ie.sourceTransportPort, flow.localPort],
        [ie.destinationTransportPort, flow.remotePort],
        [ie.protocolIdentifier, flow.protocol],
        [ie.dartaUserSource, source],
        [ie.userName, names.of(flow.uid)],
        [ie.dartaUserId, flow.uid],
        [ie.dartaNamespaceUserId, flow.nsUid ?? flow.uid],
        [ie.dartaProcessId, flow.pid],
        [ie.dartaProcessName, flow.command],
        [ie.dartaProcessAttribution, attributionOf(flow)],
        [ie.dartaCgroupId, flow.cgroup],
        [ie.dartaSocketCookie, flow.cookie],
        [ie.packetTotalCount, flow.outPackets],
        [ie.octetTotalCount, flow.outOctets],
        [reversePackets, flow.inPackets],
        [reverseOctets, flow.inOctets],
      ],
    }
  }
}
