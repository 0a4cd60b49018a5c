import assert from 'node:assert/strict'
import {MAX, MIN, OR, SUM, type CreateGroups} from '../../src/record/group-kernel.js'
import {kernels} from '../../src/record/kernels.js'
import {createPlainGroups} from '../../src/record/plain-groups.js'
import {createRowTable} from '../../src/record/row-table.js'
import {addon, native} from '../support/native-addon.js'
import {needing} from '../support/needing.js'
import fc from '../support/properties.js'

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

/** Rows as a table that is not this one may have them: three octets of a key, padded, and two columns. */
const someSource = fc.record({
  key: fc.array(fc.nat(3), {minLength: 3, maxLength: 3}),
  columns: fc.array(fc.bigInt(0n, 1000n), {minLength: 2, maxLength: 2}),
})

for (const [name, create] of both) {
  needing(name === 'native' ? native : undefined)(
    `rows are made of rows, numbered by their groups and given in the order of their keys (${name})`,
    (t) => {
      const before = kernels.groups
      kernels.groups = create!
      try {
        fc.assert(
          fc.property(fc.array(someSource, {maxLength: 200}), fc.nat(255), (sources, constant) => {
            const rowOctets = 24
            const rows = new Uint8Array(rowOctets * sources.length)
            const view = new DataView(rows.buffer)
            for (const [i, {key, columns}] of sources.entries()) {
              rows.set(key, i * rowOctets)
              columns.forEach((c, n) => view.setBigUint64(i * rowOctets + 8 + 8 * n, c, true))
            }
            const table = createRowTable(3, [SUM, SUM])
            const program = table.program({
              rowOctets,
              // The second octet is left out, and a constant is in its place.
              moves: [
                [2, 1, 0],
                [0, 1, 2],
              ],
              constants: [[1, constant]],
              columns: [{at: 16}, {constant: 7}],
            })
            const numbers = new Uint32Array(sources.length)
            const spans = Int32Array.of(0, sources.length, program)
            table.addFrom(rows, spans, sources.length === 0 ? 0 : 1, numbers)
            const expected = new Map<string, {number: number; sums: bigint[]}>()
            for (const [i, {key, columns}] of sources.entries()) {
              const made = [key[2], constant, key[0]].join()
              const known = expected.get(made) ?? {number: expected.size, sums: [0n, 0n]}
              known.sums = [known.sums[0] + columns[1], known.sums[1] + 7n]
              expected.set(made, known)
              assert.equal(numbers[i], known.number)
            }
            const order = table.order()
            const into = new Uint8Array(order.length * table.rowOctets)
            table.gather(order, into)
            const found = Array.from(order, (number, i) => {
              const at = i * table.rowOctets
              const of = new DataView(into.buffer, at + table.columnsAt)
              const sums = [of.getBigUint64(0, true), of.getBigUint64(8, true)]
              return [into.subarray(at, at + 3).join(), {number, sums}]
            })
            const compare = (a: string, b: string): number => {
              const [x, y] = [a, b].map((key) => key.split(',').map(Number))
              return x[0] - y[0] || x[1] - y[1] || x[2] - y[2]
            }
            assert.deepEqual(
              found,
              [...expected].sort(([a], [b]) => compare(a, b)),
            )
            table.close()
          }),
        )
        const table = createRowTable(3, [SUM])
        t.throws(() => table.gather(Uint32Array.of(0), new Uint8Array(64)), {
          instanceOf: RangeError,
        })
        table.close()
      } finally {
        kernels.groups = before
      }
    },
  )

  needing(name === 'native' ? native : undefined)(
    `keys that differ far behind their beginnings come in order (${name})`,
    (t) => {
      const before = kernels.groups
      kernels.groups = create!
      try {
        fc.assert(
          fc.property(
            fc.uniqueArray(fc.uint8Array({minLength: 40, maxLength: 40}), {
              maxLength: 300,
              selector: (key) => key.join(),
            }),
            fc.nat(39),
            (keys, alike) => {
              for (const key of keys) key.fill(7, 0, alike)
              const table = createRowTable(40, [])
              for (const key of keys) table.octets.set(key, table.next())
              const different = new Map(keys.map((key) => [Buffer.from(key).toString('hex'), 1]))
              const order = table.order()
              const into = new Uint8Array(40 * order.length)
              table.gather(order, into)
              const found = Array.from(order, (_, i) =>
                Buffer.from(into.subarray(40 * i, 40 * i + 40)).toString('hex'),
              )
              assert.deepEqual(found, [...different.keys()].sort())
              table.close()
            },
          ),
        )
      } finally {
        kernels.groups = before
      }
      t.pass()
    },
  )

  needing(name === 'native' ? native : undefined)(
    `thousands of keys of which most begin alike come in order (${name})`,
    (t) => {
      const before = kernels.groups
      kernels.groups = create!
      try {
        const table = createRowTable(24, [])
        const different = new Set<string>()
        let state = 1
        const below = (n: number): number => {
          state = (Math.imul(state, 1103515245) + 12345) >>> 0
          return (state >>> 8) % n
        }
        for (let i = 0; i < 30_000; i++) {
          // So many octets at the beginning are the same; the last ones differ most.
          const alike = 4 * below(5)
          const key = Uint8Array.from({length: 24}, (_, at) =>
            at < alike ? 9 : below(1 + 12 * at),
          )
          table.octets.set(key, table.next())
          different.add(Buffer.from(key).toString('hex'))
        }
        const order = table.order()
        const into = new Uint8Array(24 * order.length)
        table.gather(order, into)
        const found = Array.from(order, (_, i) =>
          Buffer.from(into.subarray(24 * i, 24 * i + 24)).toString('hex'),
        )
        t.true(found.length > 20_000)
        t.deepEqual(found, [...different].sort())
        table.close()
      } finally {
        kernels.groups = before
      }
    },
  )

  needing(name === 'native' ? native : undefined)(
    `a table that grows finds every group that it has, wherever its hash is (${name})`,
    (t) => {
      const before = kernels.groups
      kernels.groups = create!
      try {
        const most = 3000
        const rows = new Uint8Array(8 * most)
        for (let i = 0; i < most; i++) new DataView(rows.buffer).setUint32(8 * i, i)
        // Each table has its own seed: small ones, of which both ends are near, come in all kinds of fullness.
        for (let n = 1; n <= most; n += n < 400 ? 1 : 97) {
          const table = createRowTable(4, [])
          const program = table.program({rowOctets: 8, moves: [[0, 4, 0]], columns: []})
          const first = new Uint32Array(n)
          const again = new Uint32Array(n)
          table.addFrom(rows, Int32Array.of(0, n, program), 1, first)
          table.addFrom(rows, Int32Array.of(0, n, program), 1, again)
          assert.equal(table.count(), n)
          assert.deepEqual(again, first)
          assert.equal(new Set(first).size, n)
          table.close()
        }
      } finally {
        kernels.groups = before
      }
      t.pass()
    },
  )
}
