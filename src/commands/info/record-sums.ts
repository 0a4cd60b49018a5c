import type {RecordBatch} from '../../record/batch.js'
import {createGroupTable} from '../../record/group-table.js'
import type {GroupColumn} from '../../record/group-spec.js'
import {endColumn, octetsColumn, packetsColumn, startColumn} from '../../registry/flow-columns.js'

/** Sums over Data Records; of biflows both directions together. */
export interface RecordSums {
  /** Both undefined: one of them is beyond 2^64 − 1. */
  readonly octets: bigint | undefined
  readonly packets: bigint | undefined
  /** Milliseconds since 1970; undefined where no record has such a time, or it was not asked for. */
  readonly start: bigint | undefined
  readonly end: bigint | undefined
}

/** What a minimum is before any value. */
const NO_VALUE = 2n ** 64n - 1n

/** Adds up records in the kernel that groups them. Options Records are not to be handed in. */
export function createRecordSums(times: boolean): {
  add(batches: readonly RecordBatch[]): void
  sums(): RecordSums
  close(): void
} {
  const columns: GroupColumn[] = [octetsColumn, packetsColumn]
  if (times) columns.push(startColumn, endColumn)
  const table = createGroupTable({key: [], columns})
  return {
    add: (batches) => void table.add(batches),
    sums() {
      const {totals} = table.select([])
      const [octets, packets, start, end] = totals
      const beyond = table.limited() > 0
      return {
        octets: beyond ? undefined : octets,
        packets: beyond ? undefined : packets,
        start: start === NO_VALUE ? undefined : start,
        end: end === 0n || start === NO_VALUE ? undefined : end,
      }
    },
    close: () => table.close(),
  }
}
