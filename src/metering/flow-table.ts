import {DartaError} from '../record/errors.js'
import {createDeadlineHeap} from './deadline-heap.js'
import {addPacket, createFlow, tcpEnd, type Flow} from './flow.js'
import {createKeyWriter} from './flow-key.js'
import type {MeterOptions} from './meter.js'
import {TCP_ACK, TCP_SYN, type Packet} from './packet.js'
import {isLater, setTime, type Time} from './time.js'

/**
 * Octets that a Flow takes: objects, numbers, key, and its places in Map and heap. Measured as heap in
 * use after garbage collection with 100,000 live Flows in Node 24: 1038, as biflows 1244.
 */
const FLOW_OCTETS = 1100
const REVERSE_OCTETS = 250

/** flowEndReason values, RFC 5102 section 5.11.3. */
export const END_IDLE = 1
export const END_ACTIVE = 2
export const END_OF_FLOW = 3
export const END_FORCED = 4
export const END_NO_RESOURCES = 5

/** Where ended Flows go. */
export type FlowSink = (flow: Flow, reason: number) => void

/** The Flows that are live. docs/METERING.md section 3. */
export interface FlowTable {
  /**
   * Counts a packet in its Flow. False: it found no room.
   * @throws DartaError DARTA_FLOW_TABLE_FULL
   */
  add(packet: Packet): boolean
  /** Ends all Flows. */
  finish(): void
  clear(): void
  readonly counts: {created: number; evicted: number}
  live(): number
  memoryOctets(): number
}

export function createFlowTable(
  options: MeterOptions,
  clock: Readonly<Time>,
  sink: FlowSink,
): FlowTable {
  const {biflow, onFull} = options
  const keys = createKeyWriter(options.key, biflow)
  const endsByTcp = ['src', 'dst', 'proto', 'srcport', 'dstport'].every((part) =>
    (options.key as readonly string[]).includes(part),
  )
  const maxFlows = limitOf(options)
  const flows = new Map<string, Flow>()
  const heap = createDeadlineHeap()
  const counts = {created: 0, evicted: 0}
  const deadline: Time = {ms: 0, ns: 0}

  /** Sets `deadline` to the flow's and returns the reason that it would end for. */
  function readDeadline(flow: Flow): number {
    let reason = END_OF_FLOW
    deadline.ms = Infinity
    deadline.ns = 0
    if (flow.ended !== undefined) {
      const timeout = flow.ended === 'rst' ? options.tcpRstTimeoutMs : options.tcpFinTimeoutMs
      deadline.ms = flow.end.ms + timeout
      deadline.ns = flow.end.ns
    }
    if (hastenDeadline(flow.end, options.idleTimeoutMs)) reason = END_IDLE
    if (hastenDeadline(flow.start, options.activeTimeoutMs)) reason = END_ACTIVE
    return reason
  }

  /** Sets `deadline` to `timeoutMs` after `time` if that is earlier. */
  function hastenDeadline(time: Time, timeoutMs: number): boolean {
    const ms = time.ms + timeoutMs
    if (ms > deadline.ms || (ms === deadline.ms && time.ns >= deadline.ns)) return false
    deadline.ms = ms
    deadline.ns = time.ns
    return true
  }

  /** The flow that would end first; its `due` is its deadline then, and `deadline` too. */
  function findNext(): {flow: Flow; reason: number} | undefined {
    for (;;) {
      const flow = heap.first()
      if (flow === undefined) return undefined
      const reason = readDeadline(flow)
      if (!isLater(deadline, flow.due)) return {flow, reason}
      setTime(flow.due, deadline)
      heap.moved(flow)
    }
  }

  function expire(): void {
    for (;;) {
      const first = heap.first()
      if (first === undefined || !isLater(clock, first.due)) return
      const next = findNext()
      if (next === undefined || !isLater(clock, next.flow.due)) return
      end(next.flow, next.reason)
    }
  }

  function end(flow: Flow, reason: number): void {
    flows.delete(flow.key)
    heap.remove(flow)
    sink(flow, reason)
  }

  /** Whether there is room for one more Flow, or could be made. */
  function makeRoom(): boolean {
    if (flows.size < maxFlows) return true
    if (onFull === 'drop') return false
    if (onFull === 'fail') {
      throw new DartaError(
        'DARTA_FLOW_TABLE_FULL',
        `${flows.size} Flows are live: no room for more`,
      )
    }
    const next = findNext()
    if (next !== undefined) {
      counts.evicted++
      end(next.flow, END_NO_RESOURCES)
    }
    return true
  }

  function create(key: string, turned: boolean, packet: Packet): Flow {
    const flow = createFlow(key, turned, counts.created++, packet)
    flows.set(key, flow)
    return flow
  }

  /** After a packet: a deadline seldom moves towards now, by an early packet or by an end. */
  function schedule(flow: Flow): void {
    readDeadline(flow)
    if (flow.place < 0) {
      setTime(flow.due, deadline)
      heap.add(flow)
    } else if (isLater(flow.due, deadline)) {
      setTime(flow.due, deadline)
      heap.moved(flow)
    }
  }

  function clear(): void {
    flows.clear()
    heap.clear()
  }

  return {
    add(packet) {
      expire()
      const key = keys.keyOf(packet)
      const turned = keys.turned()
      let flow = flows.get(key)
      const opens = (packet.tcpBits & (TCP_SYN | TCP_ACK)) === TCP_SYN
      if (flow?.ended !== undefined && opens) {
        end(flow, END_OF_FLOW)
        flow = undefined
      }
      if (flow === undefined) {
        if (!makeRoom()) return false
        flow = create(key, turned, packet)
      }
      addPacket(flow, turned, packet)
      if (endsByTcp && packet.tcpBits !== 0) flow.ended = tcpEnd(flow, biflow)
      schedule(flow)
      return true
    },
    finish() {
      expire()
      for (const flow of flows.values()) {
        sink(flow, flow.ended === undefined ? END_FORCED : END_OF_FLOW)
      }
      clear()
    },
    clear,
    counts,
    live: () => flows.size,
    memoryOctets: () => flows.size * octetsPerFlow(biflow),
  }
}

function octetsPerFlow(biflow: boolean): number {
  return FLOW_OCTETS + (biflow ? REVERSE_OCTETS : 0)
}

function limitOf({maxFlows, maxMemoryOctets, biflow}: MeterOptions): number {
  const byCount = maxFlows > 0 ? maxFlows : Infinity
  const byMemory =
    maxMemoryOctets > 0
      ? Math.max(1, Math.floor(maxMemoryOctets / octetsPerFlow(biflow)))
      : Infinity
  return Math.min(byCount, byMemory)
}
