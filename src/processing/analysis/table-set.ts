import type {RecordBatch} from '../../record/batch.js'
import {DartaError} from '../../record/errors.js'
import type {GroupSpec} from '../../record/group-spec.js'
import {createGroupTable, type GroupTable} from '../../record/group-table.js'
import type {AnalysisState, StateLimits} from './app.js'
import {limitedSums} from './flow-sums.js'
import {resultBatches, type ResultRecord} from './result-records.js'
import {joinSnapshots, splitSnapshot} from './snapshots.js'

/** Group tables by name: one set of tables for each observation point, or for each stretch of time. */
export interface TableSet {
  /** In the order of their names. */
  names(): string[]
  /** One for each spec. */
  of(name: string): readonly GroupTable[]
  /** Adds records to the tables of a name; how many of them the first one takes. @throws DartaError DARTA_MEMORY_LIMIT */
  add(name: string, batches: readonly RecordBatch[]): number
  /** @throws DartaError DARTA_VALUE, DARTA_MEMORY_LIMIT */
  merge(snapshot: Uint8Array): void
  snapshot(): Uint8Array
  missing(): [string, number][]
  memoryOctets(): number
  close(): void
}

export function createTableSet(specs: readonly GroupSpec[], limits: StateLimits): TableSet {
  const sets = new Map<string, GroupTable[]>()

  function of(name: string): GroupTable[] {
    let tables = sets.get(name)
    if (tables === undefined) {
      tables = specs.map((spec) => createGroupTable(spec, limits))
      sets.set(name, tables)
    }
    return tables
  }

  const all = (): GroupTable[] => [...sets.values()].flat()
  const names = (): string[] => [...sets.keys()].sort()

  return {
    names,
    of,
    add(name, batches) {
      const [first, ...others] = of(name)
      for (const table of others) table.add(batches)
      return first.add(batches)
    },
    merge(snapshot) {
      const head = partLength(snapshot)
      const list = readNames(snapshot.subarray(8, 8 + head))
      const parts = splitSnapshot(snapshot, 1 + list.length * specs.length).slice(1)
      for (const [n, name] of list.entries()) {
        for (const [i, table] of of(name).entries()) table.merge(parts[n * specs.length + i])
      }
    },
    snapshot() {
      const list = names()
      const tables = list.flatMap((name) => of(name).map((table) => table.snapshot()))
      return joinSnapshots([new TextEncoder().encode(JSON.stringify(list)), ...tables])
    },
    missing: () => limitedSums(...all()),
    memoryOctets: () => all().reduce((n, table) => n + table.memoryOctets(), 0),
    close() {
      for (const table of all()) table.close()
    },
  }
}

/** The state of an application that knows no more than its table does. */
export function oneTableState(
  table: GroupTable,
  records: () => Iterable<ResultRecord>,
): AnalysisState {
  return {
    add: (batches) => table.add(batches),
    merge: (snapshot) => table.merge(snapshot),
    snapshot: () => table.snapshot(),
    results: (message) => resultBatches(message, records()),
    missing: () => limitedSums(table),
    memoryOctets: () => table.memoryOctets(),
    close: () => table.close(),
  }
}

type Sort = (batches: readonly RecordBatch[]) => Iterable<readonly [name: unknown, RecordBatch[]]>

/** Sorts records by the Observation Domain that they are of. */
export const byDomain: Sort = (batches) =>
  Map.groupBy(batches, ({message}) => message.observationDomainId)

/**
 * The same for a set of tables.
 *
 * @param sort names the tables that records go to
 * @param records makes the results of what is in the tables
 */
export function tableState(
  tables: TableSet,
  sort: Sort,
  records: () => Iterable<ResultRecord>,
): AnalysisState {
  return {
    add(batches) {
      let counted = 0
      for (const [name, own] of sort(batches)) counted += tables.add(String(name), own)
      return counted
    },
    merge: (snapshot) => tables.merge(snapshot),
    snapshot: () => tables.snapshot(),
    results: (message) => resultBatches(message, records()),
    missing: () => tables.missing(),
    memoryOctets: () => tables.memoryOctets(),
    close: () => tables.close(),
  }
}

function partLength(snapshot: Uint8Array): number {
  const view = new DataView(snapshot.buffer, snapshot.byteOffset, snapshot.byteLength)
  const length = snapshot.length < 8 ? Infinity : Number(view.getBigUint64(0))
  if (length > snapshot.length - 8) throw broken()
  return length
}

function readNames(octets: Uint8Array): string[] {
  try {
    const names: unknown = JSON.parse(new TextDecoder().decode(octets))
    if (Array.isArray(names) && names.every((name) => typeof name === 'string')) return names
  } catch {
    // What was cut is no JSON.
  }
  throw broken()
}

function broken(): DartaError {
  return new DartaError('DARTA_VALUE', 'a snapshot of tables does not begin with their names', 0)
}
