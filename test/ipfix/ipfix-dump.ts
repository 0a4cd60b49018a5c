import {isDeepStrictEqual} from 'node:util'
import type {InformationElement} from '../../src/record/element.js'
import type {RecordValue, Value} from '../../src/record/value.js'

/** A value of a record or list, as ipfixDump writes it; undefined where it says too little to compare. */
function dumped(element: InformationElement, value: Value): string | undefined {
  if (value instanceof Uint8Array) {
    // It does not know the element: numbers of 1, 2, 4 and 8 octets are written as a little-endian machine has them.
    const known = element.status !== 'unknown'
    if (known || ![1, 2, 4, 8].includes(value.length)) return undefined
    return BigInt(`0x${Buffer.from(value).reverse().toString('hex')}`).toString()
  }
  if (element.type === 'string') return undefined
  if (element.type.startsWith('dateTime')) {
    const units: Record<string, bigint> = {
      dateTimeSeconds: 1n,
      dateTimeMilliseconds: 1000n,
      dateTimeMicroseconds: 1000000n,
      dateTimeNanoseconds: 1000000000n,
    }
    const ms = (BigInt(value as number) * 1000n) / units[element.type]
    const text = new Date(Number(ms)).toISOString().replace('T', ' ').slice(0, -1)
    return element.type === 'dateTimeMilliseconds' ? text : text.slice(0, 19)
  }
  // Lists were taken apart before.
  return `${value as number | bigint | string | boolean}`
}

/** `pen/id=value` of all that is no list, depth first. */
export function leavesOf(record: RecordValue): string[] {
  return record.flatMap(([element, value]) => {
    if (typeof value === 'object' && !(value instanceof Uint8Array)) {
      switch (value.kind) {
        case 'basicList':
          return value.items.map((item) => leaf('item', dumped(value.element, item)))
        case 'subTemplateList':
          return value.records.flatMap(leavesOf)
        case 'subTemplateMultiList':
          return value.groups.flatMap(({records}) => records.flatMap(leavesOf))
      }
    }
    const {enterpriseNumber: pen, elementId: id} = element
    return [leaf(pen === 0 ? `${id}` : `${pen}/${id}`, dumped(element, value))]
  })
}

function leaf(name: string, value: string | undefined): string {
  return `${name}=${value ?? '…'}`
}

/** The same of ipfixDump's text: one array for each Data Record. */
export function leavesOfDump(text: string): string[][] {
  const records: string[][] = []
  for (const line of text.split('\n')) {
    if (line.startsWith('--- data record')) records.push([])
    const field = /^\s*\(([\d/]+)\)\s*(?:\(S\))?\s+\w+ : ?(.*)$/.exec(line)
    const item = /^\s*\d+\s+: (.*)$/.exec(line)
    if (field !== null && !/ (basicList|subTemplate(Multi)?List) :/.test(line)) {
      records.at(-1)!.push(`${field[1]}=${field[2]}`)
    } else if (item !== null) {
      records.at(-1)!.push(`item=${item[1]}`)
    }
  }
  return records
}

/**
 * It writes IPv6 addresses in a form of its own and times to parts of a second that it does not have, and reads
 * an integer of one octet in four as if the other three stood behind it.
 */
function likeOurs(theirs: string, ours: string): string {
  if (/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(ours)) return theirs.slice(0, 19)
  if (ours.includes('::') || ours.split(':').length === 8) {
    const canonical = (text: string): string => new URL(`http://[${text}]`).hostname
    return canonical(theirs) === canonical(ours) ? ours : theirs
  }
  if (/^\d+$/.test(ours) && Number(theirs) === Number(ours) * 2 ** 24) return ours
  return theirs
}

/** The first difference between our records and ipfixDump's, where it says enough to compare. */
export function difference(
  ours: readonly (readonly string[])[],
  dump: readonly (readonly string[])[],
): string | undefined {
  if (ours.length !== dump.length) return `${ours.length} records, ${dump.length} in the dump`
  for (const [i, leaves] of ours.entries()) {
    const theirs = dump[i].map((text, j) => {
      const [name, value] = text.split('=')
      const mine = leaves[j]?.slice(leaves[j].indexOf('=') + 1) ?? ''
      if (mine === '…' || value.startsWith('len:')) return [name, '…']
      return [name, likeOurs(value, mine)]
    })
    const mine = leaves.map((text, j) => {
      const [name, value] = text.split('=')
      return [name, theirs[j]?.[1] === '…' ? '…' : value]
    })
    if (!isDeepStrictEqual(mine, theirs)) {
      const at = theirs.findIndex((field, j) => !isDeepStrictEqual(field, mine[j]))
      return `record ${i + 1}, field ${at + 1}: ${mine[at]?.join('=')} is ${theirs[at]?.join('=')}`
    }
  }
  return undefined
}
