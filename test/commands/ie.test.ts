import test from 'ava'
import {spawnSync} from 'node:child_process'
import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {bin, darta, type Ended} from '../support/darta.js'
import {root} from '../support/needing.js'

/** The first column of iana.csv and the names, from the table itself. */
const registered = ['iana.csv', 'darta.csv'].flatMap((file) =>
  readFileSync(join(root, 'src/registry', file), 'utf8')
    .trimEnd()
    .split('\n')
    .slice(1),
)

function lines({stdout}: Ended): string[] {
  return stdout.toString().trimEnd().split('\n')
}

test('finds an element by its name', async (t) => {
  const ended = await darta(t, ['ie', 'sourceIPv4Address'])
  t.is(ended.code, 0)
  t.is(ended.stderr, '')
  const [head, row, ...more] = lines(ended)
  t.deepEqual(head.split(/ {2,}/), ['NUMBER', 'NAME', 'TYPE', 'SEMANTICS', 'STATUS', 'DESCRIPTION'])
  t.deepEqual(row.split(/ {2,}/).slice(0, 5), [
    '0/8',
    'sourceIPv4Address',
    'ipv4Address',
    'default',
    'current',
  ])
  t.deepEqual(more, [])
})

test('finds elements by number, with and without enterprise number', async (t) => {
  const ended = await darta(t, ['ie', '8', '0/12', '29305/1', '32473/1', '--spec'])
  t.is(ended.code, 0)
  t.deepEqual(lines(ended), [
    'sourceIPv4Address(8)<ipv4Address>[4]',
    'destinationIPv4Address(12)<ipv4Address>[4]',
    'reverseOctetDeltaCount(29305/1)<unsigned64>[8]',
    'dartaTunnelDepth(32473/1)<unsigned8>[1]',
  ])
})

test('finds elements by a part of their names, whatever its case, nothing twice', async (t) => {
  const ended = await darta(t, ['ie', 'flowstartmi', 'flowStartMilliseconds', '--spec'])
  t.deepEqual(lines(ended), [
    'flowStartMilliseconds(152)<dateTimeMilliseconds>[8]',
    'flowStartMicroseconds(154)<dateTimeMicroseconds>[8]',
    'minFlowStartMicroseconds(271)<dateTimeMicroseconds>[8]',
    'minFlowStartMilliseconds(272)<dateTimeMilliseconds>[8]',
  ])
})

test('finds elements by a regular expression', async (t) => {
  const ended = await darta(t, ['ie', '/^(user|application)Name$/', '--spec'])
  t.deepEqual(lines(ended), ['applicationName(96)<string>[v]', 'userName(371)<string>[v]'])
})

test('finds reverse elements for who names them', async (t) => {
  const {stdout} = await darta(t, ['ie', 'reverseoctetDelta', '--spec'])
  t.regex(stdout.toString(), /^reverseOctetDeltaCount\(29305\/1\)<unsigned64>\[8\]$/m)
  const forward = await darta(t, ['ie', 'octetDelta', '--spec'])
  t.notRegex(forward.stdout.toString(), /reverse/)
})

test('lists the whole registry without a query, each element once', async (t) => {
  const ended = await darta(t, ['ie', '-o', 'csv'])
  t.is(ended.code, 0)
  t.is(lines(ended).length, registered.length + 1)
})

test('keeps only elements of a type, a status, a range of numbers', async (t) => {
  const ended = await darta(t, ['ie', '--type', 'IPv6Address', '--range', '1-100', '--spec'])
  t.deepEqual(lines(ended), [
    'sourceIPv6Address(27)<ipv6Address>[16]',
    'destinationIPv6Address(28)<ipv6Address>[16]',
    'ipNextHopIPv6Address(62)<ipv6Address>[16]',
    'bgpNextHopIPv6Address(63)<ipv6Address>[16]',
  ])
  const deprecated = await darta(t, ['ie', '--status', 'deprecated', '-o', 'csv'])
  const wanted = registered.filter((line) => /,deprecated,/.test(line)).length
  t.true(wanted > 0)
  t.is(lines(deprecated).length, wanted + 1)
  const one = await darta(t, ['ie', '--range', '32473/1', '--spec'])
  t.deepEqual(lines(one), ['dartaTunnelDepth(32473/1)<unsigned8>[1]'])
  const open = await darta(t, ['ie', '--range', '500-', '-o', 'ndjson'])
  for (const line of lines(open)) t.true((JSON.parse(line) as {elementId: number}).elementId >= 500)
})

test('NDJSON, JSON and CSV say the same', async (t) => {
  const [ndjson, json, csv] = await Promise.all(
    ['ndjson', 'json', 'csv'].map((format) => darta(t, ['ie', 'IPv4Prefix', '-o', format])),
  )
  const objects = lines(ndjson).map((line) => JSON.parse(line) as Record<string, unknown>)
  t.true(objects.length > 3)
  t.deepEqual(JSON.parse(json.stdout.toString()), objects)
  t.deepEqual(objects[0], {
    name: 'sourceIPv4PrefixLength',
    enterpriseNumber: 0,
    elementId: 9,
    type: 'unsigned8',
    semantics: 'default',
    units: 'bits',
    range: [0, 32],
    status: 'current',
    description: objects[0].description,
  })
  t.is(lines(csv).length, objects.length + 1)
  t.regex(lines(csv)[1], /^0\/9,sourceIPv4PrefixLength,unsigned8,default,bits,0-32,current,/)
})

test('an unknown name ends with 1 and the nearest names', async (t) => {
  const {code, stdout, stderr} = await darta(t, ['ie', 'sourceIPv4Adress'])
  t.is(code, 1)
  t.is(stdout.length, 0)
  t.regex(
    stderr,
    /^darta ie: no Information Element matches 'sourceIPv4Adress'; did you mean sourceIPv4Address, .*\(DARTA_ELEMENT_UNKNOWN\)\n$/,
  )
})

test('an unknown name does not hide what the others find', async (t) => {
  const ended = await darta(t, ['ie', 'userName', 'xyzzy', '4', '--spec'])
  t.is(ended.code, 1)
  t.deepEqual(lines(ended), ['userName(371)<string>[v]', 'protocolIdentifier(4)<unsigned8>[1]'])
  t.regex(ended.stderr, /matches 'xyzzy' \(/)
})

for (const [query, words] of [
  ['0', /no Information Element has the number 0 \(/],
  ['40000', /no Information Element has the number 40000 \(/],
  ['99999/7', /no Information Element has the number 99999\/7 \(/],
  // Not reversible by RFC 5103 section 6.1.
  ['29305/148', /no Information Element has the number 29305\/148 \(/],
] as const) {
  test(`there is no element ${query}`, async (t) => {
    const {code, stderr} = await darta(t, ['ie', query])
    t.is(code, 1)
    t.regex(stderr, words)
  })
}

for (const [what, args] of [
  ['a broken regular expression', ['ie', '/(/']],
  ['an unknown type', ['ie', '--type', 'ipv5Address']],
  ['a range that is none', ['ie', '--range', '5-x']],
  ['--spec together with a format', ['ie', '--spec', '-o', 'csv']],
] as const) {
  test(`${what} is wrong usage`, async (t) => {
    const {code, stdout} = await darta(t, args)
    t.is(code, 2)
    t.is(stdout.length, 0)
  })
}

test('never reads standard input, which a loop of the shell may be reading', (t) => {
  const {stdout} = spawnSync('bash', [
    '--norc',
    '-c',
    `printf '8\\n12\\n' | while read number; do "${bin}" ie --spec $number; done`,
  ])
  t.is(
    stdout.toString(),
    'sourceIPv4Address(8)<ipv4Address>[4]\ndestinationIPv4Address(12)<ipv4Address>[4]\n',
  )
})
