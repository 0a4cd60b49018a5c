/*
 * A UDP Collector for another network namespace: `node keep-datagrams.js` writes what comes to standard output, says
 * `ready PORT` once it listens, and then the length of each datagram.
 */
import {createSocket} from 'node:dgram'
import {writeSync} from 'node:fs'

const socket = createSocket('udp4')
socket.on('message', (datagram) => {
  writeSync(1, datagram)
  writeSync(2, `length ${datagram.length}\n`)
})
socket.bind(0, '127.0.0.1', () => writeSync(2, `ready ${socket.address().port}\n`))
