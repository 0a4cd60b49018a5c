import {createSocket} from 'node:dgram'
import {DATAGRAM_NUMBERS, openUdpReceiver, type DatagramBlock} from '../../src/io/udp-receiver.js'
import {addon, native} from '../support/native-addon.js'
import {needing} from '../support/needing.js'
import {createRandom} from '../support/random.js'

const DATAGRAMS = 30_000
/** Longer than the slots that most datagrams lie in. */
const LARGE_OCTETS = 5000

for (const way of ['fetched', 'taken', 'fetched, taken or left for a while by chance'] as const) {
  needing(native)(
    `datagrams of two sockets come whole and in order when they are ${way}`,
    async (t) => {
      const random = createRandom(7)
      let woken = false
      let wake = (): void => {}
      const receiver = await openUdpReceiver(
        [0, 1].map((i) => ({address: '127.0.0.1', port: 0, name: String(i)})),
        1 << 25,
        addon,
        () => {
          woken = true
          wake()
        },
      )
      t.teardown(() => receiver.close())
      const relay = addon!.createRelay()
      t.teardown(() => relay.close())
      // Of no lane, the relay leaves all of them where they come out.
      const room = [
        new Uint32Array(15),
        new Uint32Array(2),
        new Uint8Array(1 << 20),
        new Uint8Array(1 << 20),
        new Uint32Array(5),
      ] as const
      room[0][8] = 65535

      const expected = [0, 0]
      let received = 0
      let sending = true
      function look({octets, datagrams}: Pick<DatagramBlock, 'octets' | 'datagrams'>): void {
        for (let at = 0; at < datagrams.length; at += DATAGRAM_NUMBERS) {
          const [offset, length, socket] = datagrams.subarray(at, at + 3)
          const view = new DataView(octets.buffer, octets.byteOffset + offset, length)
          const number = view.getUint32(0)
          if (number < expected[socket] || view.getUint32(length - 4) !== number) {
            t.fail(`datagram ${number} of socket ${socket}, ${length} octets`)
          }
          expected[socket] = number + 1
          received++
        }
      }
      function fetchAll(): boolean {
        for (;;) {
          const {ended, fromMs} = receiver.next()
          if (fromMs === undefined) return ended
          for (;;) {
            const left = relay.received(receiver.handle!, ...room)
            if (left === undefined) break
            look({octets: left[0], datagrams: left[1]})
          }
        }
      }
      function takeAll(): boolean {
        const {blocks, ended} = receiver.take()
        blocks.forEach(look)
        return ended
      }

      const all = (async () => {
        for (let ended = false; !ended;) {
          if (!woken) await new Promise<void>((resolve) => (wake = resolve))
          woken = false
          const chance = way === 'fetched' ? 0 : way === 'taken' ? 1 : random(4)
          // Busy with something else: the thread takes what comes meanwhile.
          if (chance === 2 && sending) continue
          ended = chance === 1 ? takeAll() : fetchAll()
        }
      })()

      const ports = receiver.counters().map(({port}) => port)
      const sender = createSocket('udp4')
      t.teardown(() => void sender.close())
      const numbers = [0, 0]
      for (let i = 0; i < DATAGRAMS; i++) {
        const socket = random(2)
        const large = random(100) === 0
        const datagram = Buffer.alloc(large ? LARGE_OCTETS : 8 + random(1400))
        datagram.writeUInt32BE(numbers[socket])
        datagram.writeUInt32BE(numbers[socket]++, datagram.length - 4)
        await new Promise((resolve) => sender.send(datagram, ports[socket], '127.0.0.1', resolve))
      }
      sending = false
      receiver.stop()
      await all
      let counted = 0
      let dropped = 0
      for (const one of receiver.counters()) {
        counted += one.received
        dropped += one.dropped ?? 0
      }
      t.is(received, counted)
      t.is(counted + dropped, DATAGRAMS)
    },
  )
}
