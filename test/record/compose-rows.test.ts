import assert from 'node:assert/strict'
import {COMPOSE, composeRowsPlainly, type ComposeRows} from '../../src/record/compose-rows.js'
import {addon, native} from '../support/native-addon.js'
import {needing} from '../support/needing.js'
import fc from '../support/properties.js'

const ROW_OCTETS = 40
const TEXT_OCTETS = 300

/** A step that stays within a row or the texts. */
const someStep: fc.Arbitrary<number[]> = fc
  .record({what: fc.constantFrom(...Object.values(COMPOSE)), from: fc.nat(23), columns: fc.nat(2)})
  .chain(({what, from, columns}) =>
    what === COMPOSE.columns || what === COMPOSE.otherColumns
      ? fc.constant<number[]>([what, from, 8 * columns])
      : fc.nat(17).map((length) => [what, from, length]),
  )

interface Case {
  readonly rows: Uint8Array
  readonly texts: Uint8Array
  readonly programs: readonly (readonly number[][])[]
  readonly results: readonly Readonly<
    Record<'row' | 'other' | 'program' | 'text' | 'textOctets', number>
  >[]
  readonly to: number
}

const someCase: fc.Arbitrary<Case> = fc.record({
  rows: fc.uint8Array({minLength: 5 * ROW_OCTETS, maxLength: 5 * ROW_OCTETS}),
  texts: fc.uint8Array({minLength: TEXT_OCTETS, maxLength: TEXT_OCTETS}),
  programs: fc.array(fc.array(someStep, {maxLength: 8}), {minLength: 1, maxLength: 3}),
  results: fc.array(
    fc.record({
      row: fc.nat(4),
      other: fc.nat(4),
      program: fc.nat(2),
      text: fc.nat(20),
      textOctets: fc.nat(TEXT_OCTETS - 20),
    }),
    {maxLength: 20},
  ),
  to: fc.nat(9),
})

function run(
  compose: ComposeRows,
  {rows, texts, programs, results, to}: Case,
  room: number,
): unknown {
  const begins: number[] = []
  const code: number[] = []
  for (const steps of programs) {
    begins.push(code.length)
    code.push(steps.length, ...steps.flat())
  }
  const list = results.flatMap(({row, other, program, text, textOctets}) => [
    ...[row * ROW_OCTETS, other * ROW_OCTETS, begins[program % begins.length]],
    ...[text, textOctets],
  ])
  const out = new Uint8Array(room)
  const ends = new Uint32Array(results.length)
  const [words, programCode] = [Int32Array.from(list), Int32Array.from(code)]
  try {
    compose(rows, words, results.length, programCode, texts, out, to, ends)
  } catch (error) {
    assert.ok(error instanceof RangeError)
    return 'refused'
  }
  return {out, ends}
}

needing(native)('results are made of rows alike in C++ and in TypeScript', (t) => {
  fc.assert(
    fc.property(someCase, (given) => {
      const made = run(composeRowsPlainly, given, 20_000)
      assert.deepEqual(run(addon!.composeRows, given, 20_000), made)
      assert.notEqual(made, 'refused')
      const {ends} = made as {ends: Uint32Array}
      const needed = ends.at(-1) ?? given.to
      assert.notEqual(run(addon!.composeRows, given, needed), 'refused')
      if (needed > given.to) {
        // One octet less than there have to be.
        assert.equal(run(composeRowsPlainly, given, needed - 1), 'refused')
        assert.equal(run(addon!.composeRows, given, needed - 1), 'refused')
      }
    }),
    {numRuns: 300},
  )
  t.pass()
})

for (const [name, compose] of [
  ['plain', composeRowsPlainly],
  ['native', addon?.composeRows],
] as const) {
  needing(name === 'native' ? native : undefined)(
    `columns come out with the most significant octet first, and what is not there is refused (${name})`,
    (t) => {
      const rows = Uint8Array.from({length: 24}, (_, i) => i)
      const texts = Uint8Array.of(70, 71, 72)
      const code = Int32Array.of(
        ...[4, COMPOSE.octets, 1, 2, COMPOSE.text, 0, 1],
        ...[COMPOSE.columns, 8, 8, COMPOSE.otherColumns, 8, 8],
      )
      const made = (row: number, other: number, text: number, textOctets: number): number[] => {
        const out = new Uint8Array(22)
        const list = Int32Array.of(row, other, 0, text, textOctets)
        compose!(rows, list, 1, code, texts, out, 1, new Uint32Array(1))
        return [...out]
      }
      t.deepEqual(made(0, 8, 1, 2), [
        ...[0, 1, 2, 70],
        ...[15, 14, 13, 12, 11, 10, 9, 8],
        ...[23, 22, 21, 20, 19, 18, 17, 16],
        ...[71, 72],
      ])
      const wrongs: readonly (readonly [number, number, number, number])[] = [
        [9, 8, 0, 0],
        [0, 9, 0, 0],
        [-2, 8, 0, 0],
        [0, 8, 2, 2],
        [0, 8, -1, 1],
      ]
      for (const wrong of wrongs) {
        t.throws(() => made(...wrong), {instanceOf: RangeError})
      }
    },
  )
}
