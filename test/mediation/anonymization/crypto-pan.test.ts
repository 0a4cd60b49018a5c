import test, {type ExecutionContext} from 'ava'
import {spawnSync} from 'node:child_process'
import {readdirSync} from 'node:fs'
import {join} from 'node:path'
import {createAes} from '../../../src/mediation/anonymization/aes.js'
import {createCryptoPan} from '../../../src/mediation/anonymization/crypto-pan.js'
import {ipv4Octets, ipv6Octets} from '../../../src/record/address.js'
import {ipv4Text, ipv6Text} from '../../../src/record/value.js'
import {numbers} from '../../ipfix/generate.js'
import {folder} from '../../support/darta.js'
import {addon} from '../../support/native-addon.js'
import {needing, root, tools} from '../../support/needing.js'

/** The key of the sample trace that comes with the authors' own program. */
const sampleKey = Uint8Array.of(
  ...[21, 34, 23, 141, 51, 164, 207, 128, 19, 10, 91, 22, 73, 144, 125, 16],
  ...[216, 152, 143, 131, 121, 121, 101, 39, 98, 87, 76, 45, 42, 132, 34, 2],
)

/** Addresses of that trace and what they become. */
const sample: readonly (readonly [string, string])[] = [
  ['128.11.68.132', '135.242.180.132'],
  ['129.118.74.4', '134.136.186.123'],
  ['130.132.252.244', '133.68.164.234'],
  ['141.223.7.43', '141.167.8.160'],
  ['141.233.145.108', '141.129.237.235'],
  ['152.163.225.39', '151.140.114.167'],
  ['156.29.3.236', '147.225.12.42'],
  ['165.247.96.84', '162.9.99.234'],
  ['166.107.77.190', '160.132.178.185'],
  ['192.102.249.13', '252.138.62.131'],
  ['192.215.32.125', '252.43.47.189'],
  ['192.233.80.103', '252.25.108.8'],
  ['192.41.57.43', '252.222.221.184'],
  ['193.150.244.223', '253.169.52.216'],
  ['195.205.63.100', '255.186.223.5'],
  ['198.200.171.101', '249.199.68.213'],
  ['198.26.132.101', '249.36.123.202'],
  ['198.36.213.5', '249.7.21.132'],
  ['198.51.77.238', '249.18.186.254'],
  ['199.217.79.101', '248.38.184.213'],
  ['202.49.198.20', '245.206.7.234'],
  ['203.12.160.252', '244.248.163.4'],
  ['204.184.162.189', '243.192.77.90'],
  ['24.0.250.221', '100.15.198.226'],
  ['4.3.88.225', '124.60.155.63'],
  ['63.14.55.111', '95.9.215.7'],
  ['64.14.118.196', '0.255.183.58'],
]

function number(text: string): number {
  return new DataView(ipv4Octets(text).buffer).getUint32(0)
}

function text(address: number): string {
  return ipv4Text(Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address), 0)
}

test('AES encrypts the example of FIPS 197, appendix C.1', (t) => {
  const key = Uint8Array.from({length: 16}, (_, i) => i)
  const plain = Uint8Array.from({length: 16}, (_, i) => 17 * i)
  const hex = Buffer.from(createAes(key).encrypt(plain)).toString('hex')
  t.is(hex, '69c4e0d86a7b0430d8cdb78070b4c55a')
})

test('addresses of the published sample trace become what is published', (t) => {
  const pan = createCryptoPan(sampleKey)
  for (const [original, permuted] of sample) t.is(text(pan.ipv4(number(original))), permuted)
  // From the cache as well.
  for (const [original, permuted] of sample) t.is(text(pan.ipv4(number(original))), permuted)
})

/** Leading bits that two have in common. */
function common(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return 8 * i + Math.clz32(a[i] ^ b[i]) - 24
  }
  return 8 * a.length
}

for (const [what, octets] of [
  ['IPv4', 4],
  ['IPv6', 16],
  ['MAC', 6],
] as const) {
  test(`${what} addresses share as many leading bits as before, no more and no fewer`, (t) => {
    const pan = createCryptoPan(sampleKey)
    const below = numbers(octets)
    const address = (): Uint8Array => Uint8Array.from({length: octets}, () => below(256))
    const permuted = (of: Uint8Array): Uint8Array => {
      const out = of.slice()
      const view = new DataView(out.buffer)
      if (octets === 4) view.setUint32(0, pan.ipv4(view.getUint32(0)))
      else if (octets === 16) pan.ipv6(view, 0)
      else pan.mac(view, 0)
      return out
    }
    for (let i = 0; i < 300; i++) {
      const a = address()
      const b = a.slice()
      // One that differs from a certain bit on.
      const bit = below(8 * octets)
      b[bit >> 3] ^= 128 >> (bit & 7)
      for (let k = (bit >> 3) + 1; k < octets; k++) b[k] = below(256)
      t.is(common(permuted(a), permuted(b)), common(a, b))
      t.deepEqual(permuted(a), permuted(a))
    }
  })
}

test('the kernel permutes as TypeScript does, in place and only what it is told', (t) => {
  const kernel = addon?.createCryptoPan(sampleKey)
  if (kernel === undefined) {
    t.pass('no addon, or no AES instructions')
    return
  }
  const pan = createCryptoPan(sampleKey)
  const below = numbers(99)
  const stride = 40
  const count = 500
  const octets = Uint8Array.from({length: 3 + stride * count}, () => below(256))
  const expected = octets.slice()
  const view = new DataView(expected.buffer)
  for (let i = 0; i < count; i++) {
    const at = 3 + stride * i
    view.setUint32(at + 1, pan.ipv4(view.getUint32(at + 1)))
    pan.ipv6(view, at + 6)
    pan.mac(view, at + 30)
  }
  const spans = Uint32Array.of(
    ...[3, count, stride, 1, 4],
    ...[3, count, stride, 6, 16],
    ...[3, count, stride, 30, 6],
  )
  kernel.run(octets, spans, spans.length)
  t.deepEqual(octets, expected)
  for (const bad of [
    [3, count + 1, stride, 1, 4],
    [3, count, stride, 37, 4],
    [3, count, stride, 1, 5],
    [99999999, 1, 4, 0, 4],
  ]) {
    t.throws(() => kernel.run(octets, Uint32Array.from(bad), 5), {instanceOf: RangeError})
  }
  t.throws(() => addon!.createCryptoPan(new Uint8Array(31)), {instanceOf: RangeError})
})

test('the addresses that an empty cache might think it knows are permuted too', (t) => {
  const kernel = addon?.createCryptoPan(sampleKey)
  const pan = createCryptoPan(sampleKey)
  for (const address of [0, 1, 0xffffffff]) {
    const octets = new Uint8Array(4)
    new DataView(octets.buffer).setUint32(0, address)
    kernel?.run(octets, Uint32Array.of(0, 1, 4, 0, 4), 5)
    const fresh = createCryptoPan(sampleKey).ipv4(address)
    t.is(pan.ipv4(address), fresh)
    if (kernel !== undefined) t.is(new DataView(octets.buffer).getUint32(0), fresh)
  }
})

/** Addresses of the lab, and what nfanon makes of them. */
function nfanon(
  t: ExecutionContext,
  key: string,
  family: string,
): [before: string[], after: string[]] {
  const place = folder(t)
  const run = (program: string, ...words: string[]): string => {
    const {status, stdout, stderr} = spawnSync(program, words, {encoding: 'utf8'})
    t.is(status, 0, stderr)
    return stdout
  }
  run('nfpcapd', '-r', join(root, 'test/fixtures/lab.pcap'), '-w', place)
  const [name] = readdirSync(place).filter((file) => /^nfcapd\.\d+$/.test(file))
  const file = join(place, name)
  run('nfanon', '-q', '-K', key, '-r', file, '-w', join(place, 'anon'))
  const addresses = (of: string): string[] =>
    run('nfdump', '-r', of, '-q', '-6', '-o', 'fmt:%sa %da', family).trim().split(/\s+/)
  return [addresses(file), addresses(join(place, 'anon'))]
}

const nfanonKey = '0123456789abcdefghijklmnopqrstuv'
const withNfanon = needing(tools('nfpcapd', 'nfdump', 'nfanon'))

withNfanon('nfanon permutes IPv4 addresses alike', (t) => {
  const [before, after] = nfanon(t, nfanonKey, 'ipv4')
  t.true(before.length > 100)
  const pan = createCryptoPan(new TextEncoder().encode(nfanonKey))
  t.deepEqual(
    before.map((address) => text(pan.ipv4(number(address)))),
    after,
  )
})

/**
 * What nfanon 1.7.1 does to IPv6 addresses, which is no Crypto-PAn: it takes the octets of each half from the last to the first (the order
 * in which a little-endian machine has them), encrypts with the bit that is to be flipped and with the octet of the padding whole,
 * and puts the bits of an octet in the wrong order. AnonRecord() then gives the source, already replaced, to the same function once more and
 * writes what comes of it over the destination, which nothing has read.
 */
function nfanonIpv6(key: Uint8Array, address: Uint8Array): Uint8Array {
  const aes = createAes(key.subarray(0, 16))
  const pad = aes.encrypt(key.subarray(16))
  const turned = (octets: Uint8Array): Uint8Array =>
    Uint8Array.of(...octets.slice(0, 8).reverse(), ...octets.slice(8).reverse())
  const original = turned(address)
  const flips = new Uint8Array(16)
  for (let pos = 0; pos < 128; pos++) {
    const [octet, bit] = [pos >> 3, pos & 7]
    const input = pad.slice()
    input.set(original.subarray(0, octet))
    input[octet] = ((original[octet] >> (7 - bit)) << (7 - bit)) | pad[octet]
    flips[octet] |= (aes.encrypt(input)[0] >> 7) << bit
  }
  return turned(flips.map((flip, i) => flip ^ original[i]))
}

withNfanon(
  'nfanon makes something else of IPv6 addresses, by a rule that loses prefixes and all of destinations',
  (t) => {
    const [before, after] = nfanon(t, nfanonKey, 'ipv6')
    t.true(before.length > 20)
    const key = new TextEncoder().encode(nfanonKey)
    const sources = (list: readonly string[]): string[] => list.filter((_address, i) => i % 2 === 0)
    t.deepEqual(
      sources(before).map((address) => ipv6Text(nfanonIpv6(key, ipv6Octets(address)), 0)),
      sources(after),
    )
    // What a record has of its destination is lost: in its place stands the source's result, made into something else once more.
    const destinations = (list: readonly string[]): string[] => list.filter((_, i) => i % 2 === 1)
    t.deepEqual(
      sources(after).map((address) => ipv6Text(nfanonIpv6(key, ipv6Octets(address)), 0)),
      destinations(after),
    )
    // So one source that talks to many makes one pair of addresses of them all.
    const pairs = (list: readonly string[]): Set<string> =>
      new Set(sources(list).map((source, i) => `${source} ${destinations(list)[i]}`))
    t.is(pairs(after).size, new Set(sources(before)).size)
    t.true(pairs(after).size < pairs(before).size)
    // Of two addresses it makes one.
    const pair = ['2301:2b8:bf00:f8:3f00:0:bf3d:3f0e', '200e:db8:0:f08:fa:1f:2:1'].map((one) =>
      ipv6Octets(one),
    )
    t.deepEqual(nfanonIpv6(key, pair[0]), nfanonIpv6(key, pair[1]))
    const pan = createCryptoPan(key)
    // These share their first 32 bits, there not one.
    const [a, b] = ['2001:db8:f000:16e::82', '2001:db8:f000:782::84'].map((one) => ipv6Octets(one))
    t.is(ipv6Text(nfanonIpv6(key, a), 0), 'dc01:db8:cff:191:0:ff:ff00:ff82')
    t.is(ipv6Text(nfanonIpv6(key, b), 0), 'dcfe:fd47:c00:f87d:ffff::84')
    for (const address of [a, b]) pan.ipv6(new DataView(address.buffer), 0)
    t.is(ipv6Text(a, 0), 'a023:f3bb:b0d:1152:4c4f:e3f0:51:13f')
    t.is(ipv6Text(b, 0), 'a023:f3bb:b0d:17fd:83f0:1cff:8ffe:fcc4')
  },
)
