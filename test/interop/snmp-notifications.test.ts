import test, {type ExecutionContext} from 'ava'
import {createSocket} from 'node:dgram'
import {once} from 'node:events'
import {existsSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {
  createNotificationReader,
  type NotificationReader,
} from '../../src/commands/collect/snmp/notification-reader.js'
import {loadSnmpPackage} from '../../src/commands/collect/snmp/package.js'
import {identifierOctets} from '../../src/record/object-identifier.js'
import {decoded, udpCollector} from '../support/collector.js'
import {bin, darta, folder, start, type Ended, type Running} from '../support/darta.js'
import {needing, optionalPackage, tools} from '../support/needing.js'
import {PASSPHRASES, secretFile, snmpEnvironment} from '../support/snmpd.js'
import {
  createEngineTimes,
  createOwnEngineTime,
} from '../../src/commands/collect/snmp/engine-time.js'
import {readCredentials} from '../../src/commands/collect/snmp/credentials.js'

const withSender = needing(tools('snmptrap'), optionalPackage('net-snmp'))

const LINK_DOWN = '1.3.6.1.6.3.1.1.5.3'
const IF_ENTRY = '1.3.6.1.2.1.2.2.1'
const linkDown = [
  ...['', LINK_DOWN, `${IF_ENTRY}.1.3`, 'i', '3', `${IF_ENTRY}.7.3`, 'i', '1'],
  ...[`${IF_ENTRY}.8.3`, 'i', '2', '1.3.6.1.4.1.32473.1.5.9', 's', 'why'],
]

interface Server {
  readonly running: Running
  readonly port: number
}

async function serve(t: ExecutionContext, ...flags: string[]): Promise<Server> {
  const url = `snmptrap://127.0.0.1:0?secret-file=${secretFile(t)}`
  const running = start(t, bin, ['collect', url, ...flags])
  await running.says(/listening on snmptrap:/)
  return {running, port: Number(/snmptrap:\/\/127\.0\.0\.1:(\d+)/.exec(running.words())![1])}
}

/** What snmptrap says; HOST among its words is the port of loopback. */
async function tell(t: ExecutionContext, port: number, words: readonly string[]): Promise<Ended> {
  const args = words.map((word) => (word === 'HOST' ? `127.0.0.1:${port}` : word))
  return start(t, 'snmptrap', args, {env: snmpEnvironment(folder(t))}).ended
}

const v2c = ['-v2c', '-c', 'public', '-r', '0', '-t', '30']
const {authentication, privacy} = PASSPHRASES
const v3 = [
  ...['-v3', '-u', 'alice', '-l', 'authPriv', '-a', 'SHA-256', '-A', authentication],
  ...['-x', 'AES', '-X', privacy, '-r', '0', '-t', '30'],
]

async function stopped({running}: Server): Promise<Ended> {
  running.child.kill('SIGTERM')
  return running.ended
}

type Line = Record<string, unknown>

const linesOf = (octets: Buffer): Line[] =>
  octets
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line)

withSender(
  'traps and informs of every version are records, and informs are answered',
  async (t) => {
    const server = await serve(t, '-o', 'ndjson')
    const engine = '0x8000000001020304'
    for (const words of [
      [...v2c, 'HOST', ...linkDown],
      [...v2c, '-Ci', 'HOST', ...linkDown],
      [...v3, '-e', engine, '-E', engine, 'HOST', ...linkDown],
      [...v3, '-Ci', 'HOST', ...linkDown],
      // enterprise, agent, generic, specific, time ticks
      ['-v1', '-c', 'public', 'HOST', '1.3.6.1.4.1.32473', '192.0.2.7', '6', '17', '4200'],
      ['-v1', '-c', 'public', 'HOST', '1.3.6.1.4.1.32473', '192.0.2.7', '2', '0', '4200'],
    ]) {
      const {code, stderr} = await tell(t, server.port, words)
      t.is(code, 0, stderr)
    }
    // Traps are not answered: the last one has come when this inform is.
    t.is((await tell(t, server.port, [...v2c, '-Ci', 'HOST', '', '1.3.6.1.4.1.32473.0.1'])).code, 0)
    const {code, stdout, stderr} = await stopped(server)
    t.is(code, 0, stderr)
    t.regex(stderr, /snmptrap: \d+ records in, 7 out, skipped \d+ \(discovery \d+\)/)
    const records = linesOf(stdout)
    t.deepEqual(
      records.map((one) => [one.dartaNotificationKind, one.dartaNotification]),
      [
        ['trap v2c', LINK_DOWN],
        ['inform v2c', LINK_DOWN],
        ['trap v3', LINK_DOWN],
        ['inform v3', LINK_DOWN],
        ['trap v1', '1.3.6.1.4.1.32473.0.17'],
        ['trap v1', LINK_DOWN],
        ['inform v2c', '1.3.6.1.4.1.32473.0.1'],
      ],
    )
    for (const record of records.slice(0, 4)) {
      t.is(record.ingressInterface, 3)
      t.deepEqual(record.mibObjectValueInteger, [3, 1, 2])
      t.is(record.mibObjectIdentifier, '060b2b0601040181fd59010509')
      t.is(record.mibObjectValueOctetString, Buffer.from('why').toString('hex'))
      t.is(record.originalExporterIPv4Address, '127.0.0.1')
    }
    t.is(records[2].mibContextEngineID, '8000000001020304')
    t.is(records[4].mibObjectValueTimeTicks, 4200)
    t.is(records[4].mibObjectValueIPAddress, '192.0.2.7')
  },
)

withSender('traps and informs that DES hides are records, and of it is warned', async (t) => {
  const secrets = secretFile(t, `user dora MD5 ${authentication} DES ${privacy}`)
  const running = start(t, bin, [
    ...['collect', `snmptrap://127.0.0.1:0?secret-file=${secrets}`, '-o', 'ndjson'],
  ])
  await running.says(/listening on snmptrap:/)
  const port = Number(/listening on snmptrap:\/\/127\.0\.0\.1:(\d+)/.exec(running.words())![1])
  const dora = [
    ...['-v3', '-u', 'dora', '-l', 'authPriv', '-a', 'MD5', '-A', authentication],
    ...['-x', 'DES', '-X', privacy, '-r', '0', '-t', '30'],
  ]
  const engine = '0x8000000001020304'
  // Of every length that the last block of eight octets may have.
  for (let n = 0; n < 8; n++) {
    const words = [...linkDown, '1.3.6.1.4.1.32473.1.5.10', 's', 'x'.repeat(n)]
    const trap = [...dora, '-e', engine, '-E', engine, 'HOST', ...words]
    const inform = [...dora, '-Ci', 'HOST', ...words]
    for (const one of [trap, inform]) {
      const {code, stderr} = await tell(t, port, one)
      t.is(code, 0, stderr)
    }
  }
  const {code, stdout, stderr} = await stopped({running, port})
  t.is(code, 0, stderr)
  t.regex(stderr, /by DES \(dora\) can be read/)
  t.deepEqual(
    linesOf(stdout).map((one) => [one.dartaNotificationKind, one.dartaNotification]),
    Array.from({length: 8}, () => ['trap v3', 'inform v3'])
      .flat()
      .map((kind) => [kind, LINK_DOWN]),
  )
})

needing(optionalPackage('net-snmp'))(
  'what DES hides can be read again, and what it cannot have made is refused',
  (t) => {
    const {Encryption, PrivProtocols, AuthProtocols} = loadSnmpPackage()
    const des = Encryption.algorithms[PrivProtocols.des]
    const engine = {engineID: Buffer.from('8000000001020304', 'hex'), engineBoots: 5}
    const how = [privacy, AuthProtocols.sha, engine] as const
    const salts = new Set<string>()
    for (let length = 0; length <= 40; length++) {
      const pdu = Buffer.alloc(length, 0x30)
      const {encryptedPdu, msgPrivacyParameters: salt} = des.encryptPdu(pdu, 2, ...how)
      t.is(encryptedPdu.length, 8 * Math.ceil(length / 8))
      t.is(salt.readUInt32BE(), 5)
      salts.add(salt.toString('hex'))
      t.deepEqual(des.decryptPdu(encryptedPdu, 2, salt, ...how).subarray(0, length), pdu)
    }
    t.is(salts.size, 41)
    t.throws(() => des.decryptPdu(Buffer.alloc(9), 2, Buffer.alloc(8), ...how))
    t.throws(() => des.decryptPdu(Buffer.alloc(8), 2, Buffer.alloc(7), ...how))
  },
)

withSender('who does not know a secret is not answered, and counted', async (t) => {
  const server = await serve(t)
  const wrong = async (...words: string[]): Promise<void> => {
    // Of SNMPv3 our engine is asked for first, and what matters comes after the answer.
    const wait = ['-r', '0', '-t', words[0] === '-v3' ? '5' : '0.3']
    t.not((await tell(t, server.port, [...words, ...wait, '-Ci', 'HOST', ...linkDown])).code, 0)
  }
  await wrong('-v2c', '-c', 'other')
  await wrong(...v3.map((word) => (word === 'alice' ? 'mallory' : word)))
  await wrong(...v3.map((word) => (word === authentication ? 'not-this-one' : word)))
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  socket.send(Buffer.from('300a0201ff', 'hex'), server.port, '127.0.0.1')
  t.is((await tell(t, server.port, [...v2c, '-Ci', 'HOST', ...linkDown])).code, 0)
  const {code, stderr} = await stopped(server)
  t.is(code, 0)
  const [, come, out, skipped, lost] =
    /snmptrap: (\d+) records in, (\d+) out, skipped (\d+) \(discovery \d+\), lost (\d+) /.exec(
      stderr,
    )!
  t.is(out, '1')
  t.is(Number(come), Number(out) + Number(skipped) + Number(lost), stderr)
  t.regex(stderr, /unknown-sender 2/)
  t.regex(stderr, /authentication 1/)
  t.regex(stderr, /malformed 1/)
  t.notRegex(stderr, /other|not-this-one/)
})

for (const [version, flags] of [
  ['SNMPv2c', v2c],
  // Else its time is the machine's in hundredths of a second, of which 150 pass in a moment.
  ['SNMPv3', [...v3, '-e', '0x8000000001020304', '-Z', '3,100']],
] as const) {
  withSender(
    `a trap of ${version} that is recorded and sent again makes no second record`,
    async (t) => {
      const server = await serve(t, '-o', 'ndjson')
      const nobody = await udpCollector(t)
      for (let i = 0; i < 2; i++) await tell(t, nobody.port, [...flags, 'HOST', ...linkDown])
      await nobody.until(() => nobody.datagrams.length === 2)
      const socket = createSocket('udp4')
      t.teardown(() => socket.close())
      for (const datagram of [...nobody.datagrams, ...nobody.datagrams]) {
        socket.send(datagram, server.port, '127.0.0.1')
      }
      t.is((await tell(t, server.port, [...v2c, '-Ci', 'HOST', ...linkDown])).code, 0)
      const {stdout, stderr} = await stopped(server)
      t.regex(stderr, /snmptrap: 5 records in, 3 out, skipped 2 \(duplicate 2\)/)
      t.is(linesOf(stdout).length, 3)
    },
  )
}

withSender(
  'a trap of SNMPv3 from before a start of its sender, or 150 s behind it, is refused',
  async (t) => {
    const server = await serve(t, '-o', 'ndjson')
    const nobody = await udpCollector(t)
    const engine = '0x8000000001020304'
    const starts = ['5,1000', '6,10', '6,400', '6,200']
    for (const [i, boots] of starts.entries()) {
      const flags = ['-e', engine, '-E', engine, '-Z', boots]
      t.is((await tell(t, nobody.port, [...v3, ...flags, 'HOST', ...linkDown])).code, 0)
      await nobody.until(() => nobody.datagrams.length === i + 1)
    }
    const [before, started, later, behind] = nobody.datagrams
    const socket = createSocket('udp4')
    t.teardown(() => socket.close())
    for (const datagram of [before, started, before, later, behind, started, later]) {
      socket.send(datagram, server.port, '127.0.0.1')
    }
    t.is((await tell(t, server.port, [...v2c, '-Ci', 'HOST', ...linkDown])).code, 0)
    const {stdout, stderr} = await stopped(server)
    t.regex(
      stderr,
      /snmptrap: 8 records in, 4 out, skipped 1 \(duplicate 1\), lost 3 \(not-in-time-window 3 /,
    )
    t.is(linesOf(stdout).length, 4)
  },
)

/** A reader with its own clock in milliseconds, answering who sends to its port; and what was sent there. */
async function answering(
  t: ExecutionContext,
  reader: NotificationReader,
): Promise<{port: number; datagrams: Buffer[]; said: string[]}> {
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  const datagrams: Buffer[] = []
  const said: string[] = []
  socket.on('message', (datagram, sender) => {
    datagrams.push(datagram)
    const read = reader.read(datagram, sender)
    said.push('fault' in read ? read.fault : read.notification.oid)
    if (read.response !== undefined) socket.send(read.response, sender.port, sender.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {port: socket.address().port, datagrams, said}
}

withSender('an inform of SNMPv3 is taken for 150 seconds and by nobody else', async (t) => {
  const clock = {steady: 0, started: Date.UTC(2026, 10, 26)}
  const engineId = '8000000001aabbcc'
  const credentials = readCredentials(
    `user alice SHA-256 ${authentication} AES ${privacy}`,
    'secrets',
  )
  const readerOf = (id: string, started: number): NotificationReader =>
    createNotificationReader(loadSnmpPackage(), credentials, id, {
      now: () => started,
      steady: () => clock.steady,
    })
  const reader = readerOf(engineId, clock.started)
  clock.steady = 1_000_000
  const {port, datagrams, said} = await answering(t, reader)
  t.is((await tell(t, port, [...v3, '-Ci', 'HOST', ...linkDown])).code, 0)
  t.is(said.at(-1), LINK_DOWN)
  t.true(said.slice(0, -1).every((what) => what === 'discovery'))
  const inform = datagrams.at(-1)!
  const sender = {address: '127.0.0.1', port: 1, family: 'IPv4' as const, size: 0}
  const ask = (of: NotificationReader): {what: string; response: Buffer} => {
    const read = of.read(inform, sender)
    const what = 'fault' in read ? read.fault : read.notification.oid
    return {what, response: Buffer.from(read.response ?? [])}
  }
  clock.steady += 150_000
  t.is(ask(reader).what, LINK_DOWN)
  clock.steady += 1000
  const late = ask(reader)
  t.is(late.what, 'not-in-time-window')
  // usmStatsNotInTimeWindows.0 in a Report, which is authentic and not encrypted.
  t.true(late.response.includes(Buffer.from('2b060106030f01010200', 'hex')))
  t.true(late.response.includes(0xa8))
  t.true(late.response.includes('alice'))
  // One that was started after it has the same name and other boots.
  clock.steady = 1_000_000
  t.is(ask(readerOf(engineId, clock.started + 1000)).what, 'not-in-time-window')
  const other = ask(readerOf('8000000001aabbcd', clock.started))
  t.is(other.what, 'discovery')
  t.true(other.response.includes(Buffer.from('2b060106030f01010400', 'hex')))
  t.true(other.response.includes(Buffer.from('8000000001aabbcd', 'hex')))
})

withSender('who has our time wrong learns it from a Report that convinces him', async (t) => {
  const server = await serve(t, '-o', 'ndjson')
  // Boots and time that the sender takes for ours.
  const words = [...v3, '-t', '5', '-r', '3', '-Z', '7,100', '-Ci', 'HOST', ...linkDown]
  t.is((await tell(t, server.port, words)).code, 0)
  const {stdout, stderr} = await stopped(server)
  t.is(linesOf(stdout).length, 1, stderr)
})

test('clocks of engines are judged as RFC 3414 section 3.2 step 7b says', (t) => {
  const last = 2 ** 31 - 1
  const steps: [seconds: number, boots: number, time: number, admitted: boolean][] = [
    [0, 5, 1000, true],
    [0, 5, 850, true],
    [0, 5, 849, false],
    [0, 4, 5000, false],
    // Ahead of what is known: believed, and known from then on.
    [1, 5, 2000, true],
    [1, 5, 1850, true],
    [1, 5, 1849, false],
    // It goes on while nothing comes.
    [101, 5, 1950, true],
    [101, 5, 1949, false],
    // What is in the window does not set the clock back.
    [102, 5, 1951, true],
    [102, 5, 1950, false],
    [103, 6, 0, true],
    [103, 5, 2103, false],
    [104, 6, last, true],
    // Boots that come after the last second.
    [105, 7, 0, true],
    [106, last, 1, false],
    [107, last, 2, false],
  ]
  const times = createEngineTimes()
  for (const [seconds, boots, time, admitted] of steps) {
    t.is(
      times.admits('one', {boots, time}, 1000 * seconds),
      admitted,
      `${seconds} ${boots} ${time}`,
    )
  }
  t.true(times.admits('another', {boots: 1, time: 1}, 0))
})

test('the own clock goes on, and boots are more with each start', (t) => {
  const startMs = Date.UTC(2026, 10, 26)
  let elapsedMs = 0
  const own = createOwnEngineTime(startMs, () => elapsedMs)
  const {boots} = own.now()
  t.is(createOwnEngineTime(startMs + 1000, () => 0).now().boots, boots + 1)
  t.true(boots > 0 && createOwnEngineTime(0, () => 0).now().boots > 0)
  elapsedMs = 1_000_000
  t.deepEqual(own.now(), {boots, time: 1000})
  for (const [time, admitted] of [
    [850, true],
    [1150, true],
    [849, false],
    [1151, false],
  ] as const) {
    t.is(own.admits({boots, time}), admitted)
    t.false(own.admits({boots: boots + 1, time}))
    t.false(own.admits({boots: boots - 1, time}))
  }
})

withSender('an engine-id that is none is refused', async (t) => {
  for (const [id, code] of [
    ['80000000', 2],
    ['xyz', 2],
    ['0000000000', 2],
  ] as const) {
    const url = `snmptrap://127.0.0.1:0?secret-file=${secretFile(t)}&engine-id=${id}`
    const ended = await darta(t, ['collect', url])
    t.is(ended.code, code)
    t.regex(ended.stderr, /engine-id: expected 5 to 32 octets/)
  }
})

withSender('an inform that comes again is answered again and makes no second record', async (t) => {
  const server = await serve(t, '-o', 'ndjson')
  const nobody = await udpCollector(t)
  const sending = tell(t, nobody.port, [...v2c, '-t', '0.2', '-r', '0', '-Ci', 'HOST', ...linkDown])
  await nobody.until(() => nobody.datagrams.length > 0)
  await sending
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  for (let i = 0; i < 3; i++) {
    const answered = once(socket, 'message') as Promise<[Buffer]>
    socket.send(nobody.datagrams[0], server.port, '127.0.0.1')
    const [answer] = await answered
    // A GetResponse with the same bindings.
    t.is(answer.length, nobody.datagrams[0].length)
    t.true(answer.includes(0xa2))
  }
  const {stdout, stderr} = await stopped(server)
  t.regex(stderr, /snmptrap: 3 records in, 1 out, skipped 2 \(duplicate 2\)/)
  t.is(linesOf(stdout).length, 1)
})

withSender(
  'a collector that is killed when it has answered informs has each exactly once in the end',
  async (t) => {
    const at = folder(t)
    const [journal, out] = [join(at, 'journal'), join(at, 'out.ipfix')]
    const flags = ['--journal', journal, '-w', out]
    const inform = (port: number, n: number, as: string[]): Promise<Ended> =>
      tell(t, port, [
        ...as,
        '-Ci',
        'HOST',
        '',
        `1.3.6.1.4.1.32473.0.${n}`,
        '1.3.6.1.2.1.1.5.0',
        's',
        'x',
      ])
    const first = await serve(t, ...flags)
    t.is((await inform(first.port, 1, v2c)).code, 0)
    t.is((await inform(first.port, 2, v3)).code, 0)
    first.running.child.kill('SIGKILL')
    await first.running.ended
    t.false(existsSync(out))
    t.notRegex(readFileSync(journal, 'latin1'), /public|authpass|privpass/)
    const second = await serve(t, ...flags)
    t.is((await inform(second.port, 3, v3)).code, 0)
    const {stderr} = await stopped(second)
    t.regex(stderr, /2 requests from before go first/)
    const notifications = decoded(readFileSync(out))
      .records.filter((record) => 'dartaNotification' in record)
      .map((record) => record.dartaNotification)
    t.deepEqual(
      notifications,
      [1, 2, 3].map((n) => `1.3.6.1.4.1.32473.0.${n}`),
    )
  },
)

withSender('--journal is of no use where agents are only asked', async (t) => {
  const url = `snmp://192.0.2.1?secret-file=${secretFile(t)}`
  const {code, stderr} = await darta(t, ['collect', url, '--journal', join(folder(t), 'journal')])
  t.is(code, 2)
  t.regex(stderr, /--journal is for/)
})

needing(optionalPackage('net-snmp'))(
  'who makes up engines takes no more than a little time, and those that are known are taken still',
  (t) => {
    const clock = {steady: 0}
    const credentials = {communities: [], users: [{name: 'alice'}]}
    const reader = createNotificationReader(loadSnmpPackage(), credentials, undefined, {
      now: () => Date.UTC(2026, 10, 26),
      steady: () => clock.steady,
    })
    const sender = {address: '127.0.0.1', port: 1, family: 'IPv4' as const, size: 0}
    const faults = new Map<string, number>()
    // Each of 200 engines twice in a second.
    const tellAll = (): void => {
      for (let i = 0; i < 400; i++) {
        const read = reader.read(trapOfEngine(i % 200), sender)
        const what = 'fault' in read ? read.fault : read.notification.oid
        faults.set(what, (faults.get(what) ?? 0) + 1)
      }
    }
    tellAll()
    const taken = faults.get(LINK_DOWN) ?? 0
    t.true(taken >= 40 && taken <= 200, String(taken))
    t.is(faults.get('new-engine-rate'), 400 - taken)
    clock.steady += 1000
    tellAll()
    // Those of the second before, and as many others.
    t.is(faults.get(LINK_DOWN), 3 * taken)
  },
)

/** A trap of SNMPv3 without authentication, as this engine sends it. */
function trapOfEngine(n: number): Buffer {
  const tlv = (tag: number, ...parts: readonly Buffer[]): Buffer => {
    const body = Buffer.concat(parts)
    return Buffer.concat([Buffer.from([tag, body.length]), body])
  }
  const integer = (value: number): Buffer => tlv(0x02, Buffer.from([value]))
  const text = (value: string | Buffer): Buffer => tlv(0x04, Buffer.from(value))
  const engine = Buffer.from([0x80, 0, 0, 0, 1, n >> 8, n & 0xff])
  const bind = (oid: string, value: Buffer): Buffer =>
    tlv(0x30, Buffer.from(identifierOctets(oid)), value)
  return tlv(
    0x30,
    integer(3),
    tlv(0x30, integer(1), tlv(0x02, Buffer.from([0x40, 0])), text(Buffer.from([0])), integer(3)),
    text(tlv(0x30, text(engine), integer(1), integer(1), text('alice'), text(''), text(''))),
    tlv(
      0x30,
      text(engine),
      text(''),
      tlv(
        0xa7,
        integer(1),
        integer(0),
        integer(0),
        tlv(
          0x30,
          bind('1.3.6.1.2.1.1.3.0', tlv(0x43, Buffer.from([7]))),
          bind('1.3.6.1.6.3.1.1.4.1.0', Buffer.from(identifierOctets(LINK_DOWN))),
        ),
      ),
    ),
  )
}
