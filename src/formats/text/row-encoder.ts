import {recordStart, type RecordBatch} from '../../record/batch.js'
import {VARIABLE, carriesType, isList, type InformationElement} from '../../record/element.js'
import type {EncodeContext, Encoder} from '../../record/format.js'
import {kernels} from '../../record/kernels.js'
import {readValue} from '../../record/readers.js'
import type {Template} from '../../record/template.js'
import {timeText, type TimeChoice} from '../human/presentation.js'
import {createTextBuffer, put, reserve, takeChunks, textOctets} from './buffer.js'
import {
  fillColumns,
  parseColumns,
  templateColumns,
  type Column,
  type MessageColumn,
} from './columns.js'
import {cellWriter, putCommaString, putTabString, type Separator} from './csv-values.js'
import {createFieldSpans, locate} from './field-spans.js'
import {putJsonList} from './json-lists.js'
import {createJsonRecordWriter} from './json-record.js'
import {SCALAR_OCTETS, type ValueWriter} from './json-values.js'
import {createKernelRunner} from './kernel-runner.js'
import {kindOf, kinds, type Kind} from './kinds.js'
import {compileProgram, type TextStep} from './program.js'
import {putInteger, putTime} from './scalars.js'

const timeDigits = {
  dateTimeSeconds: 0,
  dateTimeMilliseconds: 3,
  dateTimeMicroseconds: 6,
  dateTimeNanoseconds: 9,
} as const

/** How records of one Template become rows. */
interface RowPlan {
  readonly template: Template
  readonly steps: readonly RowStep[]
  /** Behind the last value: separators of empty cells, and the line end. */
  readonly tail: Uint8Array
  /** Whether a column holds anything of the record. */
  readonly useful: boolean
  /** Fields that no column shows. */
  readonly hidden: number
}

interface RowStep extends TextStep {
  readonly write: ValueWriter | undefined
  /** Set for the column `_ipfix.exporter`. */
  readonly exporter: boolean
}

/**
 * Writes records as rows of cells under one header line. Columns are those asked for; without, those of
 * the first Data Record's Template. What has no column is left out and noted; records that have none of the columns, and
 * without a wish all options records, are skipped and counted.
 */
export function createRowEncoder(
  {ledger, options, argument}: EncodeContext,
  name: 'csv' | 'tsv',
): Encoder {
  const separator: Separator = name === 'csv' ? 'comma' : 'tab'
  const mark = separator === 'comma' ? ',' : '\t'
  const account = ledger.stage(`${name}-write`, 'records')
  const asked = argument ? parseColumns(argument, `-o ${name}`) : undefined
  const out = createTextBuffer()
  const lists = createTextBuffer()
  const listWriter = createJsonRecordWriter('number', false)
  const putString = separator === 'comma' ? putCommaString : putTabString
  const runner = kernels.text && createKernelRunner(kernels.text, out, plain)
  const plans = new WeakMap<Template, RowPlan>()
  let columns: readonly Column[] | undefined
  let last: RowPlan | undefined
  const style = options.time as TimeChoice | undefined
  const times = style === undefined || style.style === 'rfc3339' ? undefined : style
  /** Nanoseconds since 1970 of the first time written, for `relative`. */
  let origin: bigint | undefined
  let spans = createFieldSpans(64)

  /** Fixes the columns and writes their titles. */
  function begin(chosen: readonly Column[]): readonly Column[] {
    chosen.forEach(({title}, i) => {
      const octets = textOctets(title)
      reserve(out, 1)
      if (i > 0) out.octets[out.at++] = mark.charCodeAt(0)
      putString(out, octets, 0, octets.length)
    })
    reserve(out, 1)
    out.octets[out.at++] = 10
    out.begin = out.at
    return chosen
  }

  function planOf(template: Template, all: readonly Column[]): RowPlan {
    if (last?.template === template) return last
    let plan = plans.get(template)
    if (plan === undefined) plans.set(template, (plan = rowPlan(template, all)))
    last = plan
    return plan
  }

  function rowPlan(template: Template, all: readonly Column[]): RowPlan {
    const filling = fillColumns(all, template)
    const steps: RowStep[] = []
    let pending = ''
    const push = (field: number, kind: Kind, write: ValueWriter | undefined): void => {
      steps.push({field, kind, prefix: textOctets(pending), write, exporter: false})
      pending = ''
    }
    filling.forEach((source, i) => {
      if (i > 0) pending += mark
      if (source === undefined) return
      if ('field' in source) {
        const {element, length} = template.fields[source.field]
        const {type} = element
        if (times !== undefined && type.startsWith('dateTime') && carriesType(type, length)) {
          push(source.field, kinds.variable, timeWriter(element, times))
        } else {
          const write = isList(type) ? undefined : cellWriter(element, length, separator)
          push(source.field, kindOf(element, length), write)
        }
      } else if (source.message === 'exporter') {
        steps.push({
          field: -1,
          kind: kinds.variable,
          prefix: textOctets(pending),
          write: undefined,
          exporter: true,
        })
        pending = ''
      } else {
        push(-1, source.message, undefined)
      }
    })
    const shown = new Set(filling.flatMap((s) => (s && 'field' in s ? [s.field] : [])))
    return {
      template,
      steps,
      tail: textOctets(`${pending}\n`),
      useful: shown.size > 0,
      hidden: template.fields.length - shown.size,
    }
  }

  /** Writes times in the style that was asked for. */
  function timeWriter(element: InformationElement, choice: TimeChoice): ValueWriter {
    const digits = timeDigits[element.type as keyof typeof timeDigits]
    const scale = 10n ** BigInt(9 - digits)
    const misfit = cellWriter(element, VARIABLE, separator)
    return (target, octets, start, length) => {
      const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
      const value = readValue(element, {octets, view}, start, length)
      if (typeof value !== 'number' && typeof value !== 'bigint') {
        misfit(target, octets, start, length)
        return
      }
      const units = BigInt(value)
      origin ??= units * scale
      const cell = textOctets(timeText(units, digits, choice, origin / scale))
      if (choice.style === 'strftime') {
        putString(target, cell, 0, cell.length)
      } else {
        // Digits and signs of ours: no spreadsheet can take them for anything but a time or a number.
        reserve(target, cell.length)
        put(target, cell)
      }
    }
  }

  function plain(batch: RecordBatch, index: number): void {
    const {template, steps, tail} = planOf(batch.template, columns!)
    const {octets, message} = batch
    if (spans.starts.length < template.fields.length)
      spans = createFieldSpans(template.fields.length)
    locate(template, octets, recordStart(batch, index), octets.length, spans)
    for (const {field, kind, prefix, write, exporter} of steps) {
      reserve(out, prefix.length + SCALAR_OCTETS)
      put(out, prefix)
      if (field < 0) putMessageCell(exporter ? 'exporter' : (kind as MessageColumn), message)
      else if (write !== undefined) write(out, octets, spans.starts[field], spans.lengths[field])
      else putListCell(batch, field)
    }
    reserve(out, tail.length)
    put(out, tail)
    out.begin = out.at
  }

  function putMessageCell(column: MessageColumn, message: RecordBatch['message']): void {
    if (column === 'exporter') {
      const octets = textOctets(message.exporter ?? '')
      if (octets.length > 0) putString(out, octets, 0, octets.length)
    } else if (column === kinds.exportTime) {
      putTime(out, message.exportTime, 0, 0)
    } else if (column === kinds.observationDomainId) {
      putInteger(out, message.observationDomainId)
    } else {
      putInteger(out, message.sequenceNumber)
    }
  }

  /** A list as JSON in a cell. */
  function putListCell(batch: RecordBatch, field: number): void {
    lists.at = lists.begin = 0
    const {type} = batch.template.fields[field].element
    const {starts, lengths} = spans
    putJsonList(lists, type, batch, starts[field], lengths[field], listWriter)
    putString(out, lists.octets, 0, lists.at)
  }

  function write(batch: RecordBatch): void {
    const {template, count} = batch
    account.in += count
    if (asked === undefined && template.scopeCount > 0) {
      account.skip('options-record', count)
      return
    }
    columns ??= begin(asked ?? templateColumns(template))
    const plan = planOf(template, columns)
    if (!plan.useful) {
      account.skip('no-column', count)
      return
    }
    account.out += count
    if (asked === undefined && plan.hidden > 0) {
      account.note('value-without-column', plan.hidden * count)
    }
    const compile = (): Uint32Array | undefined =>
      compileProgram(template, [...plan.steps, {field: -1, kind: kinds.none, prefix: plan.tail}], {
        form: separator,
        bigint: 'number',
        watch: false,
      })
    if (runner?.add(batch, plan, compile)) return
    for (let i = 0; i < count; i++) plain(batch, i)
  }

  return {
    push(batches) {
      for (const batch of batches) write(batch)
      runner?.flush()
      return takeChunks(out, false)
    },
    flush: () => takeChunks(out, true),
    end() {
      if (asked !== undefined) columns ??= begin(asked)
      return takeChunks(out, true)
    },
  }
}
