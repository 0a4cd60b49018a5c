/*
 * Sends an IPFIX file to a Collector on loopback, one Message of at most 1400 octets a datagram:
 * `node send-messages.js FILE PORT`. Ends when the kernel has taken the last one.
 */
import {createSocket} from 'node:dgram'
import {readFileSync} from 'node:fs'
import {setImmediate} from 'node:timers/promises'
import {cutMessages} from './messages.js'

const [file, port] = process.argv.slice(2)
const socket = createSocket('udp4')
for (const message of cutMessages(readFileSync(file))) {
  await new Promise<void>((resolve, reject) => {
    socket.send(message, Number(port), '127.0.0.1', (error) => (error ? reject(error) : resolve()))
  })
  // The Collector shares the processor with us.
  await setImmediate()
}
socket.close()
