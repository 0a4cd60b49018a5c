import type {SpillFolder} from '../../io/spill-folder.js'
import {IPFIX_VERSION, MESSAGE_HEADER_OCTETS} from '../../ipfix/message.js'
import {optionsMessages} from '../../ipfix/options-memory.js'
import {createTemplateTable, templateMessages} from '../../ipfix/template-table.js'
import {DartaError} from '../../record/errors.js'
import {
  boundaryIn,
  countBetween,
  measureMessages,
  sliceOf,
  type LogChunk,
  type MessageLog,
  type Slice,
} from './message-log.js'

/** Of what was appended last, so much stays in memory: who keeps up never reads the disk. */
const MEMORY_OCTETS = 1 << 24
/** What is read from disk at once. */
const READ_OCTETS = 1 << 20

/** Places and counts of what lies on disk. */
interface Part {
  readonly start: number
  readonly end: number
  readonly records: number
}

/**
 * A log on disk. What an earlier process left in the folder is read through once: what it wrote in part at its end is
 * cut off, and all the rest is there again.
 *
 * @param resumed called with each piece of what was left
 * @throws DartaError DARTA_SPILL
 */
export async function openSpilledLog(
  folder: SpillFolder,
  resumed: (chunk: LogChunk) => void,
): Promise<MessageLog> {
  const table = createTemplateTable()
  const known = folder.remembered
  measureMessages(known, -known.length - 1, table)
  /** Made anew when some of it goes: whoever counts meanwhile goes on with what there was. */
  let parts: Part[] = []
  let memory: LogChunk[] = []
  let memoryOctets = 0
  let last: LogChunk | undefined
  let trimmedTo = folder.start

  for (let at = folder.start; at < folder.end;) {
    const octets = await folder.read(at, READ_OCTETS)
    const whole = wholeMessages(octets)
    if (whole === 0) {
      if (at + octets.length < folder.end) {
        throw new DartaError('DARTA_SPILL', `${folder.path} is damaged at octet ${at}`, at)
      }
      await folder.truncate(at)
      break
    }
    const chunk = measureMessages(octets.subarray(0, whole), at, table)
    parts.push({start: chunk.start, end: chunk.end, records: chunk.records})
    resumed(chunk)
    at += whole
  }

  async function readChunk(position: number): Promise<LogChunk | undefined> {
    if (position >= folder.end) return undefined
    if (last !== undefined && last.start <= position && position < last.end) return last
    const octets = await folder.read(position, READ_OCTETS)
    last = measureMessages(octets.subarray(0, wholeMessages(octets)), position, table)
    return last
  }

  async function chunkAt(position: number): Promise<LogChunk | undefined> {
    const first = memory[0]
    if (first !== undefined && position >= first.start) {
      return memory.find(({end}) => position < end)
    }
    return readChunk(position)
  }

  return {
    table,
    get start() {
      return trimmedTo
    },
    get end() {
      return folder.end
    },
    get octets() {
      return folder.end - trimmedTo
    },
    async append(chunks) {
      let records = 0
      for (const octets of chunks) {
        if (octets.length === 0) continue
        const chunk = measureMessages(octets, folder.end, table)
        // Ahead of the records: without their Templates they cannot be read.
        if (chunk.announces.includes(1)) await rememberTemplates(chunk)
        await folder.append([octets])
        parts.push({start: chunk.start, end: chunk.end, records: chunk.records})
        memory.push(chunk)
        memoryOctets += octets.length
        records += chunk.records
      }
      let gone = 0
      while (memoryOctets > MEMORY_OCTETS && gone + 1 < memory.length) {
        memoryOctets -= memory[gone++].octets.length
      }
      if (gone > 0) memory = memory.slice(gone)
      return records
    },
    async take(position, octets): Promise<Slice | undefined> {
      const chunk = await chunkAt(position)
      return chunk === undefined ? undefined : sliceOf(chunk, position, octets)
    },
    async boundary(position) {
      const part = parts.find(({end}) => position < end)
      if (part === undefined) return folder.end
      // Places within are only known by reading: Messages have to be walked from where one begins.
      for (let at = part.start; ;) {
        const chunk = await chunkAt(at)
        if (chunk === undefined) return folder.end
        if (position <= chunk.end) return boundaryIn(chunk, position)
        at = chunk.end
      }
    },
    async trim(position) {
      trimmedTo = Math.max(trimmedTo, Math.min(position, folder.end))
      let gone = 0
      while (gone < parts.length && parts[gone].end <= trimmedTo) gone++
      if (gone > 0) parts = parts.slice(gone)
      await folder.trim(trimmedTo)
    },
    async count(from, to) {
      let records = 0
      for (const part of parts) {
        if (part.end <= from || part.start >= to) continue
        if (part.start >= from && part.end <= to) {
          records += part.records
          continue
        }
        for (let at = Math.max(part.start, from); at < Math.min(part.end, to);) {
          const chunk = await chunkAt(at)
          if (chunk === undefined) break
          records += countBetween([chunk], at, Math.min(to, part.end))
          at = chunk.end
        }
      }
      return records
    },
    close: () => folder.close(),
  }

  async function rememberTemplates({start: from, end}: LogChunk): Promise<void> {
    const entries = table.before(end).filter(({position}) => position >= from)
    const options = table.optionsBefore(end).filter(({position}) => position >= from)
    await folder.remember(templateMessages(entries, 65535, 0).octets)
    await folder.remember(optionsMessages(options, 65535, 0).octets)
  }
}

/** Octets of the whole Messages at the beginning. */
export function wholeMessages(octets: Uint8Array): number {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  let at = 0
  while (octets.length - at >= MESSAGE_HEADER_OCTETS) {
    if (view.getUint16(at) !== IPFIX_VERSION) break
    const length = view.getUint16(at + 2)
    if (length < MESSAGE_HEADER_OCTETS || length > octets.length - at) break
    at += length
  }
  return at
}
