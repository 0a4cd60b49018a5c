import test from 'ava'
import {
  SnmpFailure,
  type Answer,
  type FailureReason,
  type SnmpAgent,
} from '../../../src/commands/collect/snmp/agent.js'
import {poll, type PollEvents} from '../../../src/commands/collect/snmp/poll.js'
import type {InterfaceReading} from '../../../src/mediation/snmp/interfaces.js'
import type {AskedObject} from '../../../src/mediation/snmp/rows.js'
import type {SnmpBinding, SnmpValue} from '../../../src/mediation/snmp/value.js'
import type {FieldValue} from '../../../src/record/field-records.js'

const IF_ENTRY = '1.3.6.1.2.1.2.2.1'
const UP_TIME = '1.3.6.1.2.1.1.3.0'

const integer = (value: number): SnmpValue => ({type: 'integer', value})
const counter = (value: bigint): SnmpValue => ({type: 'counter64', value})

interface Device {
  readonly values: Map<string, SnmpValue>
  /** Instances that fit an answer. */
  readonly room: number
  /** What goes wrong with a request for this. */
  readonly faults: ReadonlyMap<string, FailureReason>
  /** sysUpTime, at each request. */
  upTime: () => number
  readonly asked: (readonly string[])[]
}

/** A device of two interfaces, whose agent answers at once. */
function device(more: Partial<Device> = {}): Device {
  const values = new Map<string, SnmpValue>()
  for (const index of [3, 4]) {
    values.set(`${IF_ENTRY}.1.${index}`, integer(index))
    values.set(`${IF_ENTRY}.8.${index}`, integer(1))
    values.set(`1.3.6.1.2.1.31.1.1.1.6.${index}`, counter(1000n * BigInt(index)))
    values.set(`1.3.6.1.2.1.31.1.1.1.10.${index}`, counter(500n))
  }
  return {values, room: 100, faults: new Map(), upTime: () => 1000, asked: [], ...more}
}

function agentOf({values, room, faults, upTime, asked}: Device): SnmpAgent {
  let clock = 0
  return {
    async get(oids): Promise<Answer> {
      asked.push(oids)
      if (oids.length > room) throw new SnmpFailure('too-big')
      for (const oid of oids) {
        const fault = faults.get(oid)
        if (fault !== undefined) throw new SnmpFailure(fault)
      }
      const bindings = oids.flatMap((oid): SnmpBinding[] => {
        if (oid === UP_TIME) return [{oid, value: {type: 'timeTicks', value: upTime()}}]
        const value = values.get(oid)
        return value === undefined ? [] : [{oid, value}]
      })
      clock += 10
      return Promise.resolve({bindings, askedMs: clock - 5, answeredMs: clock})
    },
    async walk(base, take) {
      const below = [...values].filter(([oid]) => oid.startsWith(`${base}.`))
      take(below.map(([oid, value]) => ({oid, value})))
      const fault = faults.get(base)
      if (fault !== undefined) throw new SnmpFailure(fault)
      return Promise.resolve()
    },
    close() {},
  }
}

interface Polled {
  readonly records: Record<string, unknown>[]
  readonly partial: FailureReason[]
  readonly failed: FailureReason | undefined
}

async function polled(
  of: Device,
  readings = new Map<number, InterfaceReading>(),
  objects: readonly AskedObject[] = [],
): Promise<Polled> {
  const records: Record<string, unknown>[] = []
  const partial: FailureReason[] = []
  const events: PollEvents = {
    record(fields: readonly FieldValue[]) {
      records.push(Object.fromEntries(fields.map(([{name}, value]) => [name, value])))
    },
    partial: ({reason}) => partial.push(reason),
    astray() {},
    room: () => Promise.resolve(),
  }
  try {
    await poll({interfaces: objects.length === 0, objects, readings}, agentOf(of), events)
    return {records, partial, failed: undefined}
  } catch (error) {
    if (!(error instanceof SnmpFailure)) throw error
    return {records, partial, failed: error.reason}
  }
}

test('what does not fit an answer is asked for in parts, each with sysUpTime', async (t) => {
  const small = device({room: 9})
  const {records, partial} = await polled(small)
  t.deepEqual(partial, [])
  t.deepEqual(
    records.map((record) => record.ingressInterface),
    [3, 4],
  )
  t.true(small.asked.every(([first]) => first === UP_TIME))
  const whole = await polled(device())
  const names = (all: Polled): string[] => Object.keys(all.records[0]).sort()
  t.deepEqual(names({records, partial, failed: undefined}), names(whole))
})

test('a device that is started anew among the parts of an answer has restarted', async (t) => {
  const readings = new Map<number, InterfaceReading>()
  let ticks = 100_000
  const of = device({upTime: () => ticks})
  await polled(of, readings)
  // Each answer has one tick more; only the last part of the last interface is of the new start.
  const parts = device({room: 20, upTime: () => ((ticks += 1), parts.asked.length > 5 ? 3 : ticks)})
  const {records} = await polled(parts, readings)
  t.deepEqual(
    records.map((record) => record.dartaCounterContinuity),
    ['continued', 'restarted'],
  )
})

test('an interface that is refused costs no other, and its last reading stays', async (t) => {
  const readings = new Map<number, InterfaceReading>()
  await polled(device(), readings)
  const faults = new Map<string, FailureReason>([[`${IF_ENTRY}.8.3`, 'refused']])
  const second = await polled(device({faults}), readings)
  t.deepEqual(second.partial, ['refused'])
  t.is(second.failed, undefined)
  t.deepEqual(
    second.records.map((record) => record.ingressInterface),
    [4],
  )
  const third = await polled(device(), readings)
  t.deepEqual(
    third.records.map((record) => record.dartaCounterContinuity),
    ['continued', 'continued'],
  )
})

test('a device that stops to answer is asked for nothing more, and what came before is given', async (t) => {
  const faults = new Map<string, FailureReason>([[`${IF_ENTRY}.8.4`, 'timeout']])
  const {records, partial, failed} = await polled(device({faults}))
  t.is(failed, 'timeout')
  t.deepEqual(partial, ['timeout'])
  t.is(records.length, 1)
})

test('of a table that breaks off the rows that came are records, and others are asked for', async (t) => {
  const table = '1.3.6.1.4.1.32473.1'
  const of = device({faults: new Map([[table, 'not-increasing']])})
  of.values.set(`${table}.1.1.7`, integer(1))
  of.values.set('1.3.6.1.4.1.32473.2.0', integer(2))
  const {records, partial, failed} = await polled(of, new Map(), [
    {kind: 'table', oid: table},
    {kind: 'object', oid: '1.3.6.1.4.1.32473.2'},
  ])
  t.is(failed, undefined)
  t.deepEqual(partial, ['not-increasing'])
  t.like(records[0], {mibSubIdentifier: 7, mibObjectValueInteger: 1})
  t.like(records[1], {mibObjectValueInteger: 2})
})
