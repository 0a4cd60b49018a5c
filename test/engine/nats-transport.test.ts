import test, {type ExecutionContext} from 'ava'
import {createFramer} from '../../src/engine/nats-transport.js'
import {random} from '../metering/coordination/simulation.js'

/** Messages and lines as a server sends them; payloads look like messages too. */
const said = [
  'INFO {"server_id":"MSG x 1 9"}\r\n',
  'PING\r\n',
  'MSG a.b 1 5\r\nhello\r\n',
  'MSG a.b 12 $JS.ACK.x.y 0\r\n\r\n',
  `HMSG a.b 2 reply 12 ${12 + 30}\r\nNATS/1.0\r\n\r\n${'MSG a 1 3\r\nabc\r\nHMSG b 2 0 0\r\n'}\r\n`,
  "-ERR 'message of HMSG'\r\n",
  `msg lower 3 100\r\n${'\n'.repeat(100)}\r\n`,
  '+OK\r\n',
]
const whole = Buffer.from(said.join(''), 'latin1')
/** Where a message or a line ends. */
const ends = new Set(said.map((_, i) => said.slice(0, i + 1).join('').length))

function holds(t: ExecutionContext, cuts: readonly number[]): void {
  const frame = createFramer()
  const frames: Buffer[] = []
  let from = 0
  for (const to of [...cuts, whole.length]) {
    frames.push(...frame(Buffer.from(whole.subarray(from, to))))
    from = to
  }
  t.true(Buffer.concat(frames).equals(whole), cuts.join())
  let at = 0
  for (const {length} of frames) t.true(ends.has((at += length)), `${cuts.join()}: ${at}`)
}

test('no message is in two pieces wherever the stream is cut in two or three', (t) => {
  for (let a = 0; a <= whole.length; a++) {
    holds(t, [a])
    for (let b = a; b <= whole.length; b += 3) holds(t, [a, b])
  }
})

test('nor where it comes in any pieces, down to single octets', (t) => {
  holds(
    t,
    Array.from(whole, (_, i) => i),
  )
  const next = random(7)
  for (let i = 0; i < 300; i++) {
    const cuts = Array.from({length: 12}, () => Math.floor(next() * whole.length))
    holds(
      t,
      cuts.sort((a, b) => a - b),
    )
  }
})

test('a message that comes whole is passed on where it lies', (t) => {
  const chunk = Buffer.from(whole)
  const [only, ...more] = createFramer()(chunk)
  t.is(only.buffer, chunk.buffer)
  t.is(only.length, chunk.length)
  t.deepEqual(more, [])
})

test('what never becomes a line is refused', (t) => {
  const frame = createFramer()
  const error = t.throws(() => {
    for (let i = 0; i < 64; i++) frame(Buffer.alloc(65536, 0x41))
  })
  t.regex(error.message, /is not NATS/)
})
