import {existsSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {openProtocols} from '../../src/commands/collect/protocols.js'
import {readFiles} from '../../src/commands/collect/read-files.js'
import {sampledHeaderReader} from '../../src/commands/collect/sampled-header.js'
import {createCollectingProcess, type CollectingProcess} from '../../src/ipfix/session.js'
import {createTemplatePool} from '../../src/ipfix/template-store.js'
import {createCollector} from '../../src/mediation/collector.js'
import {createOrigin} from '../../src/mediation/origin.js'
import type {RecordBatch} from '../../src/record/batch.js'
import {Ledger} from '../../src/record/ledger.js'
import {readRecord} from '../../src/record/readers.js'
import type {Value} from '../../src/record/value.js'
import {fixtures, type Truth} from '../ipfix/fixtures.js'

/** What `truth.json` says of one case, of whatever protocol. */
export interface ExportTruth extends Truth {
  readonly zero_filled_tails?: number
  /** Samples and their records by `kind enterprise:format`. */
  readonly sflow?: Readonly<Record<string, number>>
}

export function exportCases(): ExportTruth[] {
  const file = join(fixtures, 'truth.json')
  if (!existsSync(file)) return []
  const truth = JSON.parse(readFileSync(file, 'utf8')) as {exports: Record<string, ExportTruth>}
  return Object.values(truth.exports)
}

/** What `expected/` holds of a peer for a case; undefined if there is none. */
export function expectedOf(name: string, peer: string): string | undefined {
  const file = join(fixtures, 'expected', `${name}.${peer}`)
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

export interface Collected {
  readonly batches: readonly RecordBatch[]
  readonly ledger: Ledger
  /** Template Records that came, withdrawals not counted. */
  readonly announcements: number
  /** Data Sets for which no Template was known when they came. */
  readonly unread: number
  readonly faults: readonly string[]
}

/** Collects files as `darta collect -r` does; paths are those of the fixtures. */
export async function collectFiles(
  files: readonly string[],
  {origin = false, ignorePorts = false} = {},
): Promise<Collected> {
  const ledger = new Ledger()
  const pool = createTemplatePool()
  const faults: string[] = []
  let announcements = 0
  let unread = 0
  const observer = {
    template: (event: string) => {
      if (event === 'new' || event === 'refreshed' || event === 'redefined') announcements++
    },
    unreadSet: () => void unread++,
  }
  const collector = createCollector({
    protocols: await openProtocols(),
    context: {ledger, pool, templateLifetime: 0, observer, readHeader: sampledHeaderReader()},
    account: () => ledger.stage('datagrams', 'packets'),
    maxSessions: 1024,
  })
  let streaming: CollectingProcess | undefined
  const streams = (): CollectingProcess =>
    (streaming ??= createCollectingProcess({ledger, reliable: true, pool, observer}))
  const {signal} = new AbortController()
  const reader = {
    stopping: signal,
    signal,
    live: false,
    quiet: true,
    report: (error: unknown) => void faults.push(String(error)),
  }
  const stamp = createOrigin()
  const batches: RecordBatch[] = []
  const paths = files.map((file) => join(fixtures, file))
  const reading = {collector, streams, ledger, decodeAs: new Map(), ignorePorts, gone: []}
  for await (const some of readFiles(reader, paths, reading)) {
    batches.push(...(origin ? stamp.add(some) : some))
  }
  collector.end()
  return {batches, ledger, announcements, unread, faults}
}

/** An event by the names of its elements; the first of a name that comes more than once. */
export interface Row {
  readonly options: boolean
  readonly values: ReadonlyMap<string, Value>
  readonly batch: RecordBatch
}

export function rowsOf(batches: readonly RecordBatch[]): Row[] {
  return batches.flatMap((batch) =>
    Array.from({length: batch.count}, (_, i) => {
      const values = new Map<string, Value>()
      for (const [{name}, value] of readRecord(batch, i)) {
        if (!values.has(name)) values.set(name, value)
      }
      return {options: batch.template.scopeCount > 0, values, batch}
    }),
  )
}
