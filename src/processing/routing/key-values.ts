import {fullLength, VARIABLE} from '../../record/element.js'
import type {GroupSpec} from '../../record/group-spec.js'
import {makeShape} from '../../record/group-view.js'
import {readValue} from '../../record/readers.js'
import type {RoutingKey} from '../analysis/app.js'
import {valueText} from '../analysis/key-values.js'

/** The octets of a routing key, as createRoutingKeyReader gives them, for people: `sourceIPv4Address=192.0.2.1 …`. */
export function routingKeyText(key: RoutingKey, octets: Uint8Array): string {
  const spec: GroupSpec = {...key, columns: []}
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  let at = 0
  const parts = key.key.map((part, i) => {
    const alternative = octets[at++]
    const element = part.elements[alternative]
    if (alternative === 255) return `${part.elements[0].name} missing`
    // The length of a part does not hang on the others.
    const shape = makeShape({...spec, symmetric: 0, key: [part]}, [alternative])!
    let {length} = shape.fields[0]
    if (shape.fields[0].interned) {
      length = view.getUint32(at)
      at += 4
    }
    const value = octets.subarray(at, at + length)
    at += length
    const bits = part.bits?.[alternative]
    const full = fullLength(element.type)
    const field = new Uint8Array(full === VARIABLE ? length : Math.max(full, length))
    // A prefix has lost the octets behind it, a number of fewer octets those before it.
    field.set(value, bits === undefined ? field.length - length : 0)
    const own = new DataView(field.buffer)
    const text = valueText(readValue(element, {octets: field, view: own}, 0, field.length))
    const side =
      i < 2 * (key.symmetric ?? 0) ? sideName(element.name, i < key.symmetric!) : undefined
    return `${side ?? element.name}=${text}${bits === undefined ? '' : `/${bits}`}`
  })
  return parts.join(' ')
}

/** Of a symmetric key it is not known which side was the source. */
function sideName(name: string, first: boolean): string {
  return name.replace(/^(source|destination)/, first ? 'one' : 'other')
}
