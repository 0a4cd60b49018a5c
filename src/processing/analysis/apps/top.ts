import type {InformationElement} from '../../../record/element.js'
import type {GroupRow} from '../../../record/group-row.js'
import {createGroupTable, type GroupSelection} from '../../../record/group-table.js'
import {hexText} from '../../../record/value.js'
import {ie} from '../../../registry/elements.js'
import type {FlowKey} from '../../../registry/flow-keys.js'
import {
  defineApp,
  type Analysis,
  type AnalysisState,
  type StateLimits,
  type TableStyle,
} from '../app.js'
import {
  addSums,
  flowColumns,
  limitedSums,
  noFlows,
  rowSums,
  share,
  sumFields,
  sumsOf,
  type FlowSums,
} from '../flow-sums.js'
import {whyOption} from '../findings.js'
import {keyFields, keyText} from '../key-values.js'
import {groupFilter} from '../record-filters.js'
import {resultBatches, type ResultField, type ResultRecord} from '../result-records.js'
import {joinSnapshots, splitSnapshot} from '../snapshots.js'
import {parseStatistic, type Statistic} from '../statistic.js'
import {percent, scaledNumber, textTable, utcTime} from '../text-table.js'

export default defineApp({
  summary:
    'The greatest talkers, ports, networks or any other key, by octets, packets, flows or rate',
  options: {
    statistic: {
      kind: 'texts',
      char: 's',
      value: 'KEY[,KEY...][:p]/ORDER',
      default: ['srcip/octets'],
      summary:
        'What is ranked and by what: srcip/octets, srcip,dstport/flows, src4/24/bps, any element by its name.',
    },
    top: {
      kind: 'number',
      char: 'k',
      min: 0,
      max: 2 ** 31 - 1,
      default: 10,
      summary: 'How many rows; 0 is all.',
    },
    ...whyOption,
  },
  prepare: ({statistic, top, why}) => analyse(statistic.flatMap(parseStatistic), top, why),
})

/** Statistics over one key share one table. */
interface Question {
  readonly key: readonly FlowKey[]
  readonly statistics: readonly Statistic[]
}

function analyse(statistics: readonly Statistic[], count: number, why: boolean): Analysis {
  const byKey = Map.groupBy(statistics, ({key}) => key.map(({name}) => name).join())
  const questions = [...byKey.values()].map((of) => ({key: of[0].key, statistics: of}))
  const routingKey = commonKey(questions)
  return {
    needs: neededBy(questions),
    uses: [
      ...questions.flatMap(({key}) => key.flatMap(elementsOf)),
      ...flowColumns.flatMap((c) => [...c.elements, ...c.reverse]).filter((e) => e !== undefined),
    ],
    routingKey: routingKey.length === 0 ? undefined : {key: routingKey},
    splittable: true,
    createState: (limits) => createState(questions, count, why, limits, routingKey.length > 0),
  }
}

function elementsOf({elements, opposite = []}: FlowKey): InformationElement[] {
  return [...elements, ...opposite]
}

/** Of several questions a record may serve only one: of each the first part that it cannot do without. */
function neededBy(questions: readonly Question[]): InformationElement[][] {
  const required = questions.map(({key}) => key.filter((part) => part.ofMessage === undefined))
  const own = (part: FlowKey): readonly InformationElement[] =>
    part.either === true ? elementsOf(part) : part.elements
  if (required.length === 1) return required[0].map((part) => [...own(part)])
  if (required.some((parts) => parts.length === 0)) return []
  return [required.flatMap(([first]) => own(first))]
}

/** Parts that are in the keys of all questions: groups with the same key are then in the same unit. */
function commonKey(questions: readonly Question[]): FlowKey[] {
  const [first, ...others] = questions
  return first.key.filter(
    (part) =>
      part.either !== true && others.every(({key}) => key.some(({name}) => name === part.name)),
  )
}

function createState(
  questions: readonly Question[],
  count: number,
  why: boolean,
  {maxOctets}: StateLimits,
  routed: boolean,
): AnalysisState {
  const tables = questions.map(({key}) =>
    createGroupTable({key, columns: flowColumns}, {maxOctets}),
  )

  function select(i: number): GroupSelection {
    return tables[i].select(questions[i].statistics.map(({order}) => ({order: order.by, count})))
  }

  function* records(): Iterable<ResultRecord> {
    for (const [i, {statistics}] of questions.entries()) {
      const {rows, totals, groups} = select(i)
      const whole = sumsOf(totals)
      for (const [j, statistic] of statistics.entries()) {
        // As octets: it is in every record.
        const name: ResultField = [ie.dartaStatistic, new TextEncoder().encode(statistic.name)]
        const summary = [name, [ie.dartaGroupCount, groups] as const, ...sumFields(whole)]
        yield {fields: summary, scopeCount: 1}
        for (const [rank, row] of rows[j].entries()) {
          const fields = [name, [ie.dartaRank, rank + 1] as const]
          for (let part = 0; part < row.shape.fields.length; part++) {
            fields.push(...keyFields(row, part))
          }
          fields.push(...computedField(statistic, row), ...sumFields(rowSums(row), whole))
          if (why) fields.push([ie.dartaFilter, groupFilter(row)])
          yield {fields}
        }
      }
    }
  }

  return {
    add(batches) {
      if (tables.length === 1) return tables[0].add(batches)
      for (const table of tables) table.add(batches)
      return batches
        .filter(({template}) => tables.some((table) => table.takes(template)))
        .reduce((n, batch) => n + batch.count, 0)
    },
    merge(snapshot) {
      for (const [i, part] of splitSnapshot(snapshot, tables.length).entries()) {
        tables[i].merge(part)
      }
    },
    snapshot(complete) {
      const keep = complete && routed && count > 0
      return joinSnapshots(
        tables.map((table, i) =>
          table.snapshot(keep ? distinct(select(i).rows.flat()) : undefined),
        ),
      )
    },
    results: (message) => resultBatches(message, records()),
    table(style) {
      const blocks = questions.flatMap(({statistics}, i) => {
        const {rows, totals, groups} = select(i)
        return statistics.map((s, j) => blockText(s, rows[j], sumsOf(totals), groups, style))
      })
      return blocks.join('\n')
    },
    missing: () => limitedSums(...tables),
    memoryOctets: () => tables.reduce((n, table) => n + table.memoryOctets(), 0),
    close() {
      for (const table of tables) table.close()
    },
  }
}

/** Two orders may choose the same group. */
function distinct(rows: readonly GroupRow[]): GroupRow[] {
  const byKey = new Map(rows.map((row) => [`${row.shape.signature}:${hexText(row.key)}`, row]))
  return [...byKey.values()]
}

function computedValue({order}: Statistic, row: GroupRow): number | undefined {
  if (order.computed === undefined) return undefined
  const words = new Uint32Array(row.octets(flowColumns.length).slice().buffer)
  return order.computed.value(words, row.key.length / 4)
}

function computedField(statistic: Statistic, row: GroupRow): ResultField[] {
  const value = computedValue(statistic, row)
  return value === undefined ? [] : [[statistic.order.computed!.element, value]]
}

function blockText(
  statistic: Statistic,
  rows: readonly GroupRow[],
  whole: FlowSums,
  groups: number,
  style: TableStyle,
): string {
  const {key, order} = statistic
  const {computed} = order
  const number = (value: bigint | number): string => scaledNumber(value, style.units)
  const sums = (of: FlowSums): string[] => [
    number(of.octets),
    percent(share(of.octets, whole.octets)),
    number(of.packets),
    percent(share(of.packets, whole.packets)),
    number(of.flows),
    percent(share(of.flows, whole.flows)),
  ]
  const times = ({start, end}: FlowSums): string[] => [
    start === undefined ? '' : utcTime(start),
    end === undefined ? '' : utcTime(end),
  ]
  const lines = rows.map((row, rank) => {
    const of = rowSums(row)
    const value = computedValue(statistic, row)
    return [
      String(rank + 1),
      ...key.map((_, i) => keyText(row, i, style)),
      ...(value === undefined ? [] : [number(value)]),
      ...sums(of),
      ...times(of),
    ]
  })
  const beside = (label: string): string[] => [
    '',
    label,
    ...key.slice(1).map(() => ''),
    ...(computed === undefined ? [] : ['']),
  ]
  // Where both sides of a record count, rows overlap and nothing is "the rest" of them.
  if (rows.length < groups && !key.some((part) => part.either === true)) {
    const shown = rows.map(rowSums).reduce(addSums, noFlows)
    const others = {
      octets: whole.octets - shown.octets,
      packets: whole.packets - shown.packets,
      flows: whole.flows - shown.flows,
      start: undefined,
      end: undefined,
    }
    lines.push([...beside(`${groups - rows.length} others`), ...sums(others), '', ''])
  }
  lines.push([...beside('all'), ...sums(whole), ...times(whole)])
  const heads = [
    '#',
    ...key.map(({title}) => title),
    ...(computed === undefined ? [] : [computed.title]),
    ...['octets', '', 'packets', '', 'flows', '', 'first seen', 'last seen'],
  ]
  const right = heads.map((_, i) => i === 0 || (i > key.length && i < heads.length - 2))
  const title = `${statistic.name}: ${rows.length} of ${groups}\n`
  return title + textTable(heads, lines, right)
}
