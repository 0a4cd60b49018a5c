import {recordEnd, recordStart} from '../../record/batch.js'
import {DartaError} from '../../record/errors.js'
import {columnOrder, computedOrder} from '../../record/group-selection.js'
import {createGroupTable} from '../../record/group-table.js'
import {
  bigintReader,
  numberReader,
  octetsReader,
  readerOf,
  valueReader,
} from '../../record/readers.js'
import {ie} from '../../registry/elements.js'
import {flowKey, prefixKey} from '../../registry/flow-keys.js'
import {elementByName} from '../../registry/lookup.js'
import {eventTimeReader} from './event-time.js'
import {flowColumns, limitedSums, rowSums, sumFields, sumsOf} from './flow-sums.js'
import {keyFields, keyText} from './key-values.js'
import {resultBatches} from './result-records.js'
import {percent, scaledNumber, textTable, utcTime} from './text-table.js'

/**
 * What `prepare` is handed besides its options. An application in a file of the user's own cannot import these: the
 * program is one bundle, and there must be one of each.
 */
export const toolbox = {
  DartaError,
  // Elements.
  ie,
  elementByName,
  // Records: readers are made once per Template.
  readerOf,
  numberReader,
  bigintReader,
  octetsReader,
  valueReader,
  recordStart,
  recordEnd,
  eventTimeReader,
  // Groups.
  flowKey,
  prefixKey,
  flowColumns,
  createGroupTable,
  columnOrder,
  computedOrder,
  rowSums,
  sumsOf,
  limitedSums,
  // Results.
  resultBatches,
  keyFields,
  sumFields,
  keyText,
  textTable,
  scaledNumber,
  percent,
  utcTime,
}

export type Toolbox = typeof toolbox
