import {loadNative} from '../../src/io/native.js'
import type {Meter, MeterCounters, MeterOptions, MeterOutput} from '../../src/metering/meter.js'
import {createNativeMeter} from '../../src/metering/native.js'
import {createTypescriptMeter} from '../../src/metering/typescript-meter.js'
import {DartaError} from '../../src/record/errors.js'
import {concat} from './captures.js'
import {imbalance} from './metering.js'
import {rowsOf, sortedRows} from './rows.js'

/** What two meters must agree in. */
interface Account {
  /** Records as a sorted multiset; of packets in order; of pcap the file. */
  readonly records: readonly string[]
  readonly counters: Record<string, unknown>
  /** Code of what it threw. */
  readonly error: string | undefined
  readonly imbalance: string | undefined
}

/** Where the C++ and the TypeScript meter differ on captures, one after another; undefined where they do not. */
export function difference(
  captures: readonly (readonly Uint8Array[])[],
  options: MeterOptions,
): string | undefined {
  const addon = loadNative()
  if (addon === undefined) throw new Error('the native addon is not built')
  const native = account(captures, options, (o) => createNativeMeter(addon, o))
  const typescript = account(captures, options, createTypescriptMeter)
  const differences = compare(native.records, typescript.records)
  for (const name of Object.keys(typescript.counters)) {
    const [n, t] = [native, typescript].map(({counters}) => text(counters[name]))
    if (n !== t) differences.push(`${name}: C++ ${n}, TypeScript ${t}`)
  }
  if (native.error !== typescript.error) {
    differences.push(`error: C++ ${String(native.error)}, TypeScript ${String(typescript.error)}`)
  }
  if (typescript.imbalance !== undefined) differences.push(typescript.imbalance)
  return differences.length === 0 ? undefined : differences.join('\n')
}

function account(
  captures: readonly (readonly Uint8Array[])[],
  options: MeterOptions,
  create: (options: MeterOptions) => Meter,
): Account {
  const meter = create(options)
  const outputs: MeterOutput[] = []
  let error: string | undefined
  try {
    captures.forEach((chunks, i) => {
      for (const chunk of chunks) outputs.push(...meter.push(chunk))
      if (i + 1 < captures.length) meter.endCapture()
    })
  } catch (thrown) {
    error = codeOf(thrown)
  }
  try {
    outputs.push(...meter.finish())
  } catch (thrown) {
    // What was read at the very end could not be metered; what was metered before is still to be had.
    error = `${error ?? ''} ${codeOf(thrown)}`
    outputs.push(...meter.finish())
  }
  const counters = meter.counters()
  meter.close()
  const isPcap = options.emit === 'pcap'
  const rows = isPcap ? [] : rowsOf(outputs, options.fields)
  return {
    records: isPcap
      ? [Buffer.from(concat(...outputs.map(({octets}) => octets))).toString('hex')]
      : options.emit === 'packets'
        ? rows.map((row) => JSON.stringify(row))
        : sortedRows(rows),
    counters: comparable(counters, options),
    error,
    imbalance: isDefaultCount(options) ? imbalance({rows, counters}) : undefined,
  }
}

/** Whether records have the counts that must add up to those of the meter. */
function isDefaultCount({emit, fields}: MeterOptions): boolean {
  return emit === 'flows' && fields.v4.some(({element}) => element.name === 'octetDeltaCount')
}

function codeOf(error: unknown): string {
  if (error instanceof DartaError) return error.code
  throw error
}

/** All counters but what belongs to one implementation: memory, and with a limit how much it read ahead. */
function comparable(
  {memoryOctets: _memory, inputOctets, ...rest}: MeterCounters,
  {maxFrames, onFull}: MeterOptions,
): Record<string, unknown> {
  const stops = maxFrames > 0 || onFull === 'fail'
  return {...rest, inputOctets: stops ? undefined : inputOctets}
}

function text(value: unknown): string {
  if (value instanceof Map) return JSON.stringify([...(value as Map<string, number>)].sort())
  return String(value)
}

/** The first few records that only one has. */
function compare(native: readonly string[], typescript: readonly string[]): string[] {
  const counts = new Map<string, number>()
  for (const record of native) counts.set(record, (counts.get(record) ?? 0) + 1)
  for (const record of typescript) counts.set(record, (counts.get(record) ?? 0) - 1)
  const only = [...counts].filter(([, count]) => count !== 0)
  const lines = only
    .slice(0, 6)
    .map(([record, count]) => `only ${count > 0 ? 'C++' : 'TypeScript'}: ${record.slice(0, 1500)}`)
  if (only.length > 6) lines.push(`and ${only.length - 6} more`)
  const order = native.findIndex((record, i) => record !== typescript[i])
  if (lines.length === 0 && order >= 0) lines.push(`record ${order} stands elsewhere`)
  return lines
}
