import type {MessageContext, RecordBatch} from '../../src/record/batch.js'
import {ie} from '../../src/registry/elements.js'
import {address, batchOf, templateOf} from './records.js'

/** A Flow with its flags. */
export interface Talk {
  readonly from: string
  readonly to: string
  readonly ports: readonly [number, number]
  readonly proto: number
  readonly flags: number
  readonly octets: number
  readonly packets: number
  /** Milliseconds since 1970. */
  readonly start: number
  readonly end: number
}

export const BEGIN = 1_700_000_000_000

const template = templateOf([
  ie.sourceIPv4Address,
  ie.destinationIPv4Address,
  ie.sourceTransportPort,
  ie.destinationTransportPort,
  ie.protocolIdentifier,
  ie.tcpControlBits,
  ie.octetDeltaCount,
  ie.packetDeltaCount,
  ie.flowStartMilliseconds,
  ie.flowEndMilliseconds,
])

export function talkBatches(
  talks: readonly Talk[],
  message: Partial<MessageContext> = {},
): RecordBatch[] {
  const batches: RecordBatch[] = []
  for (let i = 0; i < talks.length; i += 500) {
    const rows = talks
      .slice(i, i + 500)
      .map((t) => [
        address(t.from),
        address(t.to),
        ...t.ports,
        t.proto,
        t.flags,
        t.octets,
        t.packets,
        t.start,
        t.end,
      ])
    batches.push(batchOf(template, rows, message))
  }
  return batches
}

export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 4294967296
  }
}

/** Ten minutes of clients that ask servers and are answered, both directions, and some that nobody answers. */
export function ordinaryTraffic(random: () => number, conversations = 2000): Talk[] {
  const talks: Talk[] = []
  for (let i = 0; i < conversations; i++) {
    const client = `10.0.${Math.floor(random() * 4)}.${Math.floor(random() * 200)}`
    const server = `192.0.2.${Math.floor(random() * 40)}`
    const udp = random() < 0.3
    const port = udp ? 53 : [80, 443, 443, 22, 25][Math.floor(random() * 5)]
    const source = 32768 + Math.floor(random() * 28000)
    const start = BEGIN + Math.floor(random() * 600_000)
    const packets = 1 + Math.floor(random() * 30)
    const answered = random() < 0.97
    const common = {proto: udp ? 17 : 6, start, end: start + Math.floor(random() * 5000)}
    talks.push({
      ...common,
      ...{from: client, to: server, ports: [source, port] as const},
      ...{flags: udp ? 0 : answered ? 0x1b : 2, packets, octets: packets * 80},
    })
    if (!answered) continue
    talks.push({
      ...common,
      ...{from: server, to: client, ports: [port, source] as const},
      ...{flags: udp ? 0 : 0x1b, packets, octets: packets * 700},
    })
  }
  return talks
}
