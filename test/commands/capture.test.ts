import test, {type ExecutionContext} from 'ava'
import {spawn, type ChildProcess} from 'node:child_process'
import {existsSync, readFileSync, readdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {createDecoder} from '../../src/ipfix/decoder.js'
import {createChecker} from '../../src/ipfix/check.js'
import {Ledger} from '../../src/record/ledger.js'
import {readRecord} from '../../src/record/readers.js'
import {bash, bin, darta, folder, start, type Running} from '../support/darta.js'
import {needing, root, superuser} from '../support/needing.js'

const lab = join(root, 'test/fixtures/lab.pcap')
const labOctets = readFileSync(lab)

/** Flow Records and Options Records of a file that must be sound to the last octet. */
function readSound(t: ExecutionContext, octets: Uint8Array): {flows: number; packets: number} {
  const faults: string[] = []
  const checker = createChecker(({message}) => faults.push(message))
  checker.push(octets)
  checker.finish()
  t.deepEqual(faults, [])
  const ledger = new Ledger()
  const decoder = createDecoder({ledger, source: 'test'})
  let flows = 0
  let packets = 0
  for (const batch of [...decoder.push(octets), ...decoder.end()]) {
    if (batch.template.scopeCount > 0) continue
    flows += batch.count
    for (let i = 0; i < batch.count; i++) {
      const record = new Map(readRecord(batch, i).map(([{name}, value]) => [name, value]))
      packets += Number(record.get('packetDeltaCount'))
    }
  }
  t.is(ledger.totalLost(), 0)
  return {flows, packets}
}

/** Asks for counters until the meter has seen as many packets as `wanted`. */
async function untilMetered(running: Running, wanted: number): Promise<void> {
  // From here on it listens to signals; -v makes it say so.
  await running.says(/metering in/)
  for (;;) {
    const before = running.words().length
    running.child.kill('SIGUSR1')
    const line = /darta capture: meter: (\d+) packets in/g
    while (![...running.words().slice(before).matchAll(line)].length) {
      await new Promise<void>((resolve, reject) => {
        running.child.stderr.once('data', () => resolve())
        void running.ended.then(() => reject(new Error(running.words())))
      })
    }
    const seen = Number([...running.words().matchAll(line)].at(-1)?.[1])
    if (seen >= wanted) return
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Octet behind record `n` of a little-endian pcap file. */
function endOfRecord(octets: Buffer, n: number): number {
  let at = 24
  for (let i = 0; i < n; i++) at += 16 + octets.readUInt32LE(at + 8)
  return at
}

for (const meter of ['native', 'typescript']) {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    test(`${signal} in mid-stream writes the Flows so far and a sound file (${meter} meter)`, async (t) => {
      const output = join(folder(t), 'out.ipfix')
      const args = ['capture', '-v', '-r', '-', '-w', output, '--meter', meter]
      const running = start(t, bin, args)
      running.child.stdin.write(labOctets.subarray(0, endOfRecord(labOctets, 1000)))
      await untilMetered(running, 1000)
      t.false(existsSync(output))
      running.child.kill(signal)
      // The pipe stays open: whoever writes to it was not told to stop.
      const {code, stderr} = await running.ended
      t.is(code, 0, stderr)
      const {packets, flows} = readSound(t, readFileSync(output))
      t.regex(
        stderr,
        new RegExp(`meter: 1000 packets in, ${packets} out, skipped ${1000 - packets}`),
      )
      t.true(flows > 10)
    })
  }
}

for (const meter of ['native', 'typescript']) {
  test(`stopped before anything came, a capture is done and its file is sound (${meter} meter)`, async (t) => {
    const output = join(folder(t), 'out.ipfix')
    const args = ['capture', '-v', '-r', '-', '-w', output, '--meter', meter]
    const running = start(t, bin, args)
    await untilMetered(running, 0)
    running.child.kill('SIGINT')
    const {code, stderr} = await running.ended
    t.is(code, 0, stderr)
    t.is(readSound(t, readFileSync(output)).flows, 0)
  })
}

test('a second SIGINT ends at once and leaves no file', async (t) => {
  const place = folder(t)
  const running = start(t, bin, ['capture', '-v', '-r', '-', '-w', join(place, 'out.ipfix')])
  running.child.stdin.write(labOctets.subarray(0, 5000))
  await untilMetered(running, 10)
  running.child.kill('SIGINT')
  running.child.kill('SIGINT')
  const {code, signal} = await running.ended
  // Both may come as one; then the first one's orderly end is right.
  if (code === 0) t.is(signal, null)
  else {
    t.is(signal, 'SIGINT')
    t.deepEqual(readdirSync(place), [])
  }
})

test('SIGUSR1 prints the counters of both stages and the capture goes on', async (t) => {
  const running = start(t, bin, ['capture', '-v', '-r', '-'])
  running.child.stdin.write(labOctets.subarray(0, endOfRecord(labOctets, 500)))
  await untilMetered(running, 500)
  await running.says(/darta capture: ipfix: \d+ records in/)
  running.child.stdin.end(labOctets.subarray(endOfRecord(labOctets, 500)))
  const {code, stdout} = await running.ended
  t.is(code, 0)
  t.is(readSound(t, stdout).packets, 2226)
})

test('records made of a pipe come out while the pipe is silent', async (t) => {
  // Flows that ended by their packets' times are written, those still live are not.
  const running = start(t, bin, ['capture', '-q', '-r', '-', '--idle-timeout', '1s'])
  running.child.stdin.write(labOctets.subarray(0, endOfRecord(labOctets, 2000)))
  await running.gives(1000)
  running.child.stdin.end(labOctets.subarray(endOfRecord(labOctets, 2000)))
  const {code, stdout} = await running.ended
  t.is(code, 0)
  t.is(readSound(t, stdout).packets, 2226)
})

test('capture ends at once and without a word when its reader goes away', async (t) => {
  const {code, stdout, stderr} = await bash(
    t,
    `darta capture -q -r ${lab} -r ${lab} -r ${lab} -T 1,1 | head -c 4; exit \${PIPESTATUS[0]}`,
  )
  t.true([0, 141].includes(code ?? -1))
  t.is(stdout.length, 4)
  t.is(stderr, '')
})

test('capture of a pipe that stays open ends when its reader goes away', async (t) => {
  const running = start(t, bin, ['capture', '-q', '-r', '-', '--emit', 'packets'])
  running.child.stdin.write(labOctets)
  await running.gives(1)
  running.child.stdout.destroy()
  // More input makes more output, which nobody takes.
  running.child.stdin.write(labOctets.subarray(24))
  const {code, stderr} = await running.ended
  t.is(code, 141)
  t.is(stderr, '')
})

test('the same capture gives the same octets, and in a pipe or in pieces the same records', async (t) => {
  const args = ['capture', '-q']
  const mapped = await darta(t, [...args, '--seed', '7', '-r', lab])
  const again = await darta(t, [...args, '--seed', '8', '-r', lab])
  const piped = await bash(t, `cat ${lab} | darta capture -q -r - | cat`)
  t.true(mapped.stdout.equals(again.stdout))
  t.is(readSound(t, piped.stdout).flows, readSound(t, mapped.stdout).flows)
  const place = folder(t)
  const file = join(place, 'pieces.ipfix')
  const running = start(t, bin, [...args, '-r', '-', '-w', file, '-T', '300,60'])
  for (let at = 0; at < labOctets.length; at += 4099) {
    running.child.stdin.write(labOctets.subarray(at, at + 4099))
  }
  running.child.stdin.end()
  t.is((await running.ended).code, 0)
  t.is(readSound(t, readFileSync(file)).packets, 2226)
})

test('export times never go back, whatever the order of the captures', async (t) => {
  const later = Buffer.from(labOctets)
  // The second capture's packets are a day older.
  const older = Buffer.from(labOctets)
  for (let at = 24; at < older.length; at += 16 + older.readUInt32LE(at + 8)) {
    older.writeUInt32LE(older.readUInt32LE(at) - 86400, at)
  }
  const place = folder(t)
  writeFileSync(join(place, 'later.pcap'), later)
  writeFileSync(join(place, 'older.pcap'), older)
  const inputs = ['-r', join(place, 'later.pcap'), '-r', join(place, 'older.pcap')]
  const {code, stdout} = await darta(t, ['capture', '-q', ...inputs])
  t.is(code, 0)
  const times: number[] = []
  for (let at = 0; at < stdout.length; at += stdout.readUInt16BE(at + 2)) {
    times.push(stdout.readUInt32BE(at + 4))
  }
  t.true(times.length > 3)
  t.deepEqual(
    times,
    [...times].sort((a, b) => a - b),
  )
  t.is(readSound(t, stdout).packets, 2 * 2226)
})

test('a full disk is told with the octets that were written, and no file appears', async (t) => {
  const running = await darta(t, ['capture', '-q', '-r', lab, '-w', '/dev/full'])
  t.is(running.code, 1)
  t.regex(running.stderr, /cannot write \/dev\/full .*no space left.*DARTA_FILE_WRITE/)
})

needing(superuser())('a disk that fills up in the middle leaves nothing behind', async (t) => {
  const place = folder(t)
  const inside = (line: string): ChildProcess =>
    spawn('unshare', ['-m', 'sh', '-c', `mount -t tmpfs -o size=16k none ${place} && ${line}`], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  const child = inside(
    `${bin} capture -r ${lab} -w ${place}/out.ipfix; echo "exit $?"; ls -A ${place}`,
  )
  let said = ''
  let words = ''
  child.stdout?.on('data', (octets: Buffer) => (said += octets.toString()))
  child.stderr?.on('data', (octets: Buffer) => (words += octets.toString()))
  await new Promise((resolve) => child.on('close', resolve))
  t.is(said, 'exit 1\n')
  t.regex(words, /cannot write .*out\.ipfix after \d+ octets: no space left on device/)
})

test('every cut of a capture is metered up to its last complete packet', async (t) => {
  const place = folder(t)
  for (const [n, extra] of [
    [1, 0],
    [1, 15],
    [1, 16],
    [2, 17],
    [50, 30],
  ]) {
    const path = join(place, `cut-${n}-${extra}.pcap`)
    writeFileSync(path, labOctets.subarray(0, endOfRecord(labOctets, n) + extra))
    const {code, stdout, stderr} = await darta(t, ['capture', '-r', path, '--strict-loss'])
    const skipped = Number(/skipped (\d+)/.exec(stderr)?.[1] ?? 0)
    t.is(readSound(t, stdout).packets, n - skipped)
    t.is(code, extra === 0 ? 0 : 3)
    if (extra > 0) {
      t.regex(stderr, new RegExp(`truncated 1 from octet ${endOfRecord(labOctets, n)}`))
    }
  }
})

test('a capture without packets gives a file with Templates and statistics of nothing', async (t) => {
  const {code, stdout} = await darta(t, ['capture', '-q', '-r', '-'], labOctets.subarray(0, 24))
  t.is(code, 0)
  t.deepEqual(readSound(t, stdout), {flows: 0, packets: 0})
})

for (const meter of ['native', 'typescript']) {
  test(`a full flow table is dealt with as --on-full says (${meter} meter)`, async (t) => {
    const args = ['capture', '-r', lab, '--max-flows', '10', '--meter', meter]
    const evict = await darta(t, args)
    t.is(evict.code, 0)
    t.is(readSound(t, evict.stdout).packets, 2226)
    t.regex(evict.stderr, /\d+ Flows were ended early/)

    const drop = await darta(t, [...args, '--on-full', 'drop', '--strict-loss'])
    t.is(drop.code, 3)
    const lost = Number(/lost (\d+) \(flow-table-full \1 from octet \d+\)/.exec(drop.stderr)?.[1])
    t.true(lost > 0)
    t.is(readSound(t, drop.stdout).packets, 2226 - lost)
    const ledger = new Ledger()
    const decoder = createDecoder({ledger, source: 'test'})
    const ignored = [...decoder.push(drop.stdout), ...decoder.end()].find(({template}) =>
      template.fields.some(({element}) => element.name === 'ignoredPacketTotalCount'),
    )
    t.truthy(ignored)
    const record = new Map(readRecord(ignored!, 0).map(([{name}, value]) => [name, value]))
    t.is(record.get('ignoredPacketTotalCount'), lost)
    t.true(Number(record.get('ignoredOctetTotalCount')) > 20 * lost)

    const fail = await darta(t, [...args, '--on-full', 'fail'])
    t.is(fail.code, 1)
    t.regex(fail.stderr, /DARTA_FLOW_TABLE_FULL/)
    t.is(readSound(t, fail.stdout).flows, 10)
  })
}

test('an unreadable second input is told before anything is written', async (t) => {
  const place = folder(t)
  const output = join(place, 'out.ipfix')
  const {code, stderr} = await darta(t, ['capture', '-r', lab, '-r', `${place}/no`, '-w', output])
  t.is(code, 1)
  t.regex(stderr, /cannot read .*no: no such file/)
  t.deepEqual(readdirSync(place), [])
})
