import {DEAL_MOVE, type DealProgram} from '../../record/deal-kernel.js'
import {MOVE, PROGRAM_HEADER} from '../../record/group-kernel.js'
import {makePrograms} from '../../record/group-program.js'
import type {GroupSpec, KeyShape} from '../../record/group-spec.js'
import {makeShape, viewsOf} from '../../record/group-view.js'
import type {Template} from '../../record/template.js'
import type {RoutingKey} from '../analysis/app.js'

/** How keys of one Template are read: by a kernel, one by one, or not at all. */
export type KeyPlan = DealProgram | 'one-by-one' | 'no-key'

/**
 * The program that builds the octets of routing keys as createRoutingKeyReader does: per part its alternative, then the
 * value. Only where all records of the Template have the same shape and size; others are read one by one.
 */
export function keyPlan(key: RoutingKey | undefined, template: Template): KeyPlan {
  const size = template.recordOctets
  if (key === undefined) {
    if (size === 0) return 'one-by-one'
    const none = new Int32Array(0)
    return {recordOctets: size, key: new Uint8Array(0), keyOctets: 0, half: 0, moves: none}
  }
  const spec: GroupSpec = {...key, columns: []}
  const views = viewsOf(spec, template)
  if (views.length === 0) return 'no-key'
  if (size === 0) return 'one-by-one'
  const shapes: KeyShape[] = []
  const programs = makePrograms(spec, template, views, (alternatives) => {
    shapes.push(makeShape(spec, alternatives)!)
    return shapes.at(-1)!
  })
  if (programs?.length !== 1) return 'one-by-one'
  return toDealProgram(programs[0].shape, programs[0].code, size)
}

/** Puts the octet of its alternative before each part. */
function toDealProgram(shape: KeyShape, code: Int32Array, recordOctets: number): DealProgram {
  const present = shape.fields.filter(({alternative}) => alternative >= 0)
  const keyOctets = shape.fields.length + shape.octets
  const key = new Uint8Array((keyOctets + 3) & ~3)
  shape.fields.forEach(({alternative, offset}, i) => (key[offset + i] = alternative))
  const moves: number[] = []
  for (let m = 0; m < code[4]; m++) {
    const [from, length, to, mask] = code.subarray(PROGRAM_HEADER + m * MOVE)
    const field = present.find((f) => to >= f.offset && to < f.offset + f.length)!
    moves.push(from, length, to + shape.fields.indexOf(field) + 1, mask)
  }
  // Where both orders are one key, each half has as many parts as the other.
  const half = shape.half > 0 ? shape.half + halfParts(shape) : 0
  if (moves.length % DEAL_MOVE !== 0) throw new Error('moves have four numbers')
  return {recordOctets, key, keyOctets, half, moves: Int32Array.from(moves)}
}

function halfParts({fields, half}: KeyShape): number {
  return fields.filter(({offset, length}) => offset + length <= half).length
}
