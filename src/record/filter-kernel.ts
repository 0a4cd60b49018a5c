import type {Template} from './template.js'

/**
 * Decides which records of fixed places pass, and copies those that do: native/kernel/filter.cc. The plain twin is
 * src/mediation/filter/match.ts, which decides everything; what a program cannot say (text, lists, rates) is
 * decided there alone.
 */
export interface FilterKernel {
  /** Takes a program (below); ids count from 0. @throws TypeError the numbers do not fit each other */
  program(code: Uint32Array): number
  /**
   * Runs records through programs: `spans` holds `count` times (octet of the first record, records, octets of each,
   * program). `passed[i]` becomes the number of records of span i that pass. Unless `into` is empty, these are copied there
   * one behind the other; with `failing` those that do not pass.
   *
   * @returns octets copied
   * @throws RangeError a span reaches past the octets, or `into` has no room
   */
  run(
    octets: Uint8Array,
    spans: Uint32Array,
    count: number,
    passed: Uint32Array,
    into: Uint8Array,
    failing: boolean,
  ): number
  /**
   * Takes Messages apart as `GatherMessages` does (src/record/gather-kernel.ts), and moves only records that pass together: those of
   * all Templates in the order in which they came, from octet `from` on. There is no twin: what it leaves, the session reads and
   * `run` decides, and tests compare what comes of both.
   *
   * @param octets are changed from `from` to what is returned
   * @param wanted Observation Domain ID; then of each Template, up to GATHER_TEMPLATES, its ID, octets of a record, and the program
   * that decides, PASS or FAIL
   * @param sequence of the domain, as `saveSequence` has it
   * @param answer see `SIFTED`
   * @param runs becomes SIFT_RUN words of each run of records of one Template: its place in `wanted`, octets from `from` to
   * where they begin, records. Has room for as many runs as Data Sets may be taken
   * @returns octet of the first Message that was left
   * @throws TypeError the numbers do not fit each other
   */
  sift(
    octets: Uint8Array,
    from: number,
    wanted: Uint32Array,
    sequence: Uint32Array,
    answer: Uint32Array,
    runs: Uint32Array,
  ): number
  /** Frees memory at once; the kernel is of no use after. */
  close(): void
}

export type CreateFilter = () => FilterKernel

/**
 * A program is a header, steps, and the ranges that steps point at:
 *
 *     least octets of a record, steps | step … | ranges …
 *
 * Step 0 is the first. A step is (offset, length, mask, ranges, count, index, then, else): the unsigned integer of `length`
 * octets (1..16) at `offset` of the record, of up to 4 octets masked first, is looked for in `count` ranges that begin at word
 * `ranges` of the program, sorted and disjoint: all least numbers, then all greatest ones, of 1 word for lengths to 4, 2 to 8, 4
 * to 16, the most significant word first. `index` is 0 or the word where 65537 entries begin, by the upper 16 bits of
 * the first word of the number: the first range that does not end before. `then` and `else` are later steps, or PASS or FAIL.
 */
export const STEP = 8
export const PROGRAM_HEADER = 2
export const PASS = 0xffffffff
export const FAIL = 0xfffffffe

/** Words of a span. */
export const SPAN = 4

/** Words of what `sift` answers; the last two are bits, set for each Template of which there were records. */
export const SIFTED = {
  messages: 0,
  records: 1,
  exportTime: 2,
  matched: 3,
  runs: 4,
  usedLow: 5,
  usedHigh: 6,
} as const
export const SIFTED_WORDS = 7

/** Words of a run. */
export const SIFT_RUN = 3

/**
 * A filter that decides while Messages are taken apart, so that nothing is made of what does not pass. Who reads Messages asks it
 * for its plans and lets its kernel sift; the filter hears of what was decided, and knows such batches when they come.
 */
export interface Sift {
  readonly kernel: Pick<FilterKernel, 'sift'>
  /** Program, PASS or FAIL for records of this Template; undefined: they have to come as they are. */
  plan(template: Template): number | undefined
  /** All records of batches over `octets` have passed: `matched` of so many. */
  sifted(octets: Uint8Array, tested: number, matched: number): void
}
