import {VARIABLE} from '../../record/element.js'
import {FAIL, PASS, PROGRAM_HEADER, STEP} from '../../record/filter-kernel.js'
import type {Template} from '../../record/template.js'
import type {RangeSet} from './range-set.js'
import type {NumberField, Resolved} from './resolve.js'

interface Step {
  readonly test: NumberField
  /** Places in `steps`, PASS or FAIL. */
  readonly then: number
  readonly else: number
}

/**
 * The program of a kernel for records of this Template; undefined where one cannot decide by itself: fields that move,
 * and tests of other things than numbers.
 */
export function makeProgram(resolved: Resolved, template: Template): Uint32Array | undefined {
  // From the last step to the first: each knows where to go on.
  const steps: Step[] = []
  let least = 0

  /** Appends the steps that decide `node`; returns the place of the first, or undefined. */
  function emit(node: Resolved, then: number, otherwise: number): number | undefined {
    switch (node.kind) {
      case 'constant':
        return node.value ? then : otherwise
      case 'not':
        return emit(node.of, otherwise, then)
      case 'match':
        return undefined
      case 'and':
      case 'or': {
        let entry: number | undefined = node.kind === 'and' ? then : otherwise
        for (const part of [...node.of].reverse()) {
          entry = node.kind === 'and' ? emit(part, entry, otherwise) : emit(part, then, entry)
          if (entry === undefined) return undefined
        }
        return entry
      }
      case 'number': {
        const {offset, length} = template.fields[node.field]
        if (offset < 0 || length === VARIABLE) return undefined
        least = Math.max(least, offset + length)
        steps.push({test: node, then, else: otherwise})
        return steps.length - 1
      }
    }
  }

  const entry = emit(resolved, PASS, FAIL)
  if (entry === undefined || steps.length === 0) return undefined
  return encode(steps, least, template)
}

function encode(steps: readonly Step[], least: number, template: Template): Uint32Array {
  const tables = new Map<RangeSet, number>()
  const indexes = new Map<RangeSet, number>()
  let size = PROGRAM_HEADER + STEP * steps.length
  for (const {test} of steps) {
    const {set} = test
    if (tables.has(set)) continue
    tables.set(set, size)
    size += 2 * set.words * set.count
    if (set.index !== undefined) {
      indexes.set(set, size)
      size += set.index.length
    }
  }
  const code = new Uint32Array(size)
  code[0] = least
  code[1] = steps.length
  const place = (step: number): number => (step >= FAIL ? step : steps.length - 1 - step)
  for (const [i, {test, then, else: otherwise}] of steps.entries()) {
    const {offset, length} = template.fields[test.field]
    const {set, mask = 0xffffffff} = test
    code.set(
      [
        offset,
        length,
        mask,
        tables.get(set)!,
        set.count,
        indexes.get(set) ?? 0,
        place(then),
        place(otherwise),
      ],
      PROGRAM_HEADER + STEP * place(i),
    )
  }
  for (const [set, at] of tables) {
    code.set(set.low, at)
    code.set(set.high, at + set.low.length)
    if (set.index !== undefined) code.set(set.index, indexes.get(set))
  }
  return code
}
