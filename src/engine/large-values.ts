import type {Engine} from './engine.js'

/** What an engine stores under one key at once; NATS takes 1 MiB with all its headers. */
const MOST_VALUE_OCTETS = 768 * 1024

/** Before a value: it is whole, or it names the pieces that it is in. */
const WHOLE = 0
const PIECES = 1

/**
 * Stores a value of any size as Engine.put does. A large one is put in pieces first, under keys that nobody else uses, and
 * becomes the key's value when these are there.
 */
export async function putLarge(
  engine: Engine,
  bucket: string,
  key: string,
  value: Uint8Array,
  expected: number,
): Promise<number | undefined> {
  const before = expected > 0 ? await engine.get(bucket, key) : undefined
  if (value.length < MOST_VALUE_OCTETS) {
    const revision = await engine.put(bucket, key, withMark(WHOLE, value), expected)
    if (revision !== undefined && before !== undefined) {
      await deletePieces(engine, bucket, before.value)
    }
    return revision
  }
  const id = `${key}=${expected}=${Math.floor(Math.random() * 2 ** 52).toString(36)}`
  const pieces = Math.ceil(value.length / MOST_VALUE_OCTETS)
  for (let i = 0; i < pieces; i++) {
    const piece = value.subarray(i * MOST_VALUE_OCTETS, (i + 1) * MOST_VALUE_OCTETS)
    await engine.put(bucket, `${id}=${i}`, piece, 0)
  }
  const pointer = new TextEncoder().encode(`${pieces} ${id}`)
  const revision = await engine.put(bucket, key, withMark(PIECES, pointer), expected)
  // Those that nothing points to any more.
  const unused = revision === undefined ? withMark(PIECES, pointer) : before?.value
  if (unused !== undefined) await deletePieces(engine, bucket, unused)
  return revision
}

/** The value that was stored, from its pieces if it is in such; undefined: a piece is gone, since there is a newer value. */
export async function getLarge(
  engine: Engine,
  bucket: string,
  stored: Uint8Array,
): Promise<Uint8Array | undefined> {
  if (stored.length === 0) return stored
  if (stored[0] === WHOLE) return stored.subarray(1)
  const octets: Uint8Array[] = []
  for (const name of pieceNames(stored)) {
    const piece = await engine.get(bucket, name)
    if (piece === undefined) return undefined
    octets.push(piece.value)
  }
  const value = new Uint8Array(octets.reduce((n, {length}) => n + length, 0))
  let at = 0
  for (const piece of octets) {
    value.set(piece, at)
    at += piece.length
  }
  return value
}

/** Deletes a key and the pieces of its value. */
export async function deleteLarge(engine: Engine, bucket: string, key: string): Promise<void> {
  const stored = await engine.get(bucket, key)
  await engine.delete(bucket, key)
  if (stored !== undefined) await deletePieces(engine, bucket, stored.value)
}

/** Whether a key is a piece of another's value. */
export function isPiece(key: string): boolean {
  return key.includes('=')
}

async function deletePieces(engine: Engine, bucket: string, stored: Uint8Array): Promise<void> {
  if (stored.length === 0 || stored[0] !== PIECES) return
  for (const name of pieceNames(stored)) await engine.delete(bucket, name)
}

function pieceNames(stored: Uint8Array): string[] {
  const [pieces, id] = new TextDecoder().decode(stored.subarray(1)).split(' ')
  return Array.from({length: Number(pieces)}, (_, i) => `${id}=${i}`)
}

function withMark(mark: number, octets: Uint8Array): Uint8Array {
  const marked = new Uint8Array(1 + octets.length)
  marked[0] = mark
  marked.set(octets, 1)
  return marked
}
