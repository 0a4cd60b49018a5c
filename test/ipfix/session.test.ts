import test from 'ava'
import {createSession, type SessionOptions} from '../../src/ipfix/session.js'
import {createTemplatePool} from '../../src/ipfix/template-store.js'
import {Ledger} from '../../src/record/ledger.js'
import {hex} from '../hex.js'
import {accounts, decode, join, message, named, type Decoded} from './octets.js'
import type {RecordBatch} from '../../src/record/batch.js'

/** Template 256: an IPv4 source address. */
const sources = hex`0002 000c 0100 0001 0008 0004`
/** The same number for a destination port. */
const ports = hex`0002 000c 0100 0001 000b 0002`
const oneSource = hex`0100 0008 c0000201`

/** Datagrams of one session. */
function udp(
  datagrams: readonly Uint8Array[],
  options: Partial<SessionOptions> = {},
): Decoded & {session: ReturnType<typeof createSession>} {
  const ledger = options.ledger ?? new Ledger()
  const session = createSession({source: 'test', reliable: false, ...options, ledger})
  const batches: RecordBatch[] = []
  let offset = 0
  for (const datagram of datagrams) {
    session.datagram(datagram, offset, batches)
    offset += datagram.length
  }
  return {batches, session, ...accounts(ledger)}
}

function values({batches}: {batches: readonly RecordBatch[]}): unknown[][] {
  return named(batches).map((record) => record.map(([, value]) => value))
}

test('the same Template ID means something else in another Observation Domain', (t) => {
  const result = decode(
    join(
      message(sources, {domain: 1}),
      message(ports, {domain: 2}),
      message(oneSource, {domain: 1}),
      message(hex`0100 0008 0035 01bb`, {domain: 2}),
      message(oneSource, {domain: 3}),
    ),
  )
  t.deepEqual(values(result), [['192.0.2.1'], [53], [443]])
  t.deepEqual([...result.records.lost], [['no-template', 1]])
})

test('the same Template ID means something else in another Transport Session', (t) => {
  const ledger = new Ledger()
  const one = udp([message(sources), message(oneSource)], {ledger})
  const other = udp([message(oneSource)], {ledger})
  t.deepEqual(values(one), [['192.0.2.1']])
  t.deepEqual(values(other), [])
  other.session.end()
  t.is(one.records.totalLost(), 1)
})

test('a Template poisoned in one session decodes nothing of another, over 10,000 trials', (t) => {
  const ledger = new Ledger()
  const pool = createTemplatePool()
  const honest = createSession({ledger, reliable: false, pool})
  const batches: RecordBatch[] = []
  honest.datagram(message(sources), 0, batches)
  for (let i = 0; i < 10000; i++) {
    const poisoned = createSession({ledger, reliable: false, pool})
    poisoned.datagram(message(i % 2 ? ports : hex`0002 0008 0100 0000`, {domain: i % 3}), 0, [])
    honest.datagram(message(oneSource, {sequence: i}), 0, batches)
    poisoned.end()
  }
  t.is(batches.length, 10000)
  t.true(batches.every(({template}) => template.fields[0].element.name === 'sourceIPv4Address'))
})

test('an element with an enterprise number is another than IANA’s of the same ID', (t) => {
  const result = decode(
    message(hex`
      0002 0014        # Template 256
      0100 0002
      0001 0004        # octetDeltaCount
      8001 0004 0000f00f   # element 1 of enterprise 61455
      0100 000c 00000007 00000008
    `),
  )
  t.deepEqual(named(result.batches), [
    [
      ['octetDeltaCount', 7],
      ['61455/1', hex`00000008`],
    ],
  ])
})

test('an enterprise bit without room for its number makes the Message malformed', (t) => {
  const result = decode(
    join(message(hex`0002 000c 0100 0001 8001 0008`), message(sources), message(oneSource)),
  )
  t.deepEqual(values(result), [['192.0.2.1']])
  t.deepEqual([...result.messages.lost], [['malformed-message', 1]])
})

for (const id of [0, 1, 4, 9, 255]) {
  test(`a Set of reserved ID ${id} is skipped by its length and counted`, (t) => {
    const octets = hex`${id.toString(16).padStart(4, '0')} 000a 0100 0004 ffff`
    const result = decode(message(join(sources, octets, oneSource)))
    t.deepEqual(values(result), [['192.0.2.1']])
    t.deepEqual([...result.messages.noted], [['reserved-set', 1]])
  })
}

test('several Sets of each kind in one Message are read in order', (t) => {
  const options = hex`0003 0012 0101 0002 0001 0095 0004 0029 0008   # scope observationDomainId`
  const result = decode(
    message(
      join(
        sources,
        oneSource,
        options,
        hex`0101 0010 00000001 0000000000000063`,
        ports,
        hex`0100 0006 0016`,
        oneSource.subarray(0, 6),
      ).map((octet, i, all) => (i === all.length - 3 ? 6 : octet)),
    ),
  )
  t.deepEqual(values(result), [['192.0.2.1'], [1, 99], [22], [0xc000]])
})

test('padding is accepted in Template, Options Template and Data Sets', (t) => {
  const result = decode(
    message(hex`
      0002 0010 0100 0001 0008 0004 00000000            # Template Set, 4 octets of padding
      0003 0014 0101 0002 0001 0095 0004 0029 0004 0000    # Options Template Set
      0100 000b c0000201 000000                         # Data Set, 3 octets
      0101 000e 00000001 00000002 0000
    `),
  )
  t.deepEqual(values(result), [['192.0.2.1'], [1, 2]])
  t.is(result.messages.noted.size, 0)
})

test('padding that is not zero is no fault of the Message, but noted', (t) => {
  const result = decode(message(join(sources, hex`0100 000b c0000201 0000ff`)))
  t.deepEqual(values(result), [['192.0.2.1']])
  t.deepEqual([...result.messages.noted], [['nonzero-padding', 1]])
})

test('a Set without room for a record has none', (t) => {
  const result = decode(message(join(sources, hex`0100 0004 0100 0007 000000`, oneSource)))
  t.deepEqual(values(result), [['192.0.2.1']])
})

test('scope fields of options keep their order', (t) => {
  const result = decode(
    message(hex`
      0003 0016 0100 0003 0002    # 3 fields, 2 of scope
      0090 0004 0095 0004         # exportingProcessId, observationDomainId
      0029 0002
      0100 000e 00000005 00000006 0007
    `),
  )
  t.is(result.batches[0].template.scopeCount, 2)
  t.deepEqual(named(result.batches)[0], [
    ['exportingProcessId', 5],
    ['observationDomainId', 6],
    ['exportedMessageTotalCount', 7],
  ])
})

for (const [what, count] of [
  ['none', '0000'],
  ['more than there are fields', '0003'],
] as const) {
  test(`an Options Template with ${what} of scope is refused without harm to others`, (t) => {
    const result = decode(
      message(
        join(
          hex`0003 001c 0100 0002 ${count} 0095 0004 0029 0004 0101 0001 0001 0095 0004`,
          hex`0101 0008 00000007 0100 000c 00000001 00000002`,
        ),
      ),
    )
    t.deepEqual(values(result), [[7]])
    t.is(result.messages.noted.get('template-scope'), 1)
    t.deepEqual([...result.records.lost], [['no-template', 1]])
  })
}

test('a Template refused under a used ID leaves no old one to misread its data', (t) => {
  const result = decode(message(join(sources, hex`0002 000c 0100 0001 0008 0000`, oneSource)))
  t.deepEqual(values(result), [])
  t.is(result.messages.noted.get('template-empty'), 1)
  t.deepEqual([...result.records.lost], [['no-template', 1]])
})

test('a Template of 513 fields is refused, one of 512 is not', (t) => {
  const template = (fields: number): Uint8Array => {
    const octets = new Uint8Array(8 + 4 * fields)
    const view = new DataView(octets.buffer)
    ;[2, octets.length, 256, fields].forEach((value, i) => view.setUint16(2 * i, value))
    for (let i = 0; i < fields; i++) view.setUint32(8 + 4 * i, 0x00040001)
    return octets
  }
  const record = hex`0100 0204 ${new Uint8Array(512).fill(6)}`
  t.is(decode(message(join(template(512), record))).records.out, 1)
  const refused = decode(message(join(template(513), record)))
  t.is(refused.records.out, 0)
  t.is(refused.messages.noted.get('template-fields'), 1)
})

test('a Template ID below 256 is refused', (t) => {
  const result = decode(
    message(hex`0002 0014 00ff 0001 0008 0004 0100 0001 0008 0004 0100 0008 c0000201`),
  )
  t.deepEqual(values(result), [['192.0.2.1']])
  t.deepEqual([...result.messages.noted], [['template-id', 1]])
})

test('a field of a length that cannot carry its type is kept as octets and told', (t) => {
  const result = decode(
    message(hex`
      0002 0018 0100 0004
      0008 0005        # sourceIPv4Address of 5 octets
      001b 0004        # sourceIPv6Address of 4
      0098 0004        # flowStartMilliseconds of 4
      0004 0001        # protocolIdentifier
      0100 0012 c000020105 20010db8 50e32b80 11
    `),
  )
  t.deepEqual(named(result.batches), [
    [
      ['sourceIPv4Address', hex`c000020105`],
      ['sourceIPv6Address', hex`20010db8`],
      ['flowStartMilliseconds', hex`50e32b80`],
      ['protocolIdentifier', 17],
    ],
  ])
  t.is(result.messages.noted.get('field-length'), 3)
})

test('equal elements in one Template all survive in order', (t) => {
  const result = decode(
    message(
      hex`0002 0014 0100 0003 0008 0004 0001 0002 0008 0004 0100 000e c0000201 0005 c0000202`,
    ),
  )
  t.deepEqual(named(result.batches), [
    [
      ['sourceIPv4Address', '192.0.2.1'],
      ['octetDeltaCount', 5],
      ['sourceIPv4Address', '192.0.2.2'],
    ],
  ])
})

test('unknown elements keep their number and octets, and the rest is read', (t) => {
  const result = decode(
    message(hex`
      0002 001c 0100 0004
      7fff 0003                 # IANA has no element 32767
      800c ffff 0000ffff        # enterprise 65535, variable length
      0000 0002                 # element 0
      0004 0001
      0100 0010 010203 03 aabbcc 0d0e 06 000000
    `),
  )
  t.deepEqual(named(result.batches), [
    [
      ['0/32767', hex`010203`],
      ['65535/12', hex`aabbcc`],
      ['0/0', hex`0d0e`],
      ['protocolIdentifier', 6],
    ],
  ])
})

test('data before their Template are held and come in order when it does', (t) => {
  const result = decode(
    join(
      message(oneSource, {sequence: 0}),
      message(hex`0100 000c c0000202 c0000203`, {sequence: 1}),
      message(join(sources, hex`0100 0008 c0000204`), {sequence: 3}),
    ),
  )
  t.deepEqual(values(result).flat(), ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'])
  t.deepEqual(
    result.batches.map(({message: {sequenceNumber, offset}}) => [sequenceNumber, offset]),
    [
      [0, 0],
      [1, 24],
      [3, 52],
    ],
  )
  t.deepEqual([result.records.in, result.records.out, result.records.totalLost()], [4, 4, 0])
  t.is(result.records.totalMissing(), 0)
  t.is(result.messages.noted.get('held-set-read'), 2)
})

test('data whose Template never comes are lost, as many as the sequence numbers say', (t) => {
  const result = decode(
    join(
      message(sources),
      message(join(oneSource, hex`0101 001c ${new Uint8Array(24)}`), {sequence: 0}),
      message(oneSource, {sequence: 7}),
    ),
  )
  t.is(result.records.out, 2)
  t.deepEqual([...result.records.lost], [['no-template', 6]])
  t.is(result.records.firstOffset.get('no-template'), 28)
  t.is(result.records.in, 8)
  t.is(result.records.totalMissing(), 0)
})

test('what is held for Templates is bounded, and what goes over it is counted', (t) => {
  const full = hex`0101 ffec ${new Uint8Array(65512)}`
  const result = decode(
    join(
      message(full, {sequence: 0}),
      message(hex`0102 0014 ${new Uint8Array(16)}`, {sequence: 8189}),
      message(hex`0102 03fc ${new Uint8Array(1016)}`, {sequence: 8191}),
      message(hex`0002 0014 0101 0001 0001 0008 0102 0001 0001 0008`, {sequence: 8318}),
    ),
  )
  // 65,516 and 20 octets are 65,536; the third Set found no room.
  t.is(result.records.out, 8189 + 2)
  t.deepEqual([...result.records.lost], [['no-template', 127]])
  t.is(result.records.in, 8318)
  t.is(result.records.totalMissing(), 0)
})

test('a held Data Set is given up after 30 seconds on UDP', (t) => {
  const result = udp([
    message(oneSource, {time: 1000}),
    message(hex``, {time: 1031, sequence: 1}),
    message(sources, {time: 1031, sequence: 1}),
  ])
  t.is(result.records.out, 0)
  t.deepEqual([...result.records.lost], [['no-template', 1]])
})

test('a withdrawal ends decoding, and another Template may take the ID', (t) => {
  const events: string[] = []
  const result = decode(
    join(
      message(join(sources, oneSource)),
      message(hex`0002 0008 0100 0000`, {sequence: 1}),
      message(ports, {sequence: 1}),
      message(hex`0100 0006 0035`, {sequence: 1}),
    ),
    undefined,
    {template: (event, {id}) => events.push(`${event} ${id}`)},
  )
  t.deepEqual(values(result), [['192.0.2.1'], [53]])
  t.deepEqual(events, ['new 256', 'withdrawn 256', 'new 256'])
  t.is(result.messages.noted.size, 0)
})

test('data after a withdrawal are not decoded', (t) => {
  const result = decode(join(message(sources), message(join(hex`0002 0008 0100 0000`, oneSource))))
  t.is(result.records.out, 0)
  t.deepEqual([...result.records.lost], [['no-template', 1]])
})

const options257 = hex`0003 0012 0101 0002 0001 0095 0004 0029 0004`
const data257 = hex`0101 000c 00000001 00000002`

test('data after a withdrawal do not wait for another Template that takes the ID', (t) => {
  const other = hex`0002 000c 0100 0001 000c 0004`
  const result = decode(
    join(
      message(join(sources, hex`0002 0008 0100 0000`, oneSource)),
      message(join(other, hex`0100 0008 cb007101`), {sequence: 1}),
    ),
  )
  t.is(result.records.out, 1)
  t.is(result.records.lost.get('no-template'), 1)
  t.is(result.records.totalMissing(), 0)
})

test('a withdrawal in a malformed Message makes nothing of its ID be lost', (t) => {
  const broken = message(join(hex`0002 0008 0100 0000`, hex`0002 0008 0101 0001`))
  const result = decode(join(message(sources), broken, message(oneSource)))
  t.is(result.records.out, 1)
})

test('ID 2 withdraws all Templates of its domain, ID 3 all Options Templates', (t) => {
  const begin = join(message(join(sources, options257), {domain: 1}), message(sources, {domain: 2}))
  const after = (set: Uint8Array): unknown[][] =>
    values(
      decode(
        join(
          begin,
          message(set, {domain: 1}),
          message(join(oneSource, data257), {domain: 1}),
          message(oneSource, {domain: 2}),
        ),
      ),
    )
  t.deepEqual(after(hex`0002 0008 0002 0000`), [[1, 2], ['192.0.2.1']])
  t.deepEqual(after(hex`0003 0008 0003 0000`), [['192.0.2.1'], ['192.0.2.1']])
})

test('withdrawals of what is not there, or in the wrong Set, are ignored and noted', (t) => {
  for (const set of [
    hex`0002 0008 0105 0000`,
    hex`0003 0008 0100 0000`,
    hex`0002 0008 0101 0000`,
    hex`0002 0008 0003 0000`,
  ]) {
    const result = decode(message(join(sources, options257, set, oneSource, data257)))
    t.deepEqual(values(result), [['192.0.2.1'], [1, 2]])
    t.is(result.messages.noted.get('withdrawal-unknown'), 1)
  }
})

test('UDP: withdrawals are ignored', (t) => {
  const result = udp([
    message(sources),
    message(hex`0002 0008 0100 0000`),
    message(hex`0002 0008 0002 0000`),
    message(oneSource),
  ])
  t.deepEqual(values(result), [['192.0.2.1']])
  t.is(result.messages.noted.get('withdrawal-ignored'), 2)
})

test('another Template under a used ID replaces it and is noted; the same again is not', (t) => {
  for (const read of [udp, (parts: Uint8Array[]) => decode(join(...parts))]) {
    const result = read([
      message(sources),
      message(sources),
      // Data of the Message before the change are read by the old one.
      message(join(oneSource, ports, hex`0100 0006 0035`)),
      message(hex`0100 0006 0036`, {sequence: 2}),
    ])
    t.deepEqual(values(result), [['192.0.2.1'], [53], [54]])
    t.deepEqual([...result.messages.noted], [['template-redefined', 1]])
  }
})

test('an identical announcement keeps the Template object, so that readers stay compiled', (t) => {
  const {batches} = decode(
    join(message(join(sources, oneSource)), message(join(sources, oneSource), {sequence: 1})),
  )
  t.is(batches[0].template, batches[1].template)
})

test('UDP: a Template overtaken by a later one does not come back', (t) => {
  const result = udp([
    message(sources, {time: 100}),
    message(ports, {time: 102}),
    message(sources, {time: 101}),
    message(hex`0100 0006 0035`, {time: 103}),
  ])
  t.deepEqual(values(result), [[53]])
  t.is(result.messages.noted.get('template-stale'), 1)
})

test('UDP: a Template that is not announced again within its lifetime is forgotten', (t) => {
  const parts = [
    message(sources, {time: 100}),
    message(oneSource, {time: 110}),
    message(sources, {time: 115, sequence: 1}),
    message(oneSource, {time: 130, sequence: 1}),
    message(oneSource, {time: 136, sequence: 2}),
  ]
  const result = udp(parts, {templateLifetime: 20})
  result.session.end()
  t.is(result.records.out, 2)
  t.is(result.messages.noted.get('template-expired'), 1)
  t.is(udp(parts).records.out, 3)
})

test('a malformed Message is dropped whole: no record, no Template, no withdrawal of it counts', (t) => {
  const overrun = hex`0101 0008 0a 616263   # a string of 10 octets in 3`
  const result = decode(
    join(
      message(join(sources, hex`0002 000c 0101 0001 0052 ffff`)),
      message(join(oneSource, hex`0002 0008 0100 0000`, ports, overrun), {sequence: 0}),
      message(oneSource, {sequence: 3}),
    ),
  )
  t.deepEqual(values(result), [['192.0.2.1']])
  t.deepEqual([...result.messages.lost], [['malformed-message', 1]])
  t.is(result.messages.firstOffset.get('malformed-message'), 40)
  // The next Message's sequence number says how many records were in it.
  t.deepEqual([...result.records.lost], [['malformed-message', 3]])
  t.deepEqual([result.records.in, result.records.out], [4, 1])
})

test('what was held because of a malformed Message is let go with it', (t) => {
  const overrun = hex`0101 0008 0a 616263`
  const result = decode(
    join(
      message(hex`0002 000c 0101 0001 0052 ffff`),
      message(join(oneSource, overrun)),
      message(join(sources, oneSource)),
    ),
  )
  t.deepEqual(values(result), [['192.0.2.1']])
  t.deepEqual([result.records.in, result.records.out], [1, 1])
})

test('several Messages in one datagram are read, and what is no Message behind them is counted', (t) => {
  const result = udp([join(message(sources), message(oneSource), hex`00ff`)])
  t.deepEqual(values(result), [['192.0.2.1']])
  t.is(result.messages.noted.get('trailing-octets'), 2)
  for (const [datagram, reason] of [
    [message(sources).subarray(0, 27), 'truncated'],
    [message(sources).subarray(0, 15), 'truncated'],
    [hex`0005 0001 ${new Uint8Array(40)}`, 'malformed-message'],
    [hex`000a 000f ${new Uint8Array(12)}`, 'malformed-message'],
    [message(hex`0100 0003`), 'malformed-message'],
    [hex``, 'truncated'],
  ] as const) {
    const damaged = udp([datagram])
    t.deepEqual([...damaged.messages.lost], [[reason, 1]])
    t.deepEqual([damaged.messages.in, damaged.messages.out], [1, 0])
  }
})

test('a session keeps 4,096 Templates and gives up the one not used for longest', (t) => {
  const evicted: number[] = []
  const session = createSession({
    ledger: new Ledger(),
    reliable: true,
    observer: {
      template: (event, {id}) => {
        if (event === 'evicted') evicted.push(id)
      },
    },
  })
  const out: RecordBatch[] = []
  const announce = (id: number): void =>
    session.datagram(
      message(hex`0002 000c ${id.toString(16).padStart(4, '0')} 0001 0008 0004`),
      0,
      out,
    )
  for (let id = 256; id < 256 + 4096; id++) announce(id)
  t.deepEqual(evicted, [])
  announce(5000)
  t.deepEqual(evicted, [256])
  session.datagram(message(hex`0101 0008 c0000201`), 0, out)
  announce(5001)
  announce(5002)
  t.deepEqual(evicted, [256, 258, 259])
  session.datagram(message(hex`0101 0008 c0000201`, {sequence: 1}), 0, out)
  t.is(out.length, 2)
})

test('a flood of Templates from many sources costs a well-behaved Exporter nothing', (t) => {
  const ledger = new Ledger()
  const pool = createTemplatePool({maxTemplates: 500, maxDomains: 1000})
  const honest = createSession({ledger: new Ledger(), reliable: false, pool})
  const out: RecordBatch[] = []
  honest.datagram(message(sources), 0, out)
  for (let i = 0; i < 20000; i++) {
    const flood = createSession({ledger, reliable: false, pool})
    const id = (256 + (i % 1000)).toString(16).padStart(4, '0')
    flood.datagram(message(hex`0002 000c ${id} 0001 0008 0004`, {domain: i}), 0, [])
    if (i % 100 === 0) honest.datagram(message(oneSource, {sequence: i / 100}), 0, out)
  }
  t.is(out.length, 200)
  t.true(pool.templates.size <= 500)
  t.true(pool.domains.size <= 1000)
  // Only the honest one's was ever read by.
  t.is(pool.octets, pool.templates.size * 104 + 570)
})

test('who has no more Templates than its share keeps them while others have more, also before it uses them', (t) => {
  const ledger = new Ledger()
  const pool = createTemplatePool({maxTemplates: 500})
  const honest = createSession({ledger: new Ledger(), reliable: false, pool})
  const out: RecordBatch[] = []
  honest.datagram(message(sources), 0, out)
  for (let i = 0; i < 100; i++) {
    const flood = createSession({ledger, reliable: false, pool})
    for (let id = 256; id < 356; id++) {
      const hexId = id.toString(16).padStart(4, '0')
      flood.datagram(message(hex`0002 000c ${hexId} 0001 0008 0004`), 0, [])
    }
  }
  honest.datagram(message(oneSource), 0, out)
  t.is(out.length, 1)
  t.is(pool.templates.size, 500)
})

test('a session that ends gives all its room back', (t) => {
  const pool = createTemplatePool()
  const session = createSession({ledger: new Ledger(), reliable: true, pool})
  session.datagram(message(join(sources, hex`0101 0008 00000000`)), 0, [])
  t.true(pool.templates.size === 1 && pool.domains.size === 1 && pool.heldOctets === 8)
  session.end()
  t.true(pool.templates.size === 0 && pool.domains.size === 0 && pool.heldOctets === 0)
  t.is(pool.octets, 0)
})

test('records with reverse elements and no direction are dropped and counted', (t) => {
  const result = decode(
    join(
      message(
        hex`0002 0014 0100 0002 8001 0004 00007279 0004 0001 0100 000e 00000007 06 00000008 11`,
      ),
      message(hex`0002 0014 0101 0002 8001 0004 00007279 0008 0004 0101 000c 00000007 c0000201`, {
        sequence: 2,
      }),
    ),
  )
  t.deepEqual(values(result), [[7, '192.0.2.1']])
  t.deepEqual([...result.records.lost], [['reverse-without-direction', 2]])
  t.deepEqual([result.records.in, result.records.totalMissing()], [3, 0])
})

test('elements that have no reverse are not reversed', (t) => {
  const result = decode(
    message(hex`0002 0018 0100 0002 8094 0002 00007279 8002 0002 00007279 0100 0008 0001 0002`),
  )
  // flowId has none, packetDeltaCount has; without a direction both are dropped, so look at the Template.
  t.is(result.records.totalLost(), 1)
  const names: string[] = []
  decode(
    message(hex`0002 001c 0100 0003 8094 0002 00007279 8002 0002 00007279 0007 0002`),
    undefined,
    {template: (_, {fields}) => names.push(...fields.map(({element}) => element.name))},
  )
  t.deepEqual(names, ['29305/148', 'reversePacketDeltaCount', 'sourceTransportPort'])
})
