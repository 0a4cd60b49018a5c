import type {MessageContext, RecordBatch} from '../../record/batch.js'
import {COMPOSE_STEP, COMPOSED} from '../../record/compose-rows.js'
import {kernels} from '../../record/kernels.js'
import type {ResultKind} from './result-writer.js'

/** Results that are made together. */
const MOST_RESULTS = 1024

/** How results of one kind are made of rows; see compose-rows.ts. */
export interface ResultProgram {
  readonly kind: ResultKind
  /** Word of the code at which it begins. */
  readonly at: number
  /** Octets of each result but for the text it ends with. */
  readonly octets: number
}

/** One step: what is copied, from which octet on, how many octets. */
export type ComposeStep = readonly [what: number, from: number, length: number]

/** Makes results out of the rows of one buffer, of which there may be as many as records: a call makes a thousand. */
export interface Composer {
  /** From here on rows are those of this buffer. */
  use(rows: Uint8Array): void
  program(kind: ResultKind, steps: readonly ComposeStep[]): ResultProgram
  /** Octets that programs may copy; where they begin. */
  text(octets: Uint8Array): number
  /** Adds a result made of one row or two, with octets of its own at its end. */
  add(program: ResultProgram, row: number, other: number, ending?: Uint8Array): void
  /** Makes what was added: rows may change now. */
  flush(): void
  /** What was made since the last time. */
  take(): RecordBatch[]
}

export function createComposer(message: MessageContext): Composer {
  const list = new Int32Array(COMPOSED * MOST_RESULTS)
  const kinds: ResultKind[] = []
  let rows: Uint8Array = new Uint8Array(0)
  let code = new Int32Array(256)
  let codeEnd = 0
  let texts = new Uint8Array(1024)
  /** Behind those of programs there are those of results. */
  let programTexts = 0
  let textsEnd = 0
  let count = 0
  let octets = 0
  let made: RecordBatch[] = []

  function append(more: Uint8Array): number {
    if (textsEnd + more.length > texts.length) {
      const longer = new Uint8Array(2 * (textsEnd + more.length))
      longer.set(texts)
      texts = longer
    }
    texts.set(more, textsEnd)
    textsEnd += more.length
    return textsEnd - more.length
  }

  function flush(): void {
    if (count === 0) return
    const out = new Uint8Array(octets)
    const view = new DataView(out.buffer)
    const ends = new Uint32Array(count + 1)
    kernels.compose(rows, list, count, code, texts, out, 0, ends.subarray(1))
    for (let from = 0, to = 1; from < count; from = to++) {
      while (to < count && kinds[to] === kinds[from]) to++
      const {template} = kinds[from]
      const offsets = template.recordOctets === 0 ? ends.subarray(from, to + 1) : undefined
      made.push({
        template,
        octets: out,
        view,
        start: ends[from],
        count: to - from,
        offsets,
        message,
      })
    }
    count = 0
    octets = 0
    textsEnd = programTexts
  }

  return {
    use(next) {
      flush()
      rows = next
    },
    program(kind, steps) {
      const at = codeEnd
      codeEnd += 1 + COMPOSE_STEP * steps.length
      if (codeEnd > code.length) {
        const longer = new Int32Array(2 * codeEnd)
        longer.set(code)
        code = longer
      }
      code[at] = steps.length
      code.set(steps.flat(), at + 1)
      return {kind, at, octets: steps.reduce((sum, [, , length]) => sum + length, 0)}
    },
    text(more) {
      // Behind those of results there is no place for it.
      flush()
      const at = append(more)
      programTexts = textsEnd
      return at
    },
    add(program, row, other, ending) {
      if (count === MOST_RESULTS) flush()
      const at = COMPOSED * count
      list[at] = row
      list[at + 1] = other
      list[at + 2] = program.at
      list[at + 3] = 0
      list[at + 4] = 0
      octets += program.octets
      if (ending !== undefined) {
        list[at + 3] = append(ending)
        list[at + 4] = ending.length
        octets += ending.length
      }
      kinds[count++] = program.kind
    },
    flush,
    take() {
      const batches = made
      if (batches.length > 0) made = []
      return batches
    },
  }
}

/** A text of a field that varies, below 65536 octets, as it stands in a record: with its length before it. RFC 7011 section 7. */
export function fieldText(text: Uint8Array): Uint8Array {
  const {length} = text
  return Uint8Array.of(...(length < 255 ? [length] : [255, length >>> 8, length & 255]), ...text)
}
