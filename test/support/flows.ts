import type {MessageContext, RecordBatch} from '../../src/record/batch.js'
import {ie} from '../../src/registry/elements.js'
import {address, batchOf, templateOf} from './records.js'

/** A Flow in words. */
export interface FlowRow {
  readonly from: string
  readonly to: string
  readonly ports?: readonly [number, number]
  readonly proto?: number
  readonly octets?: number
  readonly packets?: number
  /** Milliseconds since 1970. */
  readonly start?: number
  readonly end?: number
  readonly as?: readonly [number, number]
}

/** When a Flow was that does not say: 2023-11-14T22:13:20Z for a second. */
export const START = 1_700_000_000_000

/** Flow Records of these Flows: one batch for IPv4 and one for IPv6. */
export function flowBatches(
  rows: readonly FlowRow[],
  message: Partial<MessageContext> = {},
): RecordBatch[] {
  const families = [
    [ie.sourceIPv4Address, ie.destinationIPv4Address],
    [ie.sourceIPv6Address, ie.destinationIPv6Address],
  ]
  return families.flatMap((addresses, family) => {
    const members = rows.filter(({from}) => from.includes(':') === (family === 1))
    if (members.length === 0) return []
    const template = templateOf(
      [
        ...addresses,
        ie.sourceTransportPort,
        ie.destinationTransportPort,
        ie.protocolIdentifier,
        ie.octetDeltaCount,
        ie.packetDeltaCount,
        ie.flowStartMilliseconds,
        ie.flowEndMilliseconds,
        ie.bgpSourceAsNumber,
        ie.bgpDestinationAsNumber,
      ],
      256 + family,
    )
    const records = members.map((r) => [
      address(r.from),
      address(r.to),
      ...(r.ports ?? [40000, 443]),
      r.proto ?? 6,
      r.octets ?? 100,
      r.packets ?? 1,
      r.start ?? START,
      r.end ?? (r.start ?? START) + 1000,
      ...(r.as ?? [64496, 64497]),
    ])
    return [batchOf(template, records, message)]
  })
}
