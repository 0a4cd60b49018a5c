import {VARIABLE} from '../../record/element.js'
import type {Template} from '../../record/template.js'
import {kinds, type Kind} from './kinds.js'

/** One value of a record's text, with the octets that stand before it. */
export interface TextStep {
  /** Index in the Template; −1 if the value is none of a field. */
  readonly field: number
  readonly kind: Kind
  readonly prefix: Uint8Array
}

export interface ProgramOptions {
  readonly form: 'json' | 'comma' | 'tab'
  /** Whether integers beyond 2^53 − 1 are strings. */
  readonly bigint: 'number' | 'string'
  /** Whether records whose octets say more than their text are left to the plain writer. */
  readonly watch: boolean
}

/** Most octets of the text of a value of this kind, without what depends on its length. */
const textOctets: Readonly<Record<number, number>> = {
  [kinds.none]: 0,
  [kinds.unsigned]: 24,
  [kinds.controlBits]: 24,
  [kinds.signed]: 24,
  [kinds.float]: 32,
  [kinds.boolean]: 16,
  [kinds.mac]: 20,
  [kinds.ipv4]: 20,
  [kinds.ipv6]: 44,
  [kinds.seconds]: 24,
  [kinds.milliseconds]: 32,
  [kinds.microseconds]: 32,
  [kinds.nanoseconds]: 36,
  [kinds.string]: 16,
  [kinds.paddedString]: 16,
  [kinds.octets]: 16,
  [kinds.misfit]: 16,
  [kinds.exportTime]: 24,
  [kinds.observationDomainId]: 12,
  [kinds.sequenceNumber]: 12,
}

/** Most octets of text per octet of value. */
function expansion(kind: Kind): number {
  if (kind === kinds.string || kind === kinds.paddedString) return 6
  // Any scalar may come in marked form.
  return 2
}

/** Words before the fields. */
const HEADER_WORDS = 6
const STEP_WORDS = 5

/**
 * Compiles steps for the text kernel; undefined if it has no such kind. Words of 32 bits:
 *
 *     words of the program | fields | steps | octets of a record, 0: variable | most octets of text
 *     | flags: 1 JSON, 2 tabs, 4 big integers as strings
 *     per field:  length, and flags: 65536 microseconds, 131072 nanoseconds, 262144 length octets are watched
 *     per step:   kind | field | octet in the record, if fixed | octet of the prefix in the program | its octets
 *     prefixes, and 32 octets that may be read beyond them
 *
 * The most octets of text hold for records of fixed length; for others, those of variable-length values
 * come on top.
 */
export function compileProgram(
  {fields, recordOctets}: Template,
  steps: readonly TextStep[],
  {form, bigint, watch}: ProgramOptions,
): Uint32Array | undefined {
  let prefixOctets = 0
  let most = 64
  for (const {field, kind, prefix} of steps) {
    if (textOctets[kind] === undefined) return undefined
    prefixOctets += prefix.length
    most += prefix.length + textOctets[kind]
    const length = field < 0 ? 0 : fields[field].length
    if (length !== VARIABLE) most += expansion(kind) * length
  }
  const prefixWords = (prefixOctets + 32 + 3) >> 2
  const head = HEADER_WORDS + fields.length + STEP_WORDS * steps.length
  const program = new Uint32Array(head + prefixWords)
  const flags = (form === 'json' ? 1 : 0) | (form === 'tab' ? 2 : 0) | (bigint === 'string' ? 4 : 0)
  program.set([program.length, fields.length, steps.length, recordOctets, most, flags])
  let at = HEADER_WORDS
  for (const {element, length} of fields) {
    let word = length
    if (watch && length === VARIABLE) word |= 262144
    if (watch && length === 8 && element.type === 'dateTimeMicroseconds') word |= 65536
    if (watch && length === 8 && element.type === 'dateTimeNanoseconds') word |= 131072
    program[at++] = word
  }
  const octets = new Uint8Array(program.buffer)
  let prefixAt = head * 4
  for (const {field, kind, prefix} of steps) {
    const offset = field < 0 || recordOctets === 0 ? 0 : fields[field].offset
    program.set([kind, Math.max(0, field), offset, prefixAt, prefix.length], at)
    at += STEP_WORDS
    octets.set(prefix, prefixAt)
    prefixAt += prefix.length
  }
  return program
}
