import {DatabaseSync, type SQLInputValue} from 'node:sqlite'
import {
  createAggregator,
  type AggregatorOptions,
} from '../../../src/mediation/aggregation/aggregator.js'
import type {SpillStore} from '../../../src/mediation/aggregation/spill.js'
import type {RecordBatch} from '../../../src/record/batch.js'
import {Ledger} from '../../../src/record/ledger.js'
import {readRecord} from '../../../src/record/readers.js'
import type {Value} from '../../../src/record/value.js'
import {flowKey} from '../../../src/registry/flow-keys.js'

export type Plain = Record<string, Value>

/** Records by element name; numbers beyond 2^53 stay bigints. */
export function plain(batches: Iterable<RecordBatch>): Plain[] {
  return [...batches].flatMap((batch) =>
    batch.template.scopeCount > 0
      ? []
      : Array.from({length: batch.count}, (_, i) =>
          Object.fromEntries(readRecord(batch, i).map(([element, value]) => [element.name, value])),
        ),
  )
}

/** What was appended, in memory. */
export function memoryStore(): SpillStore {
  const pieces = new Map<string, Uint8Array[]>()
  return {
    append(name, octets) {
      const list = pieces.get(name) ?? []
      list.push(octets.slice())
      pieces.set(name, list)
    },
    read: (name) => pieces.get(name) ?? [],
    close() {},
  }
}

export interface Aggregated {
  readonly rows: Plain[]
  readonly batches: RecordBatch[]
  readonly spills: number
  readonly line: string
}

export function aggregate(
  batches: readonly RecordBatch[],
  keys: readonly string[],
  options: Partial<AggregatorOptions> = {},
): Aggregated {
  const ledger = new Ledger().stage('aggregate', 'records')
  const aggregator = createAggregator({
    key: keys.map(flowKey),
    measures: [],
    intervalMs: undefined,
    distribution: 'start',
    order: undefined,
    count: 0,
    maxOctets: 0,
    openStore: memoryStore,
    ledger,
    ...options,
  })
  try {
    for (let i = 0; i < batches.length; i += 10) aggregator.add(batches.slice(i, i + 10))
    const out = [...aggregator.results()].flat()
    return {rows: plain(out), batches: out, spills: aggregator.spills, line: ledger.line()}
  } finally {
    aggregator.close()
  }
}

/** The records as a table `r` of SQLite, a column for each element. */
export function database(batches: readonly RecordBatch[]): DatabaseSync {
  const rows = plain(batches)
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const db = new DatabaseSync(':memory:')
  db.exec(`create table r (${names.map((name) => `"${name}"`).join(', ')})`)
  const insert = db.prepare(`insert into r values (${names.map(() => '?').join(', ')})`)
  db.exec('begin')
  for (const row of rows) insert.run(...names.map((name) => sqlValue(row[name])))
  db.exec('commit')
  return db
}

function sqlValue(value: Value | undefined): SQLInputValue {
  if (value === undefined) return null
  if (typeof value === 'boolean') return value ? 1 : 0
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (typeof value === 'object') throw new TypeError('no lists')
  return value
}

export function query(db: DatabaseSync, sql: string): Plain[] {
  return db
    .prepare(sql)
    .all()
    .map((row) =>
      Object.fromEntries(
        Object.entries(row).filter(([, value]) => value !== null) as [string, Value][],
      ),
    )
}

/** Rows as sorted text. */
export function sorted(rows: readonly Plain[]): string[] {
  return rows
    .map((row) => JSON.stringify(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1))))
    .sort()
}
