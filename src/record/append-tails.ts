/**
 * Runs `steps` steps of five numbers: from octet `start` of `octets` on, `count` records of `size` octets are copied to `out`, one
 * behind the other from `to` on, each with a tail behind it, which is `length` octets of `tails` from `at` on. In C++ or in
 * TypeScript.
 *
 *     start | size | count | at | length
 */
export type AppendTails = (
  octets: Uint8Array,
  program: Uint32Array,
  steps: number,
  tails: Uint8Array,
  out: Uint8Array,
  to: number,
) => void

/** Numbers of a step. */
export const TAIL_STEP = 5

export const appendTailsPlainly: AppendTails = (octets, program, steps, tails, out, to) => {
  for (let step = 0; step < TAIL_STEP * steps; step += TAIL_STEP) {
    let start = program[step]
    const size = program[step + 1]
    const at = program[step + 3]
    const length = program[step + 4]
    for (let i = 0; i < program[step + 2]; i++) {
      out.set(octets.subarray(start, start + size), to)
      out.set(tails.subarray(at, at + length), to + size)
      start += size
      to += size + length
    }
  }
}
