/* What a collector promises of its files and sockets, whatever happens; and what a session may do to its Templates. */
import ava, {type ExecutionContext} from 'ava'
import {appendFileSync, readFileSync, readdirSync, statSync, writeFileSync} from 'node:fs'
import {createSocket} from 'node:dgram'
import {connect} from 'node:net'
import {join} from 'node:path'
import {ipfix, ipfixTemplate, netflow5} from '../mediation/collecting.js'
import {setTimeout as delay} from 'node:timers/promises'
import {decoded} from '../support/collector.js'
import {createRandom} from '../support/random.js'
import {bin, darta, folder, start, type Running} from '../support/darta.js'

// One after another: each starts processes.
const test = ava.serial

async function collecting(
  t: ExecutionContext,
  endpoint: string,
  ...args: string[]
): Promise<Running & {readonly port: number}> {
  const running = start(t, bin, ['collect', endpoint, ...args])
  await running.says(/listening on \S+:\d+\n/)
  return {...running, port: Number(/listening on \S+:(\d+)\n/.exec(running.words())![1])}
}

async function recordsOf(t: ExecutionContext, file: string): Promise<Record<string, unknown>[]> {
  const {stdout, code, stderr} = await darta(t, ['print', '-r', file, '-o', 'ndjson'])
  t.is(code, 0, stderr)
  t.notRegex(stderr, /lost|missing/)
  return stdout
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

test('a collector that is killed loses no file: the next one finishes what it left, cut behind the last whole Message', async (t) => {
  const place = folder(t)
  const pattern = join(place, 'flows-%Y.ipfix')
  const list = join(place, 'hooked')
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  const rounds = 4
  const each = 300
  let sequence = 0
  const begin = (): ReturnType<typeof collecting> =>
    collecting(t, 'udp://127.0.0.1:0', '-w', pattern, '-G', '365d', '-x', `cp %f ${list}.%b`)
  const unfinished = (): string[] => readdirSync(place).filter((name) => name.endsWith('.tmp'))
  for (let round = 0; round < rounds; round++) {
    const collector = await begin()
    const own = `.${String(collector.child.pid)}.tmp`
    // Files are opened once it listens.
    const file = async (): Promise<string> => {
      for (;;) {
        const found = unfinished().find((name) => name.endsWith(own))
        if (found !== undefined) return found
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    const path = join(place, await file())
    for (let i = 0; i < each; i++) {
      const octets = netflow5({sequence: sequence++, records: 1})
      await new Promise((resolve) => socket.send(octets, collector.port, '127.0.0.1', resolve))
    }
    // What has been written is there whatever happens: wait until all has, of 48 octets and more each.
    while (statSync(path).size < each * 48) await new Promise((resolve) => setTimeout(resolve, 20))
    collector.child.kill('SIGKILL')
    await collector.ended
    // And half a Message, as a machine that dies leaves it.
    if (round % 2 === 0) appendFileSync(path, Buffer.from([0, 10, 2, 0, 1, 2, 3]))
  }
  t.is(unfinished().length, 1)
  const last = await begin()
  await last.says(/is what a collector that was killed left: \d+ octets/)
  last.child.kill('SIGTERM')
  t.is((await last.ended).code, 0)
  t.deepEqual(unfinished(), [])
  const files = readdirSync(place).filter((name) => name.startsWith('flows-'))
  // One of each collector, and that of the last one, which took nothing.
  t.is(files.length, rounds + 1)
  const counts = await Promise.all(
    files.map(async (name) => {
      const checked = await darta(t, ['info', '--check', '-q', '-r', join(place, name)])
      t.is(checked.code, 0, checked.stdout.toString())
      const records = await recordsOf(t, join(place, name))
      return records.filter((one) => !('_scope' in one)).length
    }),
  )
  t.deepEqual(
    counts.sort((a, b) => a - b),
    [0, ...Array.from({length: rounds}, () => each)],
  )
  // The command of -x has had each of them.
  t.is(readdirSync(place).filter((name) => name.startsWith('hooked.')).length, rounds + 1)
})

/** DARTA_KILLS makes them more. */
const kills = Number(process.env.DARTA_KILLS ?? 5)

test('a collector that is killed at any moment while it writes and rotates leaves whole files, nothing twice, and lacks only what came last', async (t) => {
  const place = folder(t)
  const random = createRandom(20261126)
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  const args = ['-w', join(place, 'x-%s.ipfix'), '-G', '1s', '--no-losses', '--no-origin']
  /** When each number was sent, for each collector. */
  const lives: {readonly first: number; readonly sentAt: number[]; readonly killedAt: number}[] = []
  let next = 1
  for (let life = 0; life < kills; life++) {
    const collector = await collecting(t, 'udp://127.0.0.1:0', ...args)
    const first = next
    const sentAt: number[] = []
    const until = performance.now() + 50 + random(1500)
    while (performance.now() < until) {
      for (let i = 0; i < 20; i++) {
        const octets = netflow5({sequence: next})
        // Its number is its dOctets.
        new DataView(octets.buffer).setUint32(44, next++)
        await new Promise((resolve) => socket.send(octets, collector.port, '127.0.0.1', resolve))
        sentAt.push(performance.now())
      }
      await delay(1)
    }
    collector.child.kill('SIGKILL')
    lives.push({first, sentAt, killedAt: performance.now()})
    await collector.ended
  }
  const last = await collecting(t, 'udp://127.0.0.1:0', ...args)
  last.child.kill('SIGTERM')
  t.is((await last.ended).code, 0)
  const files = readdirSync(place)
  t.true(files.length > 0)
  t.deepEqual(
    files.filter((name) => !/^x-\d+\.ipfix(\.\d+)?$/.test(name)),
    [],
  )
  const got = new Set<number>()
  let records = 0
  for (const name of files) {
    const {records: found, faults} = decoded(readFileSync(join(place, name)))
    t.deepEqual(faults, [], name)
    for (const {octetDeltaCount} of found) {
      got.add(octetDeltaCount as number)
      records++
    }
  }
  t.is(got.size, records)
  let oldest = 0
  for (const {first, sentAt, killedAt} of lives) {
    let here = 0
    while (got.has(first + here)) here++
    for (let i = here; i < sentAt.length; i++) t.false(got.has(first + i), `${first + i}`)
    if (here < sentAt.length) oldest = Math.max(oldest, killedAt - sentAt[here])
  }
  t.log(`${kills} kills, ${next - 1} sent, ${records} kept in ${files.length} files`)
  t.log(`what was lost came at most ${oldest.toFixed(0)} ms before the end`)
})

test('what another collector is writing, and files of other names, are left alone', async (t) => {
  const place = folder(t)
  const other = join(place, `flows-2020.ipfix.${process.pid}.tmp`)
  const stranger = join(place, 'notes-2020.ipfix.999999999.tmp')
  const octets = Buffer.from([0, 10, 0, 16, ...new Uint8Array(12)])
  for (const path of [other, stranger]) writeFileSync(path, octets)
  const collector = await collecting(
    t,
    'udp://127.0.0.1:0',
    ...['-w', join(place, 'flows-%Y.ipfix'), '-G', '365d'],
  )
  t.deepEqual(readFileSync(other), octets)
  t.deepEqual(readFileSync(stranger), octets)
  collector.child.kill('SIGTERM')
  t.is((await collector.ended).code, 0)
})

test('over TCP a withdrawn Template decodes nothing more, and its number may mean something else', async (t) => {
  const output = join(folder(t), 'out.ndjson')
  const collector = await collecting(
    t,
    'tcp://127.0.0.1:0',
    ...['--no-losses', '-o', 'ndjson', '-w', output],
  )
  const socket = connect(collector.port, '127.0.0.1')
  const closed = new Promise((resolve) => socket.once('close', resolve))
  /** A Message of a Template Set: number, count of fields, and those. */
  const templates = (sequence: number, ...words: number[]): Buffer => {
    const octets = Buffer.alloc(20 + 2 * words.length)
    octets.set(ipfixTemplate({sequence}).subarray(0, 16))
    octets.writeUInt16BE(octets.length, 2)
    octets.writeUInt16BE(2, 16)
    octets.writeUInt16BE(4 + 2 * words.length, 18)
    for (const [i, word] of words.entries()) octets.writeUInt16BE(word, 20 + 2 * i)
    return octets
  }
  socket.end(
    Buffer.concat([
      ipfixTemplate({sequence: 0}),
      ipfix({sequence: 0, records: 3}),
      templates(3, 256, 0),
      // Nobody knows what these are.
      ipfix({sequence: 3, records: 2}),
      // destinationIPv4Address under the same number.
      templates(5, 256, 1, 12, 4),
      ipfix({sequence: 5, records: 4}),
    ]),
  )
  socket.resume()
  await closed
  collector.child.kill('SIGTERM')
  const {code, stderr} = await collector.ended
  t.is(code, 0, stderr)
  const lines = readFileSync(output, 'utf8').trim().split('\n')
  const having = (name: string): number => lines.filter((line) => line.includes(name)).length
  t.is(having('"sourceIPv4Address"'), 3)
  t.is(having('"destinationIPv4Address"'), 4)
  t.regex(stderr, /ipfix: 9 records in, 7 out, lost 2 \(no-template 2/)
  t.notRegex(stderr, /template-redefined/)
})

test('whoever looks at the files of a rotation, hundreds of them, sees whole ones only', async (t) => {
  const place = folder(t)
  const input = join(place, 'input')
  /** DARTA_ROTATIONS makes them more. */
  const files = Number(process.env.DARTA_ROTATIONS ?? 500)
  writeFileSync(
    input,
    Buffer.concat([
      ipfixTemplate({sequence: 0}),
      ...Array.from({length: files}, (_, i) => ipfix({sequence: i, time: 1_700_000_000 + 60 * i})),
    ]),
  )
  const running = start(t, bin, [
    ...['collect', '-r', input, '--no-losses', '-w', join(place, 'x-%s.ipfix'), '-G', '1m'],
  ])
  const seen = new Set<string>()
  const look = (): void => {
    for (const name of readdirSync(place).filter((one) => /^x-\d+\.ipfix$/.test(one))) {
      if (seen.has(name)) continue
      seen.add(name)
      const octets = readFileSync(join(place, name))
      // Messages that fill the file, the last one with the record.
      let at = 0
      while (octets.length - at >= 16) at += octets.readUInt16BE(at + 2)
      t.true(at === octets.length && at > 0, `${name}: ${octets.length} octets`)
    }
  }
  let over = false
  void running.ended.then(() => (over = true))
  while (!over) {
    look()
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  const {code, stderr} = await running.ended
  t.is(code, 0, stderr)
  look()
  t.is(seen.size, files)
})

test('a Unix socket is its owner’s alone, and without an address TCP listens to this machine only', async (t) => {
  const path = join(folder(t), 'socket')
  const collector = start(t, bin, ['collect', `unix:${path}`, 'tcp://:0', '-o', 'null'])
  await collector.says(/listening on tcp:[^\n]*\n/)
  t.is(statSync(path).mode & 0o777, 0o600)
  t.regex(collector.words(), /listening on tcp:\/\/127\.0\.0\.1:\d+/)
  collector.child.kill('SIGTERM')
  t.is((await collector.ended).code, 0)
})
