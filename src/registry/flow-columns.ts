import type {GroupColumn} from '../record/group-spec.js'
import type {InformationElement} from '../record/element.js'
import {ie} from './elements.js'
import {reverseOf} from './lookup.js'

function withReverse(
  kind: GroupColumn['kind'],
  elements: readonly InformationElement[],
  own: ReadonlyMap<InformationElement, InformationElement> = new Map(),
): GroupColumn {
  return {kind, elements, reverse: elements.map((e) => own.get(e) ?? reverseOf(e))}
}

/**
 * Octets of records, from the best counter that they have. The totalCounters are those of exporters that
 * send one record per Flow; where a Flow's total is sent again and again, the sum counts it each time.
 */
export const octetsColumn = withReverse(
  'sum',
  [
    ie.octetDeltaCount,
    ie.octetTotalCount,
    ie.initiatorOctets,
    ie.layer2OctetDeltaCount,
    ie.layer2OctetTotalCount,
  ],
  new Map([[ie.initiatorOctets, ie.responderOctets]]),
)

export const packetsColumn = withReverse(
  'sum',
  [ie.packetDeltaCount, ie.packetTotalCount, ie.initiatorPackets],
  new Map([[ie.initiatorPackets, ie.responderPackets]]),
)

/** A record is one Flow in each direction that saw packets, unless it says that it stands for more. */
export const flowsColumn: GroupColumn = {
  ...withReverse('sum', [ie.deltaFlowCount]),
  absent: 1,
}

/** Earliest start in milliseconds since 1970. */
export const startColumn = withReverse('min', [
  ie.flowStartMilliseconds,
  ie.flowStartMicroseconds,
  ie.flowStartNanoseconds,
  ie.flowStartSeconds,
  ie.flowStartDeltaMicroseconds,
  ie.flowStartSysUpTime,
  ie.observationTimeMilliseconds,
  ie.observationTimeMicroseconds,
  ie.observationTimeNanoseconds,
  ie.observationTimeSeconds,
])

/** Latest end in milliseconds since 1970. */
export const endColumn = withReverse('max', [
  ie.flowEndMilliseconds,
  ie.flowEndMicroseconds,
  ie.flowEndNanoseconds,
  ie.flowEndSeconds,
  ie.flowEndDeltaMicroseconds,
  ie.flowEndSysUpTime,
  ie.observationTimeMilliseconds,
  ie.observationTimeMicroseconds,
  ie.observationTimeNanoseconds,
  ie.observationTimeSeconds,
])
