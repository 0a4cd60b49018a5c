import {
  keepRecords,
  recordStart,
  type MessageContext,
  type RecordBatch,
} from '../../record/batch.js'
import {
  BY_TURN,
  DEAL_SLOTS,
  hashRoutingKey,
  slotOfHash,
  type DealProgram,
  type DealTable,
} from '../../record/deal-kernel.js'
import {kernels} from '../../record/kernels.js'
import {takeSlot} from '../../record/plain-deal.js'
import type {Template} from '../../record/template.js'
import type {RoutingKey} from '../analysis/app.js'
import {createRoutingKeyReader} from '../analysis/routing-key.js'
import {hotRing} from './hot-slots.js'
import {keyPlan, type KeyPlan} from './key-program.js'
import {assignSlots, NO_UNIT, type WeightedUnit} from './rendezvous.js'

export interface DealerOptions {
  /** Undefined: a record may go to any unit; they go in turn. */
  readonly key: RoutingKey | undefined
  /** Of the hash, 0..2^32 − 1. */
  readonly seed: number
  /** Slots that are too heavy for one unit are dealt to several. */
  readonly splitHot: boolean
  /** With more than this part of a unit's fair share of the records a slot is too heavy; 1/32 unless said otherwise. */
  readonly hotPart?: number
  /** Unit that gets the records that have no key; undefined: nobody. */
  readonly keyless?: number
}

/** Records of one call by unit, in the order in which they came; their octets are good until the next call. */
export interface Dealt {
  readonly batches: RecordBatch[][]
  readonly counts: number[]
  /** Records that have no routing key, or that no unit is there for. */
  homeless: number
}

/**
 * Deals records to units by their routing key. What a record's unit is hangs on its key, the seed, and the units alone;
 * with `splitHot` also on the records before it.
 */
export interface Dealer {
  /** The same indices from now on; one that has weight 0 gets nothing. */
  setUnits(units: readonly WeightedUnit[]): void
  deal(batches: readonly RecordBatch[]): Dealt
  /** Slot and unit of a record without counting it; undefined: it has no key. */
  explain(batch: RecordBatch, index: number): Explanation | undefined
  /** Records that went to several units because their key was too heavy for one. */
  readonly hotSlots: number
}

export interface Explanation {
  /** The key's octets as they are hashed. */
  readonly key: Uint8Array
  readonly hash: number
  readonly slot: number
  /** Index of the unit; undefined: several in turn. */
  readonly unit: number | undefined
}

/** Records of one Template and one export time that wait for a kernel. */
interface Group {
  readonly template: Template
  readonly message: MessageContext
  readonly first: RecordBatch
  readonly program: DealProgram
  /** First octet and records, one pair after another. */
  spans: Int32Array
  used: number
  records: number
}

/** Loads are looked at after so many records; each time after twice as many, up to the last number. */
const FIRST_PERIOD = 4096
const LAST_PERIOD = 65536

export function createDealer(
  units: readonly WeightedUnit[],
  {key, seed, splitHot, hotPart = HOT_PART, keyless}: DealerOptions,
): Dealer {
  const read = key === undefined ? () => new Uint8Array(0) : createRoutingKeyReader(key)
  const plans = new WeakMap<Template, KeyPlan>()
  const cursor = new Uint32Array(1)
  const loads = new Uint32Array(DEAL_SLOTS)
  let scratch = new Uint8Array(0)
  let view = new DataView(scratch.buffer)
  /** Octets of it that batches of this call lie in. */
  let filled = 0
  let padded = new Uint8Array(256)
  let weights: readonly WeightedUnit[] = units
  /** Without hot slots. */
  let home = new Uint16Array(0)
  let table: DealTable
  let period = FIRST_PERIOD
  let left = FIRST_PERIOD
  let hot = 0
  let open = false

  function setUnits(next: readonly WeightedUnit[]): void {
    weights = next
    open = next.some(({weight}) => weight > 0)
    home = Uint16Array.from(assignSlots(next, DEAL_SLOTS))
    if (key === undefined && open) home.fill(BY_TURN)
    balance()
  }

  /** Decides which slots are dealt to several units, and to which. */
  function balance(): void {
    if (key === undefined) {
      const ring = hotRing(weights, new Float64Array(weights.length), 1)
      table = {lanes: home, ring, cursor, loads}
      return
    }
    if (!splitHot) {
      table = {lanes: home, ring: new Uint16Array(0), cursor, loads}
      return
    }
    const lanes = home.slice()
    const shares = weights.map(({weight}) => weight)
    const weightSum = shares.reduce((a, b) => a + b, 0)
    const all = loads.reduce((a, b) => a + b, 0)
    const units = shares.filter((weight) => weight > 0).length
    const cold = new Float64Array(weights.length)
    let carried = 0
    hot = 0
    for (let slot = 0; slot < DEAL_SLOTS; slot++) {
      const unit = home[slot]
      if (unit >= weights.length) continue
      const fair = (all * shares[unit]) / weightSum
      if (units > 1 && loads[slot] > hotPart * fair && loads[slot] >= HOT_LEAST) {
        lanes[slot] = BY_TURN
        hot++
        carried += loads[slot]
      } else cold[unit] += loads[slot]
    }
    table = {
      lanes,
      ring: hot === 0 ? new Uint16Array(0) : hotRing(weights, cold, carried),
      cursor,
      loads,
    }
  }

  function planOf(template: Template): KeyPlan {
    let plan = plans.get(template)
    if (plan === undefined) {
      plan = keyPlan(key, template)
      plans.set(template, plan)
    }
    return plan
  }

  function hashOf(octets: Uint8Array): number {
    if (octets.length + 4 > padded.length) padded = new Uint8Array(2 * octets.length + 4)
    padded.fill(0, 0, octets.length + 4)
    padded.set(octets)
    return hashRoutingKey(
      new Uint32Array(padded.buffer, 0, padded.length >> 2),
      octets.length,
      seed,
    )
  }

  /** Counts down to the next look at the loads. */
  function counted(records: number): void {
    left -= records
    if (left > 0 || !splitHot) return
    balance()
    // What was long ago counts less and less.
    for (let slot = 0; slot < DEAL_SLOTS; slot++) loads[slot] >>>= 1
    period = Math.min(2 * period, LAST_PERIOD)
    left = period
  }

  function deal(batches: readonly RecordBatch[]): Dealt {
    const dealt: Dealt = {
      batches: weights.map(() => []),
      counts: weights.map(() => 0),
      homeless: 0,
    }
    filled = 0
    let groups: Group[] = []
    const recent = new Map<Template, Group>()

    function settle(): void {
      for (const group of groups) run(group, dealt)
      groups = []
      recent.clear()
    }

    for (const batch of batches) {
      const plan = planOf(batch.template)
      if (plan === 'no-key' || !open) {
        if (keyless === undefined || !open) dealt.homeless += batch.count
        else {
          dealt.batches[keyless].push(batch)
          dealt.counts[keyless] += batch.count
        }
        continue
      }
      if (groups.length > 0 && groups[0].first.octets !== batch.octets) settle()
      if (plan === 'one-by-one' || batch.offsets !== undefined) {
        settle()
        oneByOne(batch, dealt)
        continue
      }
      let from = 0
      while (from < batch.count) {
        const n = splitHot ? Math.min(batch.count - from, left) : batch.count - from
        const group = groupOf(batch, plan, recent, groups)
        put(group, recordStart(batch, from), n)
        from += n
        if (splitHot && n === left) settle()
        counted(n)
      }
    }
    settle()
    return dealt
  }

  function groupOf(
    batch: RecordBatch,
    program: DealProgram,
    recent: Map<Template, Group>,
    groups: Group[],
  ): Group {
    const {template, message} = batch
    const alike = (group: Group): boolean =>
      group.template === template &&
      group.message.exportTime === message.exportTime &&
      group.message.observationDomainId === message.observationDomainId &&
      group.message.exporter === message.exporter
    let group = recent.get(template)
    if (group !== undefined && alike(group)) return group
    group = groups.find(alike)
    if (group === undefined) {
      const spans = new Int32Array(64)
      group = {template, message, first: batch, program, spans, used: 0, records: 0}
      groups.push(group)
    }
    recent.set(template, group)
    return group
  }

  function put(group: Group, start: number, records: number): void {
    const {spans, used} = group
    group.records += records
    if (used > 0) {
      const last = 2 * used - 2
      if (spans[last] + spans[last + 1] * group.program.recordOctets === start) {
        spans[last + 1] += records
        return
      }
    }
    if (2 * used === spans.length) {
      group.spans = new Int32Array(2 * spans.length)
      group.spans.set(spans)
    }
    group.spans[2 * used] = start
    group.spans[2 * used + 1] = records
    group.used++
  }

  function run(group: Group, dealt: Dealt): void {
    const {first, program, spans, used, records, template, message} = group
    const size = program.recordOctets
    if (scratch.length < filled + records * size) {
      scratch = new Uint8Array(Math.max(2 * scratch.length, records * size))
      view = new DataView(scratch.buffer)
      filled = 0
    }
    const into = scratch
    const counts = new Uint32Array(weights.length)
    kernels.deal(first.octets, spans, used, program, seed, table, into.subarray(filled), counts)
    let start = filled
    filled += records * size
    for (let lane = 0; lane < counts.length; lane++) {
      const count = counts[lane]
      if (count === 0) continue
      const {templates, elements} = first
      dealt.batches[lane].push({
        template,
        octets: into,
        view,
        start,
        count,
        offsets: undefined,
        message,
        ...(templates && {templates}),
        ...(elements && {elements}),
      })
      dealt.counts[lane] += count
      start += count * size
    }
  }

  function oneByOne(batch: RecordBatch, dealt: Dealt): void {
    const indices: number[][] = weights.map(() => [])
    for (let i = 0; i < batch.count; i++) {
      const octets = read(batch, i)
      const unit = octets === undefined ? keyless : takeSlot(table, slotOfHash(hashOf(octets)))
      if (unit === undefined || unit >= weights.length) dealt.homeless++
      else indices[unit].push(i)
      counted(1)
    }
    for (const [unit, list] of indices.entries()) {
      if (list.length === 0) continue
      dealt.batches[unit].push(list.length === batch.count ? batch : keepRecords(batch, list))
      dealt.counts[unit] += list.length
    }
  }

  setUnits(units)
  return {
    setUnits,
    deal,
    explain(batch, index) {
      const octets = read(batch, index)
      if (octets === undefined) return undefined
      const hash = hashOf(octets)
      const slot = slotOfHash(hash)
      const unit = table.lanes[slot]
      return {
        key: octets.slice(),
        hash,
        slot,
        unit: unit === BY_TURN || unit === NO_UNIT ? undefined : unit,
      }
    },
    get hotSlots() {
      return hot
    },
  }
}

/** A slot with more than this part of a unit's fair share of the records is hot. */
const HOT_PART = 1 / 32
/** What is less says nothing. */
const HOT_LEAST = 16
