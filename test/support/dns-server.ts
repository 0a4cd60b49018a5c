import {createSocket, type RemoteInfo} from 'node:dgram'
import {once} from 'node:events'
import type {ExecutionContext} from 'ava'

/** What a server answers to a question for PTR: names, none (NXDOMAIN), a failure, or nothing at all. */
export type DnsAnswer = readonly string[] | 'none' | 'failure' | 'silence'

export interface DnsServer {
  /** `127.0.0.1:PORT` */
  readonly address: string
  /** Names that were asked for, `4.3.2.1.in-addr.arpa`, in the order in which they came. */
  readonly asked: readonly string[]
  /** Most questions that were open at a time. */
  readonly most: () => number
}

const label = (text: string): Buffer =>
  Buffer.concat([Buffer.of(text.length), Buffer.from(text, 'latin1')])
const nameOctets = (name: string): Buffer =>
  Buffer.concat([...name.split('.').map(label), Buffer.of(0)])

/** A server on loopback that answers PTR questions (RFC 1035). */
export async function startDnsServer(
  t: ExecutionContext,
  answer: (name: string) => DnsAnswer,
): Promise<DnsServer> {
  const socket = createSocket('udp4')
  const asked: string[] = []
  /** Names that are asked for; whoever asks again because the machine is slow has one question. */
  const open = new Set<string>()
  let most = 0
  socket.on('message', (message: Buffer, from: RemoteInfo) => {
    let at = 12
    const labels: string[] = []
    while (message[at] > 0) {
      labels.push(message.toString('latin1', at + 1, at + 1 + message[at]))
      at += 1 + message[at]
    }
    const question = message.subarray(12, at + 5)
    const name = labels.join('.')
    asked.push(name)
    const found = answer(name)
    if (found === 'silence') return
    open.add(name)
    most = Math.max(most, open.size)
    const names = typeof found === 'string' ? [] : found
    const header = Buffer.alloc(12)
    message.copy(header, 0, 0, 2)
    const code = found === 'none' ? 3 : found === 'failure' ? 2 : 0
    header.writeUInt16BE(0x8180 | code, 2)
    header.writeUInt16BE(1, 4)
    header.writeUInt16BE(names.length, 6)
    const records = names.map((one) => {
      const data = nameOctets(one)
      const head = Buffer.alloc(12)
      head.writeUInt16BE(0xc00c, 0)
      head.writeUInt16BE(12, 2)
      head.writeUInt16BE(1, 4)
      head.writeUInt32BE(60, 6)
      head.writeUInt16BE(data.length, 10)
      return Buffer.concat([head, data])
    })
    // Behind what has come already, so that questions that were sent together are open together.
    setImmediate(() => {
      open.delete(name)
      socket.send(Buffer.concat([header, question, ...records]), from.port, from.address)
    })
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  return {address: `127.0.0.1:${socket.address().port}`, asked, most: () => most}
}
