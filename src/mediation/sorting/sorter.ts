import {recordEnd, recordStart, type RecordBatch} from '../../record/batch.js'
import type {InformationElement} from '../../record/element.js'
import {Ledger, type StageLedger} from '../../record/ledger.js'
import {createAbsoluteTimes} from '../../ipfix/absolute-times.js'
import {createDecoder} from '../../ipfix/decoder.js'
import {createEncoder} from '../../ipfix/encoder.js'
import type {SpillStore} from '../aggregation/spill.js'
import {createIdentity, type Identity} from './identity.js'
import {mergeSorted, type Lane, type TakeRecord} from './merge-sorted.js'
import {createOrdering, radixOrder} from './ordering.js'
import type {SortKey} from './sort-key.js'

export interface SorterOptions {
  readonly keys: readonly SortKey[]
  /** `same`: of records that are the same one stays; `key`: of those that agree in all keys the first that came. */
  readonly drop?: 'same' | 'key'
  /** Elements that do not make records different. */
  readonly ignored?: readonly InformationElement[]
  /** Records that are wanted, from the first in order. */
  readonly most?: number
  /** Octets of records and keys in memory; more goes to the store. */
  readonly maxOctets: number
  readonly openStore: () => SpillStore
  readonly account: StageLedger
}

export interface Sorter {
  /** Takes records; gives back those that have no place in the order: Options Records. */
  push(batches: readonly RecordBatch[]): RecordBatch[]
  /** All records in order. */
  results(): AsyncGenerator<RecordBatch[]>
  /** All records of lanes that are in order already; nothing was pushed before. */
  merge(lanes: readonly Lane[], disorder: (lane: number) => void): AsyncGenerator<RecordBatch[]>
  /** How often records went to disk. */
  readonly spills: number
  close(): void
}

/** Records that go out lie in pieces of memory of this size. */
const SLAB_OCTETS = 1 << 20
/** What a record costs besides its octets and words: where it is, and two places in the order. */
const RECORD_COST = 16
/** And a batch, of which there may be very many. */
const BATCH_COST = 256

/**
 * Orders records of any Templates. What does not fit memory goes to a store as IPFIX, in order, and is merged at the end.
 * Times that count back from a Message's export time are made absolute, since records go on in other Messages.
 */
export function createSorter(options: SorterOptions): Sorter {
  const {keys, drop, most = Infinity, maxOctets, account} = options
  const ordering = createOrdering(keys)
  const identity = drop === 'same' ? createIdentity(options.ignored ?? []) : undefined
  const absolute = createAbsoluteTimes()
  let exportTime = 0
  let run = createRun()
  let store: SpillStore | undefined
  const runs: string[] = []

  /** Records in memory, in the order in which they came. */
  function createRun(): {batches: RecordBatch[]; count: number; octets: number} {
    return {batches: [], count: 0, octets: 0}
  }

  /** Places of the records of the run in order, and of each place the batch and the record in it. */
  function ordered(): {order: Uint32Array; batchOf: Uint32Array; indexOf: Uint32Array} {
    const {batches, count} = run
    const {words: width} = ordering
    const words = new Uint32Array(count * width)
    const batchOf = new Uint32Array(count)
    const indexOf = new Uint32Array(count)
    let n = 0
    for (const [b, batch] of batches.entries()) {
      ordering.write(batch, words, n * width)
      for (let i = 0; i < batch.count; i++, n++) {
        batchOf[n] = b
        indexOf[n] = i
      }
    }
    const compare = (x: number, y: number): number =>
      ordering.compare(
        ...[words, x * width, batches[batchOf[x]], indexOf[x]],
        ...[words, y * width, batches[batchOf[y]], indexOf[y]],
      )
    const same = (x: number, y: number): number =>
      identity!.compare(batches[batchOf[x]], indexOf[x], batches[batchOf[y]], indexOf[y])
    let order: Uint32Array
    if (ordering.hasText) {
      order = Uint32Array.from({length: count}, (_, i) => i)
      order.sort((x, y) => compare(x, y) || (identity === undefined ? 0 : same(x, y)) || x - y)
    } else {
      order = radixOrder(words, width, count)
      // Those that are the same come to lie side by side among those with the same keys.
      for (let k = 0; identity !== undefined && k < count;) {
        let end = k + 1
        while (end < count && compare(order[k], order[end]) === 0) end++
        if (end - k > 1) order.subarray(k, end).sort((x, y) => same(x, y) || x - y)
        k = end
      }
    }
    return {order, batchOf, indexOf}
  }

  /** Puts the records of the run in order, and those behind the last that is wanted away; the rest goes to the store. */
  function spill(): void {
    const writer = createWriter()
    const left = createDropper(writer.take)
    const {order, batchOf, indexOf} = ordered()
    // Where some are dropped it may be that few are left, which need no store: that is known at the end.
    const whole = most < Infinity || drop !== undefined
    const toStore = whole ? undefined : openRun()
    for (let k = 0; k < order.length; k++) {
      const record = order[k]
      if (!left.take(run.batches[batchOf[record]], indexOf[record])) break
      if (k % 65536 === 65535) toStore?.(writer.ready(), false)
    }
    if (toStore !== undefined) toStore(writer.end(), true)
    else {
      const batches = writer.end()
      if (left.taken * 2 < run.count) {
        run = createRun()
        for (const batch of batches) hold(batch)
        return
      }
      openRun()(batches, true)
    }
    run = createRun()
  }

  /** Begins a run in the store; what it gets must be in order. */
  function openRun(): (batches: readonly RecordBatch[], last: boolean) => void {
    store ??= options.openStore()
    const to = store
    const name = `run-${runs.length}`
    runs.push(name)
    const encoder = createEncoder({ledger: new Ledger()})
    return (batches, last) => {
      for (let i = 0; i < batches.length; i += 16) {
        for (const octets of encoder.push(batches.slice(i, i + 16))) to.append(name, octets)
      }
      if (last) for (const octets of encoder.end()) to.append(name, octets)
    }
  }

  /** Puts what has no place in the order aside and gives back the rest. */
  function take(batches: readonly RecordBatch[], aside: RecordBatch[]): RecordBatch[] {
    const taken: RecordBatch[] = []
    for (const batch of batches) {
      account.in += batch.count
      if (batch.message.exportTime > exportTime) exportTime = batch.message.exportTime
      if (batch.template.scopeCount > 0) aside.push(batch)
      else taken.push(absolute(batch))
    }
    return taken
  }

  function hold(batch: RecordBatch): void {
    if (batch.count === 0) return
    run.batches.push(batch)
    run.count += batch.count
    run.octets +=
      BATCH_COST +
      recordEnd(batch, batch.count - 1) -
      recordStart(batch, 0) +
      batch.count * (RECORD_COST + 4 * ordering.words)
  }

  /**
   * Leaves out what is not wanted: doubles, and records behind the last.
   *
   * @param apart records that are the same have the same keys, but do not lie side by side
   */
  function createDropper(
    give: TakeRecord,
    apart = false,
  ): {
    /** False: no more are wanted. */
    take(batch: RecordBatch, index: number): boolean
    readonly taken: number
  } {
    let taken = 0
    let previous: {batch: RecordBatch; index: number} | undefined
    let words = new Uint32Array(ordering.words)
    let next = new Uint32Array(ordering.words)
    /** Those that have the keys of the previous one. */
    const alike = new Set<string>()

    /** Whether the record has the keys of the previous one. */
    function agrees(batch: RecordBatch, index: number): boolean {
      const one = single(batch, index)
      ordering.write(one, next, 0)
      const same =
        previous !== undefined &&
        ordering.compare(words, 0, previous.batch, previous.index, next, 0, one, 0) === 0
      ;[words, next] = [next, words]
      return same
    }

    function isDouble(batch: RecordBatch, index: number): boolean {
      if (drop === undefined) return false
      if (identity === undefined) return agrees(batch, index)
      if (!apart) {
        return (
          previous !== undefined &&
          identity.compare(previous.batch, previous.index, batch, index) === 0
        )
      }
      if (!agrees(batch, index)) alike.clear()
      const name = identity.nameOf(batch, index)
      if (alike.has(name)) return true
      alike.add(name)
      return false
    }

    return {
      get taken() {
        return taken
      },
      take(batch, index) {
        if (taken >= most) return false
        const double = isDouble(batch, index)
        if (drop !== undefined) previous = {batch, index}
        if (double) account.skip('double')
        else {
          give(batch, index)
          taken++
        }
        return true
      },
    }
  }

  /** Batches of records that come one by one; neighbours of one Template share one. */
  function createWriter(): {take: TakeRecord; ready(): RecordBatch[]; end(): RecordBatch[]} {
    let done: RecordBatch[] = []
    // Batches lie side by side in pieces of memory: where Templates alternate there are very many.
    let slab = new Uint8Array(0)
    let view = new DataView(slab.buffer)
    let at = 0
    let start = 0
    let count = 0
    let offsets: number[] = []
    let source: RecordBatch | undefined
    function close(): void {
      if (source === undefined || count === 0) return
      const {template, message, templates, elements} = source
      done.push({
        template,
        octets: slab,
        view,
        start,
        count,
        offsets: template.recordOctets > 0 ? undefined : Uint32Array.from([...offsets, at]),
        message: {...message, exportTime},
        ...(templates && {templates}),
        ...(elements && {elements}),
      })
      offsets = []
      start = at
      count = 0
    }
    return {
      take(batch, index) {
        const from = recordStart(batch, index)
        const octets = recordEnd(batch, index) - from
        const goesOn =
          source !== undefined &&
          source.template === batch.template &&
          source.message.observationDomainId === batch.message.observationDomainId &&
          source.templates === batch.templates &&
          source.elements === batch.elements
        if (!goesOn || at + octets > slab.length) {
          close()
          source = batch
          if (at + octets > slab.length) {
            slab = new Uint8Array(Math.max(SLAB_OCTETS, octets))
            view = new DataView(slab.buffer)
            at = start = 0
          }
        }
        if (batch.template.recordOctets === 0) offsets.push(at)
        count++
        if (octets < 128) for (let i = 0; i < octets; i++) slab[at + i] = batch.octets[from + i]
        else slab.set(batch.octets.subarray(from, from + octets), at)
        at += octets
      },
      ready() {
        const batches = done
        done = []
        return batches
      },
      end() {
        close()
        return this.ready()
      },
    }
  }

  function laneOf(name: string): Lane {
    const pieces = store!.read(name)[Symbol.iterator]()
    const decoder = createDecoder({ledger: new Ledger(), source: name})
    let ended = false
    return {
      async next() {
        if (ended) return undefined
        const piece = pieces.next()
        ended = piece.done === true
        const batches = piece.done === true ? decoder.end() : decoder.push(piece.value)
        // Descriptions of elements, which the encoder put in.
        return batches.filter(({template}) => template.scopeCount === 0)
      },
    }
  }

  /**
   * @param among how the lanes order what has the same keys; undefined: as it came
   * @param aside goes out as it comes
   */
  async function* merged(
    lanes: readonly Lane[],
    among: Identity | undefined,
    disorder?: (lane: number) => void,
    aside: RecordBatch[] = [],
  ): AsyncGenerator<RecordBatch[]> {
    const writer = createWriter()
    const dropper = createDropper(writer.take, among === undefined)
    let wanted = true
    const merging = mergeSorted(
      lanes,
      ordering,
      among,
      (batch, index) => {
        wanted &&= dropper.take(batch, index)
      },
      disorder,
    )
    for await (const _ of merging) {
      const batches = [...aside.splice(0), ...writer.ready()]
      if (batches.length > 0) yield batches
      if (!wanted) break
    }
    const rest = [...aside.splice(0), ...writer.end()]
    if (rest.length > 0) yield rest
  }

  /** Enters what goes out; what is left at the end was not wanted. */
  async function* accounted(stream: AsyncGenerator<RecordBatch[]>): AsyncGenerator<RecordBatch[]> {
    for await (const batches of stream) {
      for (const {count} of batches) account.out += count
      yield batches
    }
    const doubles = account.skipped.get('double') ?? 0
    const behind = account.in - account.out - doubles
    if (behind > 0) account.skip('behind-limit', behind)
  }

  async function* inMemory(): AsyncGenerator<RecordBatch[]> {
    const writer = createWriter()
    const dropper = createDropper(writer.take)
    const {order, batchOf, indexOf} = ordered()
    for (let k = 0; k < order.length; k++) {
      const record = order[k]
      if (!dropper.take(run.batches[batchOf[record]], indexOf[record])) break
      if (k % 65536 !== 65535) continue
      const batches = writer.ready()
      if (batches.length > 0) yield batches
    }
    const rest = writer.end()
    if (rest.length > 0) yield rest
  }

  return {
    get spills() {
      return runs.length
    },
    push(batches) {
      const aside: RecordBatch[] = []
      for (const batch of take(batches, aside)) {
        hold(batch)
        if (run.octets > maxOctets) spill()
      }
      for (const {count} of aside) account.out += count
      return aside
    },
    results() {
      if (runs.length === 0) return accounted(inMemory())
      if (run.count > 0) spill()
      return accounted(merged(runs.map(laneOf), identity))
    },
    merge(lanes, disorder) {
      const aside: RecordBatch[] = []
      const taking = lanes.map((lane): Lane => ({
        async next() {
          const batches = await lane.next()
          return batches && take(batches, aside)
        },
      }))
      return accounted(merged(taking, undefined, disorder, aside))
    },
    close() {
      store?.close()
    },
  }
}

function single(batch: RecordBatch, index: number): RecordBatch {
  const start = recordStart(batch, index)
  const offsets = batch.offsets && Uint32Array.of(start, recordEnd(batch, index))
  return {...batch, start, count: 1, offsets}
}
