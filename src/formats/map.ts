import {DartaError} from '../record/errors.js'
import type {DecodeContext, Decoder, Format} from '../record/format.js'
import {addressText, macText} from '../record/value.js'
import {readMapping, type BinaryField, type Mapping} from './map/mapping.js'
import {createTaker} from './map/taker.js'

/** What a line has at most, as of NDJSON. */
const MOST_LINE = 1 << 20

type Pair = readonly [field: string, text: string]

export default {
  summary: 'a format that a mapping describes, as map:FILE',
  binary: false,
  argumentIsFile: true,
  decoder(context) {
    if (context.argument === undefined) {
      throw new DartaError('DARTA_USAGE', 'map: expected map:FILE, a mapping')
    }
    const mapping = readMapping(context.argument, 'the mapping')
    return mapping.format === 'binary'
      ? createBinaryDecoder(mapping, context)
      : createLineDecoder(mapping, context)
  },
} satisfies Format

function createLineDecoder(mapping: Mapping, context: DecodeContext): Decoder {
  const lines = context.ledger.stage('map', 'lines')
  const taker = createTaker(mapping, context)
  const utf8 = new TextDecoder()
  let columns = mapping.columns
  let held = new Uint8Array(0)
  let skipping = false
  let offset = 0
  let number = 0
  /** The beginning of a line of CSV whose quotes are open, and where it is. */
  let open: {text: string; offset: number; line: number} | undefined

  function line(octets: Uint8Array, at: number): void {
    number++
    let text = utf8.decode(octets)
    if (text.endsWith('\r')) text = text.slice(0, -1)
    let where = {offset: at, line: number}
    if (mapping.format === 'csv') {
      if (open !== undefined) {
        text = `${open.text}\n${text}`
        where = open
        open = undefined
      }
      if ((text.split('"').length & 1) === 0 && text.length < MOST_LINE) {
        open = {text, ...where}
        return
      }
    }
    lines.in++
    if (where.line <= mapping.skipLines) return lines.skip('skip-lines')
    if (text.trim() === '') return lines.skip('empty')
    if (mapping.comment !== undefined && text.startsWith(mapping.comment))
      return lines.skip('comment')
    const pairs = pairsOf(text)
    if (pairs === 'header') return lines.skip('header')
    if (typeof pairs === 'string') return lines.lose(pairs, 1, where.offset, where.line)
    if (taker.add(pairs, where.offset, where.line)) lines.out++
    else lines.lose('no-field', 1, where.offset, where.line)
  }

  /** The fields of a line; else why there are none. */
  function pairsOf(text: string): readonly Pair[] | 'header' | 'columns' | 'syntax' {
    if (mapping.format === 'csv') {
      const cells = cellsOf(text, mapping.separator!)
      if (cells === undefined) return 'syntax'
      if (columns === undefined) {
        columns = cells
        return 'header'
      }
      if (cells.length !== columns.length) return 'columns'
      return cells.map((cell, i): Pair => [columns![i], cell])
    }
    if (mapping.format === 'kv') return keyValues(text, mapping)
    let object: unknown
    try {
      object = JSON.parse(text)
    } catch {
      return 'syntax'
    }
    if (typeof object !== 'object' || object === null || Array.isArray(object)) return 'syntax'
    return flattened(object as Record<string, unknown>, '', numbersOf(text))
  }

  return {
    push(octets) {
      const first = offset
      let all = octets
      if (held.length > 0) {
        all = new Uint8Array(held.length + octets.length)
        all.set(held)
        all.set(octets, held.length)
      }
      let at = 0
      let end: number
      while ((end = all.indexOf(0x0a, at)) >= 0) {
        if (skipping) skipping = false
        else line(all.subarray(at, end), offset)
        offset += end + 1 - at
        at = end + 1
      }
      held = all.slice(at)
      if (held.length > MOST_LINE) {
        if (!skipping) {
          lines.in++
          number++
          lines.lose('too-long', 1, offset, number)
        }
        skipping = true
        offset += held.length
        held = new Uint8Array(0)
      }
      return taker.take(first)
    },
    end() {
      if (held.length > 0 && !skipping) line(held, offset)
      if (open !== undefined) {
        lines.in++
        lines.lose('quote', 1, open.offset, open.line)
      }
      return taker.take(offset)
    },
  }
}

/** RFC 4180 section 2. Undefined: quotes stand where they may not. */
function cellsOf(text: string, separator: string): string[] | undefined {
  const cells: string[] = []
  let at = 0
  for (;;) {
    let cell = ''
    if (text[at] === '"') {
      at++
      for (;;) {
        const end = text.indexOf('"', at)
        if (end < 0) return undefined
        cell += text.slice(at, end)
        at = end + 1
        if (text[at] !== '"') break
        cell += '"'
        at++
      }
    } else {
      const end = text.indexOf(separator, at)
      cell = end < 0 ? text.slice(at) : text.slice(at, end)
      at += cell.length
    }
    cells.push(cell)
    if (at >= text.length) return cells
    if (!text.startsWith(separator, at)) return undefined
    at += separator.length
  }
}

/** `key=value key="a value"`; what is no pair is none of ours. */
function keyValues(text: string, {separator, assignment}: Mapping): Pair[] | 'syntax' {
  const pairs: Pair[] = []
  let at = 0
  while (at < text.length) {
    while (separator === undefined ? /\s/.test(text[at] ?? '') : text.startsWith(separator, at)) {
      at += separator?.length ?? 1
    }
    if (at >= text.length) break
    const is = text.indexOf(assignment, at)
    if (is < 0) return 'syntax'
    const key = text.slice(at, is).trim()
    at = is + assignment.length
    let end: number
    if (text[at] === '"') {
      const match = /^"((?:[^"\\]|\\.)*)"/.exec(text.slice(at))
      if (match === null) return 'syntax'
      pairs.push([key, match[1].replace(/\\(.)/g, '$1')])
      at += match[0].length
      continue
    }
    if (separator === undefined) {
      const space = text.slice(at).search(/\s/)
      end = space < 0 ? text.length : at + space
    } else {
      const found = text.indexOf(separator, at)
      end = found < 0 ? text.length : found
    }
    pairs.push([key, text.slice(at, end).trim()])
    at = end
  }
  return pairs
}

/** Whole numbers of a line that JSON.parse would round, by what it makes of them. */
function numbersOf(text: string): ReadonlyMap<number, string> {
  const exact = new Map<number, string>()
  for (const [digits] of text.matchAll(/\d{16,}/g)) exact.set(Number(digits), digits)
  return exact
}

/** Members of members are named with a dot between. */
function flattened(
  object: Record<string, unknown>,
  prefix: string,
  exact: ReadonlyMap<number, string>,
): Pair[] {
  return Object.entries(object).flatMap(([key, value]): Pair[] => {
    const name = prefix + key
    if (value === null) return [[name, '']]
    if (typeof value === 'number') return [[name, exact.get(value) ?? String(value)]]
    if (typeof value === 'string' || typeof value === 'boolean') return [[name, String(value)]]
    if (Array.isArray(value)) return [[name, JSON.stringify(value)]]
    return flattened(value as Record<string, unknown>, `${name}.`, exact)
  })
}

function createBinaryDecoder(mapping: Mapping, context: DecodeContext): Decoder {
  const account = context.ledger.stage('map', 'records')
  const taker = createTaker(mapping, context)
  const {recordOctets, littleEndian, binary} = mapping
  let held = new Uint8Array(0)
  let offset = 0
  return {
    push(octets) {
      const all = new Uint8Array(held.length + octets.length)
      all.set(held)
      all.set(octets, held.length)
      const first = offset
      let at = 0
      for (; all.length - at >= recordOctets; at += recordOctets) {
        account.in++
        const record = all.subarray(at, at + recordOctets)
        const fields = binary.map(
          (one) => [one.field, binaryValue(one, record, littleEndian)] as const,
        )
        if (taker.add(fields, offset)) account.out++
        else account.lose('no-field', 1, offset)
        offset += recordOctets
      }
      held = all.slice(at)
      return taker.take(first)
    },
    end() {
      if (held.length > 0) {
        account.in++
        account.lose('truncated', 1, offset)
      }
      return []
    },
  }
}

/** A field's text, or its octets where they are the value. */
function binaryValue(
  {at, octets: size, as}: BinaryField,
  record: Uint8Array,
  littleEndian: boolean,
): string | Uint8Array {
  const octets = record.slice(at, at + size)
  switch (as) {
    case 'octets':
      return octets
    case 'text': {
      const end = octets.indexOf(0)
      return new TextDecoder().decode(end < 0 ? octets : octets.subarray(0, end)).trimEnd()
    }
    case 'address':
      return size === 6 ? macText(octets, 0) : addressText(octets)
    case 'float': {
      const view = new DataView(octets.buffer)
      return String(
        size === 4 ? view.getFloat32(0, littleEndian) : view.getFloat64(0, littleEndian),
      )
    }
    case 'unsigned':
    case 'signed': {
      if (littleEndian) octets.reverse()
      let value = 0n
      for (const octet of octets) value = (value << 8n) | BigInt(octet)
      return String(as === 'signed' ? BigInt.asIntN(8 * size, value) : value)
    }
  }
}
