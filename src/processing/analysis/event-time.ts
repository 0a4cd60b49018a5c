import type {RecordBatch} from '../../record/batch.js'
import {makeColumnReader} from '../../record/group-reader.js'
import type {Template} from '../../record/template.js'
import {endColumn, startColumn} from '../../registry/flow-columns.js'

/** When what record `index` reports was over, in milliseconds since 1970. */
export type EventTimeReader = (batch: RecordBatch, index: number) => number

/**
 * A record is of the moment at which its last packet was seen; without that, its first packet; without any time
 * of its own, when its Message was exported.
 */
export function eventTimeReader(template: Template): EventTimeReader {
  return (
    makeColumnReader(endColumn, template) ??
    makeColumnReader(startColumn, template) ??
    (({message}) => message.exportTime * 1000)
  )
}
