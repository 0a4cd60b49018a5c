import type {RecordBatch} from '../../record/batch.js'
import {fieldSpecifiers} from './field-specifiers.js'
import {createRecordSums} from './record-sums.js'
import {millisecondsText, type Window} from './report.js'

/** What is in records of another format than IPFIX. */
export interface RecordReport {
  readonly format: string
  readonly records: number
  readonly optionsRecords: number
  /** Kinds of records by the fields they have. */
  readonly templates: readonly {
    readonly fields: readonly string[]
    readonly scopeFields: number
    readonly records: number
  }[]
  readonly observationDomains: readonly number[]
  readonly flowTime: Window | undefined
  /** Both null: one of them is beyond 2^64 − 1. */
  readonly octetCount: bigint | null
  readonly packetCount: bigint | null
}

/** So many kinds and domains are told apart: a guard against crafted input. */
const MOST_KINDS = 10_000

export function surveyRecords(format: string): {
  add(batches: readonly RecordBatch[]): void
  end(): RecordReport
} {
  const kinds = new Map<string, {fields: string[]; scopeFields: number; records: number}>()
  const domains = new Set<number>()
  let records = 0
  let optionsRecords = 0
  const sums = createRecordSums(true)
  return {
    add(batches) {
      for (const {template, count, message} of batches) {
        let kind = kinds.get(template.layout)
        if (kind === undefined && kinds.size < MOST_KINDS) {
          const {scopeCount} = template
          kind = {fields: fieldSpecifiers(template), scopeFields: scopeCount, records: 0}
          kinds.set(template.layout, kind)
        }
        if (kind !== undefined) kind.records += count
        if (template.scopeCount === 0) records += count
        else optionsRecords += count
        if (domains.size < MOST_KINDS) domains.add(message.observationDomainId)
      }
      sums.add(batches.filter(({template}) => template.scopeCount === 0))
    },
    end() {
      const {octets, packets, start, end} = sums.sums()
      sums.close()
      return {
        format,
        records,
        optionsRecords,
        templates: [...kinds.values()],
        observationDomains: [...domains].sort((a, b) => a - b),
        flowTime:
          start === undefined || end === undefined
            ? undefined
            : {first: millisecondsText(start), last: millisecondsText(end)},
        octetCount: octets ?? null,
        packetCount: packets ?? null,
      }
    },
  }
}
