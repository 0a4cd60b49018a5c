import {VARIABLE} from '../../src/record/element.js'
import type {MeterField, MeterOptions, MeterOutput} from '../../src/metering/meter.js'

/** A record for comparison: element name to the octets of its value in hex. */
export type Row = Record<string, string>

/**
 * The records in a meter's buffers, read by nothing but RFC 7011: header left free, one Set that fills
 * the buffer, fields one behind the other.
 */
export function rowsOf(outputs: readonly MeterOutput[], fields: MeterOptions['fields']): Row[] {
  const rows: Row[] = []
  for (const {octets, template, count} of outputs) {
    const view = new DataView(octets.buffer, octets.byteOffset, octets.length)
    if (octets.length > 65535) throw new Error('longer than a Message can be')
    if (octets.subarray(0, 16).some((octet) => octet !== 0)) {
      throw new Error('Message Header is used')
    }
    if (view.getUint16(16) !== 256 + template) throw new Error('Set ID is not that of the template')
    if (view.getUint16(18) !== octets.length - 16)
      throw new Error('the Set does not fill its buffer')
    let at = 20
    for (let i = 0; i < count; i++) {
      const [row, next] = readRow(octets, at, template === 0 ? fields.v4 : fields.v6)
      rows.push(row)
      at = next
    }
    if (at !== octets.length) throw new Error(`records end at ${at} of ${octets.length}`)
  }
  return rows
}

function readRow(octets: Uint8Array, at: number, fields: readonly MeterField[]): [Row, number] {
  const row: Row = {}
  for (const field of fields) {
    let {length} = field
    if (length === VARIABLE) {
      length = octets[at++]
      if (length === 255) {
        length = octets[at] * 256 + octets[at + 1]
        at += 2
      }
    }
    if (at + length > octets.length) throw new Error('a record ends behind its Set')
    row[field.element.name] = Buffer.from(octets.subarray(at, at + length)).toString('hex')
    at += length
  }
  return [row, at]
}

/** The value of a field with an unsigned type or milliseconds. */
export function numberOf(row: Row, name: string): number {
  return Number(BigInt(`0x${row[name]}`))
}

/** NTP seconds and fraction as decimal text since 1970, cut off. RFC 7011 section 6.1.10. */
export function ntpSeconds(octets: string): string {
  const value = BigInt(`0x${octets}`)
  const sinceEra = (value >> 32n) - 2208988800n
  // Seconds before 1970 are those of era 1, from 2036 on.
  const whole = sinceEra < 0n ? sinceEra + 2n ** 32n : sinceEra
  const ns = ((value & 0xffffffffn) * 1000000000n) >> 32n
  return `${whole}.${ns.toString().padStart(9, '0')}`
}

/** Address as hex, from its text. */
export function addressHex(text: string): string {
  if (!text.includes(':')) return Buffer.from(text.split('.').map(Number)).toString('hex')
  const [head, tail] = text.split('::')
  const groups = (part: string | undefined): string[] =>
    part ? part.split(':').map((group) => group.padStart(4, '0')) : []
  const before = groups(head)
  const after = groups(tail)
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length
  return [...before, ...Array<string>(zeros).fill('0000'), ...after].join('')
}

/** Rows as a sorted list of texts: equal for equal multisets. */
export function sortedRows(rows: readonly Row[]): string[] {
  return rows.map((row) => JSON.stringify(row)).sort()
}
