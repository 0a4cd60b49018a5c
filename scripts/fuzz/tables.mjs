// What enrich looks addresses up in: databases in the MaxMind DB format and files of labels, of which some octets are changed.
import {mutateOctets} from './random.mjs'
import {built, promise} from './support.mjs'

export async function tables() {
  const {DartaError} = await built('src/record/errors.js')
  const {openMmdb} = await built('src/mediation/enrichment/mmdb.js')
  const {placeAttribute} = await built('src/mediation/enrichment/places.js')
  const {readPrefixLabels} = await built('src/mediation/enrichment/prefix-labels.js')
  const {writeMmdb} = await built('test/support/mmdb.js')

  const networks = [
    ['0.0.0.0/2', {country: {iso_code: 'CH'}, city: {names: {en: 'Bern'}}, list: [1, 2n, true]}],
    ['192.0.2.0/24', {asn: 'AS64500', as_name: 'x'.repeat(40), double: {double: 1.5}}],
    ['2001:db8::/32', {autonomous_system_number: 64500, octets: Uint8Array.of(1, 2)}],
  ]
  const databases = [24, 28, 32].flatMap((recordSize) => [
    writeMmdb(networks, {recordSize}),
    writeMmdb(networks.slice(0, 2), {recordSize, ipVersion: 4}),
  ])
  const labels = new TextEncoder().encode(
    '# labels\n10.0.0.0/8 ten\n10.1.0.0/16,ten one # x\n10.1.2.3;host\n2001:db8::/32 doc\n::/0 all\n255.255.255.255 last\n',
  )
  const seeds = [
    ...databases.map((octets) => Uint8Array.of(0, ...octets)),
    Uint8Array.of(1, ...labels),
  ]

  function look(find4, find6) {
    for (const address of [0, 1, 0x0a010203, 0xc0000201, 0xffffffff]) find4(address)
    for (const words of [
      [0, 0, 0, 0],
      [0x20010db8, 0, 0, 1],
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    ]) {
      find6(Uint32Array.from(words))
    }
  }

  return {
    seeds,
    mutate(random, seed, others) {
      let octets = seed.subarray(1)
      for (let n = 1 + random.below(3); n > 0; n--) octets = mutateOctets(random, octets, others)
      return Uint8Array.of(seed[0], ...octets)
    },
    units: (octets) => Math.max(1, octets.length / 64),
    run(_random, octets) {
      const [kind] = octets
      const given = octets.slice(1)
      const refused = (error) => {
        promise(error instanceof DartaError, `it throws ${error.stack}`)
        promise(
          error.offset === undefined || error.offset <= given.length,
          'an offset behind the end',
        )
      }
      try {
        if (kind === 1) {
          const read = readPrefixLabels(given, 'fuzz')
          const found = (place) => {
            promise(place === -1 || read.labels[place] !== undefined, 'a label that is none')
          }
          look(
            (address) => found(read.find4(address)),
            (words) => found(read.find6(words)),
          )
        } else {
          const mmdb = openMmdb(given, 'fuzz')
          const attribute = placeAttribute(mmdb, ['country', 'city', 'as', 'as-name'], refused)
          const found = (place) => {
            const parts = attribute.octets(place)
            promise(parts.length === 4 && parts[0].length === 2 && parts[2].length === 4, 'parts')
            promise(parts[1][0] === parts[1].length - 1, 'a length that is not its own')
          }
          look(
            (address) => found(attribute.find4(address)),
            (words) => found(attribute.find6(words)),
          )
        }
      } catch (error) {
        if (String(error.message).startsWith('broken promise')) throw error
        refused(error)
      }
    },
  }
}
