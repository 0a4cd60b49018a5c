import test, {type ExecutionContext} from 'ava'
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {createAccountingIntake} from '../../../src/commands/collect/accounting-intake.js'
import {
  openAccountingJournal,
  type JournalEntry,
} from '../../../src/commands/collect/accounting-journal.js'
import {readSecrets} from '../../../src/commands/collect/answering.js'
import {ie} from '../../../src/registry/lookup.js'
import {Ledger} from '../../../src/record/ledger.js'
import {bin, darta, folder, start, type Ended, type Running} from '../../support/darta.js'
import {needing, tools} from '../../support/needing.js'
import {decoded, udpCollector} from '../../support/collector.js'

const radclient = tools('radclient')

interface Server {
  readonly running: Running
  readonly port: number
}

async function serve(t: ExecutionContext, secrets: string, ...flags: string[]): Promise<Server> {
  const file = join(folder(t), 'secrets')
  writeFileSync(file, secrets, {mode: 0o600})
  const running = start(t, bin, ['collect', `radius://127.0.0.1:0?secret-file=${file}`, ...flags])
  await running.says(/listening on radius:/)
  const port = Number(/radius:\/\/127\.0\.0\.1:(\d+)/.exec(running.words())![1])
  return {running, port}
}

/** What radclient says when it has its answers, or has given up. */
async function ask(
  t: ExecutionContext,
  port: number,
  attributes: readonly string[],
  secret = 's3cret',
  kind = 'acct',
): Promise<Ended> {
  const {child, ended} = start(t, 'radclient', [
    ...['-x', '-r', '1', '-t', secret === 's3cret' ? '60' : '1'],
    ...[`127.0.0.1:${port}`, kind, secret],
  ])
  child.stdin.end(`${attributes.join('\n')}\n`)
  return ended
}

const session = (id: string, type: string, ...more: string[]): string[] => [
  'User-Name = "alice"',
  `Acct-Session-Id = "${id}"`,
  `Acct-Status-Type = ${type}`,
  'NAS-IP-Address = 192.0.2.1',
  'Event-Timestamp = "Nov 14 2023 22:13:20 UTC"',
  ...more,
]

async function stopped({running}: Server): Promise<Ended> {
  running.child.kill('SIGTERM')
  return running.ended
}

function sessionsOf(octets: Uint8Array): unknown[] {
  return decoded(octets)
    .records.filter((record) => 'dartaSourceSessionId' in record)
    .map((record) => `${record.dartaSourceSessionId as string} ${String(record.octetTotalCount)}`)
}

needing(radclient)('radclient is answered, and each session of its is a record', async (t) => {
  const out = join(folder(t), 'out.ipfix')
  const server = await serve(t, 's3cret\n', '-w', out)
  const counted = [
    'Acct-Input-Octets = 7',
    'Acct-Output-Octets = 8',
    'Acct-Input-Gigawords = 1',
    'Acct-Session-Time = 60',
  ]
  for (const one of [session('a', 'Start'), session('a', 'Stop', ...counted)]) {
    const {code, stdout} = await ask(t, server.port, one)
    t.is(code, 0)
    t.regex(stdout.toString(), /Received Accounting-Response/)
  }
  // The same as before, in another packet.
  t.is((await ask(t, server.port, session('a', 'Stop', ...counted))).code, 0)
  t.not((await ask(t, server.port, session('b', 'Start'), 'wrong')).code, 0)
  t.is((await ask(t, server.port, ['Message-Authenticator = 0x00'], 's3cret', 'status')).code, 0)
  const {code, stderr} = await stopped(server)
  t.is(code, 0, stderr)
  t.regex(
    stderr,
    /radius: 5 records in, 2 out, skipped 2 \(duplicate 1, status 1\), lost 1 \(authenticator 1 /,
  )
  t.deepEqual(sessionsOf(readFileSync(out)), ['a undefined', `a ${2 ** 32 + 7}`])
})

needing(radclient)(
  'a collector that is killed when it has answered has the record exactly once in the end',
  async (t) => {
    const at = folder(t)
    const [journal, out] = [join(at, 'journal'), join(at, 'out.ipfix')]
    const first = await serve(t, 's3cret', '--journal', journal, '-w', out)
    t.is((await ask(t, first.port, session('a', 'Start'))).code, 0)
    t.is((await ask(t, first.port, session('b', 'Start'))).code, 0)
    first.running.child.kill('SIGKILL')
    await first.running.ended
    t.false(existsSync(out))
    const second = await serve(t, 's3cret', '--journal', journal, '-w', out)
    // The answer may not have arrived: it is asked again.
    t.is((await ask(t, second.port, session('b', 'Start'))).code, 0)
    t.is((await ask(t, second.port, session('c', 'Start'))).code, 0)
    const {stderr} = await stopped(second)
    t.regex(stderr, /2 requests from before go first/)
    t.deepEqual(sessionsOf(readFileSync(out)), ['a undefined', 'b undefined', 'c undefined'])
    // What is in a file that is whole is not told again, and still known.
    const third = await serve(t, 's3cret', '--journal', journal)
    t.is((await ask(t, third.port, session('a', 'Start'))).code, 0)
    const last = await stopped(third)
    t.regex(last.stderr, /radius: 1 records in, 0 out, skipped 1 \(duplicate 1\)/)
    t.deepEqual(sessionsOf(last.stdout), [])
  },
)

needing(radclient)(
  'accounting in a capture is read, from any port that --decode-as names',
  async (t) => {
    const nobody = await udpCollector(t)
    const running = start(t, 'radclient', [
      '-r',
      '2',
      '-t',
      '1',
      `127.0.0.1:${nobody.port}`,
      'acct',
      'x',
    ])
    running.child.stdin.end(`${session('a', 'Stop', 'Acct-Input-Octets = 5').join('\n')}\n`)
    await running.ended
    t.is(nobody.datagrams.length, 2)
    const pcap = join(folder(t), 'radius.pcap')
    writeFileSync(pcap, capture(nobody.datagrams, 9999))
    const {stdout, stderr} = await darta(t, ['collect', '-r', pcap, '--decode-as', '9999=radius'])
    t.regex(stderr, /radius: 2 records in, 1 out, skipped 1 \(duplicate 1\)/)
    t.deepEqual(sessionsOf(stdout), ['a 5'])
  },
)

/** A capture of raw IP, one datagram a packet. */
function capture(datagrams: readonly Buffer[], port: number): Buffer {
  const head = Buffer.alloc(24)
  head.writeUInt32LE(0xa1b2c3d4, 0)
  head.writeUInt16LE(2, 4)
  head.writeUInt16LE(4, 6)
  head.writeUInt32LE(0xffff, 16)
  head.writeUInt32LE(101, 20)
  const packets = datagrams.map((payload) => {
    const packet = Buffer.alloc(16 + 28)
    packet.writeUInt32LE(28 + payload.length, 8)
    packet.writeUInt32LE(28 + payload.length, 12)
    const ip = packet.subarray(16)
    ip[0] = 0x45
    ip.writeUInt16BE(28 + payload.length, 2)
    ip.set([64, 17], 8)
    ip.set([192, 0, 2, 1, 192, 0, 2, 2], 12)
    ip.writeUInt16BE(40_000, 20)
    ip.writeUInt16BE(port, 22)
    ip.writeUInt16BE(8 + payload.length, 24)
    return Buffer.concat([packet, payload])
  })
  return Buffer.concat([head, ...packets])
}

const entry = (key: string): JournalEntry => ({
  protocol: 'radius',
  identity: {key, exact: key, timeMs: 1},
  sender: {name: '192.0.2.1:1', address: 'c0000201', port: 1},
  receivedMs: 1,
  octets: new TextEncoder().encode(key),
})

test('a journal that a crash has cut gives what is whole of it', async (t) => {
  const path = join(folder(t), 'journal')
  const first = await openAccountingJournal(path)
  await first.add(['a', 'b', 'c'].map(entry))
  await first.settle(1)
  await first.add([entry('d')])
  await first.close()
  const whole = readFileSync(path)
  for (let cut = 0; cut <= whole.length; cut++) {
    writeFileSync(path, whole.subarray(0, cut))
    const journal = await openAccountingJournal(path)
    const keys = [...journal.done, ...journal.pending.map(({identity}) => identity)]
    await journal.close()
    t.is(keys.map(({key}) => key).join(''), 'abcd'.slice(0, keys.length))
    if (cut < whole.length) continue
    t.deepEqual(journal.pending, ['b', 'c', 'd'].map(entry))
    t.deepEqual(journal.done, [entry('a').identity])
  }
  writeFileSync(path, 'something else')
  await t.throwsAsync(openAccountingJournal(path), {code: 'DARTA_SPILL'})
})

test('an output that has very many requests is done with all of them at once', async (t) => {
  const path = join(folder(t), 'journal')
  const first = await openAccountingJournal(path)
  const count = 150_000
  await first.add(Array.from({length: count}, (_, i) => entry(String(i))))
  await first.settle(count)
  await first.close()
  const second = await openAccountingJournal(path)
  await second.close()
  t.is(second.pending.length, 0)
  t.is(second.done.at(-1)?.key, String(count - 1))
})

test('without a journal nothing is answered before the output has it, and a repetition waits with it', async (t) => {
  let settled = (): void => {}
  const account = new Ledger().stage('radius', 'records')
  const intake = createAccountingIntake({
    journal: undefined,
    account: () => account,
    fieldsOf: () => undefined,
    settle: () => new Promise<void>((resolve) => (settled = resolve)),
    isSafeWhenWritten: false,
  })
  const answers: string[] = []
  const take = (key: string, name = key): boolean =>
    intake.take(entry(key), [[ie.userName, key]], () => answers.push(name))
  t.true(take('a'))
  t.true(take('a', 'again'))
  const iterator = intake.records[Symbol.asyncIterator]()
  const {value} = (await iterator.next()) as {value: readonly unknown[]}
  t.is(value.length, 1)
  t.deepEqual(answers, [])
  const next = iterator.next()
  await new Promise((resolve) => setImmediate(resolve))
  t.deepEqual(answers, [])
  settled()
  intake.stop()
  t.true((await next).done)
  t.deepEqual(answers, ['a', 'again'])
  t.true(take('a', 'late'))
  t.deepEqual(answers, ['a', 'again', 'late'])
  t.false(take('b'))
  t.deepEqual([account.skipped.get('duplicate'), account.lost.get('stopped')], [2, 1])
})

test('a repetition of what an earlier process left in its journal is known before its record is made', async (t) => {
  const path = join(folder(t), 'journal')
  const first = await openAccountingJournal(path)
  await first.add([entry('a'), entry('b')])
  await first.close()
  const journal = await openAccountingJournal(path)
  t.teardown(() => journal.close())
  const account = new Ledger().stage('radius', 'records')
  const intake = createAccountingIntake({
    journal,
    account: () => account,
    fieldsOf: ({identity}) => [[ie.userName, identity.key]],
    settle: async () => {},
    isSafeWhenWritten: true,
  })
  const answers: string[] = []
  t.true(intake.take(entry('b'), [[ie.userName, 'b']], () => answers.push('b')))
  t.deepEqual(answers, ['b'])
  intake.stop()
  let records = 0
  for await (const batches of intake.records) for (const {count} of batches) records += count
  t.is(records, 2)
  t.deepEqual([account.in, account.out, account.skipped.get('duplicate')], [2, 2, 1])
})

test('the longest prefix says which secret a client has', (t) => {
  const secrets = readSecrets(
    '# all\n192.0.2.0/24 wide open\n192.0.2.7 narrow\n2001:db8::/32 six\n',
    'f',
  )
  const of = (...octets: number[]): string | undefined => {
    const secret = secrets.of(Uint8Array.from(octets))
    return secret && new TextDecoder().decode(secret)
  }
  t.is(of(192, 0, 2, 7), 'narrow')
  t.is(of(192, 0, 2, 8), 'wide open')
  t.is(of(192, 0, 3, 7), undefined)
  t.is(of(0x20, 1, 0xd, 0xb8, ...Array<number>(12).fill(0)), 'six')
  t.throws(() => readSecrets('192.0.2.0/33 x\n192.0.2.1 y', 'f'), {code: 'DARTA_USAGE'})
  t.throws(() => readSecrets('\n', 'f'), {code: 'DARTA_USAGE'})
})

test('a secret that others can see is refused, and not repeated', async (t) => {
  const {code, stderr} = await darta(t, ['collect', 'radius://127.0.0.1:0?secret=hush'])
  t.is(code, 2)
  t.notRegex(stderr, /hush/)
  const none = await darta(t, ['collect', 'radius://127.0.0.1:0'], '', {
    env: {...process.env, DARTA_RADIUS_SECRET: ''},
  })
  t.is(none.code, 2)
  t.regex(none.stderr, /secret-file/)
  const file = join(folder(t), 'secrets')
  writeFileSync(file, 'hush\n', {mode: 0o640})
  const open = await darta(t, ['collect', `radius://127.0.0.1:0?secret-file=${file}`])
  t.is(open.code, 2)
  t.regex(open.stderr, /secrets can be read by others \(mode 640\): chmod 600 it/)
  t.notRegex(open.stderr, /hush/)
})
