/**
 * Makes results out of rows of group tables (see group-kernel.ts), `count` of them one behind the other from octet `to` of `out` on. Each
 * entry of `list` says which program makes it, of which row, and of which other row where it needs one; and which octets of `texts` it
 * ends with. In C++ or in TypeScript.
 *
 *     octet of the row | of the other row | word of `code` where its program begins | octet of `texts` | how many
 *
 * A program is how many steps it has, then of each what it copies, from which octet on, and how many octets. Columns come out with the
 * most significant octet first.
 *
 * @param ends gets the octet behind each result
 * @throws RangeError a row, text or result that is not there
 */
export type ComposeRows = (
  rows: Uint8Array,
  list: Int32Array,
  count: number,
  code: Int32Array,
  texts: Uint8Array,
  out: Uint8Array,
  to: number,
  ends: Uint32Array,
) => void

/** Numbers of an entry of the list, and of a step. */
export const COMPOSED = 5
export const COMPOSE_STEP = 3

/** What a step copies: octets or columns of 8 octets of the row or the other one, or octets of `texts`. */
export const COMPOSE = {octets: 0, otherOctets: 1, columns: 2, otherColumns: 3, text: 4} as const

export const composeRowsPlainly: ComposeRows = (rows, list, count, code, texts, out, to, ends) => {
  let at = to
  const copy = (from: Uint8Array, start: number, length: number): void => {
    if (start < 0 || length < 0 || start + length > from.length || at + length > out.length) {
      throw new RangeError('results cannot be made of such rows')
    }
    out.set(from.subarray(start, start + length), at)
    at += length
  }
  for (let i = 0; i < count; i++) {
    const [row, other, program, text, textOctets] = list.subarray(COMPOSED * i)
    const steps = code[program]
    for (let step = program + 1; step < program + 1 + COMPOSE_STEP * steps; step += COMPOSE_STEP) {
      const [what, from, length] = code.subarray(step)
      const start =
        (what === COMPOSE.otherOctets || what === COMPOSE.otherColumns ? other : row) + from
      if (what === COMPOSE.text) copy(texts, from, length)
      else if (what === COMPOSE.octets || what === COMPOSE.otherOctets) copy(rows, start, length)
      else {
        copy(rows, start, length)
        for (let column = at - length; column < at; column += 8)
          out.subarray(column, column + 8).reverse()
      }
    }
    copy(texts, text, textOctets)
    ends[i] = at
  }
}
