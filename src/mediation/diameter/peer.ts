import {
  addressOctets,
  avpNumber,
  avpText,
  DiameterFault,
  findAvp,
  readAvps,
  type AvpEntry,
} from './avp.js'
import {APPLICATION, avp, COMMAND, RESULT} from './dictionary.js'
import {
  createMessageSplitter,
  encodeMessage,
  readdressed,
  readHeader,
  readMessage,
  type DiameterMessage,
} from './message.js'

/** Who we are, and how we keep a connection. */
export interface PeerOptions {
  /** Fully qualified name of this host. */
  readonly identity: string
  readonly realm: string
  /** Our addresses on this connection, of 4 or 16 octets. */
  readonly addresses: readonly Uint8Array[]
  /** Grows each time that our state was lost. RFC 6733 section 8.16. */
  readonly originStateId: number
  /** Applications whose accounting we do. */
  readonly applications: readonly number[]
  /** Milliseconds without anything from the peer after which it is asked whether it lives. RFC 3539 section 3.4.1. */
  readonly watchdogMs: number
}

/** What a peer has others do. */
export interface PeerEvents {
  /** Octets for the connection. */
  send(octets: Uint8Array): void
  /** Capabilities were exchanged: requests can be sent. */
  opened(peer: {identity: string; realm: string}): void
  /** An answer to a request of ours. */
  answered(answer: DiameterMessage): void
  /** An Accounting-Request of the peer's; gives the Result-Code and what else its answer has. */
  requested(request: DiameterMessage): {resultCode: number; avps: readonly AvpEntry[]} | undefined
  /** The connection has to be closed now; nothing is sent any more. */
  closed(reason: string): void
}

export type PeerState = 'waiting' | 'open' | 'closing' | 'closed'

/**
 * One side of a connection between two Diameter nodes, without the connection: what it is told comes from a socket and a
 * clock, and what it says goes there. RFC 6733 section 5.6, the watchdog of RFC 3539.
 */
export interface Peer {
  readonly state: PeerState
  /** The connection is there: who connected says who he is. */
  start(nowMs: number): void
  receive(octets: Uint8Array, nowMs: number): void
  /** When `tick` must be called next, in the time of `nowMs`. */
  readonly dueMs: number
  tick(nowMs: number): void
  /**
   * Sends a request that is in octets; the hop-by-hop identifier is ours to choose.
   *
   * @returns that identifier; the answer has it too
   */
  request(octets: Uint8Array, retransmitted: boolean): number
  /** Answers a request that was not answered at once; nothing is said if the connection has closed. */
  answer(request: DiameterMessage, resultCode: number, avps: readonly AvpEntry[]): void
  /** Says goodbye; `closed` is called when the peer has answered, or does not in time. */
  disconnect(nowMs: number): void
}

const PRODUCT = 'darta'
/** Disconnect-Cause REBOOTING: we come back some time. */
const REBOOTING = 0
/** How long capabilities and goodbyes may take. */
const EXCHANGE_MS = 10_000

export function createPeer(
  role: 'initiator' | 'responder',
  options: PeerOptions,
  events: PeerEvents,
): Peer {
  const splitter = createMessageSplitter()
  let state: PeerState = 'waiting'
  let hopByHop = randomWord()
  let dueMs = Infinity
  /** A question whether the peer lives is not answered yet. */
  let asked = false
  /** Hop-by-hop identifiers of requests of ours that keep the connection. */
  let exchange: number | undefined

  const close = (reason: string): void => {
    if (state === 'closed') return
    state = 'closed'
    dueMs = Infinity
    events.closed(reason)
  }
  const origin = (): AvpEntry[] => [
    [avp.originHost, options.identity],
    [avp.originRealm, options.realm],
  ]
  const capabilities = (): AvpEntry[] => [
    ...origin(),
    ...options.addresses.map((one): AvpEntry => [avp.hostIpAddress, addressOctets(one)]),
    [avp.vendorId, 0],
    [avp.productName, PRODUCT],
    [avp.originStateId, options.originStateId],
    ...options.applications.map((one): AvpEntry => [avp.acctApplicationId, one]),
  ]
  const ask = (command: number, avps: readonly AvpEntry[]): void => {
    exchange = next()
    events.send(
      encodeMessage(
        {
          request: true,
          proxiable: false,
          error: false,
          retransmitted: false,
          command,
          application: APPLICATION.common,
          hopByHop: exchange,
          endToEnd: randomWord(),
        },
        avps,
      ),
    )
  }
  const next = (): number => (hopByHop = (hopByHop + 1) >>> 0)
  const reply = (request: DiameterMessage, code: number, avps: readonly AvpEntry[]): void =>
    events.send(answerTo(request, code, avps, origin()))

  /** A request that cannot be read or served. RFC 6733 sections 7.1.3 and 7.1.5. */
  const refuse = (request: DiameterMessage, code: number, words: string): void =>
    reply(request, code, [[avp.errorMessage, words]])

  const capabilitiesAsked = (request: DiameterMessage): void => {
    const offered = offeredApplications(request)
    const common = options.applications.some((one) => offered.has(one))
    if (!common && !offered.has(APPLICATION.relay)) {
      reply(request, RESULT.noCommonApplication, capabilities().slice(origin().length))
      return close('it has no application in common with us')
    }
    const peer = originOf(request)
    reply(request, RESULT.success, capabilities().slice(origin().length))
    state = 'open'
    events.opened(peer)
  }
  const capabilitiesAnswered = (answer: DiameterMessage): void => {
    const code = avpNumber(answer.avps, avp.resultCode)
    if (code !== RESULT.success) {
      const words = avpText(answer.avps, avp.errorMessage)
      return close(`it refused us: ${resultWords(code)}${words === undefined ? '' : `: ${words}`}`)
    }
    const peer = originOf(answer)
    state = 'open'
    events.opened(peer)
  }
  const takeRequest = (request: DiameterMessage): void => {
    if (request.command === COMMAND.deviceWatchdog && state !== 'waiting') {
      return reply(request, RESULT.success, [[avp.originStateId, options.originStateId]])
    }
    if (request.command === COMMAND.disconnectPeer && state !== 'waiting') {
      reply(request, RESULT.success, [])
      return close('it said goodbye')
    }
    if (state === 'waiting') {
      if (role === 'responder' && request.command === COMMAND.capabilitiesExchange) {
        return capabilitiesAsked(request)
      }
      return close('it spoke before capabilities were exchanged')
    }
    if (request.command === COMMAND.capabilitiesExchange) {
      return refuse(request, RESULT.unableToComply, 'capabilities were exchanged')
    }
    if (!options.applications.includes(request.application)) {
      return refuse(request, RESULT.applicationUnsupported, `application ${request.application}`)
    }
    if (request.command !== COMMAND.accounting) {
      return refuse(request, RESULT.commandUnsupported, `command ${request.command}`)
    }
    const answer = events.requested(request)
    if (answer !== undefined) reply(request, answer.resultCode, answer.avps)
  }
  const takeAnswer = (answer: DiameterMessage): void => {
    if (answer.hopByHop === exchange) {
      exchange = undefined
      if (answer.command === COMMAND.capabilitiesExchange) return capabilitiesAnswered(answer)
      if (answer.command === COMMAND.disconnectPeer) return close('goodbye')
      return
    }
    if (state === 'open' || state === 'closing') events.answered(answer)
  }
  const take = (octets: Uint8Array): void => {
    let message: DiameterMessage
    try {
      message = readMessage(octets)
    } catch (error) {
      if (!(error instanceof DiameterFault)) throw error
      // What cannot be read can still be answered, by its header.
      const header = readHeader(octets)
      if (header.request) refuse({...header, avps: [], octets}, error.resultCode, error.message)
      return
    }
    try {
      if (message.request) takeRequest(message)
      else takeAnswer(message)
    } catch (error) {
      if (!(error instanceof DiameterFault)) throw error
      if (message.request) refuse(message, error.resultCode, error.message)
      if (state === 'waiting') close(error.message)
    }
  }

  return {
    get state() {
      return state
    },
    get dueMs() {
      return dueMs
    },
    start(nowMs) {
      dueMs = nowMs + EXCHANGE_MS
      if (role === 'initiator') ask(COMMAND.capabilitiesExchange, capabilities())
    },
    receive(octets, nowMs) {
      if (state === 'closed') return
      try {
        for (const message of splitter.push(octets)) {
          take(message)
          // What a message may have changed.
          if ((state as PeerState) === 'closed') return
        }
      } catch (error) {
        if (!(error instanceof DiameterFault)) throw error
        return close(error.message)
      }
      if (state === 'open') {
        asked = false
        dueMs = nowMs + jittered(options.watchdogMs)
      }
    },
    tick(nowMs) {
      if (state === 'closed' || nowMs < dueMs) return
      if (state === 'waiting') close('no answer to who we are')
      else if (state === 'closing') close('no answer to our goodbye')
      else if (asked) close('it does not answer whether it lives')
      else {
        asked = true
        dueMs = nowMs + jittered(options.watchdogMs)
        ask(COMMAND.deviceWatchdog, [...origin(), [avp.originStateId, options.originStateId]])
      }
    },
    request(octets, retransmitted) {
      const identifier = next()
      events.send(readdressed(octets, identifier, retransmitted))
      return identifier
    },
    answer(request, resultCode, avps) {
      if (state !== 'closed') reply(request, resultCode, avps)
    },
    disconnect(nowMs) {
      if (state === 'waiting') return close('stopped')
      if (state !== 'open') return
      state = 'closing'
      dueMs = nowMs + EXCHANGE_MS
      ask(COMMAND.disconnectPeer, [...origin(), [avp.disconnectCause, REBOOTING]])
    },
  }
}

/** Octets of an answer: Session-Id first and Proxy-Infos as they came. RFC 6733 section 6.2. */
export function answerTo(
  request: DiameterMessage,
  resultCode: number,
  avps: readonly AvpEntry[],
  origin: readonly AvpEntry[],
): Uint8Array {
  const session = findAvp(request.avps, avp.sessionId)
  const proxies = request.avps.filter(({code, vendor}) => code === avp.proxyInfo.code && !vendor)
  return encodeMessage(
    {
      ...request,
      request: false,
      retransmitted: false,
      // Protocol errors.
      error: resultCode >= 3000 && resultCode < 4000,
    },
    [
      ...(session === undefined ? [] : [[avp.sessionId, session.octets] as const]),
      [avp.resultCode, resultCode],
      ...origin,
      ...avps,
      ...proxies.map(({octets}): AvpEntry => [avp.proxyInfo, octets]),
    ],
  )
}

/** @throws DiameterFault missingAvp, invalidAvpValue */
function originOf({avps}: DiameterMessage): {identity: string; realm: string} {
  const identity = avpText(avps, avp.originHost)
  const realm = avpText(avps, avp.originRealm)
  if (identity === undefined || realm === undefined) {
    throw new DiameterFault(RESULT.missingAvp, 'it does not say who it is', 0)
  }
  return {identity, realm}
}

/** Applications whose accounting the other side does. RFC 6733 section 5.3. */
function offeredApplications({avps}: DiameterMessage): Set<number> {
  const offered = new Set<number>()
  for (const {code, vendor, octets} of avps) {
    if (vendor !== 0) continue
    if (code === avp.acctApplicationId.code && octets.length === 4) offered.add(word(octets))
    // Relays take part in all applications, and say so in either AVP. RFC 6733 section 2.4.
    if (code === avp.authApplicationId.code && octets.length === 4) {
      if (word(octets) === APPLICATION.relay) offered.add(APPLICATION.relay)
    }
    if (code !== avp.vendorSpecificApplicationId.code) continue
    const inner = avpNumber(readAvps(octets, 0, octets.length), avp.acctApplicationId)
    if (inner !== undefined) offered.add(inner)
  }
  return offered
}

const word = (octets: Uint8Array): number =>
  new DataView(octets.buffer, octets.byteOffset, 4).getUint32(0)

/** What a Result-Code means, as far as it has to be told. */
export function resultWords(code: number | undefined): string {
  if (code === undefined) return 'without a Result-Code'
  const name = Object.entries(RESULT).find(([, value]) => value === code)?.[0]
  if (name === undefined) return `Result-Code ${code}`
  return `Result-Code ${code}, ${name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)}`
}

/** Many peers must not ask at once. RFC 3539 section 3.4.1: plus or minus 2 s of at least 6. */
function jittered(ms: number): number {
  return ms + (Math.random() * 2 - 1) * Math.min(2000, ms / 3)
}

function randomWord(): number {
  return Math.floor(Math.random() * 2 ** 32)
}
