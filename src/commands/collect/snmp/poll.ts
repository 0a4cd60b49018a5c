import {
  IF_INDEX,
  interfaceInstances,
  interfaceRecord,
  type AnswerTimes,
  type InterfaceReading,
} from '../../../mediation/snmp/interfaces.js'
import {rowsOf, singleRecord, type AskedObject} from '../../../mediation/snmp/rows.js'
import type {SnmpBinding} from '../../../mediation/snmp/value.js'
import type {FieldValue} from '../../../record/field-records.js'
import {SnmpFailure, type Answer, type SnmpAgent} from './agent.js'

/** What is asked of a device, and what is remembered of it until it is asked again. */
export interface PolledDevice {
  readonly interfaces: boolean
  readonly objects: readonly AskedObject[]
  /** By ifIndex; those of interfaces that were not told of this time stay. */
  readonly readings: Map<number, InterfaceReading>
}

export interface PollEvents {
  record(fields: readonly FieldValue[], timeMs: number): void
  /** A table or the list of interfaces was not read to its end. */
  partial(failure: SnmpFailure): void
  /** Instances that are in no row. */
  astray(count: number): void
  /** Resolves when there is room for more records. */
  room(): Promise<void>
}

/** Interfaces of a device that are remembered. */
const MOST_READINGS = 65536

/** Failures of one object, after which others may be asked for. */
const OWN = new Set(['refused', 'too-big', 'not-increasing', 'too-many', 'malformed'])

/**
 * Asks for all of it once. Each interface is asked for in one request, with sysUpTime, so that its counters and what tells
 * whether they are sound are of one moment.
 *
 * @throws SnmpFailure the device does not answer, or not us; what came before was given
 */
export async function poll(
  device: PolledDevice,
  agent: SnmpAgent,
  events: PollEvents,
): Promise<void> {
  if (device.interfaces) await pollInterfaces(device, agent, events)
  const single: SnmpBinding[] = []
  for (const asked of device.objects) {
    const bindings: SnmpBinding[] = []
    let failure: unknown
    try {
      await agent.walk(asked.oid, (some) => bindings.push(...some))
    } catch (error) {
      failure = error
    }
    const timeMs = Date.now()
    const rows = rowsOf(asked, bindings, timeMs)
    if (rows.astray > 0) events.astray(rows.astray)
    single.push(...rows.single)
    for (const row of rows.records) events.record(row, timeMs)
    await events.room()
    if (failure !== undefined) goOnAfter(failure, events, bindings.length > 0)
  }
  if (single.length > 0) {
    const timeMs = Date.now()
    events.record(singleRecord(single, timeMs), timeMs)
    await events.room()
  }
}

async function pollInterfaces(
  device: PolledDevice,
  agent: SnmpAgent,
  events: PollEvents,
): Promise<void> {
  const indices: number[] = []
  try {
    await agent.walk(IF_INDEX, (some) => {
      for (const {value} of some) if (value.type === 'integer') indices.push(value.value)
    })
  } catch (error) {
    goOnAfter(error, events, indices.length > 0)
  }
  const {readings} = device
  for (const index of indices) {
    try {
      const {bindings, ...times} = await interfaceAnswer(agent, index)
      const read = interfaceRecord(index, bindings, times, readings.get(index))
      // It went while the others were asked for.
      if (read === undefined) continue
      // Those that were read longest ago stand first.
      readings.delete(index)
      readings.set(index, read.reading)
      events.record(read.fields, times.timeMs)
      await events.room()
    } catch (error) {
      goOnAfter(error, events, true)
    }
  }
  for (const index of readings.keys()) {
    if (readings.size <= MOST_READINGS) break
    readings.delete(index)
  }
}

async function interfaceAnswer(agent: SnmpAgent, index: number): Promise<Answer & AnswerTimes> {
  const answer = await inParts(agent, interfaceInstances(index))
  return {...answer, timeMs: Date.now()}
}

/**
 * What there is of instances, of which the first is sysUpTime, in as many answers as it takes. Each has a sysUpTime of its own, of
 * which the last one counts: it is the less if the device began anew in between.
 */
async function inParts(agent: SnmpAgent, [upTime, ...others]: readonly string[]): Promise<Answer> {
  try {
    return await agent.get([upTime, ...others])
  } catch (error) {
    const splits = error instanceof SnmpFailure && error.reason === 'too-big' && others.length > 1
    if (!splits) throw error
  }
  const half = Math.ceil(others.length / 2)
  const first = await inParts(agent, [upTime, ...others.slice(0, half)])
  const second = await inParts(agent, [upTime, ...others.slice(half)])
  return {
    bindings: [...first.bindings, ...second.bindings],
    askedMs: first.askedMs,
    answeredMs: second.answeredMs,
  }
}

/** @throws what no other object would fare better with */
function goOnAfter(error: unknown, events: PollEvents, some: boolean): void {
  if (!(error instanceof SnmpFailure)) throw error
  if (some) events.partial(error)
  if (!OWN.has(error.reason)) throw error
}
