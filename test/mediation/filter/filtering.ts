import {parseTimeRange} from '../../../src/cli/values.js'
import {nearest} from '../../../src/cli/suggest.js'
import {parseFilter} from '../../../src/mediation/filter/parse.js'
import {
  createRecordFilter,
  type Filtered,
  type RecordFilterOptions,
} from '../../../src/mediation/filter/record-filter.js'
import type {Expression} from '../../../src/mediation/filter/expression.js'
import type {FilterContext} from '../../../src/mediation/filter/operands.js'
import type {RecordBatch} from '../../../src/record/batch.js'
import {kernels} from '../../../src/record/kernels.js'
import {addon} from '../../support/native-addon.js'

/** A filter's surroundings, with these files. */
export function context(files: Readonly<Record<string, string>> = {}): FilterContext {
  return {
    readFile(name) {
      if (!Object.hasOwn(files, name)) throw new Error(`no file ${name}`)
      return new TextEncoder().encode(files[name])
    },
    timeRange: (text) => parseTimeRange(text, 1_700_000_000_000),
    suggest: nearest,
  }
}

export function parse(text: string, files?: Readonly<Record<string, string>>): Expression {
  return parseFilter({name: undefined, text}, context(files))
}

/** Runs a filter in TypeScript alone, or with the addon's kernel. */
export function filtered(
  expression: Expression,
  batches: readonly RecordBatch[],
  native: boolean,
  options: RecordFilterOptions = {},
): Filtered {
  const before = kernels.filter
  kernels.filter = native ? addon?.createFilter : undefined
  try {
    const filter = createRecordFilter(expression, options)
    try {
      return filter.run(batches)
    } finally {
      filter.close()
    }
  } finally {
    kernels.filter = before
  }
}

/** Both ways where the addon is built. */
export const ways: readonly boolean[] = addon === undefined ? [false] : [false, true]
