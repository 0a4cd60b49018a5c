import test, {type ExecutionContext} from 'ava'
import {spawn, spawnSync} from 'node:child_process'
import {createHash, randomBytes} from 'node:crypto'
import {closeSync, constants, openSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {OutputClosed} from '../../src/io/errors.js'
import {DescriptorSink} from '../../src/io/octet-sink.js'
import {openInput} from '../../src/io/open-input.js'
import {openPipe} from '../../src/io/open-pipe.js'
import {readFile} from '../../src/io/read-file.js'
import type {Ending, OctetInput} from '../../src/io/read-descriptor.js'
import {writeFile} from '../../src/io/write-file.js'
import {DartaError} from '../../src/record/errors.js'
import {folder} from '../support/darta.js'
import fc from '../support/properties.js'

function ending(): Ending & {stop(): void; quit(): void} {
  const stopping = new AbortController()
  const signal = new AbortController()
  return {
    stopping: stopping.signal,
    signal: signal.signal,
    stop: () => stopping.abort(),
    quit: () => (signal.abort(), stopping.abort()),
  }
}

/** All chunks, kept until the end, so that one that changed later is seen. */
async function all(input: Pick<OctetInput, 'chunks'>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of input.chunks) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function sum(octets: Uint8Array): string {
  return createHash('sha256').update(octets).digest('hex')
}

/** A named pipe in a folder of its own. */
function pipe(t: ExecutionContext): string {
  const path = join(folder(t), 'pipe')
  spawnSync('mkfifo', [path])
  return path
}

for (const size of [1, 4095, 4096, 4097, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_500_000]) {
  test(`a file of ${size} octets is read whole and in order`, async (t) => {
    const octets = randomBytes(size)
    const path = join(folder(t), 'file')
    writeFileSync(path, octets)
    const input = await readFile(path, ending())
    t.is(input.size, size)
    t.is(sum(await all(input)), sum(octets))
    t.is(input.position, size)
  })

  test(`${size} octets come through a pipe whole and in order`, async (t) => {
    const octets = randomBytes(size)
    const place = folder(t)
    writeFileSync(join(place, 'file'), octets)
    const path = pipe(t)
    spawn('sh', ['-c', `cat ${place}/file > ${path}`])
    const input = await readFile(path, ending())
    t.is(input.size, undefined)
    t.is(sum(await all(input)), sum(octets))
    t.is(input.position, size)
  })
}

test('chunks of a pipe grow while the consumer is busy, and none changes afterwards', async (t) => {
  const octets = randomBytes(8_000_000)
  const place = folder(t)
  writeFileSync(join(place, 'file'), octets)
  const path = pipe(t)
  spawn('sh', ['-c', `cat ${place}/file > ${path}`])
  const chunks: Uint8Array[] = []
  for await (const chunk of (await readFile(path, ending())).chunks) {
    chunks.push(chunk)
    // A consumer that waits for its own output now and then.
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
  }
  t.is(sum(Buffer.concat(chunks)), sum(octets))
  t.true(Math.max(...chunks.map(({length}) => length)) > 1 << 16)
})

test('an empty file, an empty pipe and /dev/null give nothing', async (t) => {
  const place = folder(t)
  writeFileSync(join(place, 'file'), '')
  const path = pipe(t)
  spawn('sh', ['-c', `: > ${path}`])
  for (const name of [join(place, 'file'), path, '/dev/null']) {
    const {head, octets, codec} = await openInput(name, ending())
    t.is(head.length, 0)
    t.is(codec, undefined)
    t.true((await octets.next()).done)
  }
})

test('a file of /proc, which says that it is empty, is read', async (t) => {
  t.is(statSync('/proc/self/status').size, 0)
  const octets = await all(await readFile('/proc/self/status', ending()))
  t.regex(octets.toString(), new RegExp(`^Pid:\\s+${process.pid}$`, 'm'))
})

test('what cannot be opened or read is told by the name that the user gave', async (t) => {
  const missing = await t.throwsAsync(readFile('./nowhere', ending()), {instanceOf: DartaError})
  t.is(missing.code, 'DARTA_FILE_READ')
  t.is(missing.message, 'cannot read ./nowhere: no such file or directory')
  const place = folder(t)
  const input = await readFile(place, ending())
  const error = await t.throwsAsync(all(input), {instanceOf: DartaError})
  t.is(error.message, `cannot read ${place}: illegal operation on a directory`)
  t.is(error.offset, 0)
})

test('the head of an input is shown before and with its octets', async (t) => {
  const path = pipe(t)
  // Written octet by octet, whatever the pipe makes of them.
  spawn('sh', ['-c', `for octet in a b c d e f g; do printf $octet; done > ${path}`])
  const {head, octets} = await openInput(path, ending())
  t.true(head.length >= 4)
  const chunks: Uint8Array[] = []
  for await (const chunk of octets) chunks.push(chunk)
  t.is(Buffer.concat(chunks).toString(), 'abcdefg')
  t.true('abcdefg'.startsWith(Buffer.from(head).toString()))
})

test('a file ends early when the user stops', async (t) => {
  const path = join(folder(t), 'file')
  writeFileSync(path, randomBytes(5_000_000))
  const ends = ending()
  let octets = 0
  for await (const chunk of (await readFile(path, ends)).chunks) {
    octets += chunk.length
    ends.stop()
  }
  t.true(octets > 0 && octets < 5_000_000)
})

test('a pipe ends at once when all work is in vain', async (t) => {
  const path = pipe(t)
  const writer = spawn('sh', ['-c', `cat > ${path}`], {stdio: ['pipe', 'ignore', 'ignore']})
  t.teardown(() => writer.kill('SIGKILL'))
  const ends = ending()
  const input = await readFile(path, ends)
  writer.stdin.write('something')
  const first = await input.chunks.next()
  t.is(Buffer.from(first.value as Uint8Array).toString(), 'something')
  const next = input.chunks.next()
  ends.quit()
  t.true((await next).done)
})

test('nobody at the other end of a named pipe does not hold who is told to stop', async (t) => {
  for (const flags of [constants.O_RDONLY, constants.O_WRONLY]) {
    const stopping = new AbortController()
    const opening = openPipe(pipe(t), flags, stopping.signal)
    stopping.abort()
    t.true((await opening) > 2)
  }
})

test('writes any chunks, many or none, long or empty, in order', async (t) => {
  const place = folder(t)
  let n = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.uint8Array({maxLength: 3000}), {maxLength: 20}), {maxLength: 10}),
      async (writes) => {
        const path = join(place, String(n++))
        const sink = await writeFile(path, {force: false})
        for (const chunks of writes) await sink.write(chunks)
        await sink.end()
        const wanted = Buffer.concat(writes.flat())
        return readFileSync(path).equals(wanted) && sink.octets === wanted.length
      },
    ),
    {numRuns: 40},
  )
  t.pass()
})

test('one write takes more chunks than the system takes at once', async (t) => {
  const path = join(folder(t), 'file')
  const chunks = Array.from({length: 5000}, (_, i) => Buffer.from(`chunk ${i}\n`))
  const sink = await writeFile(path, {force: false})
  await sink.write(chunks)
  await sink.end()
  t.true(readFileSync(path).equals(Buffer.concat(chunks)))
})

test('a sink tells that its reader went away as soon as a write finds it', async (t) => {
  const path = pipe(t)
  const reading = openPipe(path, constants.O_RDONLY, undefined)
  const fd = openSync(path, 'w')
  const reader = await reading
  let told = false
  const sink = new DescriptorSink('x', fd, () => (told = true))
  closeSync(reader)
  await sink.write([Buffer.from('in vain')])
  await t.throwsAsync(sink.end(), {instanceOf: OutputClosed})
  t.true(told)
  closeSync(fd)
})
