/*
 * A Collector that can be killed: `node keep-stream.js PORT FILE` writes what comes over TCP to FILE.N, N for each
 * connection, as soon as it has read it, and says `ready PORT` once it listens.
 */
import {openSync, writeSync} from 'node:fs'
import {createServer, type AddressInfo} from 'node:net'

const [port, file] = process.argv.slice(2)
let connections = 0
const server = createServer((socket) => {
  const fd = openSync(`${file}.${process.pid}.${connections++}`, 'a')
  socket.on('data', (octets) => writeSync(fd, octets))
  socket.on('error', () => {})
})
server.listen(Number(port), '127.0.0.1', () => {
  console.error(`ready ${(server.address() as AddressInfo).port}`)
})
