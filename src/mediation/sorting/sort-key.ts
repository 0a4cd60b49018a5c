import {fieldSpan, type RecordBatch} from '../../record/batch.js'
import {fullLength, isList, VARIABLE, type InformationElement} from '../../record/element.js'
import {DartaError} from '../../record/errors.js'
import {fieldIndex, type Template} from '../../record/template.js'
import {octetsColumn, packetsColumn, startColumn, endColumn} from '../../registry/flow-columns.js'
import {flowKey, type FlowKey} from '../../registry/flow-keys.js'
import {ie} from '../../registry/elements.js'
import {makeColumnReader} from '../../record/group-reader.js'
import {rateReader} from '../filter/resolve.js'

/** Writes what a record is sorted by, as words that compare as unsigned numbers, from `at` on. */
export type WriteWords = (batch: RecordBatch, index: number, into: Uint32Array, at: number) => void
/** The octets that a record is sorted by; undefined if it has none. */
export type ReadText = (batch: RecordBatch, index: number) => Uint8Array | undefined

/** One thing that records are sorted by. Those that do not have it come last in either direction. */
export interface SortKey {
  readonly name: string
  readonly descending: boolean
  /** Words of each record; 0: it is text, which is compared octet by octet. */
  readonly words: number
  /** Undefined: records of the Template do not have it. */
  writer(template: Template): WriteWords | undefined
  text(template: Template): ReadText | undefined
}

/** Words of a time: milliseconds since 1970, and the part of a millisecond in units of 2^-32. */
const TIME_WORDS = 3
const TWO_32 = 4294967296
/** Seconds from 1900 to 1970. RFC 7011 section 6.1.9. */
const NTP_1970 = 2208988800

type Maker = (template: Template) => WriteWords | undefined

function putNumber(into: Uint32Array, at: number, value: number): void {
  into[at] = Math.floor(value / TWO_32)
  into[at + 1] = value >>> 0
}

/** Of some elements the first that the Template has, an unsigned number of up to 8 octets. */
function counterWriter(elements: readonly InformationElement[], absent?: number): Maker {
  return (template) => {
    for (const element of elements) {
      const field = fieldIndex(template, element)
      if (field >= 0) return octetsWriter(template, field, 2)
    }
    if (absent === undefined) return undefined
    return (_batch, _index, into, at) => putNumber(into, at, absent)
  }
}

/** Octets of a field as a number of `words` words. */
function octetsWriter(template: Template, field: number, words: number): WriteWords {
  const {offset, length} = template.fields[field]
  const {recordOctets} = template
  if (words === 2 && recordOctets > 0 && (length === 4 || length === 8)) {
    return (batch, index, into, at) => {
      const from = batch.start + index * recordOctets + offset
      into[at] = length === 4 ? 0 : batch.view.getUint32(from)
      into[at + 1] = batch.view.getUint32(from + length - 4)
    }
  }
  return (batch, index, into, at) => {
    const {start, length: octets} = fieldSpan(batch, index, field)
    into.fill(0, at, at + words)
    for (let i = 0; i < octets; i++) {
      const place = 4 * words - octets + i
      if (place < 0) continue
      const w = at + (place >> 2)
      into[w] = (into[w] << 8) | batch.octets[start + i]
    }
  }
}

/** A time to the fraction of a millisecond where the Template has one of these. */
function timeWriter(column: typeof startColumn, fine: readonly InformationElement[]): Maker {
  return (template) => {
    const [exact] = column.elements
      .map((element) => ({element, field: fieldIndex(template, element)}))
      .filter(({field}) => field >= 0)
    if (exact !== undefined && fine.includes(exact.element)) {
      const {field} = exact
      return (batch, index, into, at) => {
        const {start, length} = fieldSpan(batch, index, field)
        if (length !== 8) {
          into.fill(0xffffffff, at, at + TIME_WORDS)
          return
        }
        const seconds = batch.view.getUint32(start)
        const since = seconds < NTP_1970 ? seconds - NTP_1970 + TWO_32 : seconds - NTP_1970
        // Thousandths of the fraction: 42 bits, which a number holds exactly.
        const fraction = batch.view.getUint32(start + 4) * 1000
        putNumber(into, at, since * 1000 + Math.floor(fraction / TWO_32))
        into[at + 2] = fraction % TWO_32
      }
    }
    const read = makeColumnReader(column, template)
    if (read === undefined) return undefined
    return (batch, index, into, at) => {
      putNumber(into, at, read(batch, index))
      into[at + 2] = 0
    }
  }
}

const number = new Float64Array(1)
const numberWords = new Uint32Array(number.buffer)

/** A number that may have a fraction, so that it sorts by its bits. */
function putReal(into: Uint32Array, at: number, value: number): void {
  number[0] = value
  const [low, high] = numberWords
  if (high >>> 31 === 1) {
    into[at] = ~high
    into[at + 1] = ~low
  } else {
    into[at] = high | 0x80000000
    into[at + 1] = low
  }
}

function rateWriter(of: 'duration' | 'bps' | 'pps' | 'bpp'): Maker {
  return (template) => {
    const read = rateReader(of, template)
    return (
      read &&
      ((batch, index, into, at) => {
        const value = read(batch, index)
        if (value === undefined || Number.isNaN(value)) into.fill(0xffffffff, at, at + 2)
        else putReal(into, at, value)
      })
    )
  }
}

interface Known {
  readonly words: number
  readonly writer: Maker
  /** Greatest first unless said otherwise, as in nfdump. */
  readonly descending: boolean
}

const fineStart = [
  ie.flowStartMicroseconds,
  ie.flowStartNanoseconds,
  ie.observationTimeMicroseconds,
  ie.observationTimeNanoseconds,
]
const fineEnd = [
  ie.flowEndMicroseconds,
  ie.flowEndNanoseconds,
  ie.observationTimeMicroseconds,
  ie.observationTimeNanoseconds,
]

const known: Readonly<Record<string, Known>> = {
  tstart: {words: TIME_WORDS, writer: timeWriter(startColumn, fineStart), descending: false},
  tend: {words: TIME_WORDS, writer: timeWriter(endColumn, fineEnd), descending: false},
  bytes: {words: 2, writer: counterWriter(octetsColumn.elements), descending: true},
  packets: {words: 2, writer: counterWriter(packetsColumn.elements), descending: true},
  flows: {words: 2, writer: counterWriter([ie.deltaFlowCount], 1), descending: true},
  duration: {words: 2, writer: rateWriter('duration'), descending: true},
  bps: {words: 2, writer: rateWriter('bps'), descending: true},
  pps: {words: 2, writer: rateWriter('pps'), descending: true},
  bpp: {words: 2, writer: rateWriter('bpp'), descending: true},
}
const otherNames: Readonly<Record<string, string>> = {
  octets: 'bytes',
  // Of the way in, as nfdump has them.
  ...{ibyte: 'bytes', ipkg: 'packets', ibps: 'bps', ipps: 'pps', ibpp: 'bpp'},
  first: 'tstart',
  last: 'tend',
  start: 'tstart',
  end: 'tend',
}

/** Names that are no element's and no key's, for the help. */
export const sortNames: readonly string[] = Object.keys(known)

/**
 * Reads `KEY[:a|:d][,KEY…]`: tstart, tend, bytes, packets, flows, duration, bps, pps, bpp, a key of Flows (srcip, dstport,
 * src4/24 …) or any element by its name. Counters and rates go from the greatest down, everything else up, unless
 * `:a` (least first) or `:d` says otherwise.
 *
 * @throws DartaError DARTA_USAGE
 */
export function parseSortKeys(text: string): SortKey[] {
  return text.split(',').map((part) => {
    const [, word, direction] = /^(.*?)(?::([ad]))?$/.exec(part.trim())!
    const name = otherNames[word] ?? word
    if (name === '') throw new DartaError('DARTA_USAGE', `-O: '${text}' has an empty key`)
    const descending = (usually: boolean): boolean =>
      direction === undefined ? usually : direction === 'd'
    if (Object.hasOwn(known, name)) {
      const key = known[name]
      return {
        name,
        descending: descending(key.descending),
        words: key.words,
        writer: key.writer,
        text: () => undefined,
      }
    }
    return elementKey(flowKey(name), descending(false))
  })
}

function elementKey(key: FlowKey, descending: boolean): SortKey {
  const {name, elements, bits} = key
  if (key.either === true) {
    throw new DartaError('DARTA_USAGE', `-O: ${name} is of either side; src${name} or dst${name}`)
  }
  const types = elements.map(({type}) => type)
  if (types.some(isList)) {
    throw new DartaError('DARTA_USAGE', `-O: ${name} is a list, which has no order`)
  }
  const isText = types.some((type) => type === 'string' || type === 'octetArray')
  if (isText) {
    return {
      name,
      descending,
      words: 0,
      writer: () => undefined,
      text(template) {
        const field = fieldIndex(template, elements[0])
        if (field < 0) return undefined
        const padded = template.fields[field].length !== VARIABLE
        const trim = padded && types[0] === 'string'
        return (batch, index) => {
          const {start, length} = fieldSpan(batch, index, field)
          let end = start + length
          if (trim) while (end > start && batch.octets[end - 1] === 0) end--
          return end === start ? undefined : batch.octets.subarray(start, end)
        }
      },
    }
  }
  // Integers may be longer on the wire than their type.
  const widths = types.map((type) => Math.max(2, Math.ceil(fullLength(type) / 4)))
  const several = elements.length > 1 || key.ofMessage !== undefined
  const width = Math.max(...widths)
  const words = width + (several ? 1 : 0)
  return {
    name,
    descending,
    words,
    text: () => undefined,
    writer(template) {
      const found = elements
        .map((element, alternative) => ({alternative, field: fieldIndex(template, element)}))
        .filter(({field}) => field >= 0)
        .map(({alternative, field}) => ({
          alternative,
          field,
          write: elementWriter(template, field, width, bits?.[alternative]),
        }))
      const domain = name === 'odid' && found.length === 0
      if (found.length === 0 && !domain) return undefined
      return (batch, index, into, at) => {
        const place = several ? at + 1 : at
        if (domain) {
          into.fill(0, at, at + words)
          into[at + words - 1] = batch.message.observationDomainId
          return
        }
        for (const [i, {alternative, write}] of found.entries()) {
          write(batch, index, into, place)
          if (several) into[at] = alternative
          // Of addresses of both versions the one that is not all zeros.
          if (i === found.length - 1 || !isZero(into, place, width)) break
        }
      }
    },
  }
}

function isZero(words: Uint32Array, at: number, count: number): boolean {
  for (let w = at; w < at + count; w++) if (words[w] !== 0) return false
  return true
}

/** The value of a field so that its words have the order of its values. */
function elementWriter(
  template: Template,
  field: number,
  words: number,
  bits: number | undefined,
): WriteWords {
  const {element} = template.fields[field]
  const {type} = element
  const plain = octetsWriter(template, field, words)
  if (type === 'float32' || type === 'float64') {
    return (batch, index, into, at) => {
      const {start, length} = fieldSpan(batch, index, field)
      const {view} = batch
      const value =
        length === 4 ? view.getFloat32(start) : length === 8 ? view.getFloat64(start) : NaN
      if (Number.isNaN(value)) into.fill(0xffffffff, at, at + words)
      else putReal(into, at, value)
    }
  }
  if (type.startsWith('signed')) {
    return (batch, index, into, at) => {
      plain(batch, index, into, at)
      const {start, length} = fieldSpan(batch, index, field)
      const negative = length > 0 && batch.octets[start] >= 128
      if (negative) {
        // Octets that were left out are those of the sign. RFC 7011 section 6.2.
        if (length <= 4) into[at] = 0xffffffff
        const missing = length <= 4 ? 4 - length : 8 - length
        const word = length <= 4 ? at + 1 : at
        if (missing > 0) into[word] |= -1 << (32 - 8 * missing)
      }
      into[at] ^= 0x80000000
    }
  }
  if (bits !== undefined) {
    return (batch, index, into, at) => {
      plain(batch, index, into, at)
      const all = 8 * fullLength(type)
      for (let w = 0; w < words; w++) {
        // Leading bits of the value that this word has.
        const first = 32 * w - (32 * words - all)
        const kept = Math.min(32, Math.max(0, bits - first))
        if (kept === 0) into[at + w] = 0
        else if (kept < 32) into[at + w] &= -1 << (32 - kept)
      }
    }
  }
  if (type === 'dateTimeMicroseconds' || type === 'dateTimeNanoseconds') {
    return (batch, index, into, at) => {
      plain(batch, index, into, at)
      into[at] = into[at] - NTP_1970
    }
  }
  return plain
}
