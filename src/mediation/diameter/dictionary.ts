/** How an AVP's data is laid out. RFC 6733 sections 4.2 and 4.3. */
export type AvpType =
  | 'OctetString'
  | 'Integer32'
  | 'Integer64'
  | 'Unsigned32'
  | 'Unsigned64'
  | 'UTF8String'
  | 'DiameterIdentity'
  | 'Enumerated'
  | 'Address'
  | 'Time'
  | 'Grouped'

/** One kind of AVP. */
export interface AvpDefinition {
  readonly name: string
  readonly code: number
  readonly type: AvpType
  /** Whether who does not know it must refuse the message. */
  readonly mandatory: boolean
}

const must = (name: string, code: number, type: AvpType): AvpDefinition => ({
  name,
  code,
  type,
  mandatory: true,
})
const may = (name: string, code: number, type: AvpType): AvpDefinition => ({
  ...must(name, code, type),
  mandatory: false,
})

/** AVPs without vendor: of RFC 6733 section 4.5, and the counters of RFC 7155 section 4.6. */
export const avp = {
  userName: must('User-Name', 1, 'UTF8String'),
  class: must('Class', 25, 'OctetString'),
  proxyState: must('Proxy-State', 33, 'OctetString'),
  acctSessionId: must('Acct-Session-Id', 44, 'OctetString'),
  acctSessionTime: must('Acct-Session-Time', 46, 'Unsigned32'),
  eventTimestamp: must('Event-Timestamp', 55, 'Time'),
  acctInterimInterval: must('Acct-Interim-Interval', 85, 'Unsigned32'),
  hostIpAddress: must('Host-IP-Address', 257, 'Address'),
  authApplicationId: must('Auth-Application-Id', 258, 'Unsigned32'),
  acctApplicationId: must('Acct-Application-Id', 259, 'Unsigned32'),
  vendorSpecificApplicationId: must('Vendor-Specific-Application-Id', 260, 'Grouped'),
  sessionId: must('Session-Id', 263, 'UTF8String'),
  originHost: must('Origin-Host', 264, 'DiameterIdentity'),
  supportedVendorId: must('Supported-Vendor-Id', 265, 'Unsigned32'),
  vendorId: must('Vendor-Id', 266, 'Unsigned32'),
  firmwareRevision: may('Firmware-Revision', 267, 'Unsigned32'),
  resultCode: must('Result-Code', 268, 'Unsigned32'),
  productName: may('Product-Name', 269, 'UTF8String'),
  disconnectCause: must('Disconnect-Cause', 273, 'Enumerated'),
  originStateId: must('Origin-State-Id', 278, 'Unsigned32'),
  failedAvp: must('Failed-AVP', 279, 'Grouped'),
  errorMessage: may('Error-Message', 281, 'UTF8String'),
  routeRecord: must('Route-Record', 282, 'DiameterIdentity'),
  destinationRealm: must('Destination-Realm', 283, 'DiameterIdentity'),
  proxyInfo: must('Proxy-Info', 284, 'Grouped'),
  accountingSubSessionId: must('Accounting-Sub-Session-Id', 287, 'Unsigned64'),
  destinationHost: must('Destination-Host', 293, 'DiameterIdentity'),
  originRealm: must('Origin-Realm', 296, 'DiameterIdentity'),
  experimentalResult: must('Experimental-Result', 297, 'Grouped'),
  experimentalResultCode: must('Experimental-Result-Code', 298, 'Unsigned32'),
  inbandSecurityId: must('Inband-Security-Id', 299, 'Unsigned32'),
  accountingInputOctets: must('Accounting-Input-Octets', 363, 'Unsigned64'),
  accountingOutputOctets: must('Accounting-Output-Octets', 364, 'Unsigned64'),
  accountingInputPackets: must('Accounting-Input-Packets', 365, 'Unsigned64'),
  accountingOutputPackets: must('Accounting-Output-Packets', 366, 'Unsigned64'),
  accountingRecordType: must('Accounting-Record-Type', 480, 'Enumerated'),
  accountingRealtimeRequired: must('Accounting-Realtime-Required', 483, 'Enumerated'),
  accountingRecordNumber: must('Accounting-Record-Number', 485, 'Unsigned32'),
} as const satisfies Record<string, AvpDefinition>

const byCode = new Map<number, AvpDefinition>(Object.values(avp).map((one) => [one.code, one]))

/** What is known of an AVP without vendor; undefined if nothing is. */
export const avpOf = (code: number): AvpDefinition | undefined => byCode.get(code)

/** Command codes. RFC 6733 section 3.1. */
export const COMMAND = {
  capabilitiesExchange: 257,
  accounting: 271,
  deviceWatchdog: 280,
  disconnectPeer: 282,
} as const

/** Application ids. RFC 6733 section 2.4. */
export const APPLICATION = {common: 0, accounting: 3, relay: 0xffffffff} as const

/** Values of Result-Code. RFC 6733 section 7.1. */
export const RESULT = {
  success: 2001,
  commandUnsupported: 3001,
  unableToDeliver: 3002,
  realmNotServed: 3003,
  tooBusy: 3004,
  loopDetected: 3005,
  applicationUnsupported: 3007,
  invalidHeaderBits: 3008,
  invalidAvpBits: 3009,
  outOfSpace: 4002,
  avpUnsupported: 5001,
  invalidAvpValue: 5004,
  missingAvp: 5005,
  noCommonApplication: 5010,
  unsupportedVersion: 5011,
  unableToComply: 5012,
  invalidAvpLength: 5014,
  invalidMessageLength: 5015,
} as const
