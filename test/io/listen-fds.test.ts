import test from 'ava'
import {handedSockets, type HandedSurroundings} from '../../src/io/listen-fds.js'
import {bin, start} from '../support/darta.js'
import {native} from '../support/native-addon.js'
import {needing, tools} from '../support/needing.js'
import {numberedRecords} from '../support/numbered.js'
import {createSocket} from 'node:dgram'
import {connect} from 'node:net'
import {once} from 'node:events'

const header =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
const row = (inode: number): string =>
  ` 71: 00000000:1283 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 ${inode} 2 0 0\n`

function handing(env: HandedSurroundings['env']): HandedSurroundings {
  const tables: Record<string, string> = {
    udp: header + row(101),
    tcp6: header + row(102),
    unix: `Num       RefCount Protocol Flags    Type St Inode Path\n0: 2 0 10000 1 1 103 /run/x\n`,
  }
  return {
    env,
    pid: 7,
    link: (descriptor) => (descriptor < 6 ? `socket:[${98 + descriptor}]` : '/dev/null'),
    table: (name) => tables[name],
  }
}

test('sockets that were handed over have their kind and their name', (t) => {
  const env = {LISTEN_PID: '7', LISTEN_FDS: '3', LISTEN_FDNAMES: 'flows:tls'}
  t.deepEqual(handedSockets(handing(env)), [
    {descriptor: 3, name: 'flows', kind: 'udp'},
    {descriptor: 4, name: 'tls', kind: 'tcp'},
    {descriptor: 5, name: 'unknown', kind: 'unix'},
  ])
})

test('what is meant for another process, or is nothing, is nothing', (t) => {
  t.deepEqual(handedSockets(handing({LISTEN_PID: '8', LISTEN_FDS: '3'})), [])
  t.deepEqual(handedSockets(handing({LISTEN_PID: '7', LISTEN_FDS: '0'})), [])
  t.deepEqual(handedSockets(handing({LISTEN_PID: '7'})), [])
  t.deepEqual(handedSockets(handing({})), [])
  t.deepEqual(handedSockets(), [])
})

test('a descriptor that is no socket is an error', (t) => {
  t.throws(() => handedSockets(handing({LISTEN_PID: '7', LISTEN_FDS: '4'})), {
    message: /descriptor 6, which was handed over, is no UDP, TCP or Unix socket/,
  })
})

needing(tools('systemd-socket-activate'), native)(
  'collect takes UDP and TCP sockets that a service manager has bound',
  async (t) => {
    for (const datagram of [true, false]) {
      // A free port, taken again at once.
      const probe = createSocket('udp4').bind(0, '127.0.0.1')
      await once(probe, 'listening')
      const {port} = probe.address()
      probe.close()
      const kind = datagram ? ['--datagram'] : []
      const running = start(t, 'systemd-socket-activate', [
        ...[...kind, '-l', `127.0.0.1:${port}`],
        ...[bin, 'collect', '-c', '20', '-o', 'ndjson'],
      ])
      await running.says(/Listening on/)
      if (datagram) {
        const sender = createSocket('udp4')
        sender.send(numberedRecords(20), port, '127.0.0.1', () => sender.close())
      } else {
        const client = connect(port, '127.0.0.1')
        client.on('error', () => {})
        client.end(numberedRecords(20))
      }
      const {stdout, stderr} = await running.ended
      const lines = stdout.toString().trim().split('\n')
      t.true(lines.filter((line) => line.includes('"flowId"')).length >= 20, stderr)
    }
  },
)
