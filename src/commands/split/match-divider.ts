import {compileFilterNow} from '../../metering/compile-filter.js'
import {bpfTest, type BpfTest} from '../../metering/bpf-run.js'
import type {Divider} from '../../metering/divider.js'
import {createRecordFilter} from '../../mediation/filter/record-filter.js'
import {DartaError} from '../../record/errors.js'
import {readFilter} from '../filter/read-filter.js'

const ETHERNET = 1

/**
 * Divides by filters: each packet or record goes to the part of the first one that lets it pass, and one more part has the
 * rest. Of packets they are in the language of pcap-filter(7), of records in that of darta-filter(1).
 *
 * @throws DartaError DARTA_FILTER_SYNTAX, DARTA_USAGE, DARTA_FILTER_COMPILER
 */
export function matchDivider(expressions: readonly string[], unit: 'packets' | 'records'): Divider {
  const parts = expressions.length + 1
  if (unit === 'packets') {
    const compiled = new Map<number, BpfTest[]>()
    const testsOf = (linkType: number): BpfTest[] => {
      const known = compiled.get(linkType)
      if (known !== undefined) return known
      const tests = expressions.map((text) => bpfTest(compileFilterNow(text, linkType)))
      compiled.set(linkType, tests)
      return tests
    }
    // What is wrong with a filter is told before anything is written.
    testsOf(ETHERNET)
    return {
      parts,
      frame(octets, linkType, originalLength = octets.length) {
        const tests = testsOf(linkType)
        const found = tests.findIndex((test) => test(octets, originalLength) !== 0)
        return found < 0 ? tests.length : found
      },
      record: misused,
    }
  }
  const filters = expressions.map((filter) =>
    createRecordFilter(readFilter({filter})!, {options: 'test', failed: true}),
  )
  return {
    parts,
    frame: misused,
    record: misused,
    deal(batch) {
      let rest = [batch]
      const dealt = filters.map((filter) => {
        const {passed, failed} = filter.run(rest)
        rest = [...failed]
        return passed
      })
      return [...dealt, rest]
    },
  }
}

function misused(): never {
  throw new DartaError(
    'DARTA_INTERNAL',
    'filters of packets do not divide records, nor the other way round',
  )
}
