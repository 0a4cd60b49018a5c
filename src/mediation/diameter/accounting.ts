import {
  avpBigNumber,
  avpNumber,
  avpText,
  avpTime,
  DiameterFault,
  timeSeconds,
  type AvpEntry,
} from './avp.js'
import {APPLICATION, avp, COMMAND, RESULT, type AvpDefinition} from './dictionary.js'
import {encodeMessage, type DiameterMessage} from './message.js'

/** Accounting-Record-Type. RFC 6733 section 9.8.1. */
export const RECORD_TYPE = {event: 1, start: 2, interim: 3, stop: 4} as const

export type AccountingRecordType = keyof typeof RECORD_TYPE

/** One accounting record of one session: what it had in all so far. */
export interface AccountingRecord {
  readonly type: AccountingRecordType
  readonly sessionId: string
  /** From 0 on, in each session. */
  readonly number: number
  readonly userName: string | undefined
  /** When it was counted, milliseconds since 1970. */
  readonly timeMs: number | undefined
  /** Since the session began. */
  readonly seconds: number | undefined
  /** What came from the user. RFC 7155 section 4.6. */
  readonly inputOctets: bigint
  readonly inputPackets: bigint
  /** What went to him. */
  readonly outputOctets: bigint
  readonly outputPackets: bigint
}

/** Who accounts, and to whom. */
export interface AccountingParties {
  readonly originHost: string
  readonly originRealm: string
  readonly destinationRealm: string
  readonly originStateId: number
}

/** Octets of an Accounting-Request, with hop-by-hop identifier 0. RFC 6733 section 9.7.1. */
export function accountingRequest(
  record: AccountingRecord,
  parties: AccountingParties,
  endToEnd: number,
): Uint8Array {
  const avps: AvpEntry[] = [
    [avp.sessionId, record.sessionId],
    [avp.originHost, parties.originHost],
    [avp.originRealm, parties.originRealm],
    [avp.destinationRealm, parties.destinationRealm],
    [avp.accountingRecordType, RECORD_TYPE[record.type]],
    [avp.accountingRecordNumber, record.number],
    [avp.acctApplicationId, APPLICATION.accounting],
  ]
  if (record.userName !== undefined) avps.push([avp.userName, record.userName])
  avps.push([avp.originStateId, parties.originStateId])
  if (record.timeMs !== undefined) avps.push([avp.eventTimestamp, timeSeconds(record.timeMs)])
  if (record.type !== 'start') {
    if (record.seconds !== undefined) avps.push([avp.acctSessionTime, record.seconds])
    avps.push(
      [avp.accountingInputOctets, record.inputOctets],
      [avp.accountingOutputOctets, record.outputOctets],
      [avp.accountingInputPackets, record.inputPackets],
      [avp.accountingOutputPackets, record.outputPackets],
    )
  }
  return encodeMessage(
    {
      request: true,
      proxiable: true,
      error: false,
      retransmitted: false,
      command: COMMAND.accounting,
      application: APPLICATION.accounting,
      hopByHop: 0,
      endToEnd,
    },
    avps,
  )
}

/** An accounting record as it was received, and by whom it was made. */
export interface ReceivedRecord extends AccountingRecord {
  readonly originHost: string
  readonly originRealm: string
}

/** The record of an Accounting-Request. @throws DiameterFault missingAvp, invalidAvpValue, invalidAvpLength */
export function readAccountingRequest({avps}: DiameterMessage): ReceivedRecord {
  const need = <T>(value: T | undefined, {name}: AvpDefinition): T => {
    if (value === undefined) throw new DiameterFault(RESULT.missingAvp, `no ${name}`, 0)
    return value
  }
  const kind = need(avpNumber(avps, avp.accountingRecordType), avp.accountingRecordType)
  const type = (Object.keys(RECORD_TYPE) as AccountingRecordType[]).find(
    (name) => RECORD_TYPE[name] === kind,
  )
  if (type === undefined) {
    throw new DiameterFault(RESULT.invalidAvpValue, `Accounting-Record-Type ${kind}`, 0)
  }
  return {
    type,
    sessionId: need(avpText(avps, avp.sessionId), avp.sessionId),
    originHost: need(avpText(avps, avp.originHost), avp.originHost),
    originRealm: need(avpText(avps, avp.originRealm), avp.originRealm),
    number: need(avpNumber(avps, avp.accountingRecordNumber), avp.accountingRecordNumber),
    userName: avpText(avps, avp.userName),
    timeMs: avpTime(avps, avp.eventTimestamp),
    seconds: avpNumber(avps, avp.acctSessionTime),
    inputOctets: avpBigNumber(avps, avp.accountingInputOctets) ?? 0n,
    outputOctets: avpBigNumber(avps, avp.accountingOutputOctets) ?? 0n,
    inputPackets: avpBigNumber(avps, avp.accountingInputPackets) ?? 0n,
    outputPackets: avpBigNumber(avps, avp.accountingOutputPackets) ?? 0n,
  }
}

/** What an Accounting-Answer has besides what every answer has. RFC 6733 section 9.7.2. */
export function accountingAnswer(record: ReceivedRecord): AvpEntry[] {
  return [
    [avp.accountingRecordType, RECORD_TYPE[record.type]],
    [avp.accountingRecordNumber, record.number],
    [avp.acctApplicationId, APPLICATION.accounting],
  ]
}

/** Whether a request with this answer should be sent again later. RFC 6733 sections 7.1.3 and 7.1.4. */
export function isTransient(resultCode: number | undefined): boolean {
  if (resultCode === undefined) return true
  return (
    resultCode === RESULT.unableToDeliver ||
    resultCode === RESULT.tooBusy ||
    (resultCode >= 4000 && resultCode < 5000)
  )
}

/** An end-to-end identifier that no other request of ours has for minutes, restarts included. RFC 6733 section 3. */
export function createEndToEnd(seconds: number): () => number {
  let low = Math.floor(Math.random() * 2 ** 20)
  return () => {
    low = (low + 1) & 0xfffff
    return (((seconds & 0xfff) << 20) | low) >>> 0
  }
}
