/** Words of a span: octet of its first record, records, word of its program, export time, domain, sequence number. */
export const SPAN_WORDS = 6

/** All spans are written. */
export const TEXT_DONE = 0
/** The output might not hold the next record. */
export const TEXT_FULL = 1
/** The next record says more than its values do: the caller has to write it. */
export const TEXT_PLAIN = 2

/**
 * Writes records as text; native/kernel/text.cc. The plain twin is src/formats/text/, which also makes
 * the programs and writes what the kernel does not know.
 *
 * @param programs words of compiled steps, src/formats/text/program.ts
 * @param octets of the records
 * @param spans SPAN_WORDS words for each run of records of one program
 * @param output is filled from `progress[3]` on
 * @param progress span, record in it, octet of that record, octets of output written: where to go on, taken
 * and left there
 * @returns TEXT_DONE, TEXT_FULL, TEXT_PLAIN; another number if a span leaves its octets
 */
export type RenderText = (
  programs: Uint32Array,
  octets: Uint8Array,
  spans: Uint32Array,
  output: Uint8Array,
  progress: Uint32Array,
) => number
