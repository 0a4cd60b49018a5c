// Streams of Diameter: what a server gets of a client, and the answers that a client gets, of which some octets are changed.
import {mutateOctets} from './random.mjs'
import {built, promise} from './support.mjs'

const options = {
  realm: 'example',
  addresses: [Uint8Array.of(192, 0, 2, 1), new Uint8Array(16)],
  originStateId: 1,
  applications: [3],
  watchdogMs: 30_000,
}

export async function diameter() {
  const {createPeer} = await built('src/mediation/diameter/peer.js')
  const {accountingAnswer, accountingRequest, readAccountingRequest} = await built(
    'src/mediation/diameter/accounting.js',
  )
  const {createMessageSplitter, encodeMessage, readHeader, readMessage} = await built(
    'src/mediation/diameter/message.js',
  )
  const {avp, COMMAND} = await built('src/mediation/diameter/dictionary.js')

  const requests = ['start', 'interim', 'stop', 'event'].map((type, number) =>
    accountingRequest(
      {
        type,
        number,
        sessionId: 'nas.example;1;2;3',
        userName: 'anna é',
        timeMs: 1_800_000_000_000,
        seconds: 9,
        inputOctets: 1n << 60n,
        outputOctets: 2n,
        inputPackets: 3n,
        outputPackets: 4n,
      },
      {
        originHost: 'nas.example',
        originRealm: 'example',
        destinationRealm: 'example',
        originStateId: 1,
      },
      number,
    ),
  )
  // A relay puts its own into what it passes on.
  const relayed = encodeMessage({...readHeader(requests[0]), hopByHop: 8}, [
    [avp.sessionId, 'x'],
    [
      avp.proxyInfo,
      [
        [avp.originHost, 'relay.example'],
        [avp.proxyState, Uint8Array.of(1, 2, 3)],
      ],
    ],
    [avp.vendorSpecificApplicationId, [[avp.acctApplicationId, 3]]],
  ])

  /** A side; what it sends is kept, and each of its messages must be one. */
  const side = (role, identity) => {
    const sent = []
    let asked = 0
    let answers = 0
    let closed = 0
    const peer = createPeer(
      role,
      {...options, identity},
      {
        send(octets) {
          promise(closed === 0, 'it sends after it has closed')
          const [whole] = createMessageSplitter().push(octets)
          promise(whole?.length === octets.length, 'it sends what is no message')
          const {request, command} = readMessage(octets)
          if (!request && command === COMMAND.accounting) answers++
          sent.push(octets)
        },
        opened() {},
        answered() {},
        requested(request) {
          asked++
          const record = readAccountingRequest(request)
          return {resultCode: 2001, avps: accountingAnswer(record)}
        },
        closed() {
          closed++
        },
      },
    )
    peer.start(0)
    return {
      peer,
      sent,
      check() {
        promise(closed <= 1, 'it closes twice')
        promise(closed === 0 || peer.state === 'closed', 'it has closed and does not know')
        promise(answers >= asked, `${asked} requests, ${answers} answers`)
      },
    }
  }

  /** Both streams of a conversation that goes well. */
  const conversation = () => {
    const client = side('initiator', 'nas.example')
    const server = side('responder', 'aaa.example')
    const streams = {client: [], server: []}
    const carry = () => {
      while (client.sent.length + server.sent.length > 0) {
        for (const octets of client.sent.splice(0)) {
          streams.client.push(octets)
          server.peer.receive(octets, 0)
        }
        for (const octets of server.sent.splice(0)) {
          streams.server.push(octets)
          client.peer.receive(octets, 0)
        }
      }
    }
    carry()
    for (const octets of [...requests, relayed]) client.peer.request(octets, false)
    carry()
    client.peer.tick(client.peer.dueMs)
    carry()
    client.peer.disconnect(0)
    carry()
    return [streams.client, streams.server].map((list) => new Uint8Array(Buffer.concat(list)))
  }
  const [toServer, toClient] = conversation()
  const seeds = [Uint8Array.of(0, ...toServer), Uint8Array.of(1, ...toClient)]

  /** Changes the octets, or the length of a message or an AVP. The first octet says who gets the stream. */
  const mutate = (random, seed, others) => {
    let octets = seed.subarray(1)
    const changes = 1 + random.below(3)
    for (let n = 0; n < changes; n++) octets = mutateOctets(random, octets, others)
    return Uint8Array.of(seed[0], ...octets)
  }
  return {
    seeds,
    mutate,
    units: (octets) => Math.max(1, octets.length / 64),
    run(random, octets) {
      const one =
        octets[0] === 0 ? side('responder', 'aaa.example') : side('initiator', 'nas.example')
      const step = random.of([Infinity, 1400, 64, 7, 1])
      const stream = octets.subarray(1)
      if (step === Infinity || stream.length / step > 4096) one.peer.receive(stream, 0)
      else {
        for (let at = 0; at < stream.length; at += step) {
          one.peer.receive(stream.subarray(at, at + step), at)
        }
      }
      one.peer.tick(Infinity)
      one.peer.disconnect(0)
      one.check()
    },
  }
}
