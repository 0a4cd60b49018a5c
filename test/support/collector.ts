import {createSocket} from 'node:dgram'
import {once} from 'node:events'
import {createServer, type AddressInfo, type Server, type Socket} from 'node:net'
import type {ExecutionContext} from 'ava'
import {createDecoder} from '../../src/ipfix/decoder.js'
import {Ledger} from '../../src/record/ledger.js'
import {plainRecords, type Plain} from './results.js'

/** What one connection, or all datagrams, brought. */
export interface Session {
  octets: Buffer
  ended: boolean
  readonly socket?: Socket
}

/** A Collector of the test's own, which keeps what comes. */
export interface Collector {
  readonly port: number
  readonly sessions: Session[]
  /** UDP: each datagram. */
  readonly datagrams: Buffer[]
  /** Resolves when `holds` does; looked at whenever something has come. */
  until(holds: () => boolean): Promise<void>
  /** Goes away as one that is killed does: connections are reset, nobody listens. */
  kill(): void
}

class Watch {
  #waiting: (() => void)[] = []
  changed(): void {
    const woken = this.#waiting
    this.#waiting = []
    for (const fn of woken) fn()
  }
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }
}

export async function tcpCollector(
  t: ExecutionContext,
  where: {readonly port?: number; readonly path?: string; readonly paused?: boolean} = {},
): Promise<Collector> {
  const watch = new Watch()
  const sessions: Session[] = []
  const server: Server = createServer({pauseOnConnect: where.paused ?? false}, (socket) => {
    const session: Session = {octets: Buffer.alloc(0), ended: false, socket}
    sessions.push(session)
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      Object.defineProperty(session, 'octets', {
        configurable: true,
        get: () => Buffer.concat(chunks),
      })
      watch.changed()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      session.ended = true
      watch.changed()
    })
    watch.changed()
  })
  server.listen(where.path ?? {port: where.port ?? 0, host: '127.0.0.1'})
  await once(server, 'listening')
  const kill = (): void => {
    server.close()
    for (const {socket} of sessions) socket?.resetAndDestroy()
  }
  t.teardown(kill)
  const address = server.address()
  const port = typeof address === 'string' ? 0 : (address as AddressInfo).port
  return {port, sessions, datagrams: [], until: (holds) => watch.until(holds), kill}
}

export async function udpCollector(t: ExecutionContext, port = 0): Promise<Collector> {
  const watch = new Watch()
  const datagrams: Buffer[] = []
  const socket = createSocket({type: 'udp4', recvBufferSize: 1 << 23})
  socket.on('message', (datagram) => {
    datagrams.push(datagram)
    watch.changed()
  })
  socket.bind(port, '127.0.0.1')
  await once(socket, 'listening')
  let open = true
  const kill = (): void => {
    if (open) socket.close()
    open = false
  }
  t.teardown(kill)
  const bound = socket.address().port
  return {port: bound, sessions: [], datagrams, until: (holds) => watch.until(holds), kill}
}

/** The records of one session, and what its decoder had to say: empty if nothing was wrong. */
export function decoded(octets: Uint8Array): {records: Plain[]; faults: string[]} {
  const ledger = new Ledger()
  const decoder = createDecoder({ledger, source: 'test'})
  const batches = [...decoder.push(octets.slice()), ...decoder.end()]
  const faults = ledger.stages.flatMap(({lost, missing, noted}) =>
    [lost, missing, noted].flatMap((reasons) => [...reasons].map(([why, n]) => `${why} ${n}`)),
  )
  return {records: plainRecords(batches), faults}
}

/** How many records have come so far; what is cut short is not counted. */
export function countRecords(octets: Uint8Array): number {
  const decoder = createDecoder({ledger: new Ledger(), source: 'test'})
  return decoder.push(octets.slice()).reduce((n, batch) => n + batch.count, 0)
}
