import type {FieldValue} from '../../record/field-records.js'
import {ie} from '../../registry/lookup.js'
import {interfaceColumn, SYS_UP_TIME} from './interfaces.js'
import {identifierOctets} from '../../record/object-identifier.js'
import {mibObject, valueField, type SnmpBinding} from './value.js'

/** What a trap or inform says, in the form of SNMPv2 (RFC 3416 section 4.2.6), whatever it came in. */
export interface Notification {
  readonly kind: 'trap' | 'inform'
  readonly version: 1 | 2 | 3
  /** Hundredths of a second since the sender was started. */
  readonly upTime: number
  /** snmpTrapOID */
  readonly oid: string
  /** All others. */
  readonly bindings: readonly SnmpBinding[]
  /** Of SNMPv3. */
  readonly context?: {readonly engineId: Uint8Array; readonly name: string}
}

const SNMP_TRAP_OID = '1.3.6.1.6.3.1.1.4.1'
const SNMP_TRAP_ENTERPRISE = '1.3.6.1.6.3.1.1.4.3'
const SNMP_TRAP_ADDRESS = '1.3.6.1.6.3.18.1.3'
const SNMP_TRAPS = '1.3.6.1.6.3.1.1.5'

/** generic-trap of SNMPv1 where the enterprise says more. RFC 1157 section 4.1.6. */
const ENTERPRISE_SPECIFIC = 6

/** A trap of SNMPv1. RFC 1157 section 4.1.6. */
export interface TrapV1 {
  readonly enterprise: string
  /** `192.0.2.1` */
  readonly agentAddress: string
  readonly generic: number
  readonly specific: number
  readonly upTime: number
  readonly bindings: readonly SnmpBinding[]
}

/** The same in the form of SNMPv2. RFC 3584 section 3.1. */
export function fromTrapV1(trap: TrapV1): Notification {
  const {enterprise, generic, specific} = trap
  const oid =
    generic === ENTERPRISE_SPECIFIC ? `${enterprise}.0.${specific}` : `${SNMP_TRAPS}.${generic + 1}`
  return {
    kind: 'trap',
    version: 1,
    upTime: trap.upTime,
    oid,
    bindings: [
      ...trap.bindings,
      {oid: `${SNMP_TRAP_ADDRESS}.0`, value: {type: 'address', value: trap.agentAddress}},
      {oid: `${SNMP_TRAP_ENTERPRISE}.0`, value: {type: 'identifier', value: enterprise}},
    ],
  }
}

/**
 * The notification of bindings of which the first two are sysUpTime.0 and snmpTrapOID.0; undefined if they are not.
 * RFC 3416 section 4.2.6.
 */
export function fromBindings(
  kind: Notification['kind'],
  version: 2 | 3,
  [first, second, ...bindings]: readonly (SnmpBinding | undefined)[],
): Notification | undefined {
  if (first?.oid !== `${SYS_UP_TIME}.0` || first.value.type !== 'timeTicks') return undefined
  if (second?.oid !== `${SNMP_TRAP_OID}.0` || second.value.type !== 'identifier') return undefined
  return {
    kind,
    version,
    upTime: first.value.value,
    oid: second.value.value,
    bindings: bindings.filter((one) => one !== undefined),
  }
}

/** Objects of which there is one in each notification at most. */
const singles: ReadonlySet<string> = new Set([SNMP_TRAP_ADDRESS, SNMP_TRAP_ENTERPRISE])

/**
 * The record of a notification. Objects of interfaces have the interface's index as theirs. What object an instance is of is not
 * known of all others: each has its identifier in front of its value (RFC 8038 section 5.4.2, "by other means"), so that the
 * number of Templates does not grow with that of instances.
 *
 * @param timeMs when it came, milliseconds since 1970
 */
export function notificationFields(notification: Notification, timeMs: number): FieldValue[] {
  const {bindings, context} = notification
  const fields: FieldValue[] = [
    [ie.observationTimeMilliseconds, timeMs],
    [
      ie.dartaNotificationKind,
      `${notification.kind} v${['', '1', '2c', '3'][notification.version]}`,
    ],
    [ie.dartaNotification, notification.oid],
  ]
  if (context !== undefined) {
    fields.push([ie.mibContextEngineID, context.engineId])
    if (context.name !== '') fields.push([ie.mibContextName, context.name])
  }
  const interfaces = new Set(bindings.flatMap(({oid}) => interfaceColumn(oid)?.index ?? []))
  // One interface, as in linkDown: else it would not be told whose objects they are.
  const [index] = interfaces.size === 1 ? interfaces : []
  const indexAt = fields.length
  if (index !== undefined) fields.push([ie.ingressInterface, index])
  fields.push(
    valueField({type: 'timeTicks', value: notification.upTime}, mibObject(SYS_UP_TIME)),
    valueField({type: 'identifier', value: notification.oid}, mibObject(SNMP_TRAP_OID)),
  )
  for (const {oid, value} of bindings) {
    const found = index === undefined ? undefined : interfaceColumn(oid)
    const scalar = oid.replace(/\.0$/, '')
    if (found !== undefined) {
      fields.push(valueField(value, mibObject(found.column, [fields.length - indexAt])))
    } else if (singles.has(scalar)) {
      fields.push(valueField(value, mibObject(scalar)))
    } else {
      fields.push([ie.mibObjectIdentifier, identifierOctets(oid)], valueField(value, undefined))
    }
  }
  return fields
}
