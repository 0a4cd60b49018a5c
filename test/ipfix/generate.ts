import {
  fullLength,
  isList,
  lengthFits,
  VARIABLE,
  type InformationElement,
} from '../../src/record/element.js'
import {allElements, elementByName} from '../../src/registry/lookup.js'
import {join, message} from './octets.js'

/** Numbers that look random and depend on the seed alone (xorshift). */
export function numbers(seed: number): (below: number) => number {
  let state = (seed | 0) ^ 0x9e3779b9 || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

/** One record as it went into a stream. */
export interface Expected {
  readonly time: number
  readonly domain: number
  readonly scope: number
  /** `pen/id:length octets` of each field. */
  readonly fields: readonly string[]
}

export interface Generated {
  readonly messages: Uint8Array[]
  /** In the order of the stream. */
  readonly records: Expected[]
  readonly templates: number
}

/** Every kind of scalar, and elements that nobody knows; Template IDs and reverse elements have rules of their own. */
const elements: InformationElement[] = [
  ...allElements().filter(
    ({type, elementId, enterpriseNumber}) =>
      !isList(type) && !(elementId === 145 && enterpriseNumber === 0) && enterpriseNumber === 0,
  ),
  ...[1, 2, 500, 32767].map((id) => elementByName(`61455/${id}`)!),
]

interface Layout {
  readonly id: number
  readonly scope: number
  readonly fields: {readonly element: InformationElement; readonly length: number}[]
}

/**
 * A session of `sets` Templates, each with some records, in a few domains, made without the code under test. IDs are used again
 * after a withdrawal.
 */
export function generate(seed: number, sets: number): Generated {
  const below = numbers(seed)
  const messages: Uint8Array[] = []
  const records: Expected[] = []
  const sequence = new Map<number, number>()
  const used = new Map<number, Map<number, boolean>>()
  let time = 1_600_000_000 + below(1000)
  for (let made = 0; made < sets;) {
    const domain = below(3)
    const inDomain = used.get(domain) ?? new Map<number, boolean>()
    used.set(domain, inDomain)
    time += below(3)
    const before = sequence.get(domain) ?? (below(4) === 0 ? 2 ** 32 - below(20) - 1 : 0)
    let count = 0
    const body: Uint8Array[] = []
    for (let i = below(3) + 1; i > 0 && made < sets; i--, made++) {
      const layout = anyLayout(below)
      const old = inDomain.get(layout.id)
      if (old !== undefined) body.push(octetsOf([old ? 3 : 2, 8, layout.id, 0]))
      inDomain.set(layout.id, layout.scope > 0)
      body.push(templateSet(layout, below))
      const rows: Uint8Array[] = []
      for (let n = below(6); n > 0; n--) {
        const fields: string[] = []
        const parts: Uint8Array[] = []
        for (const {element, length} of layout.fields) {
          const octets = anyOctets(element, length, below)
          if (length === VARIABLE) {
            const long = octets.length > 254 || below(8) === 0
            parts.push(
              long
                ? Uint8Array.of(255, octets.length >> 8, octets.length & 255)
                : Uint8Array.of(octets.length),
            )
          }
          parts.push(octets)
          const name = `${element.enterpriseNumber}/${element.elementId}:${length}`
          fields.push(`${name} ${Buffer.from(octets).toString('hex')}`)
        }
        rows.push(join(...parts))
        records.push({time, domain, scope: layout.scope, fields})
        count++
      }
      if (rows.length > 0) body.push(set(layout.id, rows, layout, below))
    }
    messages.push(message(join(...body), {sequence: before, domain, time}))
    sequence.set(domain, (before + count) >>> 0)
  }
  return {messages, records, templates: sets}
}

function anyLayout(below: (n: number) => number): Layout {
  const fields = Array.from({length: below(8) + 1}, () => {
    const element = elements[below(elements.length)]
    const full = fullLength(element.type)
    let length = full
    const choice = below(4)
    if (full === VARIABLE) length = choice === 0 ? below(20) + 1 : VARIABLE
    else if (choice === 0) length = VARIABLE
    else if (choice === 1) {
      length = below(full) + 1
      if (!lengthFits(element.type, length)) length = full
    }
    return {element, length}
  })
  return {
    id: 256 + below(12),
    scope: below(5) === 0 ? below(fields.length) + 1 : 0,
    fields,
  }
}

function anyOctets(
  element: InformationElement,
  length: number,
  below: (n: number) => number,
): Uint8Array {
  let size = length
  if (length === VARIABLE) {
    const full = fullLength(element.type)
    size = full !== VARIABLE ? full : below(20) === 0 ? below(600) : below(20)
  }
  const octets = Uint8Array.from({length: size}, () => below(256))
  // Others would be changed on the way out: see RFC 7011 section 6.1.6 and RFC 9565.
  if (element.type === 'string') octets.forEach((octet, i) => (octets[i] = octet & 0x7f))
  if (element.elementId === 6 && size === 2 && length !== VARIABLE) octets[0] &= 0x0f
  return octets
}

function octetsOf(words: readonly number[]): Uint8Array {
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 255]))
}

function templateSet({id, scope, fields}: Layout, below: (n: number) => number): Uint8Array {
  const words = [id, fields.length, ...(scope > 0 ? [scope] : [])]
  for (const {element, length} of fields) {
    const pen = element.enterpriseNumber
    words.push(pen === 0 ? element.elementId : element.elementId | 0x8000, length)
    if (pen !== 0) words.push(pen >>> 16, pen & 0xffff)
  }
  if (below(4) === 0 && words.length % 2 === 1) words.push(0)
  return octetsOf([scope > 0 ? 3 : 2, 2 * words.length + 4, ...words])
}

function set(
  id: number,
  rows: readonly Uint8Array[],
  {fields}: Layout,
  below: (n: number) => number,
): Uint8Array {
  const least = fields.reduce((sum, {length}) => sum + (length === VARIABLE ? 1 : length), 0)
  const body = join(...rows)
  const padding = below(3) === 0 ? Math.min(-body.length & 3, least - 1) : 0
  return join(octetsOf([id, body.length + padding + 4]), body, new Uint8Array(padding))
}
