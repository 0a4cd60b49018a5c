import {
  defaultOptions,
  type AnalysisApp,
  type AppOptions,
  type OptionValues,
} from '../../src/processing/analysis/app.js'
import {toolbox} from '../../src/processing/analysis/toolbox.js'
import {createProcessingUnit} from '../../src/processing/analysis/processing-unit.js'
import type {RecordBatch} from '../../src/record/batch.js'
import {StageLedger} from '../../src/record/ledger.js'
import {plainRecords, type Plain} from './results.js'

export interface Analysed {
  /** Records of results, without those of Options Templates. */
  readonly rows: Plain[]
  /** Those of Options Templates. */
  readonly summaries: Plain[]
  readonly table: string
  readonly ledger: StageLedger
}

/** Runs an application over batches as one unit and one window. */
export function analyse<Options extends AppOptions>(
  app: AnalysisApp<Options>,
  options: Partial<OptionValues<Options>>,
  batches: readonly RecordBatch[],
): Analysed {
  const ledger = new StageLedger('test', 'records')
  const analysis = app.prepare({...defaultOptions(app), ...options}, toolbox)
  const unit = createProcessingUnit(analysis, {maxOctets: 0, ledger})
  unit.add(batches)
  const [window] = unit.finish()
  const records = plainRecords(window.results())
  return {
    rows: records.filter((r) => r._scope === undefined),
    summaries: records.filter((r) => r._scope !== undefined),
    table: window.table?.({units: 'none', names: true}) ?? '',
    ledger,
  }
}
