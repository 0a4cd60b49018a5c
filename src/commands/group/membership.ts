import {hostAndPort, type InternetEndpoint} from '../../io/endpoint.js'
import type {TlsCredentials} from '../../io/tls-credentials.js'
import type {Outgoing} from '../../metering/coordination/coordinator.js'
import {
  createGroupNode,
  ORIGIN,
  type GroupNode,
  type LeaveHolds,
  type PlanChange,
} from '../../metering/coordination/group-node.js'
import {statusOf} from '../../metering/coordination/group-status.js'
import type {Message, NodeNumbers} from '../../metering/coordination/message.js'
import type {PlanNode} from '../../metering/coordination/plan.js'
import {TIMING} from '../../metering/coordination/timing.js'
import {
  connectToPeer,
  listenForPeers,
  type Channel,
  type ChannelEvents,
  type Listener,
} from './channel.js'
import {now} from './clocks.js'
import type {GroupUrl} from './group-url.js'

export interface MembershipOptions {
  readonly url: GroupUrl
  readonly id: string
  readonly weight: number
  readonly credentials: TlsCredentials | undefined
  /** How long it stays at most when it leaves, ms; undefined: as long as the group may need to take over. */
  readonly leaveMs: number | undefined
  readonly onPlan: (change: PlanChange) => void
  /** Called before each beat: what the node has done so far. */
  readonly report: () => {readonly thru: number; readonly numbers: NodeNumbers}
  /** Up to this capture time, ms since 1970, the coordinator counts on this node. */
  readonly onLease: (ms: number) => void
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
  close(exported: boolean): void
}

const TICK_MS = 25
/** A peer that cannot be reached is tried again after so long. */
const RETRY_MS = 200
/** Who leaves gives the others so long, beside the times of the group, to take over. */
const LEAVE_MS = 3000

/**
 * Joins a group over TCP or TLS. The node also listens, on the address by which it reaches the coordinator, so that it
 * can coordinate the others when the coordinator is gone.
 */
export function joinGroup(options: MembershipOptions): Membership {
  const {url, credentials, note} = options
  let group: GroupNode | undefined
  let listener: Listener | undefined
  let listening = false
  let closed = false
  let refusal = ''
  let reached: boolean | undefined
  let hasLeft = false

  /** Connections to candidates for coordinator, by candidate; undefined while one is being made. */
  const outgoing = new Map<string, Channel | undefined>()
  const attempts = new Map<string, number>()
  /** Those that are being made. */
  const closing = new Set<{close(): void}>()
  /** Nodes that take this one for the coordinator. */
  const incoming = new Map<string, Channel>()
  const names = new Map<Channel, string>()

  function nodeOf(address?: string): PlanNode {
    const node = {id: options.id, weight: options.weight}
    return address === undefined ? node : {...node, address}
  }

  function start(node: PlanNode): GroupNode {
    return createGroupNode({
      node,
      timing: TIMING,
      start: now(),
      settings: {redundancy: 1, by: 'flow', seed: 0},
      candidate: node.address !== undefined,
      onPlan: options.onPlan,
      onRefusal(reason) {
        if (reason !== refusal) note(`the coordinator refuses this node: ${reason}`)
        refusal = reason
      },
      note,
    })
  }

  function send(list: readonly Outgoing[]): void {
    for (const {to, message} of list) {
      const channel = outgoing.get(to) ?? incoming.get(to)
      channel?.send(message)
    }
  }

  function endpointOf(candidate: string): InternetEndpoint | undefined {
    if (candidate === ORIGIN) return url.endpoint
    const address = group?.plan()?.nodes.find(({id}) => id === candidate)?.address
    const match = /^\[?([^\]]*)\]?:(\d+)$/.exec(address ?? '')
    if (match === null) return undefined
    const [, host, port] = match
    return {...url.endpoint, host, port: Number(port)}
  }

  /** Connects to the candidates that the protocol wants to talk to. */
  function keepConnected(): void {
    const wanted = group?.peers() ?? [ORIGIN]
    for (const [candidate, channel] of outgoing) {
      if (!wanted.includes(candidate)) {
        channel?.close()
        outgoing.delete(candidate)
      }
    }
    const {mono} = now()
    for (const candidate of wanted) {
      const last = attempts.get(candidate) ?? -Infinity
      if (outgoing.has(candidate) || mono - last < RETRY_MS) continue
      const endpoint = endpointOf(candidate)
      if (endpoint === undefined) continue
      attempts.set(candidate, mono)
      outgoing.set(candidate, undefined)
      let own: Channel | undefined
      const connection = connectToPeer(endpoint, url.name, credentials, {
        opened(channel) {
          own = channel
          closing.delete(connection)
          if (closed) return channel.close()
          outgoing.set(candidate, channel)
          if (candidate === ORIGIN) {
            reached = true
            void listen(channel.localAddress)
          }
        },
        message: (message, channel) => receive(message, candidate, channel),
        closed(why) {
          closing.delete(connection)
          if (outgoing.get(candidate) === own) outgoing.delete(candidate)
          group?.broke(candidate, now())
          if (candidate === ORIGIN && reached !== false && !closed) {
            reached = false
            note(
              `no connection to the coordinator ${url.endpoint.name}${why === '' ? '' : `: ${why}`}`,
            )
          }
        },
      })
      closing.add(connection)
    }
  }

  /** Listens where the coordinator's network can reach this node; only then is it known what it can be. */
  async function listen(host: string): Promise<void> {
    if (listening) return
    listening = true
    const events: ChannelEvents = {
      opened: () => {},
      message(message, channel) {
        if (message.type === 'ask') {
          const coordinator = group?.coordinator()
          if (coordinator === undefined) channel.close()
          else channel.send(statusOf(url.name, options.id, coordinator, now()))
          return
        }
        if (message.type === 'beat') {
          incoming.set(message.node.id, channel)
          names.set(channel, message.node.id)
        }
        receive(message, message.type === 'beat' ? message.node.id : '?', channel)
      },
      closed(_, channel) {
        const id = names.get(channel)
        names.delete(channel)
        if (id === undefined || incoming.get(id) !== channel) return
        incoming.delete(id)
        group?.broke(id, now())
      },
    }
    try {
      const {transport} = url.endpoint
      const place = {transport, host, port: 0, name: `${transport}://${host}`}
      listener = await listenForPeers(place, url.name, credentials, events, (why) =>
        note(`a peer is refused: ${why}`),
      )
    } catch (error) {
      note(`this node cannot stand in for the coordinator: ${(error as Error).message}`)
    }
    if (closed) listener?.close()
    const address = listener === undefined ? undefined : hostAndPort(host, listener.port)
    group = start(nodeOf(address))
  }

  function receive(message: Message, from: string, channel: Channel): void {
    if (group === undefined) return
    const out = group.receive(message, from, now())
    // Answers to a node that this one coordinates go back the way it came.
    for (const one of out) {
      if (one.to === from) channel.send(one.message)
      else send([one])
    }
  }

  const timer = setInterval(() => {
    keepConnected()
    if (group === undefined) return
    send(group.tick(now(), options.report()))
    options.onLease(group.leaseMs())
  }, TICK_MS)
  keepConnected()

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
    close(exported) {
      if (exported && hasLeft && group !== undefined) send(group.goodbye(now()))
      closed = true
      clearInterval(timer)
      for (const channel of [...outgoing.values(), ...incoming.values()]) channel?.close()
      for (const connection of closing) connection.close()
      listener?.close()
    },
  }
}

/** What a node says that leaves before the others can do without it. */
function leaveWords({plan, unexported}: LeaveHolds): string[] {
  if (plan) return ['left before the others took over: they have to miss this node first']
  return unexported.map(({id, until}) => {
    const time = new Date(until).toISOString()
    return `left before node ${id} exported all that it captured until ${time}: if that one dies before it does, this is lost`
  })
}
