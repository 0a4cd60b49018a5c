import {spawn} from 'node:child_process'
import {createSocket} from 'node:dgram'
import {readFileSync} from 'node:fs'

/*
 * Sends the Messages of a file to an nfcapd of its own, each when the flows of the one before were read, and ends
 * it behind the last:
 *
 *     node nfcapd-run.js FILE FOLDER FLOWS,…      FLOWS: how many there are in each Message
 *
 * To be run in a network namespace with its loopback up.
 */
const [file, folder, counts] = process.argv.slice(2)
const flows = counts.split(',').map(Number)
const port = 9995
const nfcapd = spawn(
  'stdbuf',
  ['-oL', 'nfcapd', '-E', '-t', '3600', '-w', folder, '-b', '127.0.0.1', '-p', `${port}`],
  {stdio: ['ignore', 'pipe', 'pipe']},
)
const socket = createSocket('udp4')
const octets = readFileSync(file)
let words = ''
let text = ''
let at = 0
let sent = 0
/** Flows read, and those of all Messages that were sent. */
let read = 0
let due = 0
nfcapd.stderr.setEncoding('utf8').on('data', (more: string) => {
  words += more
  if (sent === 0 && words.includes('Startup nfcapd')) next()
})
nfcapd.stdout.setEncoding('utf8').on('data', (more: string) => {
  text += more
  const parts = text.split('Flow Record:')
  read += parts.length - 1
  text = parts[parts.length - 1]
  if (read >= due) next()
})
const late = setTimeout(() => nfcapd.kill('SIGTERM'), 20000)
nfcapd.on('exit', () => {
  clearTimeout(late)
  socket.close()
  if (sent < flows.length || read !== due) console.error(`${read} of ${due} flows read\n${words}`)
})

function next(): void {
  if (sent === flows.length) {
    nfcapd.kill('SIGTERM')
    return
  }
  const message = octets.subarray(at, at + octets.readUInt16BE(at + 2))
  at += message.length
  due += flows[sent++]
  socket.send(message, port, '127.0.0.1')
  if (read >= due) next()
}
