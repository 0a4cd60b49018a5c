import {DartaError} from '../record/errors.js'
import type {RecordBatch} from '../record/batch.js'
import type {Template} from '../record/template.js'
import {recordSlots, type RecordSlot} from './record-slot.js'
import type {Selector} from './selector.js'
import {SLOTS, shareSlot} from './share-hash.js'

/** Says which part, from 0, a packet or record belongs to. */
export interface Divider {
  readonly parts: number
  /** @param originalLength octets it had on the wire, if they are not those of the frame */
  frame(octets: Uint8Array, linkType: number, originalLength?: number): number
  record(batch: RecordBatch, index: number): number
  /** All records of a batch by part, where that is quicker; then `record` is not asked. */
  deal?(batch: RecordBatch): readonly (readonly RecordBatch[])[]
}

/**
 * Divides into parts as large as the weights say, by hash slots or in turn. With equal weights part I is the share
 * I/N of a capture with the same selector and seed.
 *
 * @param weights whole numbers from 1 on, one for each part
 */
export function createDivider(
  weights: readonly number[],
  selector: Selector,
  seed: number,
): Divider {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  if (weights.some((weight) => !Number.isInteger(weight) || weight < 1) || total > SLOTS) {
    throw new DartaError(
      'DARTA_USAGE',
      `weights are whole numbers from 1 on, ${SLOTS} in all at most`,
    )
  }
  // The part of each weight unit: weights 1,2 are the shares 1/3 and 2-3/3.
  const owner = weights.flatMap((weight, part) => Array<number>(weight).fill(part))
  if (selector.kind === 'turn') {
    let turn = 0
    const next = (): number => {
      const part = owner[turn]
      turn = turn + 1 === total ? 0 : turn + 1
      return part
    }
    return {parts: weights.length, frame: next, record: next}
  }
  const ofSlot = Uint16Array.from(
    {length: SLOTS},
    (_, slot) => owner[Math.floor((slot * total) / SLOTS)],
  )
  const compiled = new Map<Template, RecordSlot>()
  return {
    parts: weights.length,
    frame: (octets, linkType) => ofSlot[shareSlot(octets, linkType, selector, seed)],
    record(batch, index) {
      let slot = compiled.get(batch.template)
      if (slot === undefined) {
        slot = recordSlots(batch.template, selector, seed)
        compiled.set(batch.template, slot)
      }
      return ofSlot[slot(batch, index)]
    },
  }
}
