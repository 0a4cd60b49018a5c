import {fullLength, VARIABLE} from './element.js'
import {EXCEPT_SAME, MOVE, NTP, ONLY, RANKED, SKIP_ZERO, WAY} from './group-kernel.js'
import {isTurned, isUnsigned, lastMask, type Scale, type View} from './group-view.js'
import type {GroupSpec, KeyShape} from './group-spec.js'
import type {Template} from './template.js'

/** A kernel's program; word 1, the shape's number, belongs to a table and is left 0. */
export interface GroupProgram {
  readonly shape: KeyShape
  readonly code: Int32Array
}

/** Scales that a kernel knows. */
const SCALES: Partial<Record<Scale, number>> = {
  unsigned: 1,
  milliseconds: 1,
  seconds: 1000,
  ntp: NTP,
  none: 1,
}

/**
 * The program of each view; undefined where a kernel cannot read such records by itself: needed
 * fields that move, octets that are interned, records that differ among themselves.
 */
export function makePrograms(
  spec: GroupSpec,
  template: Template,
  views: readonly View[],
  shapeOf: (alternatives: readonly number[]) => KeyShape,
): GroupProgram[] | undefined {
  const programs: GroupProgram[] = []
  let previous: {shape: KeyShape; moves: number[]} | undefined
  for (const view of views) {
    const alternatives = fixedAlternatives(spec, view)
    if (alternatives === undefined) return undefined
    const shape = shapeOf(alternatives)
    const moves = makeMoves(template, view, shape)
    const sources = makeSources(template, view)
    if (moves === undefined || sources === undefined) return undefined
    if (shape.wayAt >= 0) moves.push(WAY, 1, shape.wayAt, 1, -1)
    for (const value of spec.only?.values ?? []) {
      moves.push(ONLY, 1, shape.fields[spec.only!.part].offset, value, -1)
    }
    // Keys of different shapes are never equal.
    const except = view.exceptPrevious && previous?.shape === shape ? previous.moves : []
    const ranked = spec.ranked !== undefined
    const flags =
      (view.reverse ? SKIP_ZERO : 0) | (except.length > 0 ? EXCEPT_SAME : 0) | (ranked ? RANKED : 0)
    const code = [
      // Records of various sizes come one to a span; only the least size is known to be there.
      template.recordOctets || template.minimumOctets,
      0,
      flags,
      shape.half,
      moves.length / MOVE,
      except.length / MOVE,
      ...moves,
      ...except,
      ...sources,
    ]
    programs.push({shape, code: Int32Array.from(code)})
    previous = {shape, moves}
  }
  return programs
}

function fixedAlternatives(spec: GroupSpec, view: View): number[] | undefined {
  const alternatives: number[] = []
  for (const [i, candidates] of view.parts.entries()) {
    if (candidates.length > 1) return undefined
    if (candidates.length === 0 && spec.key[i].ofMessage !== undefined) return undefined
    alternatives.push(candidates.length === 0 ? -1 : candidates[0].alternative)
  }
  // Which side of two types is the first, each record's ports say.
  const n = spec.symmetric ?? 0
  const even = alternatives.slice(0, n).join() === alternatives.slice(n, 2 * n).join()
  if (spec.ranked !== undefined && !even) return undefined
  return isTurned(spec, alternatives) ? undefined : alternatives
}

function makeMoves(template: Template, view: View, shape: KeyShape): number[] | undefined {
  const moves: number[] = []
  for (const [i, [candidate]] of view.parts.entries()) {
    if (candidate === undefined) continue
    const {offset, length, element} = template.fields[candidate.field]
    const target = shape.fields[i]
    if (target.interned || offset < 0 || length === VARIABLE) return undefined
    const bits = target.part.bits?.[target.alternative]
    if (candidate.second >= 0) {
      const other = template.fields[candidate.second]
      if (length !== 2 || other.length !== 2 || other.offset < 0) return undefined
      moves.push(offset, 2, target.offset, 255, other.offset)
    } else if (bits !== undefined) {
      if (length !== fullLength(element.type)) return undefined
      if (target.length > 0) moves.push(offset, target.length, target.offset, lastMask(bits), -1)
    } else {
      if (length !== target.length && !isUnsigned(element)) return undefined
      moves.push(offset, length, target.offset + target.length - length, 255, -1)
    }
  }
  return moves
}

function makeSources(template: Template, view: View): number[] | undefined {
  const sources: number[] = []
  for (const source of view.columns) {
    const scale = SCALES[source.scale]
    if (scale === undefined) return undefined
    if (source.scale === 'none') {
      sources.push(0, 0, 1, source.constant)
      continue
    }
    const {offset, length} = template.fields[source.field]
    if (offset < 0 || length === VARIABLE) return undefined
    sources.push(offset + length, length, scale, source.constant)
  }
  return sources
}
