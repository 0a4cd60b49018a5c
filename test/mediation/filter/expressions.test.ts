import test from 'ava'
import {recordEnd, recordStart, type RecordBatch} from '../../../src/record/batch.js'
import {expressions, files} from './expressions.js'
import {filtered, parse, ways} from './filtering.js'
import {nfdumpExpressions} from './nfdump-expressions.js'
import {rowsOf, variedRecords} from './records.js'

const batches = variedRecords()
const rows = batches.map(rowsOf)

/** Records as text, to be compared. */
function texts(list: readonly RecordBatch[]): string[] {
  return list.flatMap((batch) =>
    Array.from({length: batch.count}, (_, i) => {
      const octets = batch.octets.subarray(recordStart(batch, i), recordEnd(batch, i))
      return `${batch.template.id} ${Buffer.from(octets).toString('hex')}`
    }),
  )
}

const all = batches.map((batch) => texts([batch]))

test('there are at least 300 expressions, none of them twice', (t) => {
  const every = [...expressions.map(([text]) => text), ...nfdumpExpressions]
  t.true(every.length >= 300, `${every.length}`)
  t.is(new Set(expressions.map(([text]) => text)).size, expressions.length)
})

for (const [text, means] of expressions) {
  test(`the filter '${text}' passes what it means, and fails the rest`, (t) => {
    const expression = parse(text, files)
    const wanted = rows.flatMap((of, b) => all[b].filter((_, i) => means(of[i])))
    const others = rows.flatMap((of, b) => all[b].filter((_, i) => !means(of[i])))
    for (const native of ways) {
      const {passed, failed, tested, matched} = filtered(expression, batches, native, {
        options: 'test',
        failed: true,
      })
      t.deepEqual(texts(passed), wanted, `native ${native}`)
      t.deepEqual(texts(failed), others, `native ${native}`)
      t.is(tested, wanted.length + others.length)
      t.is(matched, wanted.length)
      const turned = filtered(expression, batches, native, {options: 'test', invert: true})
      t.deepEqual(texts(turned.passed), others)
    }
  })
}

test('most expressions pass some records and not others', (t) => {
  const telling = expressions.filter(([, means]) => {
    const n = rows.flat().filter(means).length
    return n > 0 && n < rows.flat().length
  })
  t.true(telling.length > 0.9 * expressions.length, `${telling.length} of ${expressions.length}`)
})
