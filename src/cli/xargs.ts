import type {Ending} from '../io/read-descriptor.js'
import {standardInput} from '../io/stdio.js'

/**
 * The names of files that standard input has, one a line, or with a zero octet behind each if there is one; empty names do not
 * count.
 *
 * @throws DartaError DARTA_FILE_READ
 */
export async function namesOnStandardInput(ending: Ending): Promise<string[]> {
  const parts: Uint8Array[] = []
  for await (const chunk of (await standardInput(ending)).chunks) parts.push(chunk.slice())
  const text = Buffer.concat(parts).toString()
  return text.split(text.includes('\0') ? '\0' : /\r?\n/).filter((name) => name !== '')
}
