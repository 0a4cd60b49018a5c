import {hostAndPort, type InternetEndpoint} from '../../io/endpoint.js'
import type {Outgoing} from '../../metering/coordination/coordinator.js'
import {ORIGIN, type GroupNode} from '../../metering/coordination/group-node.js'
import {statusOf} from '../../metering/coordination/group-status.js'
import type {Message} from '../../metering/coordination/message.js'
import {
  connectToPeer,
  listenForPeers,
  type Channel,
  type ChannelEvents,
  type Listener,
} from './channel.js'
import {now} from './clocks.js'
import type {DirectMeeting} from './meeting.js'
import type {Peers, PeersOptions} from './membership.js'

/** A peer that cannot be reached is tried again after so long. */
const RETRY_MS = 200

/**
 * The way to the others over TCP or TLS. The node also listens, on the address by which it reaches the coordinator, so
 * that it can coordinate the others when the coordinator is gone.
 */
export function connectPeers(meeting: DirectMeeting, options: PeersOptions): Peers {
  const {credentials, endpoint: origin, name: groupName} = meeting
  const {note} = options
  let group: GroupNode | undefined
  let listener: Listener | undefined
  let listening = false
  let closed = false
  let reached: boolean | undefined

  /** Connections to candidates for coordinator, by candidate; undefined while one is being made. */
  const outgoing = new Map<string, Channel | undefined>()
  const attempts = new Map<string, number>()
  /** Those that are being made. */
  const closing = new Set<{close(): void}>()
  /** Nodes that take this one for the coordinator. */
  const incoming = new Map<string, Channel>()
  const names = new Map<Channel, string>()

  function send(list: readonly Outgoing[]): void {
    for (const {to, message} of list) {
      const channel = outgoing.get(to) ?? incoming.get(to)
      channel?.send(message)
    }
  }

  function endpointOf(candidate: string): InternetEndpoint | undefined {
    if (candidate === ORIGIN) return origin
    const address = group?.plan()?.nodes.find(({id}) => id === candidate)?.address
    const match = /^\[?([^\]]*)\]?:(\d+)$/.exec(address ?? '')
    if (match === null) return undefined
    const [, host, port] = match
    return {...origin, host, port: Number(port)}
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
      const connection = connectToPeer(endpoint, groupName, credentials, {
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
            note(`no connection to the coordinator ${origin.name}${why === '' ? '' : `: ${why}`}`)
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
          else channel.send(statusOf(groupName, options.id, coordinator, now()))
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
      const {transport} = origin
      const place = {transport, host, port: 0, name: `${transport}://${host}`}
      listener = await listenForPeers(place, groupName, credentials, events, (why) =>
        note(`a peer is refused: ${why}`),
      )
    } catch (error) {
      note(`this node cannot stand in for the coordinator: ${(error as Error).message}`)
    }
    if (closed) listener?.close()
    const address = listener === undefined ? undefined : hostAndPort(host, listener.port)
    group = options.start(address)
  }

  function receive(message: Message, from: string, channel: Channel): void {
    // What comes while connections end is for nobody.
    if (group === undefined || closed) return
    const out = group.receive(message, from, now())
    // Answers to a node that this one coordinates go back the way it came.
    for (const one of out) {
      if (one.to === from) channel.send(one.message)
      else send([one])
    }
  }

  return {
    send,
    tick: keepConnected,
    async close() {
      closed = true
      for (const channel of [...outgoing.values(), ...incoming.values()]) channel?.close()
      for (const connection of closing) connection.close()
      listener?.close()
    },
  }
}
