import test from 'ava'
import {spawnSync} from 'node:child_process'
import {createRequire} from 'node:module'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {DartaError} from '../../../src/record/errors.js'
import {addressOctets} from '../../../src/record/address.js'
import {openMmdb, type Mmdb, type MmdbValue} from '../../../src/mediation/enrichment/mmdb.js'
import {folder} from '../../support/darta.js'
import {writeMmdb, type Writable} from '../../support/mmdb.js'
import {needing, optionalPackage, tools} from '../../support/needing.js'
import {createRandom} from '../../support/random.js'

/** What is used of the npm package `maxmind`, the reader that ours is held against. */
interface Maxmind {
  readonly Reader: new (octets: Buffer) => {get(address: string): unknown}
}
const noMaxmind = optionalPackage('maxmind')
const theirReader = (octets: Uint8Array): InstanceType<Maxmind['Reader']> => {
  const {Reader} = createRequire(import.meta.url)('maxmind') as Maxmind
  return new Reader(Buffer.from(octets))
}

function look(mmdb: Mmdb, address: string): MmdbValue | undefined {
  const octets = addressOctets(address)
  const view = new DataView(octets.buffer)
  const place =
    octets.length === 4
      ? mmdb.find4(view.getUint32(0))
      : mmdb.find6(Uint32Array.from([0, 4, 8, 12], (at) => view.getUint32(at)))
  return place < 0 ? undefined : mmdb.value(place)
}

/** Values of all types, nested, and with text long enough for each way to write a length. */
const everything: Writable = {
  text: 'Zürich',
  long: 'x'.repeat(40),
  longer: 'y'.repeat(300),
  longest: 'z'.repeat(70_000),
  number: 4_000_000_000,
  zero: 0,
  great: 2n ** 63n,
  yes: true,
  no: false,
  double: {double: 47.25},
  float: {float: -0.5},
  signed: {signed: -7},
  octets: Uint8Array.of(1, 2, 3),
  list: ['a', 'b', {c: 1}],
}

/** Networks that lie in each other and side by side, of both versions. */
function randomNetworks(seed: number, count: number, v6: boolean): [string, Writable][] {
  const below = createRandom(seed)
  const networks: [string, Writable][] = []
  for (let i = 0; i < count; i++) {
    const value = {country: {iso_code: `C${below(20)}`}, n: below(50)}
    if (v6 && below(2) === 0) {
      const groups = Array.from({length: 4}, () => below(4).toString(16))
      networks.push([`2001:db8:${groups.join(':')}::/${33 + below(80)}`, value])
    } else {
      const octets = [below(4), below(4), below(4), below(256)]
      networks.push([`${octets.join('.')}/${4 + below(29)}`, value])
    }
  }
  return networks
}

function randomAddresses(seed: number, count: number): string[] {
  const below = createRandom(seed)
  return Array.from({length: count}, (_, i) =>
    i % 2 === 0
      ? `${below(5)}.${below(5)}.${below(5)}.${below(256)}`
      : `2001:db8:${below(5)}:${below(5)}:${below(5)}:${below(5)}:0:${below(9)}`,
  )
}

for (const recordSize of [24, 28, 32] as const) {
  for (const ipVersion of [4, 6] as const) {
    needing(noMaxmind)(
      `finds what another reader finds in a tree of IPv${ipVersion} with records of ${recordSize} bits`,
      (t) => {
        const octets = writeMmdb(randomNetworks(recordSize + ipVersion, 400, ipVersion === 6), {
          recordSize,
          ipVersion,
        })
        const mmdb = openMmdb(octets, 'test.mmdb')
        t.deepEqual(mmdb.versions, ipVersion === 6 ? [4, 6] : [4])
        const other = theirReader(octets)
        let found = 0
        for (const address of randomAddresses(7, 3000)) {
          if (ipVersion === 4 && address.includes(':')) {
            t.is(look(mmdb, address), undefined)
            continue
          }
          const value = look(mmdb, address)
          if (value !== undefined) found++
          const expected = other.get(address)
          if (JSON.stringify(value ?? null) !== JSON.stringify(expected)) {
            t.is(JSON.stringify(value), JSON.stringify(expected), address)
          }
        }
        t.true(found > 300, `${found} found`)
      },
    )
  }
}

needing(noMaxmind)('values of all types are read as another reader reads them', (t) => {
  const octets = writeMmdb([['192.0.2.0/24', everything]])
  const value = look(openMmdb(octets, 'test.mmdb'), '192.0.2.9') as Record<string, unknown>
  const expected = theirReader(octets).get('192.0.2.9') as Record<string, unknown>
  // That reader takes every number of 64 bits for a bigint, and octets as a Buffer.
  t.deepEqual(
    {...value, octets: [...(value.octets as Uint8Array)]},
    {
      ...expected,
      octets: [...(expected.octets as Uint8Array)],
    },
  )
  t.is(value.signed, -7)
  t.is(value.great, 2n ** 63n)
  t.is(value.longest, 'z'.repeat(70_000))
})

needing(tools('mmdblookup'))('finds what mmdblookup finds', (t) => {
  const octets = writeMmdb(randomNetworks(3, 200, true))
  const file = join(folder(t), 'test.mmdb')
  writeFileSync(file, octets)
  const mmdb = openMmdb(octets, file)
  for (const address of randomAddresses(11, 40)) {
    const {stdout, status} = spawnSync(
      'mmdblookup',
      ['--file', file, '--ip', address, 'country', 'iso_code'],
      {encoding: 'utf8'},
    )
    const theirs = status === 0 ? /"(.*)" <utf8_string>/.exec(stdout)?.[1] : undefined
    const ours = look(mmdb, address) as {country: {iso_code: string}} | undefined
    t.is(ours?.country.iso_code, theirs, address)
  }
})

test('a file that is no database is refused with a reason', (t) => {
  for (const octets of [new Uint8Array(0), new Uint8Array(1000), new TextEncoder().encode('{}')]) {
    t.throws(() => openMmdb(octets, 'x'), {code: 'DARTA_MMDB', message: /has no metadata/})
  }
})

test('every cut of a database is refused or read, and never anything else', (t) => {
  const octets = writeMmdb(randomNetworks(5, 20, true))
  for (let cut = 0; cut < octets.length; cut++) {
    try {
      const mmdb = openMmdb(octets.subarray(0, cut), 'cut')
      for (const address of ['1.1.1.1', '2001:db8::1']) look(mmdb, address)
    } catch (error) {
      if (!(error instanceof DartaError) || error.code !== 'DARTA_MMDB') t.fail(String(error))
      else if (error.offset === undefined || error.offset > cut) t.fail('there is no such octet')
    }
  }
  t.pass()
})

test('every changed octet gives a value or an error that says where, and ends', (t) => {
  const octets = writeMmdb(randomNetworks(6, 20, true))
  const random = createRandom(8)
  let faults = 0
  for (let at = 0; at < octets.length; at++) {
    const damaged = octets.slice()
    damaged[at] ^= 1 + random(255)
    try {
      const mmdb = openMmdb(damaged, 'damaged')
      for (const address of ['0.0.0.1', '1.2.3.4', '3.3.3.3', '2001:db8::1']) look(mmdb, address)
    } catch (error) {
      if (!(error instanceof DartaError) || error.code !== 'DARTA_MMDB') t.fail(String(error))
      faults++
    }
  }
  t.true(faults > 0)
})

test('a value that holds itself many times ends with an error', (t) => {
  const octets = writeMmdb([['0.0.0.0/1', new Uint8Array(60).fill(0xee)]])
  // The value begins with what it is, 29 + 31 octets: an array of twenty pointers to itself takes its place.
  const value = octets.indexOf(0xee) - 2
  octets.set([0x14, 0x04, ...Array.from({length: 20}, () => [0x20, 0x00]).flat()], value)
  t.throws(() => look(openMmdb(octets, 'endless'), '1.1.1.1'), {
    code: 'DARTA_MMDB',
    message: /nested too deeply|greater than/,
  })
})
