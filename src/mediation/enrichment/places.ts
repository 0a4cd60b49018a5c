import {VARIABLE} from '../../record/element.js'
import type {FieldSpecifier} from '../../record/template.js'
import {ie} from '../../registry/elements.js'
import {textField, type Attribute} from './attribute.js'
import {isMap, type Mmdb, type MmdbValue} from './mmdb.js'
import type {PrefixLabels} from './prefix-labels.js'

/** Octets of a country in a record; it has the same place in each then. */
const COUNTRY_OCTETS = 2

const specifier = (element: FieldSpecifier['element'], length: number): FieldSpecifier => ({
  element,
  length,
})

/** What can be asked of a database. */
export type PlaceWord = 'country' | 'city' | 'as' | 'as-name'

interface Kind {
  readonly fields: readonly [source: FieldSpecifier, destination: FieldSpecifier]
  /** Ways to the value; the first that leads to one counts. */
  readonly paths: readonly (readonly string[])[]
  /** Octets of the field; undefined: it is no value of this kind. */
  readonly read: (value: MmdbValue | undefined) => Uint8Array | undefined
}

const text = (value: MmdbValue | undefined): Uint8Array | undefined =>
  typeof value === 'string' && value !== '' ? textField(value) : undefined

/** Layouts: of MaxMind (GeoLite2, GeoIP2, and of DB-IP), and flat ones (ipinfo, ip-location-db). */
const kinds: Readonly<Record<PlaceWord, Kind>> = {
  country: {
    fields: [
      specifier(ie.dartaSourceCountry, COUNTRY_OCTETS),
      specifier(ie.dartaDestinationCountry, COUNTRY_OCTETS),
    ],
    paths: [['country', 'iso_code'], ['country_code'], ['country']],
    read(value) {
      if (typeof value !== 'string' || !/^[A-Za-z]{2}$/.test(value)) return undefined
      return Uint8Array.from(value.toUpperCase(), (letter) => letter.charCodeAt(0))
    },
  },
  city: {
    fields: [specifier(ie.dartaSourceCity, VARIABLE), specifier(ie.dartaDestinationCity, VARIABLE)],
    paths: [['city', 'names', 'en'], ['city']],
    read: text,
  },
  as: {
    fields: [specifier(ie.bgpSourceAsNumber, 4), specifier(ie.bgpDestinationAsNumber, 4)],
    paths: [['autonomous_system_number'], ['traits', 'autonomous_system_number'], ['asn']],
    read(value) {
      const number =
        typeof value === 'string' && /^(?:AS)?\d{1,10}$/i.test(value)
          ? Number(value.replace(/^AS/i, ''))
          : value
      if (typeof number !== 'number' || !Number.isInteger(number)) return undefined
      if (number < 1 || number > 0xffffffff) return undefined
      return Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number)
    },
  },
  'as-name': {
    fields: [
      specifier(ie.dartaSourceAsName, VARIABLE),
      specifier(ie.dartaDestinationAsName, VARIABLE),
    ],
    paths: [
      ['autonomous_system_organization'],
      ['traits', 'autonomous_system_organization'],
      ['as_name'],
    ],
    read: text,
  },
}

function follow(value: MmdbValue, path: readonly string[]): MmdbValue | undefined {
  let at: MmdbValue | undefined = value
  for (const key of path) at = isMap(at) ? at[key] : undefined
  return at
}

/**
 * Places and autonomous systems of a database.
 *
 * @param damaged is told of values that cannot be read; their addresses are unknown
 */
export function placeAttribute(
  mmdb: Mmdb,
  words: readonly PlaceWord[],
  damaged: (error: unknown) => void,
): Attribute {
  const asked = words.map((word) => kinds[word])
  const nothing = asked.map(({fields: [{length}]}) =>
    length === VARIABLE ? Uint8Array.of(0) : new Uint8Array(length),
  )
  // Networks share values: each is read once.
  const known = new Map<number, readonly Uint8Array[]>()
  const readAt = (place: number): readonly Uint8Array[] => {
    let value: MmdbValue
    try {
      value = mmdb.value(place)
    } catch (error) {
      damaged(error)
      return nothing
    }
    const found = asked.map(({paths, read}) => {
      for (const path of paths) {
        const octets = read(follow(value, path))
        if (octets !== undefined) return octets
      }
      return undefined
    })
    if (found.every((octets) => octets === undefined)) return nothing
    return found.map((octets, i) => octets ?? nothing[i])
  }
  const at = (place: number): readonly Uint8Array[] => {
    let found = known.get(place)
    if (found === undefined) {
      found = readAt(place)
      known.set(place, found)
    }
    return found
  }
  // A value with nothing of what is asked is as good as none.
  const useful = (place: number): number => (place >= 0 && at(place) !== nothing ? place : -1)
  return {
    fields: asked.map(({fields}) => fields),
    find4: (address) => useful(mmdb.find4(address)),
    find6: (address) => useful(mmdb.find6(address)),
    octets: (found) => (found < 0 ? nothing : at(found)),
  }
}

/** Labels of the longest prefixes. */
export function labelAttribute(labels: PrefixLabels): Attribute {
  const nothing = [Uint8Array.of(0)]
  const fields = labels.labels.map((label) => [textField(label)])
  return {
    fields: [
      [specifier(ie.dartaSourceLabel, VARIABLE), specifier(ie.dartaDestinationLabel, VARIABLE)],
    ],
    find4: (address) => labels.find4(address),
    find6: (address) => labels.find6(address),
    octets: (found) => (found < 0 ? nothing : fields[found]),
  }
}
