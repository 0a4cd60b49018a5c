import {existsSync, lstatSync, unlinkSync} from 'node:fs'
import {connect, createServer, type Server, type Socket} from 'node:net'
import type {TLSSocket} from 'node:tls'
import {addressOctets} from '../record/address.js'
import {DartaError} from '../record/errors.js'
import {hostAndPort, type Endpoint} from './endpoint.js'
import type {TlsCredentials} from './tls-credentials.js'
import {listenError} from './udp-receiver.js'

/** One connection that a peer made. */
export interface Connection {
  /** `192.0.2.1:4739`, or the socket's path. */
  readonly name: string
  /** Of the peer, 4 or 16 octets; undefined for a Unix socket. */
  readonly address: Uint8Array | undefined
  readonly port: number
  /** Ours on this connection, 4 or 16 octets; undefined for a Unix socket. */
  readonly localAddress: Uint8Array | undefined
  /** Sends octets to the peer, in protocols that answer. */
  write(octets: Uint8Array): void
  /** Octets that were written and that the system has not taken yet. */
  unsent(): number
  /** Ends it when the peer has what was written. */
  end(): void
  /** Takes no more until `resume`: the peer has to wait. */
  pause(): void
  resume(): void
  /** Ends it at once. */
  close(): void
}

export interface ConnectionHandlers {
  /** Whether a peer of this address may connect at all; what it says then has been logged. */
  accepts(address: Uint8Array | undefined, name: string): boolean
  opened(connection: Connection): void
  data(connection: Connection, octets: Uint8Array): void
  /** The peer closed it, or it broke. */
  closed(connection: Connection, fault: string | undefined): void
  /** A handshake that was refused, or a connection that broke before it was one. */
  refused(name: string, why: string): void
}

export interface StreamListener {
  /** Where it listens, with the port that was taken. */
  readonly name: string
  /** Takes no new connections; those that are open go on. */
  stop(): void
  close(): void
}

/** How long a peer may take for its handshake. */
const HANDSHAKE_MS = 10_000

/**
 * Listens for connections. Over TLS both sides are authenticated before any octet is handed on (RFC 7011 section 11.3).
 *
 * @throws DartaError DARTA_LISTEN, DARTA_PERMISSION
 */
export async function listenForStreams(
  endpoint: Endpoint,
  credentials: TlsCredentials | undefined,
  handlers: ConnectionHandlers,
  descriptor?: number,
): Promise<StreamListener> {
  const open = new Set<Socket>()
  const take = (socket: Socket): void => begin(socket, open, handlers, endpoint.name)
  let server: Server
  if (endpoint.transport === 'tls') {
    server = await secureServer(credentials!, take, handlers)
  } else {
    server = createServer({pauseOnConnect: false, noDelay: true}, (socket) => take(socket))
  }
  if (endpoint.transport === 'unix' && descriptor === undefined) await clearPath(endpoint.path)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    const done = (): void => {
      server.off('error', reject)
      resolve()
    }
    if (descriptor !== undefined) server.listen({fd: descriptor}, done)
    else if (endpoint.transport === 'unix') {
      // Mode 0600: nobody else's.
      const before = process.umask(0o177)
      server.listen(endpoint.path, done)
      process.umask(before)
    } else server.listen(endpoint.port, hostOf(endpoint), done)
  }).catch((error: unknown) => {
    const {code = 'error', syscall = 'listen'} = error as NodeJS.ErrnoException
    throw listenError(endpoint.name, code, syscall)
  })
  server.on('error', (error) => handlers.refused(endpoint.name, error.message))
  const at = server.address()
  const name =
    endpoint.transport === 'unix' || at === null || typeof at === 'string'
      ? endpoint.name
      : `${endpoint.transport}://${hostAndPort(at.address, at.port)}`
  return {
    name,
    stop: () => void server.close(),
    close() {
      server.close()
      for (const socket of open) socket.destroy()
    },
  }
}

/** Nobody but this machine, unless an address is given. */
function hostOf({host}: Exclude<Endpoint, {transport: 'unix'}>): string | undefined {
  if (host === '*') return undefined
  return host === '' ? '127.0.0.1' : host
}

/** A socket that a process left behind is in the way; one that somebody listens on is not ours. */
async function clearPath(path: string): Promise<void> {
  if (!existsSync(path) || !lstatSync(path).isSocket()) return
  const answered = await new Promise<boolean>((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => resolve(true)).once('error', () => resolve(false))
    probe.once('connect', () => probe.destroy())
  })
  if (answered) throw new DartaError('DARTA_LISTEN', `somebody listens on unix:${path} already`)
  unlinkSync(path)
}

async function secureServer(
  credentials: TlsCredentials,
  take: (socket: Socket) => void,
  handlers: ConnectionHandlers,
): Promise<Server> {
  const {createServer: createTlsServer} = await import('node:tls')
  const {handshakeFault, peerFault, tlsOptions} = await import('./tls-credentials.js')
  const server = createTlsServer({
    ...tlsOptions(credentials),
    handshakeTimeout: HANDSHAKE_MS,
    noDelay: true,
  })
  server.on('secureConnection', (socket: TLSSocket) => {
    const fault = peerFault(socket, credentials.peers)
    if (fault === undefined) take(socket)
    else {
      handlers.refused(nameOf(socket, ''), fault)
      socket.destroy()
    }
  })
  server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
    handlers.refused(nameOf(socket, ''), handshakeFault(error, socket))
  })
  return server
}

function nameOf({remoteAddress, remotePort}: Socket, otherwise: string): string {
  if (remoteAddress === undefined) return otherwise
  return hostAndPort(remoteAddress.replace(/^::ffff:(?=\d+\.)/, ''), remotePort ?? 0)
}

function addressOf({remoteAddress}: Socket): Uint8Array | undefined {
  return remoteAddress === undefined ? undefined : addressOctets(remoteAddress)
}

/** Handles a socket that we have connected as one that somebody else has. */
export function serveConnection(
  socket: Socket,
  handlers: ConnectionHandlers,
  otherwise: string,
): void {
  begin(socket, new Set(), handlers, otherwise)
}

function begin(
  socket: Socket,
  open: Set<Socket>,
  handlers: ConnectionHandlers,
  otherwise: string,
): void {
  const name = nameOf(socket, otherwise)
  const address = addressOf(socket)
  socket.on('error', () => {})
  if (!handlers.accepts(address, name)) {
    socket.destroy()
    return
  }
  open.add(socket)
  const connection: Connection = {
    name,
    address,
    port: socket.remotePort ?? 0,
    localAddress:
      socket.localAddress === undefined ? undefined : addressOctets(socket.localAddress),
    write: (octets) => void socket.write(octets),
    unsent: () => socket.writableLength,
    end: () => void socket.end(() => socket.destroy()),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    close: () => void socket.destroy(),
  }
  let fault: string | undefined
  socket.on('error', (error) => (fault = error.message))
  socket.on('data', (octets: Buffer) => handlers.data(connection, octets))
  socket.on('close', () => {
    open.delete(socket)
    handlers.closed(connection, fault)
  })
  handlers.opened(connection)
}
