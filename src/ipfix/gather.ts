import type {PlainDomain, Session} from './session.js'
import {MESSAGE_HEADER_OCTETS} from './message.js'
import {restoreSequence, saveSequence, SEQUENCE_WORDS} from './sequence.js'
import type {RecordBatch} from '../record/batch.js'
import {GATHER_TEMPLATES, GATHERED} from '../record/gather-kernel.js'
import {kernels} from '../record/kernels.js'
import type {Template} from '../record/template.js'

/** Fewer Messages at once are no gain. */
const WORTH = 4
/** Messages that are left to the session, at most, after a try that was no gain. */
const MAX_PAUSE = 64

/** A domain and what the kernel has to know of it. */
interface Lane {
  readonly domain: PlainDomain
  readonly templates: readonly Template[]
  readonly program: Uint32Array
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

/** @returns undefined: there is no kernel for it */
export function createGatherer(session: Session, source: string | undefined): Gather | undefined {
  const kernel = kernels.gather
  if (kernel === undefined) return undefined
  const lanes = new Map<number, Lane>()
  const sequence = new Uint32Array(SEQUENCE_WORDS)
  const answer = new Uint32Array(GATHERED.templates + 2 * GATHER_TEMPLATES)
  let pause = 1
  let paused = 0

  function laneOf(id: number): Lane | undefined {
    const known = lanes.get(id)
    if (known !== undefined && known.domain.settled()) return known
    const domain = session.plainDomain(id)
    if (domain === undefined) return undefined
    const templates = [...domain.plainTemplates()].slice(0, GATHER_TEMPLATES)
    const sizes = templates.flatMap((template) => [template.id, template.recordOctets])
    const lane: Lane = {domain, templates, program: Uint32Array.of(id, ...sizes)}
    domain.watch({changed: () => void lanes.delete(id), refreshed: () => undefined})
    lanes.set(id, lane)
    return lane
  }

  /** Batches of what the kernel has moved together, in the order in which it lies. */
  function batches(
    {domain, templates}: Lane,
    octets: Uint8Array,
    view: DataView,
    sequenceNumber: number,
    offset: number,
  ): RecordBatch[] {
    const message = {
      exportTime: answer[GATHERED.exportTime],
      sequenceNumber,
      observationDomainId: domain.id,
      exporter: source,
      offset,
    }
    const made: RecordBatch[] = []
    for (const [i, template] of templates.entries()) {
      const [start, count] = answer.subarray(GATHERED.templates + 2 * i)
      if (count === 0) continue
      domain.use(template.id)
      made.push({template, octets, view, start, count, offsets: undefined, message})
    }
    return made.sort((a, b) => a.start - b.start)
  }

  return (octets, view, at, offset, out) => {
    if (paused > 0) {
      paused--
      return at
    }
    if (octets.length - at < MESSAGE_HEADER_OCTETS) return at
    const lane = laneOf(view.getUint32(at + 12))
    if (lane === undefined) return at
    const {domain, program} = lane
    saveSequence(domain.sequence, sequence)
    const [sequenceNumber] = sequence
    const next = kernel(octets, at, program, sequence, answer)
    const messages = answer[GATHERED.messages]
    const rest = octets.length - next
    const left = rest >= MESSAGE_HEADER_OCTETS && view.getUint16(next + 2) <= rest
    if (messages < WORTH && left) {
      // Where Messages of several domains or times take turns, calls cost more than they save.
      pause = Math.min(2 * pause, MAX_PAUSE)
      paused = pause
    } else pause = 1
    if (messages === 0) return at
    restoreSequence(domain.sequence, sequence)
    domain.count(messages, answer[GATHERED.records])
    out.push(...batches(lane, octets, view, sequenceNumber, offset))
    return next
  }
}
