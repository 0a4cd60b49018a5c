import type {RecordBatch} from '../record/batch.js'
import {DartaError} from '../record/errors.js'
import type {Encoder} from '../record/format.js'
import {Ledger, type StageLedger} from '../record/ledger.js'
import {fieldIndex, type Template} from '../record/template.js'
import {createDealer} from '../processing/routing/dealer.js'
import {createUniflows, isDirected} from '../processing/routing/uniflows.js'
import type {Analysis} from '../processing/analysis/app.js'
import {eventTimeReader, type EventTimeReader} from '../processing/analysis/event-time.js'
import {EngineFull, type Engine} from './engine.js'
import {writeEntry} from './entry.js'

export interface PublisherOptions {
  readonly topic: string
  readonly parts: number
  readonly key: Analysis['routingKey']
  /** Of each application that reads the topic. */
  readonly needs: readonly Analysis['needs'][]
  readonly seed: number
  /** Records of keys that are too heavy for a part go to several. */
  readonly splitHot: boolean
  /** 16 hex digits that nobody else has. */
  readonly id: string
  /** An encoder whose octets need nothing that was written before; it takes its blocks from `newBlock` if it can. */
  readonly newEncoder: (
    ledger: Ledger,
    newBlock: (octets: number) => Uint8Array<ArrayBuffer>,
  ) => Encoder
  readonly ledger: StageLedger
  /** Milliseconds for which an append that is not answered is tried again. */
  readonly patienceMs: number
  /** An engine that is full is waited for until then, and for `patienceMs` more. */
  readonly stopping?: AbortSignal
}

/** Takes records to the parts of a log, from which Processing Units take them. */
export interface Publisher {
  /** Resolves when all but a bounded rest of what is due has been taken by the engine: that is the back-pressure. */
  publish(batches: readonly RecordBatch[]): Promise<void>
  /** Sends what is held and says what time the records have reached; call it each quarter of a second. */
  punctuate(): Promise<void>
  /** No more records will come. */
  end(): Promise<void>
  /** Records that the log has of it, by part, and the moment that they have reached. */
  readonly reached: {readonly sent: readonly number[]; readonly watermark: number}
}

/** Octets of records that are worth an entry: a few hundred records, far below what an engine takes at once. */
const WORTH_SENDING = 56 * 1024
/** Octets of entries that wait for the engine's word, or for their turn. */
const MOST_WAITING = 4 * 1024 * 1024
/** Holds nearly every entry. */
const ROOM_OCTETS = 64 * 1024
/** Of a part's fair share: what carries less cannot make parts uneven, and is merged from fewer pieces. */
const HOT_PART = 1 / 4
/** How long an append that failed waits before it is tried again. */
const RETRY_MS = 200

interface Part {
  readonly index: number
  encoder: Encoder | undefined
  /** The encoder's account. */
  encoding: Ledger
  chunks: Uint8Array[]
  /** Where the encoder builds what it gives. */
  blocks: Uint8Array<ArrayBuffer>[]
  octets: number
  records: number
  /** Records that were sent, or are about to. */
  sent: number
  /** Records that the log has. */
  acknowledged: number
  /** Appends follow one another. */
  last: Promise<unknown>
}

export function createPublisher(engine: Engine, options: PublisherOptions): Publisher {
  const {topic, key, ledger, id} = options
  const members = Array.from({length: options.parts}, (_, i) => ({id: `part-${i}`, weight: 1}))
  const dealer = createDealer(members, {
    ...{key, seed: options.seed, splitHot: options.splitHot},
    ...{hotPart: HOT_PART, keyless: 0},
  })
  const uniflows = key !== undefined && isDirected(key) ? createUniflows() : undefined
  const uses = new WeakMap<Template, EventTimeReader | 'options' | 'not-applicable'>()
  const parts: Part[] = members.map((_, index) => ({
    index,
    encoder: undefined,
    encoding: new Ledger(),
    chunks: [],
    blocks: [],
    octets: 0,
    records: 0,
    sent: 0,
    acknowledged: 0,
    last: Promise.resolve(),
  }))
  /** Blocks that no encoder uses: new ones for each entry cost more than all the rest. */
  const free: Uint8Array<ArrayBuffer>[] = []
  /** Where entries lay that the engine has. */
  const rooms: Uint8Array[] = []
  let watermark = -Infinity
  let fault: Error | undefined
  /** Octets that were sent, or are about to, and are not acknowledged. */
  let waiting = 0
  let taken = (): void => {}

  function useOf(template: Template): EventTimeReader | 'options' | 'not-applicable' {
    let use = uses.get(template)
    if (use === undefined) {
      const served = options.needs.some((needs) =>
        needs.every((elements) => elements.some((e) => fieldIndex(template, e) >= 0)),
      )
      if (template.scopeCount > 0) use = 'options'
      else if (!served) use = 'not-applicable'
      else use = eventTimeReader(template)
      uses.set(template, use)
    }
    return use
  }

  /** As a Processing Unit does that sees all records: none moves the watermark past its own export. */
  function reach(batch: RecordBatch, read: EventTimeReader): void {
    const {exportTime} = batch.message
    const most = exportTime === 0 ? Infinity : (exportTime + 1) * 1000
    for (let i = 0; i < batch.count; i++) {
      const time = Math.min(read(batch, i), most)
      if (time > watermark && Number.isSafeInteger(time)) watermark = time
    }
  }

  async function append(part: Part, octets: Uint8Array): Promise<void> {
    let since = engine.clock.now()
    for (;;) {
      try {
        await engine.append(topic, part.index, octets)
        return
      } catch (error) {
        if (error instanceof EngineFull && options.stopping?.aborted !== true) {
          // Back-pressure, for as long as it takes.
          since = engine.clock.now()
          ledger.note('engine-full')
          await engine.clock.sleep(RETRY_MS)
          continue
        }
        // It may have been taken all the same: the reader drops what it has seen by the number of records before it.
        if (engine.clock.now() - since > options.patienceMs) throw error
        if (!(error instanceof DartaError) || error.code !== 'DARTA_ENGINE') throw error
        ledger.note('sent-again')
        await engine.clock.sleep(RETRY_MS)
      }
    }
  }

  /** @returns whether the engine has it */
  async function inTurn(part: Part, octets: Uint8Array, records: number): Promise<boolean> {
    const turn = part.last
      .then(() => append(part, octets))
      .then(
        () => {
          ledger.out += records
          part.acknowledged += records
          return true
        },
        (error: unknown) => {
          fault ??= error instanceof Error ? error : new Error(String(error))
          if (records > 0) ledger.lose('engine', records)
          return false
        },
      )
    part.last = turn
    return turn
  }

  async function send(part: Part): Promise<void> {
    if (part.encoder === undefined) return
    part.chunks.push(...part.encoder.end())
    // What IPFIX cannot say: reverse elements without a direction, for one.
    const refused = part.encoding.totalLost()
    if (refused > 0) ledger.lose('not-encoded', refused)
    part.records -= refused
    const header = {
      kind: 'records',
      publisher: id,
      before: part.sent,
      records: part.records,
      watermark: NaN,
    } as const
    const room = rooms.pop() ?? new Uint8Array(ROOM_OCTETS)
    const octets = writeEntry(header, part.chunks, room)
    // The entry has its own copy.
    free.push(...part.blocks)
    part.blocks = []
    const {records} = part
    part.sent += records
    part.encoder = undefined
    part.chunks = []
    part.octets = 0
    part.records = 0
    waiting += octets.length
    // What was not acknowledged may yet be on its way.
    if (await inTurn(part, octets, records)) rooms.push(room)
    waiting -= octets.length
    taken()
  }

  function add(part: Part, batch: RecordBatch): void {
    if (part.encoder === undefined) {
      part.encoding = new Ledger()
      part.encoder = options.newEncoder(part.encoding, (octets) => {
        const block = free.pop() ?? new Uint8Array(octets)
        part.blocks.push(block)
        return block
      })
    }
    part.chunks.push(...part.encoder.push([batch]))
    part.records += batch.count
    part.octets += batch.count * batch.template.minimumOctets
  }

  async function tell(mark: number): Promise<void> {
    await Promise.all(
      parts.map(async (part) => {
        await send(part)
        const header = {
          kind: 'punctuation',
          publisher: id,
          before: part.sent,
          records: 0,
          watermark: mark,
        } as const
        await inTurn(part, writeEntry(header, []), 0)
      }),
    )
    if (fault !== undefined) throw fault
  }

  return {
    async publish(batches) {
      let own: RecordBatch[] = []
      for (const batch of batches) {
        const use = useOf(batch.template)
        ledger.in += batch.count
        if (typeof use === 'string') {
          ledger.skip(use, batch.count)
          continue
        }
        reach(batch, use)
        own.push(batch)
      }
      if (uniflows !== undefined) {
        const before = own.reduce((n, {count}) => n + count, 0)
        own = own.flatMap((batch) => uniflows(batch))
        const more = own.reduce((n, {count}) => n + count, 0) - before
        if (more > 0) ledger.note('of-biflows', more)
        ledger.in += more
      }
      const dealt = dealer.deal(own)
      for (const part of parts) {
        for (const batch of dealt.batches[part.index].flatMap(inPieces)) {
          add(part, batch)
          if (part.octets >= WORTH_SENDING) void send(part)
        }
      }
      while (waiting > MOST_WAITING && fault === undefined) {
        await new Promise<void>((resolve) => (taken = resolve))
      }
      if (fault !== undefined) throw fault
    },
    punctuate: () => tell(watermark),
    end: () => tell(Infinity),
    get reached() {
      return {sent: parts.map((part) => part.acknowledged), watermark}
    },
  }
}

/** So that no entry grows beyond what engines take. */
const PIECE_OCTETS = 64 * 1024

function inPieces(batch: RecordBatch): RecordBatch[] {
  const {template, offsets, count, start} = batch
  const end = offsets === undefined ? count * template.recordOctets : offsets[count] - offsets[0]
  const pieces = Math.ceil(end / PIECE_OCTETS)
  if (pieces <= 1) return [batch]
  const each = Math.ceil(count / pieces)
  return Array.from({length: Math.ceil(count / each)}, (_, i) => {
    const from = i * each
    const n = Math.min(each, count - from)
    return {
      ...batch,
      count: n,
      start: offsets === undefined ? start + from * template.recordOctets : start,
      offsets: offsets?.subarray(from, from + n + 1),
    }
  })
}
