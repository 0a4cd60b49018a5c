import type {DartaCommand} from '../../cli/base-command.js'
import {writableFormat} from '../../cli/record-output.js'
import type {Place, Rotation} from '../../cli/rotation.js'
import type {Divider} from '../../metering/divider.js'
import {keepRecords, recordEnd, type RecordBatch, type RecordStream} from '../../record/batch.js'
import type {Encoder} from '../../record/format.js'
import {Ledger, type StageLedger} from '../../record/ledger.js'
import {createCutting} from './cutting.js'
import {give, type Destination} from './destination.js'

/** One part: records dealt out but not encoded yet, and where they go. */
interface Lane {
  readonly part: number
  destination: Destination | undefined
  encoder: Encoder
  batches: RecordBatch[]
  count: number
  /** Octets of the file at hand, and of records that the encoder may still hold. */
  octets: number
  held: number
  startMs: number | undefined
}

/** Octets of records after which a file that ends by size is looked at. */
const MOST_HELD_OCTETS = 65536

/**
 * Deals records out to parts, each a stream of its own in the given format, or a series of them. A record is of the time at
 * which its Message was exported. Options Records concern all: every part gets them.
 *
 * @param open the destinations, which are opened at the start, or, where they have times in their names, with the first record
 * @param numbered parts have numbers
 */
export async function divideRecords(
  command: DartaCommand,
  source: RecordStream,
  formatName: string,
  divider: Divider,
  rotation: Rotation,
  numbered: boolean,
  open: (place: Place) => Promise<Destination>,
  account: StageLedger,
): Promise<void> {
  const format = await writableFormat(formatName)
  const newEncoder = (): Encoder => format.newEncoder(new Ledger())
  const cutting = createCutting(rotation, numbered ? divider.parts : 0)
  const mostHeld =
    rotation.octets === undefined ? Infinity : Math.min(rotation.octets / 16, MOST_HELD_OCTETS)
  const lanes: Lane[] = []

  async function put(lane: Lane, chunks: readonly Uint8Array[], count: number): Promise<void> {
    for (const chunk of chunks) lane.octets += chunk.length
    if (chunks.length > 0) lane.held = 0
    if (chunks.length === 0 && count === 0) return
    const fate = await give(lane.destination!, chunks, count, account)
    // Whoever reads now knows no Template yet.
    if (fate === 'again') lane.encoder = newEncoder()
  }

  /** Writes what was dealt out so far. */
  async function move(lane: Lane): Promise<void> {
    const {batches, count, destination} = lane
    if (batches.length === 0) return
    lane.batches = []
    lane.count = 0
    const chunks = lane.encoder.push(batches)
    for (const batch of batches) lane.held += recordEnd(batch, batch.count - 1) - batch.start
    // What goes to somebody who may go away must not wait here for its account, nor what may fill a file.
    if (command.live || destination!.live || lane.held >= mostHeld) {
      chunks.push(...lane.encoder.flush())
    }
    await put(lane, chunks, count)
  }

  /** Ends the part's file and goes on at its next one. */
  async function begin(lane: Lane, startMs: number | undefined): Promise<void> {
    const place = cutting.place(lane.part, startMs)
    lane.startMs = startMs
    if (lane.destination === undefined) {
      lane.destination = await open(place)
      return
    }
    await move(lane)
    await put(lane, lane.encoder.end(), 0)
    lane.encoder = newEncoder()
    lane.octets = 0
    lane.held = 0
    await lane.destination.next(place)
  }

  async function divide(batch: RecordBatch): Promise<void> {
    account.in += batch.count
    const ms = batch.message.exportTime * 1000
    for (const start of cutting.at(ms)) await Promise.all(lanes.map((lane) => begin(lane, start)))
    if (batch.template.scopeCount > 0) {
      account.skip('options-to-all', batch.count)
      for (const lane of lanes) lane.batches.push(batch)
      return
    }
    const {startMs} = lanes[0]
    if (startMs !== undefined && ms < startMs) account.note('older-than-file', batch.count)
    // Where files end by size, so few at a time that none gets much larger.
    const size = recordEnd(batch, batch.count - 1) - batch.start
    const few = Math.max(1, Math.floor((batch.count * mostHeld) / size))
    for (let from = 0; from < batch.count; from += few) {
      if (rotation.octets !== undefined) await cutBySize(rotation.octets)
      const to = Math.min(from + few, batch.count)
      if (divider.deal === undefined) deal(batch, from, to)
      else takeDealt(divider.deal(some(batch, from, to)))
    }
  }

  async function cutBySize(octets: number): Promise<void> {
    for (const lane of lanes) {
      await move(lane)
      if (lane.octets >= octets) await begin(lane, lane.startMs)
    }
  }

  function takeDealt(dealt: readonly (readonly RecordBatch[])[]): void {
    for (const [part, batches] of dealt.entries()) {
      lanes[part].batches.push(...batches)
      lanes[part].count += batches.reduce((sum, {count}) => sum + count, 0)
    }
  }

  function deal(batch: RecordBatch, from: number, to: number): void {
    const indices: number[][] = lanes.map(() => [])
    for (let i = from; i < to; i++) indices[divider.record(batch, i)].push(i)
    for (const [part, list] of indices.entries()) {
      if (list.length === 0) continue
      lanes[part].batches.push(list.length === batch.count ? batch : keepRecords(batch, list))
      lanes[part].count += list.length
    }
  }

  try {
    for (let part = 0; part < divider.parts; part++) {
      const encoder = newEncoder()
      lanes.push({
        part,
        destination: undefined,
        encoder,
        batches: [],
        count: 0,
        octets: 0,
        held: 0,
        startMs: undefined,
      })
    }
    if (rotation.periodMs === undefined) {
      // One after another: accounts stand in the order of the parts.
      for (const lane of lanes) await begin(lane, undefined)
    }
    for await (const batches of source) {
      for (const batch of batches) await divide(batch)
      await Promise.all(lanes.map(move))
      if (command.stopping.aborted) break
    }
    await Promise.all(
      lanes.map(async (lane) => {
        // Without any record there is no time to name a file by.
        if (lane.destination === undefined) return
        await put(lane, lane.encoder.end(), 0)
        await lane.destination.end()
      }),
    )
  } catch (error) {
    await Promise.all(lanes.map(async ({destination}) => destination?.abort()))
    throw error
  }
}

/** Records `from` up to but not including `to`. */
function some(batch: RecordBatch, from: number, to: number): RecordBatch {
  if (from === 0 && to === batch.count) return batch
  return keepRecords(
    batch,
    Array.from({length: to - from}, (_, i) => from + i),
  )
}
