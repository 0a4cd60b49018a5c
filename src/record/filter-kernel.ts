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
