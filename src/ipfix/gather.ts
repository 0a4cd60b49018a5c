import type {PlainDomain, Session} from './session.js'
import {MESSAGE_HEADER_OCTETS} from './message.js'
import {restoreSequence, saveSequence, SEQUENCE_WORDS} from './sequence.js'
import type {MessageContext, RecordBatch} from '../record/batch.js'
import {GATHER_TEMPLATES, GATHERED} from '../record/gather-kernel.js'
import {SIFT_RUN, SIFTED, SIFTED_WORDS, type Sift} from '../record/filter-kernel.js'
import {kernels} from '../record/kernels.js'
import type {Template} from '../record/template.js'

/** Fewer Messages at once are no gain. */
const WORTH = 4
/** Messages that are left to the session, at most, after a try that was no gain. */
const MAX_PAUSE = 64

/** Runs of records that pass, at most, of one chunk. */
const MAX_RUNS = 8192

/** A domain and what the kernel has to know of it. */
interface Lane {
  readonly domain: PlainDomain
  readonly templates: readonly Template[]
  readonly program: Uint32Array
  /** Who decides which records are kept; undefined: all are. */
  readonly by: Sift | undefined
}

/**
 * Takes Messages from octet `at`, which is `offset` of the stream, out of the session's hands where nothing about them has to be
 * decided; returns where the first one is that the session has to read. Its batches have records of many Messages; the octets are
 * changed.
 */
export type Gather = (
  octets: Uint8Array,
  view: DataView,
  at: number,
  offset: number,
  out: RecordBatch[],
) => number

/**
 * @param sift see `DecodeContext`; where it gives a filter, records keep the order in which they came
 * @returns undefined: there is no kernel for it
 */
export function createGatherer(
  session: Session,
  source: string | undefined,
  sift?: () => Sift | undefined,
): Gather | undefined {
  const {gather} = kernels
  if (gather === undefined) return undefined
  const lanes = new Map<number, Lane>()
  const sequence = new Uint32Array(SEQUENCE_WORDS)
  const answer = new Uint32Array(GATHERED.templates + 2 * GATHER_TEMPLATES)
  const siftAnswer = new Uint32Array(SIFTED_WORDS)
  let runs: Uint32Array | undefined
  let pause = 1
  let paused = 0

  function laneOf(id: number, by: Sift | undefined): Lane | undefined {
    const known = lanes.get(id)
    if (known !== undefined && known.by === by && known.domain.settled()) return known
    const domain = session.plainDomain(id)
    if (domain === undefined) return undefined
    const templates: Template[] = []
    const program = [id]
    for (const template of domain.plainTemplates()) {
      if (templates.length === GATHER_TEMPLATES) break
      const plan = by?.plan(template)
      if (by !== undefined && plan === undefined) continue
      templates.push(template)
      program.push(template.id, template.recordOctets)
      if (plan !== undefined) program.push(plan)
    }
    const lane: Lane = {domain, templates, program: Uint32Array.from(program), by}
    domain.watch({changed: () => void lanes.delete(id), refreshed: () => undefined})
    lanes.set(id, lane)
    return lane
  }

  /** Batches of what the kernel has moved together, in the order in which it lies. */
  function batches(
    {domain, templates}: Lane,
    octets: Uint8Array,
    view: DataView,
    message: MessageContext,
  ): RecordBatch[] {
    const made: RecordBatch[] = []
    for (const [i, template] of templates.entries()) {
      const [start, count] = answer.subarray(GATHERED.templates + 2 * i)
      if (count === 0) continue
      domain.use(template.id)
      made.push({template, octets, view, start, count, offsets: undefined, message})
    }
    return made.sort((a, b) => a.start - b.start)
  }

  /** Appends batches of what has passed in `octets`, in the order in which it came. */
  function passed(
    {domain, templates}: Lane,
    by: Sift,
    octets: Uint8Array,
    message: MessageContext,
    out: RecordBatch[],
  ): void {
    const {usedLow, usedHigh} = SIFTED
    for (const [i, {id}] of templates.entries()) {
      if ((siftAnswer[i < 32 ? usedLow : usedHigh] >>> (i & 31)) & 1) domain.use(id)
    }
    by.sifted(octets, siftAnswer[SIFTED.records], siftAnswer[SIFTED.matched])
    const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
    for (let i = 0; i < siftAnswer[SIFTED.runs]; i++) {
      const [of, start, count] = runs!.subarray(SIFT_RUN * i)
      const template = templates[of]
      out.push({template, octets, view, start, count, offsets: undefined, message})
    }
  }

  return (octets, view, at, offset, out) => {
    if (paused > 0) {
      paused--
      return at
    }
    if (octets.length - at < MESSAGE_HEADER_OCTETS) return at
    const by = sift?.()
    if (sift !== undefined && by === undefined) return at
    const lane = laneOf(view.getUint32(at + 12), by)
    if (lane === undefined) return at
    const {domain, program} = lane
    saveSequence(domain.sequence, sequence)
    const [sequenceNumber] = sequence
    let next: number
    if (by === undefined) next = gather(octets, at, program, sequence, answer)
    else {
      runs ??= new Uint32Array(SIFT_RUN * MAX_RUNS)
      next = by.kernel.sift(octets, at, program, sequence, siftAnswer, runs)
    }
    const [messages, records, exportTime] = by === undefined ? answer : siftAnswer
    const rest = octets.length - next
    const left = rest >= MESSAGE_HEADER_OCTETS && view.getUint16(next + 2) <= rest
    if (messages < WORTH && left) {
      // Where Messages of several domains or times take turns, calls cost more than they save.
      pause = Math.min(2 * pause, MAX_PAUSE)
      paused = pause
    } else pause = 1
    if (messages === 0) return at
    restoreSequence(domain.sequence, sequence)
    domain.count(messages, records)
    const message = {
      exportTime,
      sequenceNumber,
      observationDomainId: domain.id,
      exporter: source,
      offset,
    }
    if (by === undefined) out.push(...batches(lane, octets, view, message))
    else passed(lane, by, octets.subarray(at, next), message, out)
    return next
  }
}
