import fc from '../support/properties.js'

/** A change to a capture; `at` is taken modulo its length. */
export type Mutation =
  | {readonly kind: 'set'; readonly at: number; readonly value: number}
  | {readonly kind: 'word'; readonly at: number; readonly value: number}
  | {readonly kind: 'insert'; readonly at: number; readonly octets: Uint8Array}
  | {readonly kind: 'remove'; readonly at: number; readonly count: number}

function kind<K extends string>(name: K): fc.Arbitrary<K> {
  return fc.constant(name)
}

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({kind: kind('set'), at: fc.nat(), value: fc.integer({min: 0, max: 255})}),
  fc.record({kind: kind('word'), at: fc.nat(), value: fc.integer({min: -1, max: 300})}),
  fc.record({kind: kind('insert'), at: fc.nat(), octets: fc.uint8Array({maxLength: 40})}),
  fc.record({kind: kind('remove'), at: fc.nat(), count: fc.integer({min: 1, max: 100})}),
)

/** One to six changes. */
export const mutations: fc.Arbitrary<Mutation[]> = fc.array(mutation, {minLength: 1, maxLength: 6})

/** Makes the changes, one after another. The magic stays, or it would be no capture at all. */
export function mutate(octets: Uint8Array, changes: readonly Mutation[]): Uint8Array {
  let result = Buffer.from(octets)
  for (const change of changes) {
    const at = 4 + (change.at % (result.length - 3))
    if (change.kind === 'insert') {
      result = Buffer.concat([result.subarray(0, at), change.octets, result.subarray(at)])
    } else if (change.kind === 'remove') {
      result = Buffer.concat([result.subarray(0, at), result.subarray(at + change.count)])
    } else if (change.kind === 'set') {
      if (at < result.length) result[at] = change.value
    } else if (at + 4 <= result.length) result.writeInt32LE(change.value, at)
  }
  return new Uint8Array(result)
}

/** Cuts `octets` at the places given, each taken modulo its length. */
export function cutAt(octets: Uint8Array, places: readonly number[]): Uint8Array[] {
  const cuts = places.map((place) => place % (octets.length + 1)).sort((a, b) => a - b)
  return [...cuts, octets.length].map((end, i) => octets.subarray(cuts[i - 1] ?? 0, end))
}
