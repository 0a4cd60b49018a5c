import type {GroupSpec} from '../../record/group-spec.js'
import {ie} from '../../registry/elements.js'
import {flowKey} from '../../registry/flow-keys.js'
import type {Analysis} from './app.js'
import {observerParts} from './findings.js'
import {flowColumns} from './flow-sums.js'

/** What applications need that look at conversations: both directions of one come to the same Processing Unit. */
export const conversationNeeds: Omit<Analysis, 'createState'> = {
  needs: [
    [ie.sourceIPv4Address, ie.sourceIPv6Address],
    [ie.destinationIPv4Address, ie.destinationIPv6Address],
    [ie.protocolIdentifier],
  ],
  uses: flowColumns.flatMap(({elements}) => elements),
  routingKey: {
    key: [flowKey('srcip'), flowKey('dstip'), flowKey('proto')],
    symmetric: 1,
  },
  splittable: true,
}

/** Sums of one direction as one observation point saw it; the constants are the places of the key's parts. */
export const directionSpec: GroupSpec = {
  key: [
    flowKey('srcip'),
    flowKey('dstip'),
    flowKey('proto'),
    {...flowKey('srcport'), optional: true},
    {...flowKey('dstport'), optional: true},
    ...observerParts,
  ],
  columns: flowColumns,
}
export const SOURCE = 0
export const DESTINATION = 1
export const PROTOCOL = 2
export const SOURCE_PORT = 3
export const DESTINATION_PORT = 4
/** The first of the parts that `observerText` reads. */
export const OBSERVER = 5
