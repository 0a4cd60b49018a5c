import assert from 'node:assert/strict'
import fc from 'fast-check'
import {MAX, MIN, OR, SUM, type CreateGroups} from '../../src/record/group-kernel.js'
import {kernels} from '../../src/record/kernels.js'
import {createPlainGroups} from '../../src/record/plain-groups.js'
import {createRowTable} from '../../src/record/row-table.js'
import {addon, native} from '../support/native-addon.js'
import {needing} from '../support/needing.js'

const MOST = 2n ** 64n - 1n
const folds: ((a: bigint, b: bigint) => bigint)[] = []
folds[SUM] = (a, b) => (a + b > MOST ? MOST : a + b)
folds[MIN] = (a, b) => (a < b ? a : b)
folds[MAX] = (a, b) => (a > b ? a : b)
folds[OR] = (a, b) => a | b

const kinds = [SUM, MIN, MAX, OR]
const someRow = fc.record({
  key: fc.tuple(fc.nat(3), fc.nat(2), fc.nat(2)),
  columns: fc.array(fc.bigInt(0n, MOST), {minLength: kinds.length, maxLength: kinds.length}),
})

const both: readonly [string, CreateGroups | undefined][] = [
  ['plain', createPlainGroups],
  ['native', addon?.createGroups],
]
for (const [name, create] of both) {
  needing(name === 'native' ? native : undefined)(
    `rows of equal keys are one group, each column folded as its kind says (${name})`,
    (t) => {
      const before = kernels.groups
      kernels.groups = create!
      try {
        fc.assert(
          // Some fill more than one block.
          fc.property(fc.array(someRow, {maxLength: 100}), fc.constantFrom(1, 40), (few, times) => {
            const rows = Array.from({length: times}, () => few).flat()
            const expected = new Map<string, bigint[]>()
            const table = createRowTable(3, kinds)
            for (const {key, columns} of rows) {
              const at = table.next()
              table.octets.set(key, at)
              for (const [c, value] of columns.entries()) {
                const word = (at + table.columnsAt) / 4 + 2 * c
                table.words[word] = Number(value & 0xffffffffn)
                table.words[word + 1] = Number(value >> 32n)
              }
              const known = expected.get(key.join())
              expected.set(
                key.join(),
                known === undefined
                  ? columns
                  : known.map((value, c) => folds[kinds[c]](value, columns[c])),
              )
            }
            const found = new Map<string, bigint[]>()
            table.eachBlock((octets, words, n) => {
              for (let i = 0; i < n; i++) {
                const at = i * table.rowOctets
                const from = (at + table.columnsAt) / 4
                found.set(
                  octets.subarray(at, at + 3).join(),
                  kinds.map(
                    (_, c) =>
                      (BigInt(words[from + 2 * c + 1]) << 32n) | BigInt(words[from + 2 * c]),
                  ),
                )
              }
            })
            assert.deepEqual([...found], [...expected])
            assert.equal(table.count(), expected.size)
            table.close()
          }),
        )
      } finally {
        kernels.groups = before
      }
      t.pass()
    },
  )
}
