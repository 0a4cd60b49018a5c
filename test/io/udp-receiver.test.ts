import test from 'ava'
import {listenError} from '../../src/io/udp-receiver.js'

for (const [name, code, says] of [
  ['udp://*:162', 'EACCES', 'bind: EACCES: a port below 1024 needs CAP_NET_BIND_SERVICE'],
  ['tcp://[::1]:4739', 'EACCES', 'bind: EACCES'],
  ['unix:/run/darta', 'EPERM', 'bind: EPERM'],
  ['udp://*:162', 'EADDRINUSE', 'bind: EADDRINUSE'],
] as const) {
  test(`${code} at ${name} is told with what would help`, (t) => {
    const {code: kind, message} = listenError(name, code, 'bind')
    t.is(kind, code === 'EADDRINUSE' ? 'DARTA_LISTEN' : 'DARTA_PERMISSION')
    t.is(message, `cannot listen on ${name}: ${says}`)
  })
}
