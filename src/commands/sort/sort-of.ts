import type {DartaCommand} from '../../cli/base-command.js'
import {createSorter, type Sorter, type SorterOptions} from '../../mediation/sorting/sorter.js'
import {parseSortKeys} from '../../mediation/sorting/sort-key.js'
import type {RecordStage} from '../../record/batch.js'
import {openSpillFile} from '../aggregate/spill-file.js'

/** Memory for records where nobody said. */
export const SORT_OCTETS = 256 << 20

export interface SortOptions extends Pick<SorterOptions, 'drop' | 'ignored' | 'most'> {
  /** Of `-O`. */
  readonly order: string
  readonly maxOctets?: number
}

/** Makes sorters of a command. @throws DartaError DARTA_USAGE */
export function sorterOf(
  command: DartaCommand,
  {order, maxOctets = SORT_OCTETS, ...options}: SortOptions,
): () => Sorter {
  const keys = parseSortKeys(order)
  return () =>
    createSorter({
      ...options,
      keys,
      maxOctets,
      openStore: openSpillFile,
      account: command.ledger.stage('sort', 'records'),
    })
}

/**
 * Puts the records of a command in order; Options Records go on as they come.
 *
 * @throws DartaError DARTA_USAGE
 */
export function sortOf(command: DartaCommand, options: SortOptions): RecordStage {
  const open = sorterOf(command, options)
  return async function* (source) {
    let sorter: Sorter | undefined
    try {
      for await (const batches of source) {
        // Its account comes behind those of the inputs, which open theirs when they are read.
        sorter ??= open()
        const aside = sorter.push(batches)
        if (aside.length > 0) yield aside
      }
      sorter ??= open()
      yield* sorter.results()
      if (sorter.spills > 0) command.detail(`records went to disk ${sorter.spills} times`)
    } finally {
      sorter?.close()
    }
  }
}
