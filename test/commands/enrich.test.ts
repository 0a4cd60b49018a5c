import test, {type ExecutionContext} from 'ava'
import {renameSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {bash, bin, darta, folder, start, type Ended} from '../support/darta.js'
import {startDnsServer, type DnsAnswer} from '../support/dns-server.js'
import {writeMmdb} from '../support/mmdb.js'

const cities = writeMmdb([
  ['192.0.2.0/24', {country: {iso_code: 'CH'}, city: {names: {en: 'Zürich', de: 'Zuerich'}}}],
  ['198.51.100.0/24', {country: {iso_code: 'DE'}}],
  ['203.0.113.0/24', {country_code: 'fr', city: 'Paris'}],
  ['2001:db8::/32', {country: {iso_code: 'AT'}, city: {names: {en: 'Wien'}}}],
])
const systems = writeMmdb(
  [
    [
      '192.0.2.0/24',
      {autonomous_system_number: 64500, autonomous_system_organization: 'Example Net'},
    ],
    ['198.51.100.0/24', {asn: 'AS70000', as_name: 'Other Net'}],
  ],
  {type: 'Test-ASN', recordSize: 24},
)

function files(t: ExecutionContext): {place: string; city: string; as: string; labels: string} {
  const place = folder(t)
  const [city, as, labels] = ['city.mmdb', 'as.mmdb', 'labels'].map((name) => join(place, name))
  writeFileSync(city, cities)
  writeFileSync(as, systems)
  writeFileSync(labels, '192.0.2.0/24 office\n192.0.2.8/29 office, servers\n2001:db8::/48 lab\n')
  return {place, city, as, labels}
}

type Flow = Record<string, unknown>

const four = (source: string, destination: string, more: Flow = {}): Flow => ({
  sourceIPv4Address: source,
  destinationIPv4Address: destination,
  octetDeltaCount: 100,
  ...more,
})

const lines = (flows: readonly Flow[]): string =>
  flows.map((flow) => `${JSON.stringify(flow)}\n`).join('')

function records({stdout}: Ended): Flow[] {
  return stdout
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const record = JSON.parse(line) as Flow
      delete record._ipfix
      return record
    })
}

test('countries, cities and systems of both addresses are put behind records', async (t) => {
  const {city, as} = files(t)
  const flows = [
    four('192.0.2.1', '198.51.100.1'),
    four('203.0.113.5', '10.0.0.1'),
    four('10.0.0.1', '10.0.0.2'),
    {sourceIPv6Address: '2001:db8::1', destinationIPv6Address: '2001:db9::1'},
  ]
  const ended = await darta(
    t,
    ['enrich', '--city', city, '--as', as, '--as-names', '-o', 'ndjson'],
    lines(flows),
  )
  t.is(ended.code, 0, ended.stderr)
  t.regex(ended.stderr, /enrich: 4 records in, 4 out, noted nothing-known 1\n/)
  t.deepEqual(records(ended), [
    {
      ...flows[0],
      dartaSourceCountry: 'CH',
      dartaSourceCity: 'Zürich',
      bgpSourceAsNumber: 64500,
      dartaSourceAsName: 'Example Net',
      dartaDestinationCountry: 'DE',
      dartaDestinationCity: '',
      bgpDestinationAsNumber: 70000,
      dartaDestinationAsName: 'Other Net',
    },
    {
      ...flows[1],
      dartaSourceCountry: 'FR',
      dartaSourceCity: 'Paris',
      bgpSourceAsNumber: 0,
      dartaSourceAsName: '',
      dartaDestinationCountry: '',
      dartaDestinationCity: '',
      bgpDestinationAsNumber: 0,
      dartaDestinationAsName: '',
    },
    {
      ...flows[2],
      dartaSourceCountry: '',
      dartaSourceCity: '',
      bgpSourceAsNumber: 0,
      dartaSourceAsName: '',
      dartaDestinationCountry: '',
      dartaDestinationCity: '',
      bgpDestinationAsNumber: 0,
      dartaDestinationAsName: '',
    },
    {
      ...flows[3],
      dartaSourceCountry: 'AT',
      dartaSourceCity: 'Wien',
      bgpSourceAsNumber: 0,
      dartaSourceAsName: '',
      dartaDestinationCountry: '',
      dartaDestinationCity: '',
      bgpDestinationAsNumber: 0,
      dartaDestinationAsName: '',
    },
  ])
})

test('what a record says already stays, but an AS number of 0', async (t) => {
  const {as, city} = files(t)
  const flows = [
    four('192.0.2.1', '198.51.100.1', {bgpSourceAsNumber: 0, bgpDestinationAsNumber: 65001}),
    four('192.0.2.1', '198.51.100.1', {bgpSourceAsNumber: 7, bgpDestinationAsNumber: 0}),
    four('10.0.0.1', '198.51.100.1', {bgpSourceAsNumber: 0, bgpDestinationAsNumber: 0}),
    four('192.0.2.1', '198.51.100.1', {dartaSourceCountry: 'US'}),
  ]
  const ended = await darta(t, ['enrich', '--as', as, '-o', 'ndjson'], lines(flows))
  const systemsOf = ({bgpSourceAsNumber, bgpDestinationAsNumber}: Flow): unknown[] => [
    bgpSourceAsNumber,
    bgpDestinationAsNumber,
  ]
  t.deepEqual(records(ended).map(systemsOf), [
    [64500, 65001],
    [7, 70000],
    [0, 70000],
    [64500, 70000],
  ])
  const twice = await darta(t, ['enrich', '--country', city, '-o', 'ndjson'], lines(flows))
  t.deepEqual(
    records(twice).map(({dartaSourceCountry, dartaDestinationCountry}) => [
      dartaSourceCountry,
      dartaDestinationCountry,
    ]),
    [
      ['CH', 'DE'],
      ['CH', 'DE'],
      ['', 'DE'],
      ['US', 'DE'],
    ],
  )
})

test('an AS number that has no room in a field of two octets is noted', async (t) => {
  const {place, as} = files(t)
  const file = join(place, 'flows.ndjson')
  const flow = four('192.0.2.1', '198.51.100.1', {
    bgpSourceAsNumber: 0,
    bgpDestinationAsNumber: 0,
    _ipfix: {lengths: {bgpSourceAsNumber: 2, bgpDestinationAsNumber: 2}},
  })
  writeFileSync(file, lines([flow]))
  const ended = await darta(t, ['enrich', '-r', file, '--as', as, '-o', 'ndjson'])
  t.like(records(ended)[0], {bgpSourceAsNumber: 64500, bgpDestinationAsNumber: 0})
  t.regex(ended.stderr, /noted as-too-great 1/)
})

test('labels are found by the longest prefix and can be keys of groups', async (t) => {
  const {labels} = files(t)
  const flows = [four('192.0.2.1', '192.0.2.9'), four('192.0.2.10', '8.8.8.8')]
  const ended = await darta(t, ['enrich', '--labels', labels, '-o', 'ndjson'], lines(flows))
  t.deepEqual(
    records(ended).map(({dartaSourceLabel, dartaDestinationLabel}) => [
      dartaSourceLabel,
      dartaDestinationLabel,
    ]),
    [
      ['office', 'office, servers'],
      ['office, servers', ''],
    ],
  )
  const place = folder(t)
  const file = join(place, 'flows.ndjson')
  writeFileSync(file, lines(flows))
  const grouped = await bash(
    t,
    `darta enrich -q -r ${file} --labels ${labels} | darta aggregate -q -A dartaSourceLabel -O bytes -o 'fmt:%{dartaSourceLabel} %{octetDeltaCount}'`,
  )
  t.is(grouped.stdout.toString(), 'office 100\noffice, servers 100\n', grouped.stderr)
})

test('countries can be asked for behind it, by file and in a pipe', async (t) => {
  const {city, place} = files(t)
  const file = join(place, 'flows.ndjson')
  const flows = [
    four('192.0.2.1', '198.51.100.1', {octetDeltaCount: 1}),
    four('198.51.100.1', '10.0.0.1', {octetDeltaCount: 2}),
    four('10.0.0.1', '10.0.0.2', {octetDeltaCount: 3}),
    four('10.0.0.1', '203.0.113.1', {octetDeltaCount: 4}),
  ]
  writeFileSync(file, lines(flows))
  const found = async (expression: string): Promise<string> => {
    const {stdout} = await bash(
      t,
      `darta enrich -q -r ${file} --country ${city} | darta print -q -o 'fmt:%{octetDeltaCount}' '${expression}' | tr '\\n' ' '`,
    )
    return stdout.toString().trim()
  }
  t.is(await found('geo DE'), '1 2')
  t.is(await found('src geo de'), '2')
  t.is(await found('dst geo in [DE FR]'), '1 4')
  t.is(await found('geo != CH'), '1 2 4')
  t.is(await found('not geo in [CH DE FR]'), '3')
  t.is(await found('src and dst geo in [CH DE]'), '1')
  t.is(await found('exists(dartaSourceCountry)'), '1 2')
})

test('countries and names of interfaces are keys of statistics, by the names that nfdump has', async (t) => {
  const {city, place} = files(t)
  const file = join(place, 'flows.ndjson')
  writeFileSync(
    file,
    lines([
      four('192.0.2.1', '198.51.100.1', {octetDeltaCount: 1}),
      four('192.0.2.2', '198.51.100.1', {octetDeltaCount: 2}),
      four('203.0.113.1', '198.51.100.1', {octetDeltaCount: 4}),
    ]),
  )
  const {stdout, stderr} = await bash(
    t,
    `darta enrich -q -r ${file} --country ${city} | darta aggregate -q -s srcgeo/bytes -o 'fmt:%{dartaSourceCountry} %{octetDeltaCount}'`,
  )
  t.is(stdout.toString(), 'FR 4\nCH 3\n', stderr)
})

test('with SIGHUP databases are read again, and one that cannot be read changes nothing', async (t) => {
  const {place, city} = files(t)
  const running = start(t, bin, ['enrich', '--country', city, '-o', 'ndjson', '-l'])
  const {child} = running
  const flow = lines([four('192.0.2.1', '10.0.0.1')])
  child.stdin.write(flow)
  await running.gives(1)
  const next = join(place, 'next')
  writeFileSync(next, writeMmdb([['192.0.2.0/24', {country: {iso_code: 'LI'}}]]))
  renameSync(next, city)
  child.kill('SIGHUP')
  await running.says(/read again/)
  child.stdin.write(flow)
  const of = (ended: Ended): unknown[] => records(ended).map((r) => r.dartaSourceCountry)
  writeFileSync(next, 'nothing')
  renameSync(next, city)
  child.kill('SIGHUP')
  await running.says(/DARTA_MMDB/)
  child.stdin.end(flow)
  const ended = await running.ended
  t.deepEqual(of(ended), ['CH', 'LI', 'LI'])
  t.is(ended.code, 1)
})

test('names of interfaces come from what the stream has told before', async (t) => {
  const told: Flow[] = [
    {ingressInterface: 1, interfaceName: 'eth0', _scope: ['ingressInterface']},
    {ingressInterface: 2, interfaceDescription: 'to the world', _scope: ['ingressInterface']},
  ]
  const flows = [
    four('10.0.0.1', '10.0.0.2', {ingressInterface: 1, egressInterface: 2}),
    four('10.0.0.2', '10.0.0.1', {ingressInterface: 2, egressInterface: 3}),
  ]
  const other = {...flows[0], _ipfix: {observationDomainId: 9}}
  const ended = await darta(
    t,
    ['enrich', '--interfaces', '-o', 'ndjson'],
    lines([...told, ...flows, other]),
  )
  t.is(ended.code, 0, ended.stderr)
  t.deepEqual(
    records(ended)
      .slice(2)
      .map((r) => [r.dartaIngressInterfaceName, r.dartaEgressInterfaceName]),
    [
      ['eth0', 'to the world'],
      ['to the world', ''],
      // Another Observation Domain has other interfaces.
      ['', ''],
    ],
  )
})

const names: Record<string, DnsAnswer> = {
  '1.2.0.192.in-addr.arpa': ['host-b.example.', 'host-a.example.'].map((n) => n.slice(0, -1)),
  '2.2.0.192.in-addr.arpa': 'none',
  '3.2.0.192.in-addr.arpa': 'failure',
  '4.2.0.192.in-addr.arpa': ['with blank.example'],
}
const v6Name = `${[...'20010db8000000000000000000000001'].reverse().join('.')}.ip6.arpa`

test('names of hosts come from the DNS, each asked for once, and what fails is counted', async (t) => {
  const server = await startDnsServer(t, (name) =>
    name === v6Name ? ['six.example'] : (names[name] ?? 'none'),
  )
  const flows = [
    four('192.0.2.1', '192.0.2.2'),
    four('192.0.2.1', '192.0.2.3'),
    four('192.0.2.4', '192.0.2.1'),
    {sourceIPv6Address: '2001:db8::1', destinationIPv6Address: '2001:db8::2'},
  ]
  const ended = await darta(
    t,
    ['enrich', '--names', '--resolver', server.address, '--names-wait', '60s', '-o', 'ndjson'],
    lines([...flows, ...flows]),
  )
  t.is(ended.code, 0, ended.stderr)
  const expected = [
    ['host-a.example', ''],
    ['host-a.example', ''],
    ['', 'host-a.example'],
    ['six.example', ''],
  ]
  t.deepEqual(
    records(ended).map((r) => [r.dartaSourceHostName, r.dartaDestinationHostName]),
    [...expected, ...expected],
  )
  t.is(new Set(server.asked).size, 6)
  t.regex(ended.stderr, /names-asked 6/)
  t.regex(ended.stderr, /names-none 2/)
  t.regex(ended.stderr, /names-failed 1/)
  t.regex(ended.stderr, /names-malformed 1/)
})

test('records do not wait longer for names than was said', async (t) => {
  const server = await startDnsServer(t, () => 'silence')
  const flows = [four('192.0.2.1', '192.0.2.2')]
  for (const wait of ['0s', '50ms']) {
    const ended = await darta(
      t,
      ['enrich', '--names', '--resolver', server.address, '--names-wait', wait, '-o', 'ndjson'],
      lines(flows),
    )
    t.is(ended.code, 0, ended.stderr)
    t.like(records(ended)[0], {dartaSourceHostName: '', dartaDestinationHostName: ''})
    if (wait !== '0s') t.regex(ended.stderr, /names-late 2/)
  }
})

test('what comes late is there for later records', async (t) => {
  let answer: DnsAnswer = 'silence'
  const server = await startDnsServer(t, () => answer)
  const running = start(t, bin, [
    ...['enrich', '--names', '--resolver', server.address, '--names-wait', '0s'],
    ...['-o', 'ndjson', '-l'],
  ])
  const flow = lines([four('192.0.2.1', '192.0.2.1')])
  answer = ['late.example']
  // One after another until the answer is in: none of them waits for it.
  let seen = ''
  running.child.stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()))
  for (let i = 0; i < 2000 && !seen.includes('late.example'); i++) {
    const before = seen.length
    running.child.stdin.write(flow)
    while (seen.length === before) await new Promise((resolve) => setImmediate(resolve))
  }
  running.child.stdin.end()
  const ended = await running.ended
  const all = records(ended).map((r) => r.dartaSourceHostName)
  t.is(all[0], '')
  t.is(all.at(-1), 'late.example')
})

test('no more addresses are asked for at a time than was said', async (t) => {
  const server = await startDnsServer(t, () => 'none')
  const flows = Array.from({length: 60}, (_, i) => four(`192.0.2.${i}`, `198.51.100.${i}`))
  const ended = await darta(
    t,
    [
      ...['enrich', '--names', '--resolver', server.address, '--names-wait', '60s'],
      ...['--names-at-once', '3', '-o', 'null'],
    ],
    lines(flows),
  )
  t.is(ended.code, 0, ended.stderr)
  t.is(new Set(server.asked).size, 120)
  t.true(server.most() <= 3, `${server.most()} at a time`)
})

test('a damaged database is told, and one that is none is refused', async (t) => {
  const {place, city} = files(t)
  const damaged = join(place, 'damaged.mmdb')
  // The first value, behind the tree and its separator: a type that does not exist.
  const octets = cities.slice()
  const at = Buffer.from(octets).indexOf('country') - 2
  octets[at] = 0x00
  octets[at + 1] = 0xff
  writeFileSync(damaged, octets)
  const flow = lines([four('192.0.2.1', '10.0.0.1')])
  const ended = await darta(t, ['enrich', '--country', damaged, '-o', 'ndjson'], flow)
  t.is(ended.code, 1)
  t.regex(ended.stderr, /damaged.mmdb: .*\(DARTA_MMDB, octet \d+\)/)
  t.is(records(ended).length, 1)
  const wrong = join(place, 'labels')
  const refused = await darta(t, ['enrich', '--country', wrong, '-o', 'ndjson'], flow)
  t.is(refused.code, 1)
  t.regex(refused.stderr, /is no MaxMind DB: it has no metadata \(DARTA_MMDB, octet 0\)/)
  const none = await darta(t, ['enrich', '-o', 'ndjson'], flow)
  t.is(none.code, 2)
  const absent = await darta(t, ['enrich', '--as-names', '--country', city, '-o', 'null'], flow)
  t.is(absent.code, 2)
  const resolver = await darta(t, ['enrich', '--names', '--resolver', 'dns.example'], flow)
  t.is(resolver.code, 2)
  t.regex(resolver.stderr, /--resolver: expected an address/)
})

test('without the addon records become the same', async (t) => {
  const {city, as, labels} = files(t)
  const flows = lines(
    Array.from({length: 50}, (_, i) => four(`192.0.2.${i}`, `198.51.100.${i * 3}`)),
  )
  const args = ['enrich', '-q', '--city', city, '--as', as, '--labels', labels, '-o', 'ipfix']
  const native = await darta(t, args, flows)
  const plain = await darta(t, args, flows, {env: {...process.env, DARTA_NATIVE: '0'}})
  t.is(native.code, 0)
  t.deepEqual(plain.stdout, native.stdout)
})
