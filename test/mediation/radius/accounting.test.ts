import test from 'ava'
import {md5Of} from '../../../src/io/md5.js'
import {createRecentRequests} from '../../../src/mediation/recent-requests.js'
import {accountingFields, identityOf} from '../../../src/mediation/radius/accounting.js'
import {accountingResponse, isAuthentic, readPacket} from '../../../src/mediation/radius/packet.js'
import {hexText, type RecordValue} from '../../../src/record/value.js'
import {hex} from '../../hex.js'

/** As radclient 3.2.1 sent it, with the secret s3cret. */
const request = hex`
  04 09 007c                           # Accounting-Request, identifier 9, 124 octets
  59cf915c92f50b57da562005dd78131a     # Request Authenticator
  01 07 616c696365                     # User-Name alice
  2c 05 532d31                         # Acct-Session-Id S-1
  28 06 00000003                       # Acct-Status-Type Interim-Update
  04 06 c0000201                       # NAS-IP-Address
  20 06 6e617331                       # NAS-Identifier nas1
  08 06 c6336407                       # Framed-IP-Address
  61 14 0040 20010db8000100000000000000000000   # Framed-IPv6-Prefix
  2a 06 00000005  34 06 00000002       # Acct-Input-Octets 5, -Gigawords 2
  2b 06 ee6b2800                       # Acct-Output-Octets 4,000,000,000
  2f 06 0000000a  30 06 00000014       # packets in and out
  2e 06 0000003c  37 06 6553f100       # Acct-Session-Time 60, Event-Timestamp
  0b 06 676f6c64                       # Filter-Id gold, for which there is no element
`
/** Its Status-Server. */
const status = hex`
  0c 36 0026 b790807ee619b4576fda2b0cfbd5db84
  50 12 6cba971eae4ef6cc8d508f3a370cd4c8
`
const secret = new TextEncoder().encode('s3cret')
const noon = 1_800_000_000_000

function packetOf(octets: Uint8Array) {
  const packet = readPacket(octets)
  if ('fault' in packet) throw new Error(packet.fault)
  return packet
}

function named(fields: ReturnType<typeof accountingFields>): Record<string, unknown> {
  return Object.fromEntries(
    (fields as RecordValue).map(([{name}, value]) => [
      name,
      value instanceof Uint8Array ? hexText(value) : value,
    ]),
  )
}

test('an Accounting-Request becomes a Biflow of the user with the totals of his session', (t) => {
  t.deepEqual(named(accountingFields(packetOf(request), noon)), {
    dartaAccountingRecordType: 'interim',
    userName: 'alice',
    dartaSourceSessionId: 'S-1',
    dartaNasIPv4Address: '192.0.2.1',
    dartaNasIdentifier: 'nas1',
    sourceIPv4Address: '198.51.100.7',
    sourceIPv6Prefix: '2001:db8:1::',
    sourceIPv6PrefixLength: 64,
    flowStartMilliseconds: 1_699_999_940_000,
    flowEndMilliseconds: 1_700_000_000_000,
    dartaSessionSeconds: 60,
    octetTotalCount: 2n * 2n ** 32n + 5n,
    packetTotalCount: 10n,
    reverseOctetTotalCount: 4_000_000_000n,
    reversePacketTotalCount: 20n,
    dartaRadiusAttributes: '0b06676f6c64',
  })
})

test('only who knows the secret is authentic, by the Request Authenticator or the Message-Authenticator', (t) => {
  const wrong = new TextEncoder().encode('S3cret')
  for (const octets of [request, status]) {
    t.true(isAuthentic(packetOf(octets), secret, md5Of))
    t.false(isAuthentic(packetOf(octets), wrong, md5Of))
    for (let at = 0; at < octets.length; at++) {
      const changed = octets.slice()
      changed[at] ^= 1
      const packet = readPacket(changed)
      if ('fault' in packet) continue
      // The authenticator of Status-Server is a random number that the other one covers.
      t.false(isAuthentic(packet, secret, md5Of), `octet ${at}`)
    }
  }
})

for (let cut = 0; cut < request.length; cut++) {
  test(`a request cut to ${cut} octets is none`, (t) => {
    const packet = readPacket(request.subarray(0, cut))
    t.true('fault' in packet && packet.fault === 'truncated')
    // With the length that it then has, it is one or has a fault, and is not authentic.
    const shorter = request.slice(0, cut)
    if (cut >= 20) {
      shorter.set([cut >> 8, cut & 0xff], 2)
      const read = readPacket(shorter)
      t.true('fault' in read ? read.fault === 'attribute' : !isAuthentic(read, secret, md5Of))
    }
  })
}

test('an attribute of another length than its type has is kept as octets', (t) => {
  const octets = hex`
    04 01 0029 00000000000000000000000000000000
    28 06 00000001  2c 03 58   # start of X
    08 03 01  01 03 ff  2c 03 59   # an address of one octet, a name that is no text, a second session
    `
  octets.set([0, octets.length], 2)
  const fields = named(accountingFields(packetOf(octets), noon))
  t.is(fields.dartaSourceSessionId, 'X')
  t.is(fields.dartaRadiusAttributes, '0803010103ff2c0359')
  t.false('sourceIPv4Address' in fields)
  t.false('userName' in fields)
})

test('a repetition with a longer delay is the same request, one at another time is not', (t) => {
  const at = (delay: number, session = 0x58) =>
    packetOf(hex`
      04 ${(delay & 0xff).toString(16).padStart(2, '0')} 0023 000102030405060708090a0b0c0d0e${(delay & 0xff).toString(16).padStart(2, '0')}
      28 06 00000007  2c 03 ${session.toString(16)}
      29 06 000000${(delay & 0xff).toString(16).padStart(2, '0')}
    `)
  const identity = (packet: ReturnType<typeof at>, ms: number) =>
    identityOf(packet, '192.0.2.1', ms, md5Of)
  const recent = createRecentRequests<string>(2)
  recent.add(identity(at(0), noon), 'first')
  t.is(recent.find(identity(at(20), noon + 20_400)), 'first')
  // The same packet again, however late.
  t.is(recent.find(identity(at(0), noon + 60_000)), 'first')
  // A server that started anew a minute later says the same of another time.
  t.is(recent.find(identity(at(1), noon + 60_000)), undefined)
  t.is(recent.find(identity(at(0, 0x59), noon)), undefined)
  recent.add(identity(at(0, 0x59), noon), 'second')
  recent.add(identity(at(0, 0x5a), noon), 'third')
  t.is(recent.find(identity(at(0), noon)), undefined)
})

test('what a proxy put in goes back as it came', (t) => {
  const proxied = hex`
    04 02 0025 00000000000000000000000000000000
    28 06 00000001  2c 03 58  21 04 abcd  21 04 ef01
  `
  t.is(
    hexText(accountingResponse(packetOf(proxied), secret, md5Of).subarray(20)),
    '2104abcd2104ef01',
  )
})
