import type {FieldValue} from '../../record/field-records.js'
import {ie} from '../../registry/lookup.js'
import {countDeltas, type Counter, type Reading} from './counters.js'
import {mibObject, numberOf, textOf, valueField, type SnmpBinding, type SnmpValue} from './value.js'

/** RFC 3418, RFC 2863. */
export const SYS_UP_TIME = '1.3.6.1.2.1.1.3'
const IF_ENTRY = '1.3.6.1.2.1.2.2.1'
const IF_X_ENTRY = '1.3.6.1.2.1.31.1.1.1'
export const IF_INDEX = `${IF_ENTRY}.1`

const columns = {
  ifDescr: `${IF_ENTRY}.2`,
  ifType: `${IF_ENTRY}.3`,
  ifMtu: `${IF_ENTRY}.4`,
  ifSpeed: `${IF_ENTRY}.5`,
  ifPhysAddress: `${IF_ENTRY}.6`,
  ifAdminStatus: `${IF_ENTRY}.7`,
  ifOperStatus: `${IF_ENTRY}.8`,
  ifLastChange: `${IF_ENTRY}.9`,
  ifInOctets: `${IF_ENTRY}.10`,
  ifInUcastPkts: `${IF_ENTRY}.11`,
  ifInDiscards: `${IF_ENTRY}.13`,
  ifInErrors: `${IF_ENTRY}.14`,
  ifInUnknownProtos: `${IF_ENTRY}.15`,
  ifOutOctets: `${IF_ENTRY}.16`,
  ifOutUcastPkts: `${IF_ENTRY}.17`,
  ifOutDiscards: `${IF_ENTRY}.19`,
  ifOutErrors: `${IF_ENTRY}.20`,
  ifName: `${IF_X_ENTRY}.1`,
  ifInMulticastPkts: `${IF_X_ENTRY}.2`,
  ifInBroadcastPkts: `${IF_X_ENTRY}.3`,
  ifOutMulticastPkts: `${IF_X_ENTRY}.4`,
  ifOutBroadcastPkts: `${IF_X_ENTRY}.5`,
  ifHCInOctets: `${IF_X_ENTRY}.6`,
  ifHCInUcastPkts: `${IF_X_ENTRY}.7`,
  ifHCInMulticastPkts: `${IF_X_ENTRY}.8`,
  ifHCInBroadcastPkts: `${IF_X_ENTRY}.9`,
  ifHCOutOctets: `${IF_X_ENTRY}.10`,
  ifHCOutUcastPkts: `${IF_X_ENTRY}.11`,
  ifHCOutMulticastPkts: `${IF_X_ENTRY}.12`,
  ifHCOutBroadcastPkts: `${IF_X_ENTRY}.13`,
  ifHighSpeed: `${IF_X_ENTRY}.15`,
  ifAlias: `${IF_X_ENTRY}.18`,
  ifCounterDiscontinuityTime: `${IF_X_ENTRY}.19`,
} as const

type Column = keyof typeof columns

/** Names go into elements of their own. */
const named: ReadonlySet<Column> = new Set(['ifName', 'ifAlias', 'ifDescr'])

/** Counters that have a successor of 64 bits. RFC 2863 section 3.1.6. */
const successors = {
  ifInOctets: 'ifHCInOctets',
  ifInUcastPkts: 'ifHCInUcastPkts',
  ifInMulticastPkts: 'ifHCInMulticastPkts',
  ifInBroadcastPkts: 'ifHCInBroadcastPkts',
  ifOutOctets: 'ifHCOutOctets',
  ifOutUcastPkts: 'ifHCOutUcastPkts',
  ifOutMulticastPkts: 'ifHCOutMulticastPkts',
  ifOutBroadcastPkts: 'ifHCOutBroadcastPkts',
} as const satisfies Partial<Record<Column, Column>>

/** What is counted since the reading before, and the counters whose sum it is. */
const sums = [
  [ie.dartaInterfaceInOctetDeltaCount, ['ifInOctets']],
  [
    ie.dartaInterfaceInPacketDeltaCount,
    ['ifInUcastPkts', 'ifInMulticastPkts', 'ifInBroadcastPkts'],
  ],
  [ie.dartaInterfaceInDiscardDeltaCount, ['ifInDiscards']],
  [ie.dartaInterfaceInErrorDeltaCount, ['ifInErrors']],
  [ie.dartaInterfaceOutOctetDeltaCount, ['ifOutOctets']],
  [
    ie.dartaInterfaceOutPacketDeltaCount,
    ['ifOutUcastPkts', 'ifOutMulticastPkts', 'ifOutBroadcastPkts'],
  ],
  [ie.dartaInterfaceOutDiscardDeltaCount, ['ifOutDiscards']],
  [ie.dartaInterfaceOutErrorDeltaCount, ['ifOutErrors']],
] as const

type CounterName = (typeof sums)[number][1][number]

/** Faster links have counters of 64 bits (RFC 2863 section 3.1.6), so one whose speed is not told is no faster. */
const MOST_BITS_PER_SECOND = 20_000_000
/** A frame of Ethernet takes at least so many bits with the gap behind it. */
const LEAST_FRAME_BITS = 672

/** The instances that say all of an interface, sysUpTime first. */
export function interfaceInstances(index: number): string[] {
  return [`${SYS_UP_TIME}.0`, ...Object.values(columns).map((column) => `${column}.${index}`)]
}

/** Which column of the interfaces' tables an instance is of, and its ifIndex. */
export function interfaceColumn(oid: string): {column: string; index: number} | undefined {
  const [, column, index] = /^(.*)\.(\d+)$/.exec(oid) ?? []
  return column === IF_INDEX || (Object.values(columns) as string[]).includes(column)
    ? {column, index: Number(index)}
    : undefined
}

/** When an answer was asked for and came. */
export interface AnswerTimes {
  /** Milliseconds of a clock that only goes forward. */
  readonly askedMs: number
  readonly answeredMs: number
  /** Milliseconds since 1970 when it came. */
  readonly timeMs: number
}

/** What is remembered of an interface until it is read again. */
export type InterfaceReading = Reading<CounterName>

/**
 * The record of an interface: its names, what was counted since the reading before where that is sound, and all objects that
 * were read, which have the interface's index as theirs (RFC 8038 sections 6.6 and 9). Undefined if there is none of them.
 *
 * @param index ifIndex
 * @param before what the last call gave for it
 */
export function interfaceRecord(
  index: number,
  bindings: readonly SnmpBinding[],
  times: AnswerTimes,
  before: InterfaceReading | undefined,
): {fields: FieldValue[]; reading: InterfaceReading} | undefined {
  const byOid = new Map(bindings.map(({oid, value}) => [oid, value]))
  const values = new Map<Column, SnmpValue>()
  for (const [name, column] of Object.entries(columns) as [Column, string][]) {
    const value = byOid.get(`${column}.${index}`)
    if (value !== undefined) values.set(name, value)
  }
  if (values.size === 0) return undefined
  const upTime = byOid.get(`${SYS_UP_TIME}.0`)
  const reading: InterfaceReading = {
    ...times,
    upTime: numberOf(upTime),
    discontinuityTime: numberOf(values.get('ifCounterDiscontinuityTime')),
    counters: countersOf(values),
  }
  const {continuity, deltas} = countDeltas(before, reading)
  const fields: FieldValue[] = [
    [ie.observationTimeMilliseconds, times.timeMs],
    [ie.ingressInterface, index],
  ]
  const indexAt = fields.length - 1
  const description = textOf(values.get('ifDescr'))
  const name = textOf(values.get('ifName')) ?? description
  if (name !== undefined) fields.push([ie.interfaceName, name])
  const remark = textOf(values.get('ifAlias')) ?? description
  if (remark !== undefined) fields.push([ie.interfaceDescription, remark])
  fields.push([ie.dartaCounterContinuity, continuity])
  if (before !== undefined && deltas.size > 0) {
    const interval = Math.max(0, Math.round(times.answeredMs - before.answeredMs))
    fields.push([ie.dartaReadingIntervalMilliseconds, interval])
    for (const [element, parts] of sums) {
      const counted = parts.flatMap((part) => deltas.get(part) ?? [])
      if (counted.length > 0) fields.push([element, counted.reduce((sum, one) => sum + one, 0n)])
    }
  }
  if (upTime !== undefined) fields.push(valueField(upTime, mibObject(SYS_UP_TIME)))
  for (const [column, value] of values) {
    if (named.has(column)) continue
    // Its low 32 bits say no more.
    if (column in successors && values.has(successors[column as keyof typeof successors])) continue
    const distance = fields.length - indexAt
    fields.push(valueField(value, mibObject(columns[column], [distance])))
  }
  return {fields, reading}
}

/** Counters of 64 bits where there are such. */
function countersOf(values: ReadonlyMap<Column, SnmpValue>): Map<CounterName, Counter> {
  const speed = speedOf(values)
  const counters = new Map<CounterName, Counter>()
  for (const [, names] of sums) {
    for (const name of names) {
      const wide = name in successors ? successors[name as keyof typeof successors] : undefined
      const value = (wide && values.get(wide)) ?? values.get(name)
      if (value?.type !== 'counter64' && value?.type !== 'counter32') continue
      counters.set(name, {
        value: BigInt(value.value),
        bits: value.type === 'counter64' ? 64 : 32,
        mostPerSecond: speed / (name.endsWith('Octets') ? 8 : LEAST_FRAME_BITS),
      })
    }
  }
  return counters
}

/** Bits per second. */
function speedOf(values: ReadonlyMap<Column, SnmpValue>): number {
  // In millions.
  const high = numberOf(values.get('ifHighSpeed')) ?? 0
  if (high > 0) return high * 1_000_000
  return numberOf(values.get('ifSpeed')) || MOST_BITS_PER_SECOND
}
