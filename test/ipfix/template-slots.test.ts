import test from 'ava'
import {TemplateSlots, type SlotOwner} from '../../src/ipfix/template-slots.js'
import fc from '../support/properties.js'

interface Known {
  readonly record: Uint8Array
  readonly isOptions: boolean
  readonly exportTime: number
}

const step = fc.record({
  owner: fc.nat(4),
  id: fc.integer({min: 256, max: 300}),
  remove: fc.boolean(),
  length: fc.oneof(fc.integer({min: 8, max: 100}), fc.constantFrom(32, 64, 4102)),
  fill: fc.nat(255),
})

test('Templates are found by owner and ID, with the octets of their records, in the order in which they came', (t) => {
  fc.assert(
    fc.property(fc.array(step, {maxLength: 400, size: 'max'}), (steps) => {
      const slots = new TemplateSlots()
      // Serial numbers whose hashes are close to each other, too.
      const owners: SlotOwner[] = [0, 1, 2, -1, 1 << 30].map((serial) => ({
        serial,
        oldest: -1,
        newest: -1,
      }))
      const model = owners.map(() => new Map<number, Known>())
      for (const [n, {owner: o, id, remove, length, fill}] of steps.entries()) {
        const owner = owners[o]
        const of = model[o]
        const slot = slots.find(owner, id)
        if (slot >= 0 !== of.has(id)) return false
        if (slot >= 0) {
          slots.remove(slot)
          of.delete(id)
        }
        if (remove) continue
        const record = Uint8Array.from({length}, (_, i) => (fill + i * n) & 255)
        const isOptions = fill % 2 === 1
        const added = slots.add(owner, id, isOptions, record, n)
        if (slots.find(owner, id) !== added) return false
        of.set(id, {record, isOptions, exportTime: n})
      }
      return owners.every((owner, o) => {
        const found = slots.slotsOf(owner)
        if (found.map((slot) => slots.ids[slot]).join() !== [...model[o].keys()].join()) {
          return false
        }
        return found.every((slot) => {
          const {record, isOptions, exportTime} = model[o].get(slots.ids[slot])!
          const other = record.slice()
          other[other.length - 1] ^= 1
          return (
            Buffer.compare(slots.record(slot), record) === 0 &&
            slots.isRecord(slot, record) &&
            !slots.isRecord(slot, other) &&
            !slots.isRecord(slot, record.subarray(1)) &&
            (slots.options[slot] === 1) === isOptions &&
            slots.exportTimes[slot] === exportTime &&
            slots.owners[slot] === owner
          )
        })
      })
    }),
    {numRuns: 100},
  )
  t.pass()
})

test('what a Template took is taken again by the ones behind it, however long their records are', (t) => {
  const slots = new TemplateSlots()
  const owner: SlotOwner = {serial: 7, oldest: -1, newest: -1}
  for (let i = 0; i < 5000; i++) {
    const slot = slots.add(owner, 256, false, new Uint8Array(1 + ((i * 37) % 4102)), 0)
    t.is(slot, slots.find(owner, 256))
    slots.remove(slot)
  }
  t.is(slots.find(owner, 256), -1)
  t.is(slots.blockOctets, 512 * 32)
})
