import {DartaError} from '../../record/errors.js'
import {utf8SequenceOctets} from '../../record/utf8.js'

/** Objects and arrays inside each other, the outermost counted. */
export const MAX_NESTING = 32

/**
 * The members of one object: where keys (without their quotes) and values lie. Only the first `count`
 * entries count; one structure serves many objects.
 */
export interface Members {
  count: number
  readonly keyStart: number[]
  readonly keyEnd: number[]
  readonly valueStart: number[]
  readonly valueEnd: number[]
  /** Items of a value that is an array; NO_ARRAY of any other value, NULL of `null`. */
  readonly items: number[]
  /** Index of the first item in `itemStart` and `itemEnd`. */
  readonly firstItem: number[]
  itemCount: number
  readonly itemStart: number[]
  readonly itemEnd: number[]
}

export const NO_ARRAY = -1
export const NULL = -2

export function createMembers(): Members {
  return {
    count: 0,
    keyStart: [],
    keyEnd: [],
    valueStart: [],
    valueEnd: [],
    items: [],
    firstItem: [],
    itemCount: 0,
    itemStart: [],
    itemEnd: [],
  }
}

/** @throws DartaError */
export function syntaxFault(message: string, at: number): DartaError {
  return new DartaError('DARTA_NDJSON_SYNTAX', message, at)
}

/** A fault of its own, because the line may be good JSON. */
export function nestingFault(at: number): DartaError {
  return new DartaError('DARTA_NDJSON_LIMIT', `nested deeper than ${MAX_NESTING}`, at)
}

const QUOTE = 34
const COMMA = 44
const COLON = 58
const OPEN_ARRAY = 91
const BACKSLASH = 92
const CLOSE_ARRAY = 93
const OPEN_OBJECT = 123
const CLOSE_OBJECT = 125

/** The octet at or behind `at` that is no white space. */
export function skipSpace(text: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end) {
    const octet = text[at]
    if (octet !== 32 && octet !== 9 && octet !== 10 && octet !== 13) return at
    at++
  }
  return at
}

/**
 * Finds the members of the object at `start`, holding all of it against the grammar of RFC 8259, UTF-8
 * included. Returns the octet behind it.
 *
 * @param depth of the object, 1 for the outermost
 * @throws DartaError DARTA_NDJSON_SYNTAX, DARTA_NDJSON_LIMIT
 */
export function scanObject(
  text: Uint8Array,
  start: number,
  end: number,
  depth: number,
  members: Members,
): number {
  members.count = 0
  members.itemCount = 0
  if (text[start] !== OPEN_OBJECT || start >= end) throw syntaxFault('no object', start)
  if (depth > MAX_NESTING) throw nestingFault(start)
  let at = skipSpace(text, start + 1, end)
  if (at < end && text[at] === CLOSE_OBJECT) return at + 1
  for (;;) {
    const i = members.count
    if (at >= end || text[at] !== QUOTE) throw syntaxFault('no member name', at)
    members.keyStart[i] = at + 1
    at = skipString(text, at, end)
    members.keyEnd[i] = at - 1
    at = skipSpace(text, at, end)
    if (at >= end || text[at] !== COLON) throw syntaxFault('no colon behind a member name', at)
    at = skipSpace(text, at + 1, end)
    members.valueStart[i] = at
    if (at < end && text[at] === OPEN_ARRAY) {
      members.firstItem[i] = members.itemCount
      at = scanArray(text, at, end, depth + 1, members)
      members.items[i] = members.itemCount - members.firstItem[i]
    } else {
      members.items[i] = at < end && text[at] === 110 ? NULL : NO_ARRAY
      at = skipValue(text, at, end, depth + 1)
    }
    members.valueEnd[i] = at
    members.count = i + 1
    at = skipSpace(text, at, end)
    if (at < end && text[at] === CLOSE_OBJECT) return at + 1
    if (at >= end || text[at] !== COMMA) throw syntaxFault('an object does not end', at)
    at = skipSpace(text, at + 1, end)
  }
}

/** Finds the items of the array at `start`; returns the octet behind it. */
export function scanArray(
  text: Uint8Array,
  start: number,
  end: number,
  depth: number,
  members: Pick<Members, 'itemStart' | 'itemEnd' | 'itemCount'>,
): number {
  if (depth > MAX_NESTING) throw nestingFault(start)
  let at = skipSpace(text, start + 1, end)
  if (at < end && text[at] === CLOSE_ARRAY) return at + 1
  for (;;) {
    const i = members.itemCount
    members.itemStart[i] = at
    at = skipValue(text, at, end, depth + 1)
    members.itemEnd[i] = at
    members.itemCount = i + 1
    at = skipSpace(text, at, end)
    if (at < end && text[at] === CLOSE_ARRAY) return at + 1
    if (at >= end || text[at] !== COMMA) throw syntaxFault('an array does not end', at)
    at = skipSpace(text, at + 1, end)
  }
}

/** Returns the octet behind the value at `start`. `depth` is its own, if it is an object or array. */
export function skipValue(text: Uint8Array, start: number, end: number, depth: number): number {
  if (start >= end) throw syntaxFault('a value is missing', start)
  const octet = text[start]
  if (octet === QUOTE) return skipString(text, start, end)
  if (octet === 45 || (octet >= 48 && octet <= 57)) return skipNumber(text, start, end)
  if (octet === OPEN_OBJECT) return skipObject(text, start, end, depth)
  if (octet === OPEN_ARRAY) return skipArray(text, start, end, depth)
  for (const word of ['true', 'false', 'null']) {
    if (isWord(text, start, end, word)) return start + word.length
  }
  throw syntaxFault('no value', start)
}

/** Like scanObject, but keeps nothing. */
function skipObject(text: Uint8Array, start: number, end: number, depth: number): number {
  if (depth > MAX_NESTING) throw nestingFault(start)
  let at = skipSpace(text, start + 1, end)
  if (at < end && text[at] === CLOSE_OBJECT) return at + 1
  for (;;) {
    if (at >= end || text[at] !== QUOTE) throw syntaxFault('no member name', at)
    at = skipSpace(text, skipString(text, at, end), end)
    if (at >= end || text[at] !== COLON) throw syntaxFault('no colon behind a member name', at)
    at = skipValue(text, skipSpace(text, at + 1, end), end, depth + 1)
    at = skipSpace(text, at, end)
    if (at < end && text[at] === CLOSE_OBJECT) return at + 1
    if (at >= end || text[at] !== COMMA) throw syntaxFault('an object does not end', at)
    at = skipSpace(text, at + 1, end)
  }
}

/** Like scanArray, but keeps nothing. */
function skipArray(text: Uint8Array, start: number, end: number, depth: number): number {
  if (depth > MAX_NESTING) throw nestingFault(start)
  let at = skipSpace(text, start + 1, end)
  if (at < end && text[at] === CLOSE_ARRAY) return at + 1
  for (;;) {
    at = skipSpace(text, skipValue(text, at, end, depth + 1), end)
    if (at < end && text[at] === CLOSE_ARRAY) return at + 1
    if (at >= end || text[at] !== COMMA) throw syntaxFault('an array does not end', at)
    at = skipSpace(text, at + 1, end)
  }
}

/** Whether the word stands at `start`, whatever follows. */
export function isWord(text: Uint8Array, start: number, end: number, word: string): boolean {
  if (end - start < word.length) return false
  for (let i = 0; i < word.length; i++) {
    if (text[start + i] !== word.charCodeAt(i)) return false
  }
  return true
}

/** Returns the octet behind the string whose opening quote is at `start`. */
function skipString(text: Uint8Array, start: number, end: number): number {
  let at = start + 1
  while (at < end) {
    const octet = text[at]
    if (octet === QUOTE) return at + 1
    if (octet < 0x20) throw syntaxFault('a control character in a string', at)
    if (octet === BACKSLASH) {
      at = skipEscape(text, at, end)
    } else if (octet < 0x80) {
      at++
    } else {
      const n = utf8SequenceOctets(text, at, end)
      if (n === 0) throw syntaxFault('not UTF-8', at)
      at += n
    }
  }
  throw syntaxFault('a string does not end', at)
}

function skipEscape(text: Uint8Array, start: number, end: number): number {
  if (start + 1 >= end) throw syntaxFault('a string does not end', start)
  switch (text[start + 1]) {
    case 0x22:
    case 0x5c:
    case 0x2f:
    case 0x62:
    case 0x66:
    case 0x6e:
    case 0x72:
    case 0x74:
      return start + 2
    case 0x75:
      for (let i = 2; i < 6; i++) {
        if (start + i >= end || hexDigit(text[start + i]) < 0) {
          throw syntaxFault('an escape is not \\u and four hex digits', start)
        }
      }
      return start + 6
    default:
      throw syntaxFault('an escape that JSON does not have', start)
  }
}

/** 0..15, or −1. */
export function hexDigit(octet: number): number {
  if (octet >= 48 && octet <= 57) return octet - 48
  const lower = octet | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}

function skipNumber(text: Uint8Array, start: number, end: number): number {
  let at = start
  if (text[at] === 45) at++
  const integer = at
  while (at < end && isDigit(text[at])) at++
  if (at === integer) throw syntaxFault('no digits', at)
  if (at - integer > 1 && text[integer] === 48) throw syntaxFault('a number begins with 0', integer)
  if (at < end && text[at] === 46) {
    const fraction = ++at
    while (at < end && isDigit(text[at])) at++
    if (at === fraction) throw syntaxFault('no digits behind the point', at)
  }
  if (at < end && (text[at] | 32) === 101) {
    at++
    if (at < end && (text[at] === 43 || text[at] === 45)) at++
    const exponent = at
    while (at < end && isDigit(text[at])) at++
    if (at === exponent) throw syntaxFault('no digits in the exponent', at)
  }
  return at
}

function isDigit(octet: number): boolean {
  return octet >= 48 && octet <= 57
}

const decoder = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true})

/** Text of a span that holds a whole JSON value, for JSON.parse. */
export function spanText(text: Uint8Array, start: number, end: number): string {
  return decoder.decode(text.subarray(start, end))
}

/** Octets of the byte order mark that `text` begins with: 0 or 3. */
export function byteOrderMark(text: Uint8Array): 0 | 3 {
  return text[0] === 0xef && text[1] === 0xbb && text[2] === 0xbf ? 3 : 0
}

/** The first octet of a text that is no white space and no byte order mark; −1 if there is none. */
export function firstOctet(head: Uint8Array): number {
  const at = skipSpace(head, byteOrderMark(head), head.length)
  return at < head.length ? head[at] : -1
}
