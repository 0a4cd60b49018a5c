import test, {type ExecutionContext} from 'ava'
import {once} from 'node:events'
import {readFileSync, rmSync, writeFileSync} from 'node:fs'
import {createServer, type Socket} from 'node:net'
import {join} from 'node:path'
import type {AddressInfo} from 'node:net'
import {framesOf} from '../../support/captures.js'
import {bin, darta, folder, start} from '../../support/darta.js'
import {root} from '../../support/needing.js'

const lab = `${root}test/fixtures/lab.pcap`

interface Listener {
  readonly url: string
  /** What each connection has sent when it ended. */
  readonly taken: Promise<Buffer>[]
  /** The first connection. */
  readonly met: Promise<Socket>
}

/** Somebody who listens; `meet` gets each connection before anything is read of it. */
async function listener(
  t: ExecutionContext,
  at: string | undefined,
  meet: (socket: Socket, number: number) => void = () => {},
): Promise<Listener> {
  const taken: Promise<Buffer>[] = []
  const server = createServer((socket) => {
    const chunks: Buffer[] = []
    socket.on('error', () => {})
    meet(socket, taken.length + 1)
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    taken.push(once(socket, 'close').then(() => Buffer.concat(chunks)))
  })
  const met = once(server, 'connection').then(([socket]) => socket as Socket)
  if (at === undefined) server.listen(0, '127.0.0.1')
  else server.listen(at)
  await once(server, 'listening')
  t.teardown(() => server.close())
  const url =
    at === undefined ? `tcp://127.0.0.1:${(server.address() as AddressInfo).port}` : `unix:${at}`
  return {url, taken, met}
}

function framesIn(at: string, octets: Buffer): string[] {
  const path = join(at, `taken-${Math.random()}`)
  writeFileSync(path, octets)
  return framesOf(path)
}

test('parts go to sockets, unix and TCP, and each destination has its account', async (t) => {
  const at = folder(t)
  const listeners = await Promise.all([
    listener(t, join(at, 'a')),
    listener(t, undefined),
    listener(t, join(at, 'c')),
  ])
  const to = listeners.flatMap(({url}) => ['--to', url])
  const {code, stderr} = await darta(t, ['split', '-r', lab, ...to])
  t.is(code, 0, stderr)
  await darta(t, ['split', '-q', '-r', lab, '--parts', '3', '-w', join(at, '%d.pcap')])
  for (const [i, {url, taken}] of listeners.entries()) {
    const frames = framesIn(at, await taken[0])
    t.deepEqual(frames, framesOf(join(at, `${i + 1}.pcap`)))
    t.true(stderr.includes(`${url}: ${frames.length} packets in, ${frames.length} out`), stderr)
  }
})

test('one URL with a number in it is one for each part', async (t) => {
  const at = folder(t)
  const listeners = await Promise.all([1, 2].map((n) => listener(t, join(at, `s${n}`))))
  const {stdout: ipfix} = await darta(t, ['capture', '-q', '-r', lab])
  const words = ['split', '-q', '--parts', '2', '--to', `unix:${at}/s%d`]
  t.is((await darta(t, words, ipfix)).code, 0)
  let records = 0
  for (const {taken} of listeners) {
    const {stdout} = await darta(t, ['info', '-q', '-o', 'json'], await taken[0])
    records += (JSON.parse(stdout.toString()) as {records: number}).records
  }
  const {stdout} = await darta(t, ['info', '-q', '-o', 'json'], ipfix)
  t.is(records, (JSON.parse(stdout.toString()) as {records: number}).records)
})

test('whoever does not read holds the stream up, and nothing is lost', async (t) => {
  const at = folder(t)
  const lazy = await listener(t, join(at, 'lazy'), (socket) => socket.pause())
  const quick = await listener(t, join(at, 'quick'))
  const {child, ended} = start(t, bin, ['split', '-r', '-', '--to', lazy.url, '--to', quick.url])
  // Much more than sockets and pipes hold.
  const copies = 20
  const octets = readFileSync(lab)
  child.stdin.write(octets.subarray(0, 24))
  for (let copy = 0; copy < copies; copy++) child.stdin.write(octets.subarray(24))
  child.stdin.end()
  const slow = await lazy.met
  // That nothing happens can only be seen by waiting.
  await new Promise((resolve) => setTimeout(resolve, 500))
  t.false(child.stdin.writableFinished)
  slow.pause().resume()
  const {code, stderr} = await ended
  t.is(code, 0, stderr)
  t.notRegex(stderr, /lost/)
  const frames = [await lazy.taken[0], await quick.taken[0]].map(
    (taken) => framesIn(at, taken).length,
  )
  t.is(frames[0] + frames[1], copies * framesOf(lab).length)
})

test('what a socket that goes away does not take is counted under its name, and the others get all of theirs', async (t) => {
  const at = folder(t)
  const rude = await listener(t, join(at, 'rude'), (socket) => socket.destroy())
  const other = await listener(t, join(at, 'other'))
  const {child, ended} = start(t, bin, ['split', '-r', '-', '--to', rude.url, '--to', other.url])
  const octets = readFileSync(lab)
  child.stdin.write(octets.subarray(0, 24))
  await rude.met
  await rude.taken[0]
  child.stdin.end(octets.subarray(24))
  const {code, stderr} = await ended
  t.is(code, 1)
  t.regex(stderr, /unix:\S+rude went away/)
  const kept = framesIn(at, await other.taken[0]).length
  const whole = framesOf(lab).length
  t.true(
    stderr.includes(`rude: ${whole - kept} packets in, 0 out, lost ${whole - kept} (gone`),
    stderr,
  )
})

test('who is not there at the start is told, before anything is divided', async (t) => {
  const at = folder(t)
  const {code, stderr} = await darta(t, ['split', '-r', lab, '--to', `unix:${at}/nobody`])
  t.is(code, 1)
  t.regex(stderr, /cannot write unix:\S+nobody/)
})

test('a command that is started again reads a whole stream: header and Templates come anew', async (t) => {
  const at = folder(t)
  const {stdout: ipfix} = await darta(t, ['capture', '-q', '-r', lab, '-T', '1,1'])
  // The first child reads a little and ends, having said so when nobody reads any more; the second one reads to the end.
  const command = (reader: string): string =>
    `sh -c "if mkdir ${at}/once-%d 2>/dev/null; then head -c 4 >/dev/null; exec <&-; echo enough >&2; else ${reader}; fi"`
  for (const [input, reader, pattern] of [
    [readFileSync(lab), `${bin} capture -w ${at}/p.ipfix`, /meter: \d+ packets in, [1-9]\d* out/],
    [ipfix, `${bin} print -o null`, /ipfix: \d+ records in, [1-9]\d* out$/m],
  ] as const) {
    const words = ['split', '--parts', '1', '--restart', '--exec', command(reader)]
    const running = start(t, bin, words)
    const cut = Math.ceil(input.length / 8)
    running.child.stdin.write(input.subarray(0, cut))
    await running.says(/enough/)
    for (let from = cut; from < input.length; from += cut) {
      running.child.stdin.write(input.subarray(from, from + cut))
    }
    running.child.stdin.end()
    const {stderr} = await running.ended
    t.regex(stderr, pattern)
    t.notRegex(stderr, /template-missing|CAPTURE_FORMAT/)
    const [, all, out, lost] =
      /child-1: (\d+) \w+ in, (\d+) out, lost (\d+) \(gone \d+\), noted started-again 1/
        .exec(stderr)
        ?.map(Number) ?? []
    t.is(all, out + lost, stderr)
    rmSync(join(at, 'once-1'), {recursive: true})
  }
})

test('a command that does not exist is told as such, in one line a part, and nothing is left unaccounted', async (t) => {
  const words = ['split', '--parts', '2', '--exec', 'darta-no-such-command', '-r', lab]
  const {code, stderr} = await darta(t, words)
  t.is(code, 1)
  for (const part of [1, 2]) {
    const line = `child-${part} (darta-no-such-command) cannot be started: there is no such command (DARTA_CHILD)`
    t.true(stderr.includes(`${line}\n`), stderr)
  }
  const lost = [...stderr.matchAll(/child-\d: \d+ packets in, 0 out, lost (\d+) \(gone/g)]
  t.is(
    lost.reduce((sum, [, n]) => sum + Number(n), 0),
    framesOf(lab).length,
  )
})

test('what is wrong with sockets is told before anything is opened', async (t) => {
  for (const words of [
    ['--to', 'udp://127.0.0.1:4739'],
    ['--to', 'tcp://*:4739'],
    ['--to', 'tcp://127.0.0.1:99999'],
    ['--to', 'unix:/x', '--parts', '2'],
    ['--to', 'unix:/x', '--to', 'unix:/y', '--parts', '3'],
    ['--to', 'unix:/x', '-G', '1m'],
    ['--restart', '--parts', '2', '-w', 'x-%d'],
    ['-G', '1ms', '-w', 'x-%s'],
    ['-W', '3', '--parts', '2', '-w', 'x-%d'],
  ]) {
    const {code, stderr} = await darta(t, ['split', '-r', lab, ...words])
    t.is(code, 2, `${words.join(' ')}: ${stderr}`)
  }
})
