import {readFileSync} from 'node:fs'
import {meterFields, type Precision} from '../../src/metering/flow-fields.js'
import type {
  KeyPart,
  Meter,
  MeterCounters,
  MeterOptions,
  MeterOutput,
} from '../../src/metering/meter.js'
import {createTypescriptMeter} from '../../src/metering/typescript-meter.js'
import {root} from '../support/needing.js'
import {numberOf, rowsOf, type Row} from './rows.js'

export const FIVE_TUPLE: readonly KeyPart[] = ['src', 'dst', 'proto', 'srcport', 'dstport']
export const DEFAULT_KEY: readonly KeyPart[] = [...FIVE_TUPLE, 'vlan', 'tunnel']
/** Longer than any capture. */
export const NEVER_MS = 2 ** 40

export interface OptionChoice extends Partial<Omit<MeterOptions, 'fields'>> {
  readonly precision?: Precision
  readonly fields?: readonly string[]
}

/** Options of `darta capture` by default, with what a test changes. */
export function meterOptions(choice: OptionChoice = {}): MeterOptions {
  const {precision = 'ms', fields, ...rest} = choice
  const options = {
    emit: 'flows',
    key: DEFAULT_KEY,
    biflow: false,
    decap: false,
    idleTimeoutMs: 60000,
    activeTimeoutMs: 300000,
    tcpFinTimeoutMs: 5000,
    tcpRstTimeoutMs: 5000,
    maxMemoryOctets: 0,
    maxFlows: 0,
    onFull: 'evict',
    sectionOctets: 64,
    maxFrames: 0,
    ...rest,
  } as const
  return {...options, fields: meterFields({...options, precision, fields})}
}

/** Timeouts that never strike: one Flow for each key. */
export const noTimeouts = {
  idleTimeoutMs: NEVER_MS,
  activeTimeoutMs: NEVER_MS,
  tcpFinTimeoutMs: NEVER_MS,
  tcpRstTimeoutMs: NEVER_MS,
}

export interface Metered {
  readonly rows: Row[]
  readonly counters: MeterCounters
}

/** Meters a capture that comes in the chunks given. */
export function meterChunks(
  chunks: Iterable<Uint8Array>,
  options: MeterOptions = meterOptions(),
  create: (options: MeterOptions) => Meter = createTypescriptMeter,
): Metered {
  const meter = create(options)
  const outputs: MeterOutput[] = []
  for (const chunk of chunks) outputs.push(...meter.push(chunk))
  outputs.push(...meter.finish())
  const counters = meter.counters()
  meter.close()
  return {rows: rowsOf(outputs, options.fields), counters}
}

/** Meters a whole capture. */
export function meterWhole(capture: Uint8Array, choice?: OptionChoice): Metered {
  return meterChunks([capture], meterOptions(choice))
}

/** A capture of `../shared/fixtures`, by the name it has in truth.json. */
export function readFixture(name: string): Uint8Array {
  return readFileSync(`${root}../shared/fixtures/${name}`)
}

/** What truth.json says of a capture, as far as it is compared here. */
export interface Truth {
  readonly linktypes: readonly number[]
  readonly packets: number
  readonly ip_packets: number
  readonly ip_bytes: number
  readonly ip4: number
  readonly later_fragments: number
  readonly flows_vlan: number
  readonly flows_frag_merged: number
  readonly biflows: number
  readonly inner_flows: number
  readonly inner_ip_packets: number
  readonly by_proto: Readonly<Record<string, readonly [packets: number, octets: number]>>
  readonly min_ts: string | null
  readonly max_ts: string | null
}

/** All captures of truth.json; none where it is absent. */
export function readTruth(): [name: string, truth: Truth][] {
  try {
    const text = readFileSync(`${root}../shared/fixtures/truth.json`, 'utf8')
    return Object.entries((JSON.parse(text) as {captures: Record<string, Truth>}).captures)
  } catch {
    return []
  }
}

export function sum(counts: Iterable<number>): number {
  let total = 0
  for (const count of counts) total += count
  return total
}

/** What no capture may break: every frame is metered, skipped or lost, and records hold what was metered. */
export function imbalance({rows, counters}: Metered): string | undefined {
  const {frames, ipPackets, ipOctets, skipped, lost} = counters
  const accounted = ipPackets + sum(skipped.values()) + sum(lost.values())
  if (frames !== accounted) return `${frames} frames, ${accounted} accounted for`
  const total = (name: string): number =>
    sum(rows.map((row) => (name in row ? numberOf(row, name) : 0)))
  const packets = total('packetDeltaCount') + total('reversePacketDeltaCount')
  if (packets !== ipPackets) return `${ipPackets} packets metered, ${packets} in records`
  const octets = total('octetDeltaCount') + total('reverseOctetDeltaCount')
  return octets === ipOctets ? undefined : `${ipOctets} octets metered, ${octets} in records`
}
