import {REVERSE_PEN, unknownElement, type InformationElement} from '../record/element.js'
import {ie} from './elements.js'

export {ie} from './elements.js'

const byNumber = new Map<number, InformationElement>()
for (const element of Object.values(ie))
  byNumber.set(key(element.enterpriseNumber, element.elementId), element)
const reversed = new Map<number, InformationElement>()

/** Enterprise numbers have 32 bits, element numbers 15: both fit a safe integer. */
function key(enterpriseNumber: number, elementId: number): number {
  return enterpriseNumber * 32768 + elementId
}

/**
 * Elements that RFC 5103 section 6.1 does not allow to be reversed: identifiers of Templates, of
 * the processes and of the session, and padding.
 */
const notReversible = new Set([
  148, 149, 137, 145, 130, 131, 141, 142, 143, 144, 173, 210, 211, 212, 213, 214, 215, 216, 217,
  239,
])

/** Whether `reverse…` of this element may exist. RFC 5103 section 6.1. */
export function isReversible(element: InformationElement): boolean {
  return element.enterpriseNumber === 0 && !notReversible.has(element.elementId)
}

/** The reverse twin under PEN 29305 of an IANA element; undefined where RFC 5103 forbids it. */
export function reverseOf(element: InformationElement): InformationElement | undefined {
  if (!isReversible(element)) return undefined
  let twin = reversed.get(element.elementId)
  if (twin === undefined) {
    const name = `reverse${element.name[0].toUpperCase()}${element.name.slice(1)}`
    twin = {...element, name, enterpriseNumber: REVERSE_PEN}
    reversed.set(element.elementId, twin)
  }
  return twin
}

/** The registered element of this number; undefined if there is none. */
export function elementByNumber(
  enterpriseNumber: number,
  elementId: number,
): InformationElement | undefined {
  const found = byNumber.get(key(enterpriseNumber, elementId))
  if (found !== undefined || enterpriseNumber !== REVERSE_PEN) return found
  const forward = byNumber.get(elementId)
  return forward && reverseOf(forward)
}

/**
 * The element of this name: an IANA name, darta's own, `reverse…`, or `pen/id` (`0/8`, `29305/1`).
 * Names are compared exactly. Undefined if there is none; `pen/id` always gives an element.
 */
export function elementByName(name: string): InformationElement | undefined {
  if (Object.hasOwn(ie, name)) return (ie as Record<string, InformationElement>)[name]
  if (/^reverse[A-Z]/.test(name)) {
    // VRFname is the one IANA name that begins with a capital.
    const rest = name.slice(7)
    const forward = Object.hasOwn(ie, rest) ? rest : rest[0].toLowerCase() + rest.slice(1)
    if (Object.hasOwn(ie, forward))
      return reverseOf((ie as Record<string, InformationElement>)[forward])
  }
  const number = /^(\d{1,10})\/(\d{1,5})$/.exec(name)
  if (number !== null) {
    const pen = Number(number[1])
    const id = Number(number[2])
    if (pen < 2 ** 32 && id > 0 && id < 32768)
      return elementByNumber(pen, id) ?? unknownElement(pen, id)
  }
  return undefined
}

/** All registered elements, IANA's first, in the order of their numbers. */
export function allElements(): InformationElement[] {
  return Object.values(ie)
}

/**
 * The elements one Transport Session knows: the registry and what RFC 5610 type records of this
 * session added. A type record never changes an element that is known already (RFC 5610 section 3).
 */
export interface SessionElements {
  /** Always gives an element; unknown ones are octetArrays named `pen/id`. */
  get(enterpriseNumber: number, elementId: number): InformationElement
  /** False if the element is known already with another type, or the record is not usable. */
  learn(element: InformationElement): boolean
  /** Takes back what `learn` took in, from a Message that turned out to be malformed. */
  forget(element: InformationElement): void
}

/** Elements one session may learn: what comes in decides their number. */
const MAX_LEARNED = 4096
/** Elements of which only the number is known, for all sessions: two objects for one of them do no harm. */
const MAX_UNKNOWN = 16384
const unknown = new Map<number, InformationElement>()

function unknownOf(enterpriseNumber: number, elementId: number): InformationElement {
  const k = key(enterpriseNumber, elementId)
  let element = unknown.get(k)
  if (element === undefined) {
    element = unknownElement(enterpriseNumber, elementId)
    if (unknown.size >= MAX_UNKNOWN) unknown.clear()
    unknown.set(k, element)
  }
  return element
}

export function createSessionElements(): SessionElements {
  let learned: Map<number, InformationElement> | undefined
  return {
    get(enterpriseNumber, elementId) {
      return (
        elementByNumber(enterpriseNumber, elementId) ??
        learned?.get(key(enterpriseNumber, elementId)) ??
        unknownOf(enterpriseNumber, elementId)
      )
    },
    learn(element) {
      const {enterpriseNumber, elementId} = element
      if (enterpriseNumber === 0 || enterpriseNumber === REVERSE_PEN) return false
      const k = key(enterpriseNumber, elementId)
      const known = byNumber.get(k) ?? learned?.get(k)
      if (known !== undefined) return known.type === element.type && known.name === element.name
      learned ??= new Map()
      if (learned.size >= MAX_LEARNED) return false
      learned.set(k, element)
      return true
    },
    forget({enterpriseNumber, elementId}) {
      learned?.delete(key(enterpriseNumber, elementId))
    },
  }
}
