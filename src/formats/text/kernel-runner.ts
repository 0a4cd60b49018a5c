import type {RecordBatch} from '../../record/batch.js'
import {DartaError} from '../../record/errors.js'
import {
  SPAN_WORDS,
  TEXT_DONE,
  TEXT_FULL,
  TEXT_PLAIN,
  type RenderText,
} from '../../record/text-kernel.js'
import {renew, type TextBuffer} from './buffer.js'

/** Spans that are handed over at once. */
const MAX_SPANS = 4096
/** Words of programs that are kept. */
const MAX_PROGRAM_WORDS = 1 << 20

/** Gives the native kernel the batches it can write. */
export interface KernelRunner {
  /**
   * Takes a batch, to be written by the time `flush` returns.
   *
   * @param key of the program: records of one key are written alike
   * @param compile makes the program of a key that is new; undefined if the kernel cannot write it
   * @returns false if the batch is the caller's to write; all before it is written then
   */
  add(batch: RecordBatch, key: object, compile: () => Uint32Array | undefined): boolean
  flush(): void
}

/** @param plain writes one record that the kernel leaves to its caller */
export function createKernelRunner(
  render: RenderText,
  out: TextBuffer,
  plain: (batch: RecordBatch, index: number) => void,
): KernelRunner {
  let programs = new Uint32Array(4096)
  let used = 0
  let places = new WeakMap<object, number>()
  const spans = new Uint32Array(MAX_SPANS * SPAN_WORDS)
  const batches: RecordBatch[] = []
  const progress = new Uint32Array(4)

  /** Word where the program of `key` begins, or −1. */
  function place(key: object, compile: () => Uint32Array | undefined): number {
    let at = places.get(key)
    if (at !== undefined) return at
    const program = compile()
    if (program === undefined) {
      places.set(key, -1)
      return -1
    }
    if (used + program.length > MAX_PROGRAM_WORDS && used > 0) {
      // A flood of Templates: those still in use are compiled again.
      flush()
      used = 0
      places = new WeakMap()
    }
    at = used
    used += program.length
    if (used > programs.length) {
      const larger = new Uint32Array(Math.max(programs.length * 2, used))
      larger.set(programs)
      programs = larger
    }
    programs.set(program, at)
    places.set(key, at)
    return at
  }

  function flush(): void {
    if (batches.length === 0) return
    const {octets} = batches[0]
    const given = spans.subarray(0, batches.length * SPAN_WORDS)
    progress.fill(0)
    for (;;) {
      progress[3] = out.at
      const stop = render(programs, octets, given, out.octets, progress)
      out.at = out.begin = progress[3]
      if (stop === TEXT_DONE) break
      if (stop === TEXT_FULL && (out.at > 0 || out.octets.length === 0)) {
        renew(out, 1)
        continue
      }
      if (stop !== TEXT_FULL && stop !== TEXT_PLAIN) {
        throw new DartaError('DARTA_RECORD_MALFORMED', 'records leave their octets')
      }
      plain(batches[progress[0]], progress[1])
      passOver(batches[progress[0]])
    }
    batches.length = 0
  }

  /** Goes on behind the record that was written plainly. */
  function passOver(batch: RecordBatch): void {
    progress[1]++
    if (batch.offsets !== undefined) progress[2] = batch.offsets[progress[1]]
  }

  return {
    add(batch, key, compile) {
      const at = place(key, compile)
      if (at < 0) {
        flush()
        return false
      }
      const n = batches.length
      if (n > 0 && (n === MAX_SPANS || batches[0].octets !== batch.octets)) flush()
      const {start, count, message, offsets} = batch
      let word = batches.length * SPAN_WORDS
      spans[word++] = offsets === undefined ? start : offsets[0]
      spans[word++] = count
      spans[word++] = at
      spans[word++] = message.exportTime
      spans[word++] = message.observationDomainId
      spans[word] = message.sequenceNumber
      batches.push(batch)
      return true
    },
    flush,
  }
}
