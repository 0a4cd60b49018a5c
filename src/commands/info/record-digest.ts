import {recordStart, type RecordBatch} from '../../record/batch.js'
import {VARIABLE} from '../../record/element.js'
import type {Template} from '../../record/template.js'

/** Records of one kind: those with the same elements. */
interface Kind {
  readonly elements: string
  records: number
  /** Sums, modulo 2^32, of two hashes of each record: the order of the records does not matter. */
  low: number
  high: number
}

/** So many kinds are told apart, a guard against crafted input; what comes beyond is one more. */
const MOST_KINDS = 10_000

/** What a stream of Data Records holds, whatever their order, their Templates' IDs and the lengths of integers. */
export interface RecordDigest {
  add(batches: readonly RecordBatch[]): void
  readonly kinds: ReadonlyMap<string, Readonly<Kind>>
}

interface Plan {
  readonly kind: Kind
  /** Per field: a number that stands for its element, and whether leading zeros count. */
  readonly salts: Int32Array
  readonly plain: Uint8Array
}

/** @param seed 0..2^32−1, random, and the same for both sides: nobody can make different files look alike */
export function createRecordDigest(seed: number): RecordDigest {
  const kinds = new Map<string, Kind>()
  const plans = new Map<Template, Plan>()
  let lane = 0

  function planOf(template: Template): Plan {
    let plan = plans.get(template)
    if (plan === undefined) {
      const names = template.fields.map(({element}) => element.name)
      let elements = [...names].sort().join(',')
      if (kinds.size >= MOST_KINDS && !kinds.has(elements)) elements = ''
      let kind = kinds.get(elements)
      if (kind === undefined) {
        kind = {elements, records: 0, low: 0, high: 0}
        kinds.set(elements, kind)
      }
      plan = {
        kind,
        salts: Int32Array.from(template.fields, ({element: {enterpriseNumber, elementId}}) =>
          Math.imul(enterpriseNumber * 32768 + elementId, 0x9e3779b1),
        ),
        plain: Uint8Array.from(template.fields, ({element: {type}}) =>
          type.startsWith('unsigned') ? 0 : 1,
        ),
      }
      // Whoever announces Templates without end must not fill the memory.
      if (plans.size >= 4096) plans.clear()
      plans.set(template, plan)
    }
    return plan
  }

  /** Two 32-bit hashes of the octets; the second one is left in `lane`. */
  function hash(octets: Uint8Array, from: number, to: number, salt: number): number {
    let a = (seed ^ salt) | 0
    let b = (salt + 0x7f4a7c15) ^ Math.imul(seed, 0x85ebca6b)
    for (let i = from; i < to; i++) {
      a = Math.imul(a ^ octets[i], 0x01000193)
      b = Math.imul((b << 5) ^ (b >>> 27) ^ octets[i], 0xc2b2ae35)
    }
    lane = mix(b ^ (to - from))
    return mix(a)
  }

  return {
    kinds,
    add(batches) {
      for (const batch of batches) {
        const {template, octets} = batch
        const {kind, salts, plain} = planOf(template)
        const {fields} = template
        for (let index = 0; index < batch.count; index++) {
          let at = recordStart(batch, index)
          let low = 0
          let high = 0
          for (let f = 0; f < fields.length; f++) {
            let {length} = fields[f]
            if (length === VARIABLE) {
              length = octets[at++]
              if (length === 255) {
                length = (octets[at] << 8) | octets[at + 1]
                at += 2
              }
            }
            const end = at + length
            let from = at
            // RFC 7011 section 6.2: an integer may have come in fewer octets.
            if (plain[f] === 0) while (from < end && octets[from] === 0) from++
            low = (low + hash(octets, from, end, salts[f])) | 0
            high = (high + lane) | 0
            at = end
          }
          kind.records++
          kind.low = (kind.low + mix(low)) | 0
          kind.high = (kind.high + mix(high ^ low)) | 0
        }
      }
    },
  }
}

function mix(value: number): number {
  let z = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
  return z ^ (z >>> 16)
}

/** What one side has and the other has not, in words; empty where they hold the same records. */
export function digestDifferences(
  names: readonly [string, string],
  digests: readonly [RecordDigest, RecordDigest],
): string[] {
  const [a, b] = digests
  const differences: string[] = []
  for (const elements of new Set([...a.kinds.keys(), ...b.kinds.keys()])) {
    const [x, y] = [a.kinds.get(elements), b.kinds.get(elements)]
    const [n, m] = [x?.records ?? 0, y?.records ?? 0]
    if (n === m && x?.low === y?.low && x?.high === y?.high) continue
    const count = elements === '' ? 0 : elements.split(',').length
    differences.push(
      n === m
        ? `of ${n} records with the same ${count} elements, some have other values`
        : `records with the ${count} elements ${elements}: ${n} in ${names[0]}, ${m} in ${names[1]}`,
    )
  }
  return differences
}
