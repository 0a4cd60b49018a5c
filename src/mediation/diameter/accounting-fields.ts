import type {RecordValue} from '../../record/value.js'
import {ie} from '../../registry/lookup.js'
import {present, sessionFields} from '../accounting-record.js'
import {attributeFields, joined} from '../radius/accounting.js'
import type {RequestIdentity} from '../recent-requests.js'
import {avpBigNumber, findAvp} from './avp.js'
import {readAccountingRequest, type ReceivedRecord} from './accounting.js'
import {avp, type AvpDefinition} from './dictionary.js'
import type {DiameterMessage} from './message.js'

/** What the record has by its own name, and what is only about the way of the message. */
const structural = new Set(
  [
    ...[avp.sessionId, avp.originHost, avp.originRealm, avp.destinationHost, avp.destinationRealm],
    ...[avp.accountingRecordType, avp.accountingRecordNumber, avp.accountingSubSessionId],
    ...[avp.authApplicationId, avp.acctApplicationId, avp.vendorSpecificApplicationId],
    ...[avp.originStateId, avp.routeRecord, avp.proxyInfo, avp.eventTimestamp],
    ...[avp.acctSessionTime, avp.accountingInputOctets, avp.accountingInputPackets],
    ...[avp.accountingOutputOctets, avp.accountingOutputPackets],
  ].map(({code}) => code),
)

/**
 * The fields of the record that an Accounting-Request makes. AVPs without an element, repeated ones and those whose value is
 * not as it should be are kept as octets.
 *
 * @param receivedMs milliseconds since 1970: the time of requests without Event-Timestamp
 * @throws DiameterFault missingAvp, invalidAvpValue, invalidAvpLength
 */
export function accountingFields(request: DiameterMessage, receivedMs: number): RecordValue {
  const record = readAccountingRequest(request)
  const {avps, octets} = request
  const values: RecordValue[] = []
  const taken = new Set<number>()
  const rest: Uint8Array[] = []
  for (const one of avps) {
    const {code, vendor} = one
    const isFirst = !taken.has(code)
    if (vendor === 0 && structural.has(code) && (isFirst || code === avp.routeRecord.code)) {
      taken.add(code)
      continue
    }
    const fields =
      vendor === 0 && code < 256 && isFirst ? attributeFields(code, one.octets) : undefined
    if (fields === undefined) {
      const header = vendor === 0 ? 8 : 12
      rest.push(octets.subarray(one.offset, one.offset + ((header + one.octets.length + 3) & ~3)))
      continue
    }
    taken.add(code)
    values.push(fields)
  }
  return [
    [ie.dartaAccountingRecordType, record.type],
    [ie.dartaSourceSessionId, record.sessionId],
    [ie.dartaAccountingRecordNumber, record.number],
    ...present([[ie.dartaAccountingSubSessionId, avpBigNumber(avps, avp.accountingSubSessionId)]]),
    [ie.dartaAccountingHost, record.originHost],
    [ie.dartaAccountingRealm, record.originRealm],
    ...values.flat(),
    ...sessionFields({
      inputOctets: told(request, avp.accountingInputOctets, record.inputOctets),
      inputPackets: told(request, avp.accountingInputPackets, record.inputPackets),
      outputOctets: told(request, avp.accountingOutputOctets, record.outputOctets),
      outputPackets: told(request, avp.accountingOutputPackets, record.outputPackets),
      seconds: record.seconds,
      timeMs: record.timeMs ?? receivedMs,
    }),
    ...present([[ie.dartaDiameterAvps, rest.length === 0 ? undefined : joined(rest)]]),
  ]
}

/** A counter that is not there is not zero. */
function told({avps}: DiameterMessage, which: AvpDefinition, value: bigint): bigint | undefined {
  return findAvp(avps, which) === undefined ? undefined : value
}

/**
 * Session-Ids are never given twice, and records of a session are numbered; so a repetition is known with T or without, and
 * whoever relays it. RFC 6733 sections 8.8 and 9.4.
 */
export function identityOf(request: DiameterMessage, record: ReceivedRecord): RequestIdentity {
  const part = avpBigNumber(request.avps, avp.accountingSubSessionId) ?? ''
  return {key: `${record.sessionId} ${part} ${record.type} ${record.number}`}
}
