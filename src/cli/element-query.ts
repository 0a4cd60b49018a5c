import {
  abstractTypes,
  fullLength,
  VARIABLE,
  type AbstractType,
  type InformationElement,
} from '../record/element.js'
import {DartaError} from '../record/errors.js'
import {allElements, elementByName, reverseOf} from '../registry/lookup.js'
import {nearest} from './suggest.js'

/**
 * The elements that a word of the user means: a name, a number (`8`, `0/8`, `29305/1`), a
 * `/regular expression/`, or a part of a name; case counts only in whole names.
 *
 * @throws DartaError DARTA_ELEMENT_UNKNOWN with the nearest names, DARTA_USAGE
 */
export function findElements(query: string): InformationElement[] {
  const number = /^(?:(\d+)\/)?(\d+)$/.exec(query)
  if (number !== null) {
    const found = elementByName(`${number[1] ?? 0}/${number[2]}`)
    if (found === undefined || found.status === 'unknown') {
      throw new DartaError(
        'DARTA_ELEMENT_UNKNOWN',
        `no Information Element has the number ${query}`,
      )
    }
    return [found]
  }
  const exact = elementByName(query)
  if (exact !== undefined) return [exact]
  const pattern = /^\/(.+)\/(i?)$/.exec(query)
  const matches = pattern === null ? partOf(query) : regularExpression(query, pattern[1])
  // Reverse elements (RFC 5103) would double every answer: only for those who name them.
  const reverse = /reverse/i.test(query)
  const found = candidates(reverse).filter(({name}) => matches(name))
  if (found.length > 0) return found
  const near = nearest(
    query,
    candidates(reverse).map(({name}) => name),
  )
  const hint = near.length === 0 ? '' : `; did you mean ${near.join(', ')}?`
  throw new DartaError('DARTA_ELEMENT_UNKNOWN', `no Information Element matches '${query}'${hint}`)
}

function candidates(reverse: boolean): InformationElement[] {
  const forward = allElements()
  if (!reverse) return forward
  return [...forward, ...forward.map(reverseOf).filter((element) => element !== undefined)]
}

function partOf(query: string): (name: string) => boolean {
  const part = query.toLowerCase()
  return (name) => name.toLowerCase().includes(part)
}

function regularExpression(query: string, source: string): (name: string) => boolean {
  try {
    const pattern = new RegExp(source, 'i')
    return (name) => pattern.test(name)
  } catch (error) {
    const words = (error as Error).message
    throw new DartaError('DARTA_USAGE', `${query} is no regular expression: ${words}`)
  }
}

/** `0/8`, `32473/1`; the way that elements are numbered wherever darta prints a number. */
export function elementNumber(element: InformationElement): string {
  return `${element.enterpriseNumber}/${element.elementId}`
}

/** Information Element Specifier, `name(number)<type>[size]`, `v` for variable. RFC 7013 section 10.1. */
export function elementSpecifier(element: InformationElement): string {
  const {name, enterpriseNumber, elementId, type} = element
  const number = enterpriseNumber === 0 ? String(elementId) : `${enterpriseNumber}/${elementId}`
  const length = fullLength(type)
  return `${name}(${number})<${type}>[${length === VARIABLE ? 'v' : length}]`
}

/** @throws DartaError DARTA_USAGE */
export function abstractTypeByName(name: string): AbstractType {
  const type = abstractTypes.find((known) => known.toLowerCase() === name.toLowerCase())
  if (type !== undefined) return type
  const [near] = nearest(name, abstractTypes)
  const hint = near === undefined ? abstractTypes.join(', ') : `did you mean ${near}?`
  throw new DartaError('DARTA_USAGE', `no abstract data type '${name}'; ${hint}`)
}
