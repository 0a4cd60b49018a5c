import {
  createGroupNode,
  ORIGIN,
  type GroupNode,
  type LeaveHolds,
  type PlanChange,
} from '../../metering/coordination/group-node.js'
import type {Outgoing} from '../../metering/coordination/coordinator.js'
import type {NodeNumbers} from '../../metering/coordination/message.js'
import {TIMING} from '../../metering/coordination/timing.js'
import {meetAtEngine} from './at-engine.js'
import {now} from './clocks.js'
import {connectPeers} from './direct-peers.js'
import type {EngineMeeting, Meeting} from './meeting.js'

export interface MembershipOptions {
  readonly meeting: Meeting
  readonly id: string
  readonly weight: number
  /** How long it stays at most when it leaves, ms; undefined: as long as the group may need to take over. */
  readonly leaveMs: number | undefined
  readonly onPlan: (change: PlanChange) => void
  /** Called before each beat: what the node has done so far. */
  readonly report: () => {readonly thru: number; readonly numbers: NodeNumbers}
  /** Up to this capture time, ms since 1970, the coordinator counts on this node. */
  readonly onLease: (ms: number) => void
  /** This host's clock was set: nothing is this node's until the next plan. */
  readonly onClockSet: () => void
  readonly note: (text: string) => void
}

/** A capture node's place in its group. */
export interface Membership {
  /**
   * Resolves when the others have taken over and have exported what only this node keeps of theirs, or nobody is there to
   * do so. Where they do not in time it says what may be lost.
   */
  leave(): Promise<void>
  /** Ends the connections. A node that has left and `exported` all says so before. */
  close(exported: boolean): Promise<void>
}

/** How a node's messages get to the others. */
export interface Peers {
  /** Sends what can be sent; the rest is lost, which the protocol allows for. */
  send(list: readonly Outgoing[]): void
  /** Called every few milliseconds. */
  tick(): void
  close(): Promise<void>
}

export interface PeersOptions {
  readonly id: string
  /** The group can be reached: the node's part of the protocol begins. `address`: where others reach it, if they can. */
  readonly start: (address: string | undefined) => GroupNode
  readonly note: (text: string) => void
}

const TICK_MS = 25
/** Who leaves gives the others so long, beside the times of the group, to take over. */
const LEAVE_MS = 3000

/** Joins a group: over TCP or TLS, or at an engine. */
export function joinGroup(options: MembershipOptions): Membership {
  const {meeting, id, weight, note} = options
  let group: GroupNode | undefined
  let refusal = ''
  let hasLeft = false

  function start(address: string | undefined): GroupNode {
    group = createGroupNode({
      node: {id, weight, ...(address !== undefined && {address})},
      timing: TIMING,
      start: now(),
      settings: {redundancy: 1, by: 'flow', seed: 0},
      candidate: address !== undefined,
      onPlan: options.onPlan,
      onRefusal(reason) {
        if (reason !== refusal) note(`the coordinator refuses this node: ${reason}`)
        refusal = reason
      },
      onClockSet: options.onClockSet,
      note,
    })
    return group
  }

  const connection = {id, start, note}
  const peers =
    meeting.kind === 'direct'
      ? connectPeers(meeting, connection)
      : registryPeers(meeting, connection)
  const timer = setInterval(() => {
    peers.tick()
    if (group === undefined) return
    peers.send(group.tick(now(), options.report()))
    options.onLease(group.leaseMs())
  }, TICK_MS)
  peers.tick()

  return {
    async leave() {
      const plan = group?.plan()
      if (group === undefined || plan === undefined) return
      group.leave()
      // A node that died before has to be missed first, and then two plans follow each other.
      const most = options.leaveMs ?? LEAVE_MS + 2 * (plan.ttlMs + 2 * plan.guardMs)
      const until = now().mono + most
      for (;;) {
        const instant = now()
        const holds = group.leaveHolds(instant)
        const left = until - instant.mono
        // Who is further behind than that cannot be waited for.
        const hopeless = holds.unexported.every((one) => one.until - one.thru > left)
        if (left <= 0 || (!holds.plan && hopeless)) {
          hasLeft = !holds.plan
          for (const line of leaveWords(holds)) note(line)
          return
        }
        await new Promise((resolve) => setTimeout(resolve, TICK_MS))
      }
    },
    async close(exported) {
      clearInterval(timer)
      if (exported && hasLeft && group !== undefined) peers.send(group.goodbye(now()))
      await peers.close()
    },
  }
}

/**
 * The way to the others through the registry of an engine. Who holds its lease coordinates, and is ORIGIN to all nodes,
 * itself too.
 */
function registryPeers(meeting: EngineMeeting, {id, start, note}: PeersOptions): Peers {
  let node: GroupNode | undefined
  const registry = meetAtEngine({
    meeting,
    id,
    note,
    ttlMs: () => node?.plan()?.ttlMs ?? TIMING.ttlMs,
    standIn: (instant) => node!.standIn(instant),
    reached: () => (node = start(undefined)),
    receive(message) {
      if (node !== undefined) send(node.receive(message, ORIGIN, now()))
    },
    outage() {
      const plan = node?.plan()
      return plan === undefined
        ? 'nothing is captured before there is a plan'
        : `capture goes on by the plan of epoch ${plan.epoch}`
    },
  })
  function send(list: readonly Outgoing[]): void {
    registry.post(list.filter(({to}) => to === ORIGIN).map(({message}) => message))
  }
  return {send, tick() {}, close: () => registry.close()}
}

/** What a node says that leaves before the others can do without it. */
function leaveWords({plan, unexported}: LeaveHolds): string[] {
  if (plan) return ['left before the others took over: they have to miss this node first']
  return unexported.map(({id, until}) => {
    const time = new Date(until).toISOString()
    return `left before node ${id} exported all that it captured until ${time}: if that one dies before it does, this is lost`
  })
}
