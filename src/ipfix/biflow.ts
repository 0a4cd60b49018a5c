import {REVERSE_PEN} from '../record/element.js'
import type {Template} from '../record/template.js'

/**
 * Whether records of this Template have reverse elements but nothing that says which direction is forward: no
 * source, destination, ingress or egress. They mean nothing, are not sent and are dropped on receipt. RFC 5103
 * section 4. Records inside lists take the direction from the record around them and are not meant.
 */
export function lacksDirection(template: Template): boolean {
  if (template.scopeCount > 0) return false
  let reverse = false
  for (const {element} of template.fields) {
    if (element.enterpriseNumber === REVERSE_PEN) reverse = true
    else if (/source|destination|src|dst|ingress|egress/i.test(element.name)) return false
  }
  return reverse
}
