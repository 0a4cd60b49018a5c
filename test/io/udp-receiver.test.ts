import {createSocket} from 'node:dgram'
import test from 'ava'
import {listenError, openUdpReceiver, DATAGRAM_NUMBERS} from '../../src/io/udp-receiver.js'
import {needing} from '../support/needing.js'
import {addon, native} from '../support/native-addon.js'

const testNative = needing(native)

/** Octets of datagram `n`: its number, and lengths of all kinds, now and then more than a slot of a block holds. */
function numbered(n: number): Uint8Array {
  const octets = new Uint8Array(n % 1000 === 7 ? 9000 : 4 + ((n * 37) % 1400)).fill(n)
  new DataView(octets.buffer).setUint32(0, n)
  return octets
}

testNative(
  'datagrams that wait for their reader keep order and octets, however many',
  async (t) => {
    const COUNT = 8192
    let woken = (): void => {}
    const receiver = await openUdpReceiver(
      [{address: '127.0.0.1', port: 0, name: 'loopback'}],
      1 << 25,
      addon,
      () => woken(),
    )
    t.teardown(() => receiver.close())
    const sender = createSocket('udp4')
    t.teardown(() => sender.close())
    const [{port}] = receiver.counters()
    // A few at a time, so that a small buffer of the kernel holds them; what the thread has taken it says within moments.
    for (let sent = 0; sent < COUNT;) {
      const until = Math.min(sent + 64, COUNT)
      const sending: Promise<void>[] = []
      for (; sent < until; sent++) {
        sending.push(
          new Promise((resolve, reject) => {
            sender.send(numbered(sent), port, '127.0.0.1', (error) =>
              error ? reject(error) : resolve(),
            )
          }),
        )
      }
      await Promise.all(sending)
      while (receiver.counters()[0].received < sent) {
        await new Promise<void>((resolve) => {
          woken = resolve
          if (receiver.counters()[0].received >= sent) resolve()
        })
      }
    }
    const ended = new Promise<void>((resolve) => {
      woken = () => {
        if (receiver.next().ended) resolve()
      }
    })
    receiver.stop()
    await ended
    const {blocks} = receiver.take()
    let n = 0
    for (const {octets, datagrams} of blocks) {
      for (let at = 0; at < datagrams.length; at += DATAGRAM_NUMBERS, n++) {
        const datagram = octets.subarray(datagrams[at], datagrams[at] + datagrams[at + 1])
        if (Buffer.compare(datagram, numbered(n)) !== 0) t.fail(`datagram ${n} is another`)
      }
    }
    t.is(n, COUNT)
    // The last ones without what is unused of their slots.
    const octets = (from: number, to: number): number =>
      blocks.slice(from, to).reduce((sum, block) => sum + block.octets.length, 0)
    t.true(octets(-16, -1) < 15 * 2 ** 20, `${octets(-16, -1)} octets`)
  },
)

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
