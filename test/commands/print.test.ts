import test from 'ava'
import {execFileSync} from 'node:child_process'
import {join} from 'node:path'
import {bash, darta, folder} from '../support/darta.js'
import {needing, root, tools} from '../support/needing.js'

const lab = `${root}test/fixtures/lab.pcap`

async function print(t: Parameters<typeof darta>[0], ...words: string[]): Promise<string[]> {
  const {stdout: ipfix} = await darta(t, ['capture', '-q', '-r', lab, '--key', '5tuple'])
  const {code, stdout, stderr} = await darta(t, ['print', '-q', ...words], ipfix)
  t.is(code, 0, stderr)
  return stdout.toString().trimEnd().split('\n')
}

test('fmt: writes one line for each Flow Record, with nfdump’s words and elements by name', async (t) => {
  const lines = await print(
    t,
    '-N',
    '-nn',
    '-o',
    'fmt:%pr|%sa|%da|%sp|%dp|%pkt|%byt|%{octetDeltaCount}|100%%',
  )
  t.true(lines.length > 100)
  for (const line of lines) {
    const cells = line.split('|')
    t.is(cells.length, 9, line)
    t.is(cells[6], cells[7])
    t.is(cells[8], '100%')
  }
})

needing(tools('tshark'))(
  'the table’s octets of each protocol are those that tshark counts',
  async (t) => {
    const fields = execFileSync(
      'tshark',
      [
        '-n',
        '-r',
        lab,
        '-o',
        'ip.defragment:FALSE',
        '-o',
        'ipv6.defragment:FALSE',
        '-Y',
        'ip',
        '-T',
        'fields',
        '-E',
        'occurrence=f',
        '-e',
        'ip.proto',
        '-e',
        'ip.len',
      ],
      {encoding: 'utf8'},
    )
    let expected = 0
    for (const line of fields.trim().split('\n')) {
      const [protocol, octets] = line.split('\t').map(Number)
      if (protocol === 17) expected += octets
    }
    const lines = await print(t, '-N', '-nn', '-o', 'fmt:%pr %byt %{sourceIPv4Address}')
    let sum = 0
    for (const line of lines) {
      const [protocol, octets, address] = line.split(' ')
      if (protocol === '17' && address !== '-') sum += Number(octets)
    }
    t.true(expected > 0)
    t.is(sum, expected)
  },
)

test('a table shows Flows of both IP versions under one heading, and options at the end', async (t) => {
  const lines = await print(t)
  t.regex(lines[0], /^First seen +Duration +Proto +Source +Destination +Flags +Packets +Octets$/)
  t.is(lines.filter((line) => line.startsWith('First seen')).length, 1)
  t.true(
    lines.some((line) => /\[[0-9a-f:]+\]:\d+/.test(line)),
    'IPv6 endpoints',
  )
  t.true(lines.findIndex((line) => line.startsWith('templateId')) > lines.length - 12)
})

test('-c stops after so many records', async (t) => {
  t.is((await print(t, '-c', '5', '-o', 'fmt:%ts')).filter((line) => line !== '').length, 3)
})

test('fmt: knows networks, prefixes, translated addresses and what ICMP says, and what is not there is a dash', async (t) => {
  const records = [
    {sourceIPv4Address: '192.0.2.130', sourceIPv4PrefixLength: 25, tcpControlBits: 2},
    {sourceIPv6Address: '2001:db8:1:ff::1', sourceIPv6PrefixLength: 60},
    {sourceIPv4Address: '192.0.2.130', sourceIPv4PrefixLength: 0},
    {sourceIPv4Address: '192.0.2.130', sourceIPv4PrefixLength: 32},
    {sourceIPv4Prefix: '198.51.100.0', sourceIPv4PrefixLength: 24},
    {sourceIPv4Address: '192.0.2.1', postNATSourceIPv4Address: '203.0.113.9'},
    {protocolIdentifier: 1, icmpTypeCodeIPv4: 771},
    {protocolIdentifier: 58, destinationTransportPort: 0x8701},
    {protocolIdentifier: 6, destinationTransportPort: 443},
  ]
  const input = records.map((record) => `${JSON.stringify(record)}\n`).join('')
  const {stdout} = await darta(t, ['print', '-q', '-o', 'fmt:%sn %sa %nsa %it %ic'], input)
  t.deepEqual(stdout.toString().split('\n').slice(0, -1), [
    '192.0.2.128/25 192.0.2.130 - - -',
    '2001:db8:1:f0::/60 2001:db8:1:ff::1 - - -',
    '0.0.0.0/0 192.0.2.130 - - -',
    '192.0.2.130/32 192.0.2.130 - - -',
    '198.51.100.0/24 198.51.100.0 - - -',
    '- 192.0.2.1 203.0.113.9 - -',
    '- - - 3 3',
    '- - - 135 1',
    '- - - - -',
  ])
})

test('what is wrong in a fmt: is told with its column, and status 2', async (t) => {
  for (const [format, words] of [
    ['fmt:%ts %nosuch', /nosuch.*column 5/],
    ['fmt:%{noSuchElement}', /noSuchElement.*column 1/],
    ['fmt:%', /percent sign alone at column 1/],
    ['fmt', /fmt needs a format/],
  ] as const) {
    const {code, stderr} = await darta(t, ['print', '-o', format], '')
    t.is(code, 2, stderr)
    t.regex(stderr, words)
  }
})

test('raw gives every field with name, value and unit', async (t) => {
  const lines = await print(t, '-o', 'raw', '-c', '3')
  t.true(lines.some((line) => /^ {2}octetDeltaCount +?= \d+ octets$/.test(line)))
  t.true(lines.some((line) => /^ {2}templateId +?= 256 \(scope\)$/.test(line)))
})

test('head ends a table without a word', async (t) => {
  const {code, stderr} = await bash(
    t,
    `darta capture -q -r ${lab} | darta print -q | head -1 >/dev/null; exit 0`,
  )
  t.is(code, 0)
  t.is(stderr, '')
})

test('a file that is written appears whole', async (t) => {
  const file = join(folder(t), 'table.txt')
  const {stdout: ipfix} = await darta(t, ['capture', '-q', '-r', lab])
  const {code} = await darta(t, ['print', '-q', '-w', file], ipfix)
  t.is(code, 0)
})
