import type {InformationElement} from '../../record/element.js'
import {elementByName} from '../../registry/lookup.js'

/** Elements of which the registry knows nothing, but a type record of the session does: key and description. */
export type DescribedElements = ReadonlyMap<string, string>

/**
 * Keys of elements in NDJSON. A registered element goes by its name; an unknown one by `pen/id`. One
 * that only a type record of its session describes (RFC 5610) goes by its name where that can be
 * mistaken for no other, and the record describes it, so that the line can be read on its own.
 */
export function elementKeys(elements: readonly InformationElement[]): {
  keys: string[]
  described: DescribedElements
} {
  const described = new Map<string, string>()
  const owner = new Map<string, string>()
  for (const element of elements) {
    if (!isLearned(element)) continue
    const number = numberOf(element)
    // Two elements of one name: neither gets it.
    owner.set(element.name, (owner.get(element.name) ?? number) === number ? number : '')
  }
  const keys = elements.map((element) => {
    const number = numberOf(element)
    if (isLearned(element)) {
      const usable = isUsableName(element.name) && owner.get(element.name) === number
      const key = usable ? element.name : number
      described.set(key, `${number} ${element.type}`)
      return key
    }
    return isRegistered(element) ? element.name : number
  })
  return {keys, described}
}

function numberOf(element: InformationElement): string {
  return `${element.enterpriseNumber}/${element.elementId}`
}

function isRegistered(element: InformationElement): boolean {
  const found = elementByName(element.name)
  return (
    found !== undefined &&
    found.status !== 'unknown' &&
    found.elementId === element.elementId &&
    found.enterpriseNumber === element.enterpriseNumber
  )
}

/** Known by a type record only: neither registered nor wholly unknown. */
function isLearned(element: InformationElement): boolean {
  if (isRegistered(element)) return false
  return element.type !== 'octetArray' || element.name !== numberOf(element)
}

function isUsableName(name: string): boolean {
  return /^[A-Za-z][A-Za-z0-9._-]{0,99}$/.test(name) && elementByName(name) === undefined
}

/** A key of one element alone. */
export function elementKey(element: InformationElement): {
  key: string
  description: string | undefined
} {
  const {keys, described} = elementKeys([element])
  return {key: keys[0], description: described.get(keys[0])}
}
