import {connect, createServer, type AddressInfo, type Socket} from 'node:net'
import {connect as tlsConnect, createServer as createTlsServer, type TLSSocket} from 'node:tls'
import type {InternetEndpoint} from '../../io/endpoint.js'
import {
  handshakeFault,
  peerFault,
  tlsOptions,
  type TlsCredentials,
} from '../../io/tls-credentials.js'
import {
  formatMessage,
  MAX_MESSAGE_CHARACTERS,
  parseMessage,
  type Message,
} from '../../metering/coordination/message.js'
import {DartaError} from '../../record/errors.js'

/** Messages, a line of JSON each, over one connection to a peer of the same group. */
export interface Channel {
  /** What is sent to a peer that does not read is given up with the connection. */
  send(message: Message): void
  /** Ends it when all that was sent is on its way. */
  close(): void
  /** Address of this host on the connection. */
  readonly localAddress: string
}

export interface ChannelEvents {
  /** The peer has said that it is of the group. */
  readonly opened: (channel: Channel) => void
  readonly message: (message: Message, channel: Channel) => void
  /** Once, also where it never opened. `why` is empty for an orderly end. */
  readonly closed: (why: string, channel: Channel) => void
}

/** Octets that may wait for a peer that does not read. */
const MOST_WAITING = 1 << 20
/** Who has not said hello by then is none of ours. */
const HELLO_MS = 5000

/** Talks the group's language on a connected socket. */
function openChannel(socket: Socket, group: string, events: ChannelEvents): Channel {
  let text = ''
  let isOpen = false
  let why = ''
  const channel: Channel = {
    send(message) {
      if (socket.destroyed) return
      if (socket.writableLength > MOST_WAITING) {
        give('the peer does not read')
        return
      }
      socket.write(`${formatMessage(message)}\n`)
    },
    close() {
      socket.end()
      // A peer that does not answer keeps no process from ending.
      socket.unref()
    },
    localAddress: socket.localAddress ?? '',
  }
  function give(reason: string): void {
    why ||= reason
    socket.destroy()
  }
  const timer = setTimeout(() => give('the peer does not say hello'), HELLO_MS)
  timer.unref()
  socket.setNoDelay(true)
  socket.setEncoding('utf8')
  socket.on('error', (error) => (why ||= error.message))
  socket.on('close', () => {
    clearTimeout(timer)
    // So ends a TLS 1.3 connection whose certificate the other side refuses.
    if (!isOpen) why ||= 'the peer ended it before it said hello'
    events.closed(why, channel)
  })
  socket.on('data', (chunk: string) => {
    text += chunk
    for (;;) {
      const end = text.indexOf('\n')
      if (end < 0) break
      const line = text.slice(0, end)
      text = text.slice(end + 1)
      if (!take(line)) return
    }
    if (text.length > MAX_MESSAGE_CHARACTERS) give('the peer sends a line that is too long')
  })
  channel.send({type: 'hello', group})
  return channel

  /** False: the connection is given up. */
  function take(line: string): boolean {
    let message: Message
    try {
      message = parseMessage(line)
    } catch (error) {
      give(error instanceof DartaError ? error.message : String(error))
      return false
    }
    if (isOpen) {
      events.message(message, channel)
      return !socket.destroyed
    }
    if (message.type !== 'hello' || message.group !== group) {
      const other = message.type === 'hello' ? `is of group ${message.group}` : 'does not say hello'
      give(`the peer ${other}, not of ${group}`)
      return false
    }
    isOpen = true
    clearTimeout(timer)
    events.opened(channel)
    return true
  }
}

export interface Listener {
  /** Where it listens: a port that was chosen freely has its number. */
  readonly port: number
  close(): void
}

/**
 * Waits for peers. With TLS both sides show certificates.
 *
 * @throws DartaError DARTA_GROUP, DARTA_PERMISSION
 */
export async function listenForPeers(
  endpoint: Pick<InternetEndpoint, 'transport' | 'host' | 'port' | 'name'>,
  group: string,
  credentials: TlsCredentials | undefined,
  events: ChannelEvents,
  refused: (why: string) => void,
): Promise<Listener> {
  const sockets = new Set<Socket>()
  const take = (socket: Socket): void => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    openChannel(socket, group, events)
  }
  const server =
    endpoint.transport === 'tls'
      ? createTlsServer(tlsOptions(credentials!), (socket) => {
          const fault = peerFault(socket, credentials!.peers)
          if (fault === undefined) return take(socket)
          refused(fault)
          socket.destroy()
        })
      : createServer(take)
  server.on('tlsClientError', (error: Error, socket: TLSSocket) =>
    refused(handshakeFault(error, socket)),
  )
  const host = endpoint.host === '*' || endpoint.host === '' ? undefined : endpoint.host
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const code = error.code === 'EACCES' ? 'DARTA_PERMISSION' : 'DARTA_GROUP'
      reject(
        new DartaError(
          code,
          `cannot listen on ${endpoint.name}: ${error.message}`,
          undefined,
          error,
        ),
      )
    })
    server.listen(endpoint.port, host, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Connects to a peer; `events.closed` is called in any case. */
export function connectToPeer(
  endpoint: Pick<InternetEndpoint, 'transport' | 'host' | 'port'>,
  group: string,
  credentials: TlsCredentials | undefined,
  events: ChannelEvents,
): {close(): void} {
  const {host, port} = endpoint
  const socket =
    endpoint.transport === 'tls'
      ? tlsConnect({
          ...tlsOptions(credentials!),
          host,
          port,
          // peerFault looks at the name.
          checkServerIdentity: () => undefined,
        })
      : connect(port, host)
  const failed = (error: Error): void => events.closed(error.message, none)
  socket.once('error', failed)
  socket.once(endpoint.transport === 'tls' ? 'secureConnect' : 'connect', () => {
    socket.off('error', failed)
    if (endpoint.transport === 'tls') {
      const names = credentials!.peers.length > 0 ? credentials!.peers : [host]
      const fault = peerFault(socket as TLSSocket, names)
      if (fault !== undefined) {
        socket.on('error', () => {})
        socket.destroy()
        events.closed(fault, none)
        return
      }
    }
    openChannel(socket, group, events)
  })
  return {close: () => socket.destroy()}
}

/** Of a connection that never came to be. */
const none: Channel = {send() {}, close() {}, localAddress: ''}
