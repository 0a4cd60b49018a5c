import test, {type ExecutionContext} from 'ava'
import {
  accountingAnswer,
  accountingRequest,
  readAccountingRequest,
} from '../../../src/mediation/diameter/accounting.js'
import {avpNumber, avpText} from '../../../src/mediation/diameter/avp.js'
import {avp, RESULT} from '../../../src/mediation/diameter/dictionary.js'
import {
  encodeMessage,
  readMessage,
  type DiameterMessage,
} from '../../../src/mediation/diameter/message.js'
import {createPeer, type Peer, type PeerOptions} from '../../../src/mediation/diameter/peer.js'

const WATCHDOG_MS = 30_000

function optionsOf(identity: string, applications = [3]): PeerOptions {
  return {
    identity,
    realm: 'example',
    addresses: [Uint8Array.of(127, 0, 0, 1)],
    originStateId: 1,
    applications,
    watchdogMs: WATCHDOG_MS,
  }
}

interface Side {
  readonly peer: Peer
  /** What it sent and the other has not received. */
  readonly sent: Uint8Array[]
  readonly log: string[]
  readonly answers: DiameterMessage[]
}

function side(role: 'initiator' | 'responder', options: PeerOptions): Side {
  const sent: Uint8Array[] = []
  const log: string[] = []
  const answers: DiameterMessage[] = []
  const peer = createPeer(role, options, {
    send: (octets) => void sent.push(octets),
    opened: ({identity, realm}) => void log.push(`opened by ${identity} of ${realm}`),
    answered: (answer) => void answers.push(answer),
    requested(request) {
      const record = readAccountingRequest(request)
      log.push(`${record.type} ${record.number} of ${record.userName ?? ''}`)
      return {resultCode: RESULT.success, avps: accountingAnswer(record)}
    },
    closed: (reason) => void log.push(`closed: ${reason}`),
  })
  return {peer, sent, log, answers}
}

/** Carries all that one has sent to the other, and back, until both are silent. */
function carry(a: Side, b: Side, nowMs = 0): void {
  while (a.sent.length + b.sent.length > 0) {
    for (const octets of a.sent.splice(0)) b.peer.receive(octets, nowMs)
    for (const octets of b.sent.splice(0)) a.peer.receive(octets, nowMs)
  }
}

function pair(t: ExecutionContext): {client: Side; server: Side} {
  const client = side('initiator', optionsOf('nas.example'))
  const server = side('responder', optionsOf('aaa.example'))
  server.peer.start(0)
  client.peer.start(0)
  carry(client, server)
  t.is(client.peer.state, 'open')
  t.is(server.peer.state, 'open')
  return {client, server}
}

const request = accountingRequest(
  {
    type: 'start',
    sessionId: 'nas.example;1;1',
    number: 0,
    userName: 'anna',
    timeMs: 0,
    seconds: undefined,
    inputOctets: 0n,
    outputOctets: 0n,
    inputPackets: 0n,
    outputPackets: 0n,
  },
  {
    originHost: 'nas.example',
    originRealm: 'example',
    destinationRealm: 'example',
    originStateId: 1,
  },
  5,
)

test('two peers exchange capabilities, requests and answers, and say goodbye', (t) => {
  const {client, server} = pair(t)
  t.deepEqual(client.log, ['opened by aaa.example of example'])
  t.deepEqual(server.log, ['opened by nas.example of example'])
  const identifier = client.peer.request(request, false)
  carry(client, server)
  t.is(server.log[1], 'start 0 of anna')
  const [answer] = client.answers
  t.is(answer.hopByHop, identifier)
  t.is(answer.endToEnd, 5)
  t.is(avpNumber(answer.avps, avp.resultCode), 2001)
  t.is(avpText(answer.avps, avp.sessionId), 'nas.example;1;1')
  t.is(answer.avps[0].code, avp.sessionId.code)
  client.peer.disconnect(0)
  carry(client, server)
  t.is(client.log.at(-1), 'closed: goodbye')
  t.is(server.log.at(-1), 'closed: it said goodbye')
})

test('a peer that is silent is asked whether it lives, and left when it does not answer', (t) => {
  const {client, server} = pair(t)
  const due = client.peer.dueMs
  t.true(due >= WATCHDOG_MS - 2000 && due <= WATCHDOG_MS + 2000)
  client.peer.tick(due - 1)
  t.deepEqual(client.sent, [])
  client.peer.tick(due)
  t.is(readMessage(client.sent[0]).command, 280)
  carry(client, server, due)
  t.is(client.peer.state, 'open')
  client.peer.tick(client.peer.dueMs)
  client.sent.splice(0)
  client.peer.tick(client.peer.dueMs)
  t.is(client.log.at(-1), 'closed: it does not answer whether it lives')
})

test('who has no application in common with us is told so', (t) => {
  const client = side('initiator', optionsOf('nas.example', [4]))
  const server = side('responder', optionsOf('aaa.example'))
  client.peer.start(0)
  carry(client, server)
  t.regex(client.log[0], /refused us: Result-Code 5010, no common application/)
  t.regex(server.log[0], /no application in common/)
})

test('a relay may connect, whatever its applications', (t) => {
  const client = side('initiator', optionsOf('relay.example', [0xffffffff]))
  const server = side('responder', optionsOf('aaa.example'))
  client.peer.start(0)
  carry(client, server)
  t.is(server.peer.state, 'open')
})

test('who does not answer in time, or speaks out of turn, is left', (t) => {
  const late = side('initiator', optionsOf('nas.example'))
  late.peer.start(0)
  late.peer.tick(9_999)
  t.is(late.peer.state, 'waiting')
  late.peer.tick(10_000)
  t.deepEqual(late.log, ['closed: no answer to who we are'])
  const early = side('responder', optionsOf('aaa.example'))
  early.peer.start(0)
  early.peer.receive(request, 0)
  t.deepEqual(early.log, ['closed: it spoke before capabilities were exchanged'])
  t.deepEqual(early.sent, [])
})

const header = {
  request: true,
  proxiable: true,
  error: false,
  retransmitted: false,
  command: 271,
  application: 3,
  hopByHop: 7,
  endToEnd: 8,
}

test('what cannot be served is answered by code, and the connection stays', (t) => {
  const {server} = pair(t)
  const cases: [Uint8Array, number, boolean][] = [
    [encodeMessage({...header, application: 4}, []), RESULT.applicationUnsupported, true],
    [encodeMessage({...header, command: 272}, []), RESULT.commandUnsupported, true],
    [encodeMessage(header, [[avp.sessionId, 'x']]), RESULT.missingAvp, false],
    [encodeMessage({...header, command: 257, application: 0}, []), RESULT.unableToComply, false],
  ]
  const broken = encodeMessage(header, [[avp.sessionId, 'abcd']])
  broken[27] = 200
  cases.push([broken, RESULT.invalidAvpLength, false])
  for (const [octets, code, protocolError] of cases) {
    server.peer.receive(octets, 0)
    const answer = readMessage(server.sent.splice(0)[0])
    t.is(avpNumber(answer.avps, avp.resultCode), code)
    t.is(answer.error, protocolError)
    t.false(answer.request)
    t.is(answer.hopByHop, 7)
    t.is(server.peer.state, 'open')
  }
})

test('proxies find what they put into a request in its answer', (t) => {
  const {server} = pair(t)
  const info = [
    [avp.originHost, 'relay.example'],
    [avp.proxyState, Uint8Array.of(1, 2, 3)],
  ] as const
  server.peer.receive(encodeMessage({...header, application: 9}, [[avp.proxyInfo, info]]), 0)
  const {avps} = readMessage(server.sent[0])
  t.is(avps.filter(({code}) => code === avp.proxyInfo.code).length, 1)
})

test('a stream that cannot be read any more is left', (t) => {
  const {server} = pair(t)
  server.peer.receive(Uint8Array.of(9, 9, 9, 9), 0)
  t.is(server.log.at(-1), 'closed: Diameter version 9')
  server.peer.receive(request, 0)
  t.is(server.log.length, 2)
})
