import {DartaError} from '../record/errors.js'
import type {Format} from '../record/format.js'
import {formats as table} from '../formats/index.js'
import {nearest} from './suggest.js'

const formats: Readonly<Record<string, () => Promise<{default: Format}>>> = table

export function formatNames(): string[] {
  return Object.keys(formats)
}

/**
 * The format of this name; `argument` is what follows a colon (`fmt:%sa %da`).
 *
 * @throws DartaError DARTA_USAGE
 */
export async function formatByName(
  spec: string,
  flag: string,
): Promise<{name: string; format: Format; argument: string | undefined}> {
  const colon = spec.indexOf(':')
  const name = colon === -1 ? spec : spec.slice(0, colon)
  if (!Object.hasOwn(formats, name)) {
    const [near] = nearest(name, formatNames())
    const hint = near === undefined ? formatNames().join(', ') : `did you mean ${near}?`
    throw new DartaError('DARTA_USAGE', `${flag}: no format '${name}'; ${hint}`)
  }
  const {default: format} = await formats[name]()
  return {name, format, argument: colon === -1 ? undefined : spec.slice(colon + 1)}
}

/** Name of the format that octets beginning with `head` are in; `pcap` and `pcapng` are captures. */
export async function detectFormat(head: Uint8Array): Promise<string | undefined> {
  const [a, b, c, d] = head
  if (a === 0x00 && b === 0x0a) return 'ipfix'
  if (startsWithBrace(head)) return 'ndjson'
  const magic = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
  if (pcapMagics.has(magic)) return 'pcap'
  if (magic === 0x0a0d0d0a) return 'pcapng'
  for (const [name, load] of Object.entries(formats)) {
    const {default: format} = await load()
    if (format.decoder !== undefined && format.detects?.(head)) return name
  }
  return undefined
}

const pcapMagics = new Set([0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1, 0xa1b2cd34, 0x34cdb2a1])

/** After white space and a byte order mark. */
function startsWithBrace(head: Uint8Array): boolean {
  let at = head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf ? 3 : 0
  while (head[at] === 0x20 || head[at] === 0x09 || head[at] === 0x0a || head[at] === 0x0d) at++
  return head[at] === 0x7b
}
