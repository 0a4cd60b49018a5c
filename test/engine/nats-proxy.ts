/** Between darta and a NATS server: what goes wrong on a network, and what a server that forgets or repeats would do. */
import {connect, createServer, type Socket} from 'node:net'
import type {ExecutionContext} from 'ava'

/** Each as a probability per message, in both directions. */
export interface MessageFaults {
  readonly drop?: number
  readonly repeat?: number
  /** A message is sent after the one that follows it. */
  readonly swap?: number
}

export interface Proxy {
  readonly port: number
  faults: MessageFaults
  /** How many messages were dropped, repeated and swapped. */
  readonly done: {drop: number; repeat: number; swap: number}
  /** Nothing gets through any more, and nobody is told. */
  stall(): void
  go(): void
  /** Ends all connections. */
  break(): void
  /** Nothing ever gets through the connections that there are, and nobody is told; new ones are well. */
  strand(): void
}

/** A message that is swapped with the next one waits for it no longer than that. */
const SWAP_MS = 200
const CARRIES = /^(?:PUB|HPUB|MSG|HMSG) /

/** Listens on loopback for a server on this port of loopback. */
export async function natsProxy(
  t: ExecutionContext,
  serverPort: number,
  next: () => number,
): Promise<Proxy> {
  const sockets = new Set<Socket>()
  const stranded = new Set<Socket>()
  const done = {drop: 0, repeat: 0, swap: 0}
  let stalled = false
  let faults: MessageFaults = {}

  function happens(kind: keyof MessageFaults): boolean {
    const probability = faults[kind] ?? 0
    const does = probability > 0 && next() < probability
    if (does) done[kind]++
    return does
  }

  /** Passes whole protocol messages on, as well as it is told to. */
  function pass(from: Socket, to: Socket): void {
    let held: Buffer | undefined
    let full = false
    let timer: NodeJS.Timeout | undefined
    const write = (octets: Buffer): void => {
      if (to.write(octets) || full) return
      full = true
      from.pause()
      to.once('drain', () => {
        full = false
        if (!stalled && !stranded.has(from)) from.resume()
      })
    }
    const release = (): void => {
      clearTimeout(timer)
      if (held !== undefined) write(held)
      held = undefined
    }
    const give = (message: Buffer, carries: boolean): void => {
      if (!carries) {
        write(message)
        return
      }
      if (happens('drop')) return
      if (held === undefined && happens('swap')) {
        held = message
        timer = setTimeout(release, SWAP_MS)
        return
      }
      write(message)
      release()
      if (happens('repeat')) write(message)
    }
    let rest: Buffer = Buffer.alloc(0)
    from.on('data', (chunk: Buffer) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      for (;;) {
        const end = rest.indexOf('\r\n')
        if (end < 0) return
        const line = rest.toString('latin1', 0, end)
        const carries = CARRIES.test(line)
        const size = end + 2 + (carries ? Number(line.slice(line.lastIndexOf(' ') + 1)) + 2 : 0)
        if (rest.length < size) return
        give(rest.subarray(0, size), carries)
        rest = rest.subarray(size)
      }
    })
  }

  const server = createServer((client) => {
    const upstream = connect(serverPort, '127.0.0.1')
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        stranded.delete(socket)
        other.destroy()
      })
      if (stalled) socket.pause()
      pass(socket, other)
      if (stalled) socket.pause()
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const endAll = (): void => {
    for (const socket of [...sockets, ...stranded]) socket.destroy()
  }
  t.teardown(() => {
    endAll()
    server.close()
  })
  return {
    port: (server.address() as {port: number}).port,
    done,
    get faults() {
      return faults
    },
    set faults(next) {
      faults = next
    },
    stall() {
      stalled = true
      for (const socket of sockets) socket.pause()
    },
    go() {
      stalled = false
      for (const socket of sockets) socket.resume()
    },
    break: endAll,
    strand() {
      for (const socket of sockets) {
        socket.pause()
        stranded.add(socket)
      }
      sockets.clear()
    },
  }
}
