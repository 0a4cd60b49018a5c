import {createConnection} from 'node:net'
import {DartaError} from '../../record/errors.js'
import {readError} from '../../io/errors.js'
import {KEY_OCTETS} from '../../mediation/anonymization/crypto-pan.js'
import {readInputFile} from '../filter/read-input-file.js'

/** What an agent may say before it is no key. */
const MOST_OCTETS = 4096

/**
 * The key in a file, or that an agent on a Unix socket gives to whoever connects: 32 characters, 64 hexadecimal digits
 * with or without 0x, or 32 octets; a line end behind does not count.
 *
 * @throws DartaError DARTA_USAGE, DARTA_FILE_READ, DARTA_PERMISSION
 */
export async function readKey(source: {file?: string; agent?: string}): Promise<Uint8Array> {
  const {file, agent} = source
  const name = file ?? agent!
  return parseKey(file === undefined ? await askAgent(name) : readInputFile(file), name)
}

function parseKey(octets: Uint8Array, name: string): Uint8Array {
  if (octets.length === KEY_OCTETS) return octets
  const text = new TextDecoder('latin1').decode(octets).replace(/\r?\n$/, '')
  if (text.length === KEY_OCTETS) return new TextEncoder().encode(text)
  const hex = /^(?:0x)?([0-9a-f]{64})$/i.exec(text)
  if (hex !== null) return Uint8Array.from(Buffer.from(hex[1], 'hex'))
  throw new DartaError(
    'DARTA_USAGE',
    `${name} holds no key: 32 characters or 64 hexadecimal digits, not ${text.length} characters`,
  )
}

function askAgent(path: string): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const socket = createConnection(path)
    socket.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= MOST_OCTETS) chunks.push(chunk)
      else socket.destroy(new Error('it says more than a key'))
    })
    socket.on('error', (error) => reject(readError(path, error)))
    socket.on('end', () => {
      socket.end()
      resolve(Buffer.concat(chunks))
    })
  })
}
