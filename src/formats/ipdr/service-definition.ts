import type {AbstractType} from '../../record/element.js'
import {TYPE_NAMES} from './types.js'

/** A field that records of a service may have. */
export interface ServiceField {
  readonly name: string
  readonly type: AbstractType
}

/** Whether text is an XML Schema, as service definitions of IPDR are. */
export function isServiceDefinition(text: string): boolean {
  return /^\uFEFF?\s*<(?:[^]*?<)?(?:\w+:)?schema\b/.test(text)
}

/** Fields with a type that values of records can have, in their order. Structures, which are types of their own, have none. */
export function readServiceDefinition(text: string): ServiceField[] {
  const fields = new Map<string, ServiceField>()
  const plain = text.replace(/<!--[^]*?-->/g, '')
  for (const part of plain.split(/<(?:\w+:)?element\b/).slice(1)) {
    const [head] = part.split('>', 1)
    const name = /\bname\s*=\s*["']([\w.-]+)["']/.exec(head)?.[1]
    if (name === undefined) continue
    // Of a type that is narrowed where it stands.
    const base = /<(?:\w+:)?restriction\s+base\s*=\s*["']([^"']+)["']/
    const given = /\btype\s*=\s*["']([^"']+)["']/.exec(head) ?? base.exec(part)
    const type = given === null ? undefined : TYPE_NAMES[given[1].replace(/^.*:/, '')]
    if (type !== undefined) fields.set(name, {name, type})
  }
  return [...fields.values()]
}
