import {MAX, MIN, SUM} from '../../record/group-kernel.js'
import {NO_VALUE, type GroupRow} from '../../record/group-row.js'
import type {GroupTable} from '../../record/group-table.js'
import type {InformationElement} from '../../record/element.js'
import type {Value} from '../../record/value.js'
import {ie} from '../../registry/elements.js'
import {
  endColumn,
  flowsColumn,
  octetsColumn,
  packetsColumn,
  startColumn,
} from '../../registry/flow-columns.js'

/** What is known of a set of records. */
export interface FlowSums {
  readonly octets: bigint
  readonly packets: bigint
  readonly flows: bigint
  /** Milliseconds since 1970; undefined where no record has such a time. */
  readonly start: bigint | undefined
  readonly end: bigint | undefined
}

/** Columns of a group table; the constants are their places. */
export const flowColumns = [octetsColumn, packetsColumn, flowsColumn, startColumn, endColumn]
export const OCTETS = 0
export const PACKETS = 1
export const FLOWS = 2
export const START = 3
export const END = 4
/** The same as a kernel names them. */
export const flowKinds = [SUM, SUM, SUM, MIN, MAX]

export const noFlows: FlowSums = {
  octets: 0n,
  packets: 0n,
  flows: 0n,
  start: undefined,
  end: undefined,
}

/** Columns of a row or of the totals as sums. */
export function sumsOf(columns: readonly bigint[]): FlowSums {
  const [octets, packets, flows, start, end] = columns
  return {
    octets,
    packets,
    flows,
    start: start === NO_VALUE ? undefined : start,
    end: end === 0n ? undefined : end,
  }
}

export function rowSums(row: GroupRow): FlowSums {
  return sumsOf(flowColumns.map((_, c) => row.value(c)))
}

/** Columns of a row as words, the less significant one of each first. */
export function sumsAt(words: Uint32Array, at: number): FlowSums {
  return sumsOf(
    flowColumns.map((_, c) => (BigInt(words[at + 2 * c + 1]) << 32n) | BigInt(words[at + 2 * c])),
  )
}

/** Whether a row whose columns are at word `at` has the time of a first packet. */
export function hasStart(words: Uint32Array, at: number): boolean {
  const column = at + 2 * START
  return words[column + 1] !== 0xffffffff || words[column] !== 0xffffffff
}

/** The same of a last one. */
export function hasEnd(words: Uint32Array, at: number): boolean {
  const column = at + 2 * END
  return words[column + 1] !== 0 || words[column] !== 0
}

/** Where a program finds the columns of rows of which they begin at this octet. */
export function columnsFrom(octet: number): {readonly at: number}[] {
  return flowColumns.map((_, c) => ({at: octet + 8 * c}))
}

/** Both together. */
export function addSums(a: FlowSums, b: FlowSums): FlowSums {
  return {
    octets: limited(a.octets + b.octets),
    packets: limited(a.packets + b.packets),
    flows: limited(a.flows + b.flows),
    start: a.start === undefined || (b.start ?? a.start) < a.start ? b.start : a.start,
    end: a.end === undefined || (b.end ?? a.end) > a.end ? b.end : a.end,
  }
}

/** Sums that go out have 64 bits, as those of the groups have. */
function limited(sum: bigint): bigint {
  return sum > NO_VALUE ? NO_VALUE : sum
}

/** What tables say of sums that stand at 2^64 − 1; see AnalysisState.missing. */
export function limitedSums(...tables: readonly GroupTable[]): [string, number][] {
  const count = tables.reduce((n, table) => n + table.limited(), 0)
  return count === 0 ? [] : [['sum-limit', count]]
}

/** `part` of `whole`, 0 to 1; of nothing it is 0. */
export function share(part: bigint, whole: bigint): number {
  return whole === 0n ? 0 : Number(part) / Number(whole)
}

/** As a number where that is exact: numbers are written in a fraction of the time. */
export function lighter(value: bigint): bigint | number {
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value
}

/** Sums as fields of a result, with their part of `whole` where that is given; times only where there are any. */
export function sumFields(
  sums: FlowSums,
  whole?: FlowSums,
): readonly (readonly [InformationElement, Value])[] {
  const fields: (readonly [InformationElement, Value])[] = [
    [ie.octetDeltaCount, lighter(sums.octets)],
    [ie.packetDeltaCount, lighter(sums.packets)],
    [ie.deltaFlowCount, lighter(sums.flows)],
  ]
  if (whole !== undefined) {
    fields.push(
      [ie.dartaOctetShare, share(sums.octets, whole.octets)],
      [ie.dartaPacketShare, share(sums.packets, whole.packets)],
      [ie.dartaFlowShare, share(sums.flows, whole.flows)],
    )
  }
  if (sums.start !== undefined) fields.push([ie.flowStartMilliseconds, lighter(sums.start)])
  if (sums.end !== undefined) fields.push([ie.flowEndMilliseconds, lighter(sums.end)])
  return fields
}
