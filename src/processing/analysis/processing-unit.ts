import {keepRecords, type MessageContext, type RecordBatch} from '../../record/batch.js'
import {DartaError} from '../../record/errors.js'
import type {StageLedger} from '../../record/ledger.js'
import {append, createOctetWriter, extend} from '../../record/octet-writer.js'
import {fieldIndex, type Template} from '../../record/template.js'
import {createDirections, isDirected, type Uniflows} from '../routing/uniflows.js'
import type {Analysis, AnalysisState, TableStyle} from './app.js'
import {eventTimeReader, type EventTimeReader} from './event-time.js'
import {withWindow, type TimeWindow} from './result-records.js'

/** Windows in event time: [n · slide, n · slide + length) for every whole n; they overlap where slide < length. */
export interface Windowing {
  readonly lengthMs: number
  readonly slideMs: number
  /** How long behind the watermark's passing its end a window stays open. */
  readonly latenessMs: number
  /**
   * Where the watermark comes from: `records`, the event time that they have reached, where one stream is all there is;
   * `given`, by `advance`, where other units have records too.
   */
  readonly watermark: 'records' | 'given'
}

export interface ProcessingUnitOptions {
  /** Absent: the whole input is one window. */
  readonly windowing?: Windowing
  /** Octets that all states together may take; 0: no limit. */
  readonly maxOctets: number
  readonly ledger: StageLedger
}

/** One window of an application and its state. */
export interface UnitWindow {
  /** Undefined: the whole input. */
  readonly window: TimeWindow | undefined
  /** For merging; results are to be had below. */
  readonly state: AnalysisState
  /** Greatest export time of its records, seconds since 1970; that of its results. */
  readonly exportTime: number
  /** See AnalysisState.finish: to be awaited before the results. */
  readonly finish: () => Promise<void>
  /** Results as records; those of a window say which. */
  readonly results: () => Iterable<RecordBatch>
  /** Results for people, where the application has a table. */
  readonly table: ((style: TableStyle) => string) | undefined
  /** Accounts for what the results lack, and frees the state. */
  readonly close: () => void
}

/**
 * Runs one application on the records that this process or partition was given: filters, sorts them into
 * windows, counts. Where there are many units, each closes its windows by the same watermark, and what they know of
 * a window is merged; so a unit decides nothing by a clock.
 */
export interface ProcessingUnit {
  /** @throws DartaError DARTA_MEMORY_LIMIT */
  add(batches: readonly RecordBatch[]): void
  /** Moves a watermark that is given; it never goes back. */
  advance(watermarkMs: number): void
  /**
   * The windows that were over latenessMs before the watermark, earliest first. They take no more records: what comes for
   * them is lost as `late`, whether they were asked for or not. The caller closes them.
   */
  takeClosed(): UnitWindow[]
  /** End of input: all windows, earliest first. */
  finish(): UnitWindow[]
  /** What is known so far, the windows staying open. */
  windows(): UnitWindow[]
  /** All open windows as octets; see AnalysisState.snapshot. */
  snapshot(complete: boolean): Uint8Array
  /** For windows that are not closed. @throws DartaError DARTA_VALUE, DARTA_MEMORY_LIMIT */
  merge(snapshot: Uint8Array): void
}

interface Open {
  readonly startMs: number
  readonly state: AnalysisState
  /** Greatest export time of its records, seconds since 1970. */
  exportTime: number
  /** Records being added that are counted here. */
  waiting: RecordBatch[]
  /** Records being added that are counted in a later window that overlaps this one. */
  guests: RecordBatch[]
}

type Use = 'options' | 'not-applicable' | EventTimeReader

/** Records on their way to windows: where the next one is, and which windows those before it are for. */
interface Dealing extends Uniflows {
  readonly read: EventTimeReader
  next: number
  /** By the start of the window that counts them. */
  readonly homes: Map<number, number[]>
  /** By the start of the windows that overlap it. */
  readonly guests: Map<number, number[]>
}

function dealing(uniflows: Uniflows, read: EventTimeReader): Dealing {
  return {...uniflows, read, next: 0, homes: new Map(), guests: new Map()}
}

export function createProcessingUnit(
  analysis: Analysis,
  options: ProcessingUnitOptions,
): ProcessingUnit {
  const {windowing, ledger, maxOctets} = options
  /** By start; without windowing the only one is at 0. */
  const open = new Map<number, Open>()
  const uses = new WeakMap<Template, Use>()
  let closedMs = -Infinity
  const whole = windowing === undefined ? windowAt(0) : undefined
  const key = analysis.routingKey
  // Each direction of a Biflow has its own time, and units that are given one of them know no other.
  const directions =
    key !== undefined && isDirected(key)
      ? createDirections()
      : (batch: RecordBatch): readonly Uniflows[] => [{batch, of: undefined}]

  function advance(watermarkMs: number): void {
    closedMs = Math.max(closedMs, watermarkMs - (windowing?.latenessMs ?? 0))
  }

  function windowAt(startMs: number): Open {
    let found = open.get(startMs)
    if (found === undefined) {
      const state = analysis.createState({maxOctets})
      found = {startMs, state, exportTime: 0, waiting: [], guests: []}
      open.set(startMs, found)
    }
    return found
  }

  function useOf(template: Template): Use {
    let use = uses.get(template)
    if (use === undefined) {
      const has = analysis.needs.every((group) => group.some((e) => fieldIndex(template, e) >= 0))
      if (template.scopeCount > 0) use = 'options'
      else if (!has) use = 'not-applicable'
      else use = eventTimeReader(template)
      uses.set(template, use)
    }
    return use
  }

  function wait(list: RecordBatch[], target: Open, batch: RecordBatch): void {
    list.push(batch)
    if (batch.message.exportTime > target.exportTime) target.exportTime = batch.message.exportTime
  }

  /** The records of a batch, each direction of Biflows apart where the key is directed. */
  function directed(batch: RecordBatch): Dealing[] {
    return directions(batch).flatMap((uniflows) => {
      const {count, template} = uniflows.batch
      // The reverse direction is a record more.
      if (uniflows.of !== undefined) {
        ledger.in += count
        ledger.note('of-biflows', count)
      }
      const use = useOf(template)
      if (typeof use !== 'string') return [dealing(uniflows, use)]
      ledger.skip(use, count)
      return []
    })
  }

  /** Deals the records of a batch to their windows; each is counted in the latest of its own. */
  function deal(batch: RecordBatch, of: Windowing): void {
    const parts = directed(batch)
    // Record by record, so that it does not matter how the input came in pieces.
    for (let i = 0; i < batch.count; i++) {
      for (const part of parts) {
        if (part.of === undefined || part.of[part.next] === i) place(part, part.next++, of)
      }
    }
    for (const {batch: own, homes, guests} of parts) {
      const records = (indices: number[]): RecordBatch =>
        indices.length === own.count ? own : keepRecords(own, indices)
      for (const [start, indices] of homes) {
        const target = windowAt(start)
        wait(target.waiting, target, records(indices))
      }
      for (const [start, indices] of guests) {
        const target = windowAt(start)
        wait(target.guests, target, records(indices))
      }
    }
  }

  function place({batch, read, homes, guests}: Dealing, i: number, of: Windowing): void {
    const {lengthMs, slideMs, watermark} = of
    const time = read(batch, i)
    if (!Number.isSafeInteger(time)) {
      ledger.lose('impossible-time')
      return
    }
    const last = Math.floor(time / slideMs) * slideMs
    if (last + lengthMs <= closedMs) {
      ledger.lose('late')
      return
    }
    if (watermark === 'records') {
      const {exportTime} = batch.message
      // A record that claims to end later than its Message was exported does not move the watermark past that. 0 where the
      // input does not say.
      advance(exportTime === 0 ? time : Math.min(time, (exportTime + 1) * 1000))
    }
    put(homes, last, i)
    for (let start = last - slideMs; start > time - lengthMs && start >= 0; start -= slideMs) {
      if (start + lengthMs <= closedMs) break
      put(guests, start, i)
    }
  }

  function settle(): void {
    let octets = 0
    for (const target of open.values()) {
      if (target.waiting.length > 0) {
        const sent = target.waiting.reduce((n, {count}) => n + count, 0)
        const counted = target.state.add(target.waiting)
        target.waiting = []
        ledger.out += counted
        if (counted < sent) ledger.skip('not-applicable', sent - counted)
      }
      if (target.guests.length > 0) {
        target.state.add(target.guests)
        target.guests = []
      }
      octets += target.state.memoryOctets()
    }
    if (maxOctets > 0 && octets > maxOctets) {
      throw new DartaError(
        'DARTA_MEMORY_LIMIT',
        `${open.size} windows need more than the ${maxOctets} octets that --max-memory allows`,
      )
    }
  }

  function take(targets: readonly Open[]): UnitWindow[] {
    return targets.map(({startMs, state, exportTime}) => {
      const window = windowing && {startMs, endMs: startMs + windowing.lengthMs}
      const message: MessageContext = {
        exportTime,
        sequenceNumber: 0,
        observationDomainId: 0,
        offset: 0,
      }
      return {
        window,
        state,
        exportTime,
        finish: async () => state.finish?.(),
        results: () => withWindow(state.results(message), window),
        table: state.table && ((style) => state.table!(style)),
        close() {
          for (const [reason, count] of state.missing?.() ?? []) ledger.miss(reason, count)
          state.close()
        },
      }
    })
  }

  function inOrder(): Open[] {
    return [...open.values()].sort((a, b) => a.startMs - b.startMs)
  }

  return {
    add(batches) {
      for (const batch of batches) {
        const use = useOf(batch.template)
        ledger.in += batch.count
        if (typeof use === 'string') ledger.skip(use, batch.count)
        else if (windowing !== undefined) deal(batch, windowing)
        else for (const part of directed(batch)) wait(whole!.waiting, whole!, part.batch)
      }
      settle()
    },
    advance,
    takeClosed() {
      if (windowing === undefined) return []
      const over = inOrder().filter(({startMs}) => startMs + windowing.lengthMs <= closedMs)
      for (const {startMs} of over) open.delete(startMs)
      return take(over)
    },
    finish() {
      const all = inOrder()
      open.clear()
      return take(all)
    },
    windows: () => take(inOrder()),
    snapshot(complete) {
      const writer = createOctetWriter()
      for (const {startMs, exportTime, state} of inOrder()) {
        const octets = state.snapshot(complete)
        const at = extend(writer, HEADER)
        writer.view.setFloat64(at, startMs)
        writer.view.setUint32(at + 8, exportTime)
        writer.view.setFloat64(at + 12, octets.length)
        append(writer, octets)
      }
      return writer.octets.slice(0, writer.length)
    },
    merge(snapshot) {
      const view = new DataView(snapshot.buffer, snapshot.byteOffset, snapshot.byteLength)
      for (let at = 0; at < snapshot.length;) {
        const left = snapshot.length - at - HEADER
        const length = left < 0 ? NaN : view.getFloat64(at + 12)
        if (!(length <= left)) {
          throw new DartaError('DARTA_VALUE', 'a snapshot of a Processing Unit is cut short', at)
        }
        const target = windowAt(view.getFloat64(at))
        target.exportTime = Math.max(target.exportTime, view.getUint32(at + 8))
        target.state.merge(snapshot.subarray(at + HEADER, at + HEADER + length))
        at += HEADER + length
      }
      settle()
    },
  }
}

function put(members: Map<number, number[]>, start: number, index: number): void {
  const indices = members.get(start)
  if (indices === undefined) members.set(start, [index])
  else indices.push(index)
}

/** Octets before the state of each window: start, export time, octets of the state. */
const HEADER = 20
