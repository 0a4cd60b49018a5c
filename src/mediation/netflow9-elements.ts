import type {InformationElement} from '../record/element.js'
import {createSessionElements, ie, type SessionElements} from '../registry/lookup.js'

/** Enterprise number under which field types from 32768 on are kept: NetFlow is Cisco's, and so is that half. */
export const VENDOR_PEN = 9

/** Field types from 32768 on of which it is known what they are. */
const known: Readonly<Record<number, [name: string, type: InformationElement['type']]>> = {
  33000: ['netflow9IngressAclId', 'octetArray'],
  33001: ['netflow9EgressAclId', 'octetArray'],
  33002: ['netflow9FirewallExtendedEvent', 'unsigned16'],
  40000: ['netflow9UserName', 'string'],
  40001: ['netflow9TranslatedSourceIPv4Address', 'ipv4Address'],
  40002: ['netflow9TranslatedDestinationIPv4Address', 'ipv4Address'],
  40003: ['netflow9TranslatedSourcePort', 'unsigned16'],
  40004: ['netflow9TranslatedDestinationPort', 'unsigned16'],
  40005: ['netflow9FirewallEvent', 'unsigned8'],
}

const described = new Map<number, InformationElement>()

function describe(type: number): InformationElement {
  let element = described.get(type)
  if (element === undefined) {
    const [name, abstractType] = known[type] ?? [`netflow9Field${type}`, 'octetArray']
    element = {
      name,
      enterpriseNumber: VENDOR_PEN,
      elementId: type & 0x7fff,
      type: abstractType,
      semantics: 'default',
      units: '',
      status: 'current',
      description: `Field type ${type} of NetFlow 9, which has no enterprise numbers`,
    }
    described.set(type, element)
  }
  return element
}

/** Elements of NetFlow 9: types up to 32767 are IANA's, those above a vendor's, which RFC 5610 records describe. */
export function netflow9Elements(): SessionElements {
  const session = createSessionElements()
  return {
    ...session,
    get: (enterpriseNumber, elementId) =>
      enterpriseNumber === VENDOR_PEN
        ? describe(elementId | 0x8000)
        : session.get(enterpriseNumber, elementId),
  }
}

/** Elements of the scopes of Options Templates, by scope field type. RFC 3954 section 6.1. */
export const scopeElements: Readonly<Record<number, InformationElement>> = {
  1: ie.netflow9ScopeSystem,
  2: ie.netflow9ScopeInterface,
  3: ie.lineCardId,
  4: ie.netflow9ScopeCache,
  5: ie.templateId,
}
