import test from 'ava'
import {
  avpBigNumber,
  avpNumber,
  avpText,
  avpTime,
  DiameterFault,
  findAvp,
  readAvps,
  timeSeconds,
} from '../../../src/mediation/diameter/avp.js'
import {
  accountingRequest,
  createEndToEnd,
  readAccountingRequest,
} from '../../../src/mediation/diameter/accounting.js'
import {avp, RESULT} from '../../../src/mediation/diameter/dictionary.js'
import {
  createMessageSplitter,
  encodeMessage,
  messageOctets,
  readdressed,
  readHeader,
  readMessage,
} from '../../../src/mediation/diameter/message.js'
import {hex} from '../../hex.js'
import fc from '../../support/properties.js'

const header = {
  request: true,
  proxiable: false,
  error: false,
  retransmitted: false,
  command: 280,
  application: 0,
  hopByHop: 0x01020304,
  endToEnd: 0x05060708,
}

const watchdog = hex`
  01 000034            # version 1, 52 octets
  80 000118            # a request; Device-Watchdog
  00000000             # the application of all nodes
  01020304 05060708    # hop-by-hop and end-to-end identifiers
  00000108 40 000013   # Origin-Host, mandatory, 8 + 11 octets
  61 2e 65 78 61 6d 70 6c 65 2e 6f 00
  00000116 40 00000c   # Origin-State-Id
  0000002a
`

test('a message is as RFC 6733 lays it out', (t) => {
  const octets = encodeMessage(header, [
    [avp.originHost, 'a.example.o'],
    [avp.originStateId, 42],
  ])
  t.deepEqual(octets, watchdog)
  const message = readMessage(octets)
  const {avps, octets: _octets, ...read} = message
  t.deepEqual(read, header)
  t.is(avpText(avps, avp.originHost), 'a.example.o')
  t.is(avpNumber(avps, avp.originStateId), 42)
  t.is(findAvp(avps, avp.sessionId), undefined)
})

test('a message cut short is waited for, and no cut breaks a reader of its AVPs', (t) => {
  for (let cut = 0; cut < watchdog.length; cut++) {
    const part = watchdog.subarray(0, cut)
    t.is(messageOctets(part), cut < 4 ? undefined : watchdog.length)
    t.deepEqual(createMessageSplitter().push(part), [])
    if (cut > 20 && cut !== 39 && cut !== 40) {
      t.throws(() => readAvps(part, 20, cut), {instanceOf: DiameterFault})
    }
  }
})

test('messages come out of a stream however it is cut', (t) => {
  const stream = Uint8Array.from([...watchdog, ...watchdog, ...watchdog])
  fc.assert(
    fc.property(fc.array(fc.integer({min: 1, max: 70}), {minLength: 1, maxLength: 40}), (sizes) => {
      const splitter = createMessageSplitter()
      const messages: Uint8Array[] = []
      for (let at = 0, i = 0; at < stream.length; i++) {
        const size = sizes[i % sizes.length]
        messages.push(...splitter.push(stream.slice(at, at + size)))
        at += size
      }
      t.deepEqual(messages, [watchdog, watchdog, watchdog])
    }),
  )
})

for (const [title, octets, code] of [
  ['another version', [2, 0, 0, 20], RESULT.unsupportedVersion],
  ['fewer octets than its header', [1, 0, 0, 16], RESULT.invalidMessageLength],
  ['no multiple of 4', [1, 0, 0, 22], RESULT.invalidMessageLength],
  ['16 million octets', [1, 255, 255, 252], RESULT.invalidMessageLength],
] as const) {
  test(`a stream in which a message says it has ${title} cannot go on`, (t) => {
    const {resultCode} = t.throws(() => createMessageSplitter().push(Uint8Array.from(octets)), {
      instanceOf: DiameterFault,
    })
    t.is(resultCode, code)
  })
}

test('a repetition keeps its end-to-end identifier and carries T', (t) => {
  const again = readHeader(readdressed(watchdog, 99, true))
  t.deepEqual(again, {...header, hopByHop: 99, retransmitted: true})
  t.deepEqual(readHeader(readdressed(readdressed(watchdog, 99, true), 98, false)), {
    ...header,
    hopByHop: 98,
  })
})

test('AVPs of vendors are read over, and are not taken for those without', (t) => {
  const octets = hex`
    00000108 c0 000010 0000002a 6f746865   # Origin-Host's code of vendor 42
    00000108 40 00000b 6f7572 00           # Origin-Host
  `
  const avps = readAvps(octets, 0, octets.length)
  t.deepEqual(
    avps.map(({vendor}) => vendor),
    [42, 0],
  )
  t.is(avpText(avps, avp.originHost), 'our')
})

test('a number of another length, and text that is none, are refused by their codes', (t) => {
  const avps = readMessage(
    encodeMessage(header, [
      [avp.userName, Uint8Array.of(0xff)],
      [avp.originStateId, 1n],
    ]),
  ).avps
  t.is(t.throws(() => avpText(avps, avp.userName), {instanceOf: DiameterFault}).resultCode, 5004)
  const fault = t.throws(() => avpNumber(avps, avp.originStateId), {instanceOf: DiameterFault})
  t.deepEqual([fault.resultCode, fault.offset], [5014, 32])
})

test('times are seconds since 1900, and go on after 2036', (t) => {
  for (const ms of [0, Date.UTC(2026, 10, 25), Date.UTC(2036, 1, 8), Date.UTC(2100, 0, 1)]) {
    const {avps} = readMessage(encodeMessage(header, [[avp.eventTimestamp, timeSeconds(ms)]]))
    t.is(avpTime(avps, avp.eventTimestamp), ms)
  }
  t.is(timeSeconds(Date.UTC(1970, 0, 1)), 2_208_988_800)
})

const record = {
  sessionId: 'nas.example;1;2;3',
  userName: 'anna é',
  timeMs: Date.UTC(2026, 10, 25, 12),
  seconds: 77,
  inputOctets: 2n ** 63n + 1n,
  outputOctets: 2n,
  inputPackets: 3n,
  outputPackets: 4n,
}
const parties = {
  originHost: 'nas.example',
  originRealm: 'example',
  destinationRealm: 'aaa.example',
  originStateId: 9,
}

for (const type of ['start', 'interim', 'stop', 'event'] as const) {
  test(`an accounting request (${type}) is read as it was written`, (t) => {
    const octets = accountingRequest({...record, type, number: 5}, parties, 77)
    const message = readMessage(octets)
    t.is(message.command, 271)
    t.is(message.application, 3)
    t.true(message.proxiable)
    t.is(message.endToEnd, 77)
    const {destinationRealm: _realm, originStateId: _id, ...origin} = parties
    const counters = type === 'start' ? {inputOctets: 0n, outputOctets: 0n} : {}
    const packets =
      type === 'start' ? {inputPackets: 0n, outputPackets: 0n, seconds: undefined} : {}
    t.deepEqual(readAccountingRequest(message), {
      ...record,
      ...counters,
      ...packets,
      ...origin,
      type,
      number: 5,
    })
    t.is(
      avpBigNumber(message.avps, avp.accountingInputOctets),
      type === 'start' ? undefined : 2n ** 63n + 1n,
    )
    t.is(message.avps[0].code, avp.sessionId.code)
  })
}

test('an accounting request without what it must have is refused by code', (t) => {
  const {avps} = readMessage(encodeMessage(header, [[avp.accountingRecordType, 2]]))
  const message = {...header, avps, octets: watchdog}
  t.is(
    t.throws(() => readAccountingRequest(message), {instanceOf: DiameterFault}).resultCode,
    RESULT.missingAvp,
  )
})

test('no octets break the reader of messages', (t) => {
  const good = accountingRequest({...record, type: 'stop', number: 5}, parties, 77)
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), {minLength: 1, maxLength: 8}),
      (changes) => {
        const octets = good.slice()
        for (const [at, value] of changes) octets[at] = value
        try {
          for (const message of createMessageSplitter().push(octets)) {
            readAccountingRequest(readMessage(message))
          }
        } catch (error) {
          if (!(error instanceof DiameterFault)) throw error
        }
      },
    ),
    {numRuns: 3000},
  )
  t.pass()
})

test('end-to-end identifiers begin with the time and differ', (t) => {
  const next = createEndToEnd(0x12345678)
  const all = new Set(Array.from({length: 1000}, next))
  t.is(all.size, 1000)
  for (const one of all) t.is(one >>> 20, 0x678)
})
