import type {Socket} from 'node:net'
import type {Endpoint} from '../../io/endpoint.js'
import {openSocket} from '../../io/stream-connection.js'
import type {TlsCredentials} from '../../io/tls-credentials.js'
import {isTransient} from '../../mediation/diameter/accounting.js'
import {avpNumber, DiameterFault} from '../../mediation/diameter/avp.js'
import {APPLICATION, avp} from '../../mediation/diameter/dictionary.js'
import type {DiameterMessage} from '../../mediation/diameter/message.js'
import {createPeer, resultWords, type Peer} from '../../mediation/diameter/peer.js'
import {addressOctets} from '../../record/address.js'
import type {StageLedger} from '../../record/ledger.js'
import type {AccountingSpool, SpooledRequest} from './accounting-spool.js'

export interface AccountingClientOptions {
  readonly endpoint: Endpoint
  readonly credentials: TlsCredentials | undefined
  readonly identity: string
  readonly realm: string
  readonly originStateId: number
  /** Least time from one attempt to connect to the next. */
  readonly reconnectMs: number
  readonly watchdogMs: number
  readonly spool: AccountingSpool
  readonly account: StageLedger
  readonly note: (text: string) => void
}

/** Sends accounting requests until each has its answer. */
export interface AccountingClient {
  /** Takes requests; waits while very many have no answer. */
  deliver(requests: readonly {octets: Uint8Array; endToEnd: number}[]): Promise<void>
  /** Waits for the answers that are still to come, says goodbye and closes. */
  finish(lingerMs: number): Promise<void>
}

/** Requests that are on their way at once. */
const IN_FLIGHT = 256
/** Requests without an answer, beyond which the input waits. */
const MOST_WAITING = 1 << 16
const CONNECT_TIMEOUT_MS = 10_000
/** A server that keeps the connection and does not answer is left. */
const ANSWER_MS = 30_000
/** How long a server is left alone that says it cannot now. */
const BUSY_MS = 2000

export function startAccountingClient(options: AccountingClientOptions): AccountingClient {
  const {spool, account, note, endpoint} = options
  const quit = new AbortController()
  let waiting: (() => void)[] = []
  let finishing = false
  let complaint = ''
  let pump = (): void => {}
  /** Whether there is somebody to say it to. */
  let goodbye = (): boolean => false

  const changed = (): void => {
    const all = waiting
    waiting = []
    for (const fn of all) fn()
  }
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await new Promise<void>((resolve) => waiting.push(resolve))
  }
  const complain = (text: string): void => {
    // The same each time says nothing new.
    if (text !== complaint) note(`${endpoint.name}: ${text}`)
    complaint = text
  }
  const answered = (request: SpooledRequest, answer: DiameterMessage): boolean => {
    const code = resultOf(answer)
    if (isTransient(code)) {
      account.note('busy')
      complain(`it cannot now: ${resultWords(code)}`)
      return false
    }
    spool.settle(request.endToEnd)
    if (code !== undefined && code >= 2000 && code < 3000) account.out++
    else {
      account.lose(`refused-${code ?? 'unread'}`)
      complain(`it refused a record: ${resultWords(code)}`)
    }
    changed()
    return true
  }

  /** One connection from its beginning to its end. */
  const talk = (socket: Socket): Promise<void> =>
    new Promise((resolve) => {
      /** By hop-by-hop identifier, in the order of sending. */
      const inFlight = new Map<number, {request: SpooledRequest; sentMs: number}>()
      const away = new Set<number>()
      let busyUntil = 0
      let timer: NodeJS.Timeout | undefined
      let over = false
      const end = (reason: string): void => {
        if (over) return
        over = true
        clearTimeout(timer)
        pump = () => {}
        goodbye = () => false
        quit.signal.removeEventListener('abort', cut)
        // Nobody knows what became of these.
        for (const {request} of inFlight.values()) request.mayHaveArrived = true
        socket.end()
        socket.destroySoon()
        if (!finishing) complain(reason)
        resolve()
      }
      const cut = (): void => {
        end('stopped')
        socket.destroy()
      }
      const peer: Peer = createPeer(
        'initiator',
        {
          identity: options.identity,
          realm: options.realm,
          addresses: [addressOctets(socket.localAddress ?? '127.0.0.1')],
          originStateId: options.originStateId,
          applications: [APPLICATION.accounting],
          watchdogMs: options.watchdogMs,
        },
        {
          send: (octets) => void socket.write(octets),
          opened({identity}) {
            account.note('connections')
            if (complaint !== '') note(`${endpoint.name}: connected to ${identity}`)
            complaint = ''
            pump()
          },
          answered(answer) {
            const one = inFlight.get(answer.hopByHop)
            if (one === undefined) return
            inFlight.delete(answer.hopByHop)
            away.delete(one.request.endToEnd)
            if (!answered(one.request, answer)) {
              one.request.mayHaveArrived = true
              busyUntil = performance.now() + BUSY_MS
            }
            pump()
          },
          requested: () => ({resultCode: 3001, avps: []}),
          closed: end,
        },
      )
      const look = (): void => {
        clearTimeout(timer)
        if (over) return
        const now = performance.now()
        const [first] = inFlight.values()
        if (first !== undefined && now - first.sentMs >= ANSWER_MS) return end('it does not answer')
        peer.tick(now)
        if (now >= busyUntil) send(now)
        arm()
      }
      const arm = (): void => {
        if (over) return
        clearTimeout(timer)
        const now = performance.now()
        const [first] = inFlight.values()
        const due = Math.min(
          peer.dueMs,
          first === undefined ? Infinity : first.sentMs + ANSWER_MS,
          busyUntil > now ? busyUntil : Infinity,
        )
        if (due < Infinity) timer = setTimeout(look, Math.max(1, due - now))
      }
      const send = (now: number): void => {
        if (peer.state !== 'open') return
        socket.cork()
        for (const request of spool.requests.values()) {
          if (inFlight.size >= IN_FLIGHT) break
          if (away.has(request.endToEnd)) continue
          if (request.mayHaveArrived) account.note('repeated')
          const identifier = peer.request(request.octets, request.mayHaveArrived)
          away.add(request.endToEnd)
          inFlight.set(identifier, {request, sentMs: now})
        }
        socket.uncork()
      }
      pump = () => {
        const now = performance.now()
        if (now >= busyUntil) send(now)
        arm()
      }
      goodbye = () => {
        peer.disconnect(performance.now())
        arm()
        return true
      }
      socket.on('data', (chunk: Buffer) => {
        peer.receive(new Uint8Array(chunk), performance.now())
        arm()
      })
      socket.on('error', (error) => end(error.message))
      socket.on('close', () => end('it closed the connection'))
      quit.signal.addEventListener('abort', cut, {once: true})
      peer.start(performance.now())
      arm()
      socket.resume()
    })

  const run = async (): Promise<void> => {
    while (!quit.signal.aborted) {
      const triedAt = performance.now()
      try {
        const socket = await openSocket(endpoint, {
          credentials: options.credentials,
          timeoutMs: CONNECT_TIMEOUT_MS,
          signal: quit.signal,
        })
        await talk(socket)
      } catch (error) {
        if (!quit.signal.aborted) complain(`cannot connect: ${(error as Error).message}`)
      }
      if (quit.signal.aborted || (finishing && spool.requests.size === 0)) return
      const wait = triedAt + options.reconnectMs - performance.now()
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.max(0, wait))
        const hurry = (): void => {
          clearTimeout(timer)
          resolve()
        }
        quit.signal.addEventListener('abort', hurry, {once: true})
      })
    }
  }
  const running = run()
  return {
    async deliver(requests) {
      if (requests.length === 0) return
      account.in += requests.length
      spool.add(requests)
      pump()
      await until(() => spool.requests.size < MOST_WAITING || quit.signal.aborted)
    },
    async finish(lingerMs) {
      finishing = true
      const timer = setTimeout(() => quit.abort(), lingerMs)
      quit.signal.addEventListener('abort', changed)
      await until(() => spool.requests.size === 0 || quit.signal.aborted)
      if (!goodbye()) quit.abort()
      // A server that is slow to say goodbye is not waited for longer than for answers.
      await running
      clearTimeout(timer)
    },
  }
}

function resultOf(answer: DiameterMessage): number | undefined {
  try {
    return avpNumber(answer.avps, avp.resultCode)
  } catch (error) {
    if (error instanceof DiameterFault) return undefined
    throw error
  }
}
