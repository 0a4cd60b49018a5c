import {VARIABLE} from '../../record/element.js'
import type {Template} from '../../record/template.js'

/** The fields of a Template as Information Element Specifiers; scope fields say so. RFC 7013 section 10.1. */
export function fieldSpecifiers(template: Template): string[] {
  return template.fields.map(({element, length}, i) => {
    const {name, enterpriseNumber, elementId, type} = element
    const number = enterpriseNumber === 0 ? String(elementId) : `${enterpriseNumber}/${elementId}`
    const size = length === VARIABLE ? 'v' : String(length)
    const context = i < template.scopeCount ? '{scope}' : ''
    return `${name}(${number})<${type}>[${size}]${context}`
  })
}
