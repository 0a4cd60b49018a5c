import test from 'ava'
import {execFileSync} from 'node:child_process'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {lines} from '../formats/coding.js'
import {decodeCase, fixtures, ipfixCases} from '../ipfix/fixtures.js'
import {bash, bin, darta, folder, start} from '../support/darta.js'
import {native} from '../support/native-addon.js'
import {needing, root, shared, tools} from '../support/needing.js'

const lab = `${root}test/fixtures/lab.pcap`

test('IPFIX printed as NDJSON and JSON, and those as IPFIX, are the same records', async (t) => {
  const path = folder(t)
  // Records are compared, not octets: where a Message ends may depend on how long its records waited.
  const {code, stderr, stdout} = await bash(
    t,
    `darta capture -q -r ${lab} | darta print -q -o ipfix > ${path}/a &&
     darta print -q -r ${path}/a -o ndjson | darta print -q -o ipfix > ${path}/b &&
     darta print -q -r ${path}/a -o json | darta print -q -o ipfix > ${path}/c &&
     for f in a b c; do darta print -q -r ${path}/$f -o ndjson > ${path}/$f.ndjson; done &&
     cmp ${path}/a.ndjson ${path}/b.ndjson && cmp ${path}/a.ndjson ${path}/c.ndjson &&
     darta print -r ${path}/b -o null`,
  )
  t.is(code, 0, stderr)
  t.is(stdout.toString(), '')
  t.regex(stderr, /ipfix: [1-9]\d* records in/)
})

needing(native)('DARTA_NATIVE=0 changes no octet of any text', async (t) => {
  const {stdout: ipfix} = await darta(t, ['capture', '-q', '-r', lab])
  for (const format of ['ndjson', 'ndjson:all', 'json', 'csv', 'tsv']) {
    const args = ['print', '-q', '-o', format]
    const fast = await darta(t, args, ipfix)
    const plain = await darta(t, args, ipfix, {env: {...process.env, DARTA_NATIVE: '0'}})
    t.is(fast.code, 0)
    t.true(fast.stdout.length > 10_000)
    t.true(fast.stdout.equals(plain.stdout), format)
  }
})

test('a line that cannot be read is told with octet and line, costs nothing else, and --strict-loss notices', async (t) => {
  const input = '{"vlanId":1}\n{"vlanId":70000}\n{"vlanId":3}\n'
  const print = ['print', '-o', 'ndjson:bare']
  const lax = await darta(t, print, input)
  t.is(lax.code, 0, lax.stderr)
  t.is(lax.stdout.toString(), '{"vlanId":1}\n{"vlanId":3}\n')
  t.regex(lax.stderr, /ndjson: 3 lines in, 2 out, lost 1 \(value 1 from octet 23, line 2\)/)
  t.is((await darta(t, [...print, '--strict-loss'], input)).code, 3)
})

test('--bigint=string, -c and a choice of columns reach the format', async (t) => {
  const input = '{"octetDeltaCount":18446744073709551615}\n{"octetDeltaCount":2}\n'
  const print = (...args: string[]): Promise<string> =>
    darta(t, ['print', '-q', ...args], input).then(({stdout}) => stdout.toString())
  t.is(
    await print('-o', 'ndjson:bare', '--bigint', 'string', '-c', '1'),
    '{"octetDeltaCount":"18446744073709551615"}\n',
  )
  t.is(
    await print('-o', 'csv:octets=octetDeltaCount|octetTotalCount,_ipfix.observationDomainId'),
    'octets,_ipfix.observationDomainId\n18446744073709551615,0\n2,0\n',
  )
})

test('rows that differ in the IP version only stand under one heading of a table', async (t) => {
  const four = (n: number): string => `{"sourceIPv4Address":"192.0.2.${n}","vlanId":${n}}\n`
  const six = (n: number): string => `{"sourceIPv6Address":"2001:db8::${n}","vlanId":${n}}\n`
  const table = async (input: string): Promise<string[]> => {
    const {stdout} = await darta(t, ['print', '-q', '-o', 'table'], input)
    return stdout.toString().split('\n').slice(0, -1)
  }
  t.deepEqual(await table(four(1) + six(2) + four(3)), [
    'sourceIPv4/6Address  vlanId',
    '192.0.2.1                 1',
    '2001:db8::2               2',
    '192.0.2.3                 3',
  ])
  t.is((await table(four(1) + four(2)))[0], 'sourceIPv4Address  vlanId')
  t.is((await table(six(2) + four(1)))[0], 'sourceIPv4/6Address  vlanId')
  // Other columns are another table.
  const other = six(2).replace('vlanId', 'ingressInterface')
  t.deepEqual((await table(four(1) + other + four(3))).filter((line) => line === '').length, 2)
  // A heading that is written when the other version comes says nothing wrong.
  const late = await table(Array.from({length: 600}, () => four(1)).join('') + six(2) + six(3))
  t.is(late[0], 'sourceIPv4Address  vlanId')
  t.regex(
    late.slice(-4).join('\n'),
    /^\nsourceIPv6Address  vlanId\n2001:db8::2 +2\n2001:db8::3 +3$/,
  )
})

test('records that wait are written after a moment, before the input ends', async (t) => {
  const {child, gives, ended} = start(t, bin, ['print', '-q', '-o', 'ndjson:bare'])
  child.stdin.write('{"vlanId":1}\n')
  await gives(13)
  child.stdin.end('{"vlanId":2}\n')
  const {code, stdout} = await ended
  t.is(code, 0)
  t.is(stdout.toString(), '{"vlanId":1}\n{"vlanId":2}\n')
})

test('an unknown argument of a format is wrong usage', async (t) => {
  for (const format of ['ndjson:everything', 'csv:srcIp', 'json:x']) {
    const {code, stderr} = await darta(t, ['print', '-o', format], '{"vlanId":1}\n')
    t.is(code, 2, stderr)
  }
})

test('hostile names reach neither a table nor lines raw', async (t) => {
  const name = '\u001b]0;owned\u0007\u202e\u009b31m\u2028\u0000'
  const path = join(folder(t), 'names.ndjson')
  writeFileSync(path, `${JSON.stringify({userName: name, vlanId: 1})}\n`)
  for (const format of [
    'table',
    'long',
    'wide',
    'raw',
    'fmt:%{userName}',
    'ndjson',
    'csv',
    'tsv',
  ]) {
    const {stdout, code, stderr} = await darta(t, ['print', '-q', '-r', path, '-o', format])
    t.is(code, 0, stderr)
    const text = stdout.toString()
    t.true(text.includes('owned'), format)
    t.notRegex(text, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/, format)
    if (format !== 'csv' && format !== 'tsv') t.notRegex(text, /\u2028/, format)
    if (!/^(nd|csv|tsv)/.test(format)) t.notRegex(text, /\u202e/, format)
  }
})

/** What tshark calls what. */
const fields = {
  sourceIPv4Address: 'cflow.srcaddr',
  destinationIPv4Address: 'cflow.dstaddr',
  sourceIPv6Address: 'cflow.srcaddrv6',
  destinationIPv6Address: 'cflow.dstaddrv6',
  sourceTransportPort: 'cflow.srcport',
  destinationTransportPort: 'cflow.dstport',
  protocolIdentifier: 'cflow.protocol',
  octetDeltaCount: 'cflow.octets',
  packetDeltaCount: 'cflow.packets',
}
const sent = [
  'gen__pmacct-ipfix-mixed',
  'gen__softflowd-ipfix-example2',
  'swisscom__100-IPFIXv10-CISCO',
]
for (const truth of ipfixCases().filter(({name}) => sent.includes(name))) {
  needing(shared('fixtures'), tools('tshark'))(
    `${truth.name}: every value in NDJSON is the one that tshark shows, in the same order`,
    (t) => {
      const records = lines(decodeCase(truth).batches).map(
        (line) => JSON.parse(line) as Record<string, unknown>,
      )
      const shown = execFileSync(
        'tshark',
        ['-n', '-r', join(fixtures, truth.files[0]), '-d', 'udp.port==1-65535,cflow']
          .concat(['-T', 'fields', '-E', 'occurrence=a', '-E', 'separator=;'])
          .concat(Object.values(fields).flatMap((field) => ['-e', field])),
        {encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 2 ** 26},
      )
      const theirs = shown.trimEnd().split('\n')
      for (const [i, name] of Object.keys(fields).entries()) {
        const expected = theirs.flatMap(
          (line) => (line.split(';')[i] || undefined)?.split(',') ?? [],
        )
        const ours = records.flatMap((record) => (name in record ? [String(record[name])] : []))
        t.deepEqual(ours, expected, name)
      }
      t.true(records.some((record) => 'octetDeltaCount' in record))
    },
  )
}
