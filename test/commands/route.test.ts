import {createServer, type AddressInfo, type Socket} from 'node:net'
import {createServer as createTlsServer} from 'node:tls'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import test, {type ExecutionContext} from 'ava'
import {createDecoder} from '../../src/ipfix/decoder.js'
import {createEncoder} from '../../src/ipfix/encoder.js'
import {Ledger} from '../../src/record/ledger.js'
import {readRecord} from '../../src/record/readers.js'
import {ie} from '../../src/registry/lookup.js'
import {authority, noCertificates, type Identity} from '../support/certificates.js'
import {bash, bin, darta, folder, type Ended} from '../support/darta.js'
import {needing, root} from '../support/needing.js'
import {batchOf, templateOf} from '../support/records.js'

const lab = join(root, 'test/fixtures/lab.pcap')

async function labFlows(t: ExecutionContext, ...words: string[]): Promise<string> {
  const file = join(folder(t), 'lab.ipfix')
  const ended = await darta(t, ['capture', '-q', '-r', lab, '-w', file, ...words])
  t.is(ended.code, 0, ended.stderr)
  return file
}

async function ndjson(t: ExecutionContext, ...words: string[]): Promise<string[]> {
  const ended = await darta(t, words)
  t.is(ended.code, 0, ended.stderr)
  return linesOf(ended)
}

function linesOf({stdout}: Ended): string[] {
  return stdout.toString().split('\n').slice(0, -1).sort()
}

/** Flow Records as lines, without the Messages that they came in. What describes the stream comes to every unit. */
const plain = (lines: string[]): string[] =>
  lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((record) => !('_scope' in record))
    .map(({_ipfix, ...record}) => JSON.stringify(record))

test('units together get every record once, and all of a key one unit', async (t) => {
  const flows = await labFlows(t)
  const at = folder(t)
  const ended = await darta(t, [
    ...['route', '-r', flows, '--key', 'srcip', '--units', '5'],
    ...['--exec', `${bin} print -q -o ndjson -w ${at}/%d.ndjson`],
  ])
  t.is(ended.code, 0, ended.stderr)
  t.regex(ended.stderr, /route key: 727 records in, 724 out, skipped 3 \(options-to-all 3\)\n/)
  const whole = plain(await ndjson(t, 'print', '-q', '-r', flows, '-o', 'ndjson'))
  const owners = new Map<string, number>()
  const parts: string[] = []
  for (let unit = 1; unit <= 5; unit++) {
    const lines = plain(
      await ndjson(t, 'print', '-q', '-r', `${at}/${unit}.ndjson`, '-o', 'ndjson'),
    )
    t.true(lines.length > 0)
    parts.push(...lines)
    for (const line of lines) {
      const record = JSON.parse(line) as Record<string, string>
      const source = record.sourceIPv4Address ?? record.sourceIPv6Address
      t.is(owners.get(source) ?? unit, unit, source)
      owners.set(source, unit)
    }
  }
  t.deepEqual(parts.sort(), whole.sort())
})

test('records of a long file are with their units before the memory that they were read into is used again', async (t) => {
  const at = folder(t)
  const template = templateOf([
    [ie.sourceIPv4Address, 4],
    [ie.octetDeltaCount, 8],
    [ie.applicationDescription, 40],
  ])
  const encoder = createEncoder({ledger: new Ledger()})
  const numbers = Array.from({length: 30_000}, (_, i) => i)
  const records = numbers.map((i) => [i % 100, i, `record ${i}`.padEnd(40, '.')])
  const octets = [...encoder.push([batchOf(template, records)]), ...encoder.end()]
  writeFileSync(join(at, 'whole.ipfix'), Buffer.concat(octets))
  const ended = await darta(t, [
    ...['route', '-q', '-r', join(at, 'whole.ipfix'), '--key', 'srcip', '--units', '3'],
    ...['--exec', `sh -c 'cat > ${at}/%d.ipfix'`],
  ])
  t.is(ended.code, 0, ended.stderr)
  const found: number[] = []
  for (let unit = 1; unit <= 3; unit++) {
    const decoder = createDecoder({ledger: new Ledger(), source: 'test'})
    const batches = [...decoder.push(readFileSync(`${at}/${unit}.ipfix`)), ...decoder.end()]
    t.true(batches.length > 0)
    for (const batch of batches) {
      for (let i = 0; i < batch.count; i++) {
        const [, octetCount, text] = readRecord(batch, i)
        const number = Number(octetCount[1])
        t.is(text[1], `record ${number}`.padEnd(40, '.'))
        found.push(number)
      }
    }
  }
  t.deepEqual(
    found.sort((a, b) => a - b),
    numbers,
  )
})

test('results of units, joined, are those of one, for an application whose keys are parted', async (t) => {
  const flows = await labFlows(t)
  const app = ['analyze', 'matrix', '-q', '-o', 'ndjson', '--symmetric']
  const exec = `${bin} analyze matrix -q --symmetric -o ipfix`
  const rows = (lines: string[]): string[] =>
    plain(lines)
      .map((line) => line.replaceAll(/,"darta\w+Share":[^,}]+/g, ''))
      .sort()
  const one = rows(await ndjson(t, ...app, '-r', flows))
  const words = [
    'route',
    '-q',
    '-r',
    flows,
    '--app',
    'matrix --symmetric',
    '--join',
    '-o',
    'ndjson',
  ]
  const many = rows(await ndjson(t, ...words, '--units', '4', '--exec', exec))
  t.true(one.length > 3)
  t.deepEqual(many, one)
})

test('when the reader of the joined output goes away all ends at once, with 141 and in silence', async (t) => {
  const input = join(folder(t), 'many.ipfix')
  // More than all pipes hold.
  writeFileSync(input, Buffer.concat(Array<Buffer>(400).fill(readFileSync(await labFlows(t)))))
  for (const format of ['ipfix', 'ndjson']) {
    const route = `${bin} route -r ${input} --key srcip --units 2 --exec cat --join -o ${format}`
    const ended = await bash(t, `${route} | head -c 100 >/dev/null; echo "\${PIPESTATUS[0]}"`)
    t.is(ended.stdout.toString(), '141\n')
    t.is(ended.stderr, '')
  }
})

test('of a Biflow each direction goes to the unit of its own source', async (t) => {
  const flows = await labFlows(t, '--biflow')
  const exec = `${bin} analyze top -q -k 0 -s srcip -o ipfix`
  const rows = (lines: string[]): string[] =>
    plain(lines)
      .map((line) => line.replaceAll(/,"darta(\w+Share|Rank)":[^,}]+/g, ''))
      .sort()
  const one = await ndjson(
    t,
    'analyze',
    'top',
    '-q',
    '-k',
    '0',
    '-s',
    'srcip',
    '-r',
    flows,
    '-o',
    'ndjson',
  )
  const routed = await darta(t, [
    ...['route', '-r', flows, '--app', 'top -s srcip', '--units', '3', '--exec', exec],
    ...['--join', '-o', 'ndjson'],
  ])
  t.is(routed.code, 0, routed.stderr)
  t.regex(routed.stderr, /noted of-biflows [1-9]/)
  t.deepEqual(rows(linesOf(routed)), rows(one))
})

test('a unit that dies leaves its keys to the others, and what it did not take is counted', async (t) => {
  const flows = await labFlows(t)
  const at = folder(t)
  const program = join(at, 'unit.sh')
  writeFileSync(
    program,
    `#!/bin/sh\nif [ "$1" = 2 ]; then exit 3; fi\nexec cat > ${at}/$1.ipfix\n`,
    {
      mode: 0o755,
    },
  )
  // One after another, so that the unit's death is seen before the end of the input.
  const ended = await bash(
    t,
    `for i in 1 2 3 4 5 6 7 8; do cat ${flows}; sleep 0.2; done | darta route --key srcip --units 3 --exec '${program} %d'`,
  )
  t.is(ended.code, 1)
  t.regex(ended.stderr, /unit-2 takes no more records/)
  const [, given, taken, lost] =
    /unit-2: (\d+) records in, (\d+) out, lost (\d+) \(gone \3\)/.exec(ended.stderr) ?? []
  t.is(Number(given), Number(taken) + Number(lost))
  const total = Number(/route key: (\d+) records in/.exec(ended.stderr)?.[1])
  const others = [1, 3].map((i) =>
    Number(new RegExp(`unit-${i}: (\\d+) records in, \\1 out\\n`).exec(ended.stderr)?.[1]),
  )
  t.is(total - 8 * 3, others[0] + others[1] + Number(given))
  // Had it kept its keys, more of the eight would have been lost.
  t.true(Number(lost) < total / 8, ended.stderr)
})

test('units at Unix sockets get their records, and one that closes its connection leaves its keys to the others', async (t) => {
  const flows = await labFlows(t)
  const at = folder(t)
  const received: Buffer[][] = [[], []]
  const servers = received.map((chunks) =>
    createServer((socket: Socket) => socket.on('data', (chunk) => chunks.push(chunk))),
  )
  for (const [i, server] of servers.entries()) {
    await new Promise<void>((resolve) => server.listen(join(at, `${i + 1}.sock`), resolve))
    t.teardown(() => server.close())
  }
  const ended = await darta(t, [
    ...['route', '-r', flows, '--key', 'srcip,dstip', '--symmetric'],
    ...['--units', '2', '--to', `unix:${at}/%d.sock`],
  ])
  t.is(ended.code, 0, ended.stderr)
  let records = 0
  for (const chunks of received) {
    const {stderr, code} = await darta(t, ['info', '-r', '-'], Buffer.concat(chunks))
    t.is(code, 0, stderr)
    records += Number(/ipfix: (\d+) records in/.exec(stderr)?.[1]) - 3
  }
  t.is(records, 724)
})

needing(noCertificates)('units listen with TLS, and who is not trusted gets nothing', async (t) => {
  const flows = await labFlows(t)
  const at = folder(t)
  const own = authority(at)
  const [unit, router] = [own.issue('127.0.0.1'), own.issue('router')]
  const stranger = authority(at, 'stranger').issue('127.0.0.1')
  const received: Buffer[] = []
  let asked = 0
  const listen = async (identity: Identity): Promise<number> => {
    const server = createTlsServer(
      {
        ...{cert: readFileSync(identity.cert), key: readFileSync(identity.key)},
        ...{ca: readFileSync(own.ca), requestCert: true, rejectUnauthorized: true},
      },
      (socket) => {
        asked++
        socket.on('error', () => {})
        socket.on('data', (chunk: Buffer) => received.push(chunk))
      },
    )
    server.on('tlsClientError', () => {})
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => server.close())
    return (server.address() as AddressInfo).port
  }
  const [port, strange] = [await listen(unit), await listen(stranger)]
  const send = (to: number, shown: Identity) =>
    darta(t, [
      ...['route', '-r', flows, '--key', 'srcip', '--units', '1'],
      ...['--to', `tls://127.0.0.1:${to}`],
      ...['--tls-cert', shown.cert, '--tls-key', shown.key, '--tls-ca', own.ca],
    ])
  const refused = await send(strange, router)
  t.is(refused.code, 1)
  t.regex(refused.stderr, /cannot write tls:.*: its certificate is from an unknown authority/)
  const unknown = await send(port, stranger)
  t.is(unknown.code, 1)
  t.regex(unknown.stderr, /cannot write tls:.*: it refused us/)
  t.is(asked, 0)
  const ended = await send(port, router)
  t.is(ended.code, 0, ended.stderr)
  const {stderr, code} = await darta(t, ['info', '-r', '-'], Buffer.concat(received))
  t.is(code, 0, stderr)
  t.regex(stderr, /ipfix: 727 records in/)
})

test('applications without a key in common are refused, or have units of their own', async (t) => {
  const flows = await labFlows(t)
  const apps = ['--app', 'top -s srcip', '--app', 'matrix --by as', '--units', '2']
  const refused = await darta(t, ['route', '-r', flows, ...apps, '--exec', 'cat'])
  t.is(refused.code, 2)
  t.regex(refused.stderr, /top\+matrix: their routing keys have nothing in common; put %a/)
  const at = folder(t)
  const {code, stderr} = await darta(t, [
    ...['route', '-r', flows, ...apps, '--exec', `${bin} print -q -o ndjson -w ${at}/%a-%d`],
  ])
  t.is(code, 0, stderr)
  t.regex(stderr, /route top: 727 records in, 724 out/)
  // The capture's records name no autonomous systems.
  t.regex(
    stderr,
    /route matrix: 727 records in, 0 out, skipped 727 \(not-applicable 724, options-to-all 3\)/,
  )
})

test('--explain says of each record the unit that it goes to', async (t) => {
  const flows = await labFlows(t, '--biflow')
  const key = ['--key', 'srcip,dstport', '--units', '3']
  const at = folder(t)
  await darta(t, ['route', '-r', flows, ...key, '--exec', `${bin} print -q -o ndjson -w ${at}/%d`])
  const {stdout, code} = await darta(t, ['route', '-q', '-r', flows, ...key, '--explain', '-'])
  t.is(code, 0)
  const said = [
    ...stdout.toString().matchAll(/=(\S+) destinationTransportPort=(\d+): .* unit-(\d)$/gm),
  ]
    .map(([, source, port, unit]) => `${source} ${port} ${unit}`)
    .sort()
  const went: string[] = []
  for (const unit of [1, 2, 3]) {
    for (const line of plain(
      await ndjson(t, 'print', '-q', '-r', `${at}/${unit}`, '-o', 'ndjson'),
    )) {
      const record = JSON.parse(line) as Record<string, string>
      const source = record.sourceIPv4Address ?? record.sourceIPv6Address
      went.push(`${source} ${record.destinationTransportPort} ${unit}`)
    }
  }
  t.true(went.length > 300)
  t.deepEqual(said, went.sort())
})

test('--explain takes a 5-tuple, and both orders of a symmetric key go to one unit', async (t) => {
  const explain = async (tuple: string): Promise<string> =>
    (
      await darta(t, [
        ...['route', '-q', '--key', 'srcip,srcport,dstip,dstport', '--symmetric'],
        ...['--units', '5', '--explain', tuple],
      ])
    ).stdout.toString()
  const there = await explain('2001:db8::1,1024,2001:db8::2,53,udp')
  t.regex(
    there,
    /^1 key: oneIPv6Address=2001:db8::1 oneTransportPort=1024 other.*=53: hash [0-9a-f]{8}, slot \d+, unit-\d\n$/,
  )
  t.is(await explain('2001:db8::2,53,2001:db8::1,1024,udp'), there)
})

test('--check tells before deployment what a key parts', async (t) => {
  const flows = await labFlows(t)
  const check = async (...words: string[]): Promise<string> =>
    (
      await darta(t, ['route', '-q', '-r', flows, '--check', '--units', '4', ...words])
    ).stdout.toString()
  const parted = await check('--key', 'srcip')
  t.regex(parted, /records {9}724, not applicable 0, without the key 0/)
  t.regex(parted, /(\d+) of 328 conversations have their directions in different units/)
  const whole = await check('--key', 'srcip,dstip', '--symmetric')
  t.regex(whole, /both directions of all 328 conversations come to one unit/)
  const loads = [...whole.matchAll(/unit-\d +(\d+) records/g)].map(([, n]) => Number(n))
  t.is(
    loads.reduce((a, b) => a + b),
    724,
  )
  const skew = (4 * Math.max(...loads)) / 724
  t.true(whole.includes(`greatest load ${skew.toFixed(2)} of its share`), whole)
})

for (const [words, said] of [
  [['--units', '2', '--exec', 'cat'], /give --app APP or --key KEY/],
  [['--key', 'srcip', '--units', '2'], /give --exec CMD or --to URL/],
  [['--key', 'srcip', '--exec', 'cat'], /give --units N or --weights/],
  [
    ['--key', 'ip', '--units', '2', '--exec', 'cat'],
    /say srcip or dstip, or both with --symmetric/,
  ],
  [
    ['--key', 'srcip', '--symmetric', '--units', '2', '--exec', 'cat'],
    /one side and then the other/,
  ],
  [['--key', 'srcip', '--weights', '1,x', '--exec', 'cat'], /numbers above 0/],
  [['--key', 'srcip', '--units', '2', '--to', 'unix:/x'], /names two units alike/],
  [['--key', 'srcip', '--units', '2', '--to', 'http:/x'], /expected unix:PATH/],
  [['--app', 'tpo', '--units', '2', '--exec', 'cat'], /did you mean top/],
] as const) {
  test(`${words.join(' ')} is refused with what is wrong`, async (t) => {
    const {code, stderr} = await darta(t, ['route', '-r', lab, ...words])
    t.is(code, 2, stderr)
    t.regex(stderr, said)
  })
}
