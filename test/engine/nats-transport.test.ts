import test, {type ExecutionContext} from 'ava'
import {createFramer, type Framer} from '../../src/engine/nats-transport.js'
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

/** Puts octets where a framer wants them, as a socket does. */
function put(framer: Framer, octets: Uint8Array): Buffer[] {
  const frames: Buffer[] = []
  for (let at = 0; at < octets.length;) {
    const room = framer.room()
    const n = Math.min(room.length, octets.length - at)
    room.set(octets.subarray(at, at + n))
    frames.push(...[framer.taken(n)].filter((frame) => frame !== undefined))
    at += n
  }
  return frames
}

function holds(t: ExecutionContext, cuts: readonly number[]): void {
  const framer = createFramer()
  const frames: Buffer[] = []
  let from = 0
  for (const to of [...cuts, whole.length]) {
    frames.push(...put(framer, whole.subarray(from, to)))
    from = to
  }
  if (!Buffer.concat(frames).equals(whole)) t.fail(cuts.join())
  let at = 0
  for (const {length} of frames) if (!ends.has((at += length))) t.fail(`${cuts.join()}: ${at}`)
}

test('no message is in two pieces wherever the stream is cut in two or three', (t) => {
  for (let a = 0; a <= whole.length; a++) {
    holds(t, [a])
    for (let b = a; b <= whole.length; b += 3) holds(t, [a, b])
  }
  t.pass()
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
  t.pass()
})

test('what is given stays as it is, however much comes after it and however large a message is', (t) => {
  const framer = createFramer()
  const next = random(3)
  const sent: Buffer[] = []
  const frames: Buffer[] = []
  for (let i = 0; i < 200; i++) {
    const size = Math.floor(next() ** 4 * 3_000_000)
    const message = Buffer.concat([
      Buffer.from(`MSG x ${i} ${size}\r\n`),
      Buffer.alloc(size, i),
      Buffer.from('\r\n'),
    ])
    sent.push(message)
    for (let at = 0; at < message.length;) {
      const n = 1 + Math.floor(next() * 200_000)
      frames.push(...put(framer, message.subarray(at, at + n)))
      at += n
    }
  }
  t.true(Buffer.concat(frames).equals(Buffer.concat(sent)))
})

test('messages are given where they were read', (t) => {
  const framer = createFramer()
  const {buffer} = framer.room()
  const frames = Array.from(whole, (octet) => put(framer, Uint8Array.of(octet))).flat()
  t.true(Buffer.concat(frames).equals(whole))
  t.true(frames.every((frame) => frame.buffer === buffer))
})

for (const line of ['MSG a 1 -7', 'MSG a 1 99999999999', 'HMSG a 1 x', 'MSG a 1 0x10', 'MESSAGE']) {
  test(`what cannot be a message is refused: ${line}`, (t) => {
    const error = t.throws(() => put(createFramer(), Buffer.from(`PING\r\n${line}\r\nPING\r\n`)))
    t.regex(error.message, /is not NATS/)
  })
}

test('what never becomes a line is refused', (t) => {
  const framer = createFramer()
  const error = t.throws(() => {
    for (let i = 0; i < 64; i++) put(framer, Buffer.alloc(65536, 0x41))
  })
  t.regex(error.message, /is not NATS/)
})
