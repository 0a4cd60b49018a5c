import {createTemplateTable, type TemplateTable} from '../../ipfix/template-table.js'

/** Whole Messages of the log, one behind the other. */
export interface Slice {
  readonly octets: Uint8Array
  /** Octet behind each Message. */
  readonly ends: Uint32Array
  /** Data Records in each. */
  readonly counts: Uint32Array
  /** Of each Message: 1 if it announces a Template first. */
  readonly announces: Uint8Array
  /** Where the slice begins and ends in the log, in octets. */
  readonly start: number
  readonly end: number
}

/**
 * The Messages that Collectors are to get, in order, each place in octets since the log began. Every destination reads
 * on by itself; what all have done with is forgotten.
 */
export interface MessageLog {
  readonly table: TemplateTable
  /** Place behind the last Message. */
  readonly end: number
  /** Octets that are held. */
  readonly octets: number
  /** Adds Messages; resolves when they are as safe as the log makes them, with how many Data Records they hold. */
  append(chunks: readonly Uint8Array[]): Promise<number>
  /** Messages from `position` on, at least one and of about `octets` octets; undefined if there are none yet. */
  take(position: number, octets: number): Promise<Slice | undefined>
  /** The least place that is still held. */
  readonly start: number
  /** Place behind the Message in which `position` lies, or `position` where one begins. */
  boundary(position: number): Promise<number>
  /** Forgets what lies before `position`. */
  trim(position: number): Promise<void>
  /** Data Records between two places; `from` is not before the start of what is held. */
  count(from: number, to: number): Promise<number>
  close(): Promise<void>
}

/** Messages as they came from the encoder, with what was seen in them. */
export interface LogChunk extends Slice {
  readonly records: number
}

/** Measures Messages that begin at `position` of the log. */
export function measureMessages(
  octets: Uint8Array,
  position: number,
  table: TemplateTable,
): LogChunk {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  const ends: number[] = []
  const counts: number[] = []
  const announces: number[] = []
  let records = 0
  let at = 0
  while (octets.length - at >= 4) {
    const next = at + view.getUint16(at + 2)
    const content = table.observe(octets, view, at, next, position + at)
    ends.push(next)
    counts.push(content.records)
    announces.push(content.announces ? 1 : 0)
    records += content.records
    at = next
  }
  return {
    octets,
    ends: Uint32Array.from(ends),
    counts: Uint32Array.from(counts),
    announces: Uint8Array.from(announces),
    start: position,
    end: position + octets.length,
    records,
  }
}

/** The Messages of a chunk from log place `position` on, about `octets` octets of them and at least one. */
export function sliceOf(chunk: Slice, position: number, octets: number): Slice {
  const from = position - chunk.start
  // Binary search: the first Message that begins at `from` or behind.
  let low = 0
  let high = chunk.ends.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (chunk.ends[middle] <= from) low = middle + 1
    else high = middle
  }
  const first = low
  let last = first + 1
  while (last < chunk.ends.length && chunk.ends[last] - from <= octets) last++
  if (first === 0 && last === chunk.ends.length) return chunk
  const to = chunk.ends[last - 1]
  const ends = chunk.ends.slice(first, last)
  for (let i = 0; i < ends.length; i++) ends[i] -= from
  return {
    octets: chunk.octets.subarray(from, to),
    ends,
    counts: chunk.counts.subarray(first, last),
    announces: chunk.announces.subarray(first, last),
    start: position,
    end: chunk.start + to,
  }
}

/** A log in memory: what is trimmed, or was not read when the process ends, is gone. */
export function createMemoryLog(): MessageLog {
  const table = createTemplateTable()
  let chunks: LogChunk[] = []
  let start = 0
  let end = 0

  function chunkAt(position: number): LogChunk | undefined {
    let low = 0
    let high = chunks.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (chunks[middle].end <= position) low = middle + 1
      else high = middle
    }
    return chunks[low]
  }

  return {
    table,
    get start() {
      return start
    },
    get end() {
      return end
    },
    get octets() {
      return end - start
    },
    async append(octets) {
      let records = 0
      for (const one of octets) {
        if (one.length === 0) continue
        const chunk = measureMessages(one, end, table)
        chunks.push(chunk)
        end += one.length
        records += chunk.records
      }
      return records
    },
    async take(position, octets) {
      const chunk = chunkAt(position)
      return chunk === undefined ? undefined : sliceOf(chunk, position, octets)
    },
    async boundary(position) {
      const chunk = chunkAt(position)
      return chunk === undefined ? end : boundaryIn(chunk, position)
    },
    async trim(position) {
      let gone = 0
      while (gone < chunks.length && chunks[gone].end <= position) gone++
      if (gone > 0) chunks = chunks.slice(gone)
      start = Math.max(start, Math.min(position, end))
    },
    async count(from, to) {
      return countBetween(chunks, from, to)
    },
    async close() {
      chunks = []
    },
  }
}

/** The end of the Message of the chunk in which `position` lies, or `position` itself where one begins. */
export function boundaryIn({start, ends}: Slice, position: number): number {
  if (position <= start) return start
  for (const end of ends) if (start + end >= position) return start + end
  return position
}

/** Data Records of the Messages that begin at `from` or behind and end at `to` or before. */
export function countBetween(chunks: readonly LogChunk[], from: number, to: number): number {
  let records = 0
  for (const chunk of chunks) {
    if (chunk.end <= from || chunk.start >= to) continue
    if (chunk.start >= from && chunk.end <= to) {
      records += chunk.records
      continue
    }
    let begin = chunk.start
    for (const [i, end] of chunk.ends.entries()) {
      const place = chunk.start + end
      if (begin >= from && place <= to) records += chunk.counts[i]
      begin = place
    }
  }
  return records
}
