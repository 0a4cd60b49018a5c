import {readFileSync} from 'node:fs'
import {connect, createServer} from 'node:net'
import {createServer as createTlsServer, type TLSSocket} from 'node:tls'
import {answerTo, int16, int32, KNOWN, questions, string} from './kafka-wire.js'

/**
 * What kcat's brokers lack before them: TLS, and SASL/PLAIN. Brokers name themselves by loopback addresses, so it stands in another
 * network namespace, at the same ports, and reaches them through sockets of the file system:
 *
 *     kafka-front back FOLDER PORT…                       where the brokers are: FOLDER/PORT to the port
 *     kafka-front front FOLDER CERT KEY USER:PASSWORD PORT…   where the clients are: the port to FOLDER/PORT
 *
 * Says `ready` on standard error.
 */
const [side, folder, ...rest] = process.argv.slice(2)

/** Numbers of questions that are answered here. */
const SASL_HANDSHAKE = 17
const API_VERSIONS = 18
const SASL_AUTHENTICATE = 36
const SASL_FAILED = 58

const ALL = [...KNOWN, [SASL_HANDSHAKE, 0, 1], [SASL_AUTHENTICATE, 0, 1]]

function guard(socket: TLSSocket, port: string, who: string): void {
  const [user, password] = who.split(':')
  const broker = connect({path: `${folder}/${port}`})
  const rest = {octets: Buffer.alloc(0)}
  let known = false
  const end = (): void => {
    socket.destroy()
    broker.destroy()
  }
  socket.on('data', (chunk: Buffer) => {
    rest.octets = Buffer.concat([rest.octets, chunk])
    for (const question of questions(rest)) {
      const {key, version, body} = question
      if (key === API_VERSIONS) {
        const list = ALL.map((one) => Buffer.concat(one.map(int16)))
        answerTo(
          socket,
          question,
          int16(0),
          int32(list.length),
          ...list,
          ...(version > 0 ? [int32(0)] : []),
        )
      } else if (key === SASL_HANDSHAKE)
        answerTo(socket, question, int16(0), int32(1), string('PLAIN'))
      else if (key === SASL_AUTHENTICATE) {
        known = body.subarray(4).toString() === `\0${user}\0${password}`
        const lifetime = version > 0 ? [Buffer.alloc(8)] : []
        const words = known ? [int16(0), int16(-1)] : [int16(SASL_FAILED), string('not you')]
        answerTo(socket, question, ...words, int32(0), ...lifetime)
      } else if (known) broker.write(question.whole)
      // Nothing is told to whom it does not know.
      else end()
    }
  })
  broker.on('data', (chunk) => socket.write(chunk))
  for (const one of [socket, broker]) one.on('error', end).on('close', end)
}

if (side === 'back') {
  for (const port of rest) {
    createServer((socket) => {
      const broker = connect({host: '127.0.0.1', port: Number(port)})
      socket.pipe(broker).pipe(socket)
      for (const one of [socket, broker]) {
        one.on('error', () => {
          socket.destroy()
          broker.destroy()
        })
      }
    }).listen(`${folder}/${port}`)
  }
} else {
  const [cert, key, who, ...ports] = rest
  const pair = {cert: readFileSync(cert), key: readFileSync(key)}
  for (const port of ports) {
    createTlsServer(pair, (socket) => {
      guard(socket, port, who)
    }).listen(Number(port), '127.0.0.1')
  }
}
console.error('ready')
