import {createFileCheck} from './check-file.js'
import {createTemplate, type FieldSpecifier, type Template} from '../record/template.js'
import {isList, lengthFits, VARIABLE, type InformationElement} from '../record/element.js'
import {readUnsigned, readValue} from '../record/readers.js'
import {createSessionElements, type SessionElements} from '../registry/lookup.js'
import {isZero} from '../record/zero-octets.js'

/** One place where a stream of Messages does not do what RFC 7011 says. */
export interface Violation {
  /** Octet of the stream where it begins. */
  readonly offset: number
  readonly message: string
  /** `7011 3.3.2`: RFC and section. */
  readonly rule: string
}

export interface Checker {
  /** Takes the next octets of the stream, cut anywhere. */
  push(octets: Uint8Array): void
  /** End of the stream. */
  finish(): void
  /** Message digests (RFC 5655) that were right. */
  readonly digests: number
}

const HEADER = 16

interface Domain {
  readonly templates: Map<number, Template>
  /** Sequence number the next Message has to have; undefined where records could not be counted. */
  next: number | undefined
}

/**
 * Holds a stream of IPFIX Messages (a file of RFC 5655, or what came over one reliable Transport Session) against
 * RFC 7011, octet by octet. It shares nothing with the decoder but the registry: it must not be as lenient as that.
 * After a broken Message Header it goes on with the next one that looks whole; the stretch between is one violation.
 *
 * @param md5 verifies Message digests; without it none is
 */
export function createChecker(
  report: (violation: Violation) => void,
  md5?: (octets: Uint8Array) => Uint8Array,
): Checker {
  const domains = new Map<number, Domain>()
  const elements = createSessionElements()
  let rest: Uint8Array = new Uint8Array(0)
  /** Octet of the stream where `rest` begins. */
  let base = 0
  /** Inside a stretch without Message Header, which is reported already. */
  let lost = false
  const file = createFileCheck(report, () => base, md5)

  function take(octets: Uint8Array, end: boolean): void {
    const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
    let at = 0
    while (at < octets.length) {
      const left = octets.length - at
      if (left < HEADER) {
        if (!end) break
        if (!lost) {
          report({
            offset: base + at,
            message: `${left} octets behind the last Message`,
            rule: '7011 3.1',
          })
        }
        at = octets.length
        break
      }
      const version = view.getUint16(at)
      const length = view.getUint16(at + 2)
      if (version !== 10 || length < HEADER) {
        if (!lost) {
          const message =
            version !== 10
              ? `version ${version} where a Message Header with version 10 has to be`
              : `Message length ${length} is shorter than its header`
          report({offset: base + at, message, rule: '7011 3.1'})
        }
        lost = true
        at = nextHeader(view, at + 1)
        continue
      }
      if (length > left) {
        if (!end) break
        if (!lost) {
          const message = `Message of ${length} octets is cut to ${left}`
          report({offset: base + at, message, rule: '7011 3.1'})
        }
        at = octets.length
        break
      }
      if (lost && at + length + 2 > octets.length && !end) break
      if (lost && at + length + 2 <= octets.length && view.getUint16(at + length) !== 10) {
        at = nextHeader(view, at + 1)
        continue
      }
      lost = false
      checkMessage(octets, view, at, length)
      at += length
    }
    rest = octets.slice(at)
    base += at
  }

  function checkMessage(octets: Uint8Array, view: DataView, start: number, length: number): void {
    const sequence = view.getUint32(start + 8)
    const domainId = view.getUint32(start + 12)
    let domain = domains.get(domainId)
    if (domain === undefined) {
      domain = {templates: new Map(), next: undefined}
      domains.set(domainId, domain)
    }
    if (domain.next !== undefined && domain.next !== sequence) {
      const gap = (sequence - domain.next) >>> 0
      const message =
        `sequence number ${sequence} where ${domain.next} was due in domain ${domainId}: ` +
        (gap < 2 ** 31 ? `${gap} records missing` : `${2 ** 32 - gap} records back`)
      report({offset: base + start + 8, message, rule: '7011 3.1'})
    }
    let records: number | undefined = 0
    const end = start + length
    file.begin()
    let at = start + HEADER
    while (at < end) {
      if (end - at < 4) {
        const message = `${end - at} octets behind the last Set of the Message`
        report({offset: base + at, message, rule: '7011 3.3.2'})
        break
      }
      const id = view.getUint16(at)
      const size = view.getUint16(at + 2)
      if (size < 4 || size > end - at) {
        const message =
          size < 4
            ? `Set length ${size} is shorter than the Set Header`
            : `Set of ${size} octets reaches past its Message, which has ${end - at} left`
        report({offset: base + at, message, rule: '7011 3.3.2'})
        records = undefined
        break
      }
      if (id === 2 || id === 3) {
        checkTemplates(octets, view, at + 4, at + size, domain, id === 3)
      } else if (id < 256) {
        report({offset: base + at, message: `Set ID ${id} is reserved`, rule: '7011 3.3.2'})
      } else {
        const template = domain.templates.get(id)
        if (template === undefined) {
          const message = `Data Set ${id} in domain ${domainId} comes before its Template`
          report({offset: base + at, message, rule: '7011 8'})
          records = undefined
        } else {
          const n = checkData(octets, view, at + 4, at + size, template, domain, {start, end})
          records = n === undefined || records === undefined ? undefined : records + n
        }
      }
      at += size
    }
    domain.next = records === undefined ? undefined : (sequence + records) >>> 0
  }

  function checkTemplates(
    octets: Uint8Array,
    view: DataView,
    start: number,
    end: number,
    domain: Domain,
    options: boolean,
  ): void {
    let at = start
    if (end - at < 4) {
      const message = 'Template Set without a Template Record'
      report({offset: base + start - 4, message, rule: '7011 3.3.1'})
    }
    while (end - at >= 4) {
      const record = at
      const id = view.getUint16(at)
      const count = view.getUint16(at + 2)
      const fault = (message: string, rule: string, where = record): void => {
        report({offset: base + where, message, rule})
      }
      at += 4
      if (id < 256) {
        if (count === 0 && id === (options ? 3 : 2)) {
          // All Templates of the kind are withdrawn.
          for (const [known, {scopeCount}] of domain.templates) {
            if (scopeCount > 0 === options) domain.templates.delete(known)
          }
          continue
        }
        if (isZero(octets, record, end)) {
          fault(`padding of ${end - record} octets could hold a Template Record`, '7011 3.3.1')
        } else {
          fault(`Template ID ${id} is below 256`, '7011 3.4.1')
        }
        return
      }
      if (count === 0) {
        if (!domain.templates.delete(id)) {
          fault(`Template ${id} is withdrawn but was not defined`, '7011 8.1')
        }
        continue
      }
      let scopeCount = 0
      if (options) {
        if (end - at < 2) {
          fault(`Options Template ${id} is cut short`, '7011 3.4.2.2')
          return
        }
        scopeCount = view.getUint16(at)
        at += 2
        if (scopeCount === 0) {
          fault(`Options Template ${id} has no scope field`, '7011 3.4.2.2', at - 2)
        } else if (scopeCount > count) {
          const message = `Options Template ${id} has ${scopeCount} scope fields of ${count} fields`
          fault(message, '7011 3.4.2.2', at - 2)
        }
      }
      const specifiers: FieldSpecifier[] = []
      for (let i = 0; i < count; i++) {
        const field = at
        if (end - at < 4) {
          fault(`Template ${id} says ${count} fields but ends after ${i}`, '7011 3.4.1')
          return
        }
        const number = view.getUint16(at)
        const length = view.getUint16(at + 2)
        at += 4
        let enterprise = 0
        if (number >= 0x8000) {
          if (end - at < 4) {
            fault(`Template ${id} is cut in an enterprise number`, '7011 3.2', field)
            return
          }
          enterprise = view.getUint32(at)
          at += 4
        }
        const element = elements.get(enterprise, number & 0x7fff)
        if (element.status !== 'unknown' && !lengthFits(element.type, length)) {
          const message = `${length} octets cannot carry ${element.name} of type ${element.type}`
          fault(`Template ${id}: ${message}`, '7011 6.2', field)
        }
        specifiers.push({element, length})
      }
      const template = createTemplate(id, specifiers, Math.min(scopeCount, count))
      if (template.minimumOctets === 0)
        fault(`records of Template ${id} have no octets`, '7011 3.4.1')
      const before = domain.templates.get(id)
      if (before !== undefined && before.layout !== template.layout) {
        fault(`Template ${id} is defined anew without a withdrawal`, '7011 8.1')
      }
      domain.templates.set(id, template)
    }
    checkPadding(octets, at, end)
  }

  function checkPadding(octets: Uint8Array, at: number, end: number): void {
    if (!isZero(octets, at, end)) {
      report({offset: base + at, message: 'padding is not zero', rule: '7011 3.3.1'})
    }
  }

  /** Records of the Set; undefined if they cannot be counted. */
  function checkData(
    octets: Uint8Array,
    view: DataView,
    start: number,
    end: number,
    template: Template,
    domain: Domain,
    message: {readonly start: number; readonly end: number},
  ): number | undefined {
    const {minimumOctets} = template
    if (minimumOctets === 0) return undefined
    if (end - start < minimumOctets) {
      const message = `Data Set ${template.id} holds no record`
      report({offset: base + start - 4, message, rule: '7011 3.3.1'})
    }
    const values = valueChecks(template)
    const ofFile = file.concerns(template)
    let count = 0
    let at = start
    while (end - at >= minimumOctets) {
      const record = at
      for (let i = 0; i < template.fields.length; i++) {
        let {length} = template.fields[i]
        if (length === VARIABLE) {
          length = at < end ? octets[at++] : VARIABLE
          if (length === 255) {
            length = end - at < 2 ? VARIABLE : view.getUint16(at)
            at += 2
          }
        }
        if (length > end - at) {
          const {name} = template.fields[i].element
          const message = `record of Template ${template.id} reaches past its Set in ${name}`
          report({offset: base + record, message, rule: '7011 7'})
          return undefined
        }
        if (ofFile) file.value(template, i, octets, message, at, length)
        if (values[i]) checkValue(octets, view, at, length, template.fields[i].element, domain)
        at += length
      }
      count++
    }
    checkPadding(octets, at, end)
    return count
  }

  function checkValue(
    octets: Uint8Array,
    view: DataView,
    at: number,
    length: number,
    element: InformationElement,
    domain: Domain,
  ): void {
    const {name, type, range} = element
    const fault = (message: string, rule: string): void => {
      report({offset: base + at, message: `${name}: ${message}`, rule})
    }
    if (range !== undefined) {
      if (length < 1 || length > 6) return
      const value = readUnsigned(octets, at, length)
      if (value < range[0] || value > range[1]) {
        fault(`${value} lies outside ${range[0]}..${range[1]}`, '7012 2.1')
      }
      return
    }
    const lookup: SessionElements = elements
    const {templates} = domain
    const value = readValue(element, {octets, view, templates, elements: lookup}, at, length)
    if (!(value instanceof Uint8Array)) return
    if (type === 'boolean') fault('neither 1 (true) nor 2 (false)', '7011 6.1.5')
    else if (type === 'string') fault('not UTF-8', '7011 6.1.6')
    else fault(`octets that are no ${type}, or its Template is not known`, '6313 4.5')
  }

  return {
    push(octets) {
      if (rest.length === 0) return take(octets, false)
      const joined = new Uint8Array(rest.length + octets.length)
      joined.set(rest)
      joined.set(octets, rest.length)
      take(joined, false)
    },
    finish() {
      take(rest, true)
      file.finish()
    },
    get digests() {
      return file.digests
    },
  }
}

/** Which fields have values that can be wrong whatever their length. */
function valueChecks(template: Template): boolean[] {
  const known = checkedFields.get(template)
  if (known !== undefined) return known
  const made = template.fields.map(
    ({element: {type, range}}) =>
      type === 'boolean' ||
      type === 'string' ||
      isList(type) ||
      (range !== undefined && type.startsWith('unsigned')),
  )
  checkedFields.set(template, made)
  return made
}
const checkedFields = new WeakMap<Template, boolean[]>()

/** Octet, from `at` on, where a Message Header may begin; what is left may be too short to say. */
function nextHeader(view: DataView, at: number): number {
  for (; at < view.byteLength; at++) {
    if (view.byteLength - at < HEADER) return at
    if (view.getUint16(at) === 10 && view.getUint16(at + 2) >= HEADER) return at
  }
  return at
}
