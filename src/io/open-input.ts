import {detectCodec, type Codec} from './codec.js'
import type {Ending, OctetInput} from './read-descriptor.js'
import {readFile} from './read-file.js'
import {standardInput} from './stdio.js'

/** An input of which the beginning has been seen. */
export interface OpenInput {
  /** What the user called it; `-` is standard input. */
  readonly name: string
  /** How the octets on disk or in the pipe are compressed. */
  readonly codec: Codec | undefined
  /** The first octets after decompression: at least 4 unless the input is shorter; empty if it is empty. */
  readonly head: Uint8Array
  /** All octets after decompression, `head` included. Read once. */
  readonly octets: AsyncIterableIterator<Uint8Array>
  /** See `OctetInput`; for `octets`. */
  readonly recycle?: OctetInput['recycle']
  /** How far reading has come, before decompression. */
  readonly progress: Readonly<Pick<OctetInput, 'position' | 'size'>>
  /** Gives up what was not read. */
  close(): Promise<void>
}

/** The longest magic number that anything is recognised by. */
const HEAD_OCTETS = 4

/**
 * Opens `name` (`-`: standard input) and looks at its beginning; what is compressed comes out
 * decompressed.
 *
 * @throws DartaError DARTA_FILE_READ, DARTA_PERMISSION, DARTA_COMPRESSION
 */
export async function openInput(name: string, ending: Ending): Promise<OpenInput> {
  const input = await (name === '-' ? standardInput(ending) : readFile(name, ending))
  const raw = await withHead(input.chunks)
  const codec = detectCodec(raw.head)
  if (codec === undefined) {
    const {chunks, recycle} = input
    return {name, codec, ...raw, recycle, progress: input, close: () => finish(chunks)}
  }
  // Loaded where it is needed: child processes and zlib take longer than a small file.
  const {decompress} = await import('./decompress.js')
  const chunks = decompress(codec, raw.octets, name)
  const close = async (): Promise<void> => {
    await finish(chunks)
    await finish(input.chunks)
  }
  return {name, codec, ...(await withHead(chunks)), progress: input, close}
}

async function finish(chunks: AsyncIterator<Uint8Array>): Promise<void> {
  await chunks.return?.()
}

/** Reads as far as `head` needs and gives everything again in `octets`. */
async function withHead(
  chunks: AsyncIterableIterator<Uint8Array>,
): Promise<{head: Uint8Array; octets: AsyncGenerator<Uint8Array, undefined>}> {
  let head: Uint8Array = new Uint8Array(0)
  let failure: unknown
  try {
    while (head.length < HEAD_OCTETS) {
      const next = await chunks.next()
      if (next.done === true) break
      head = head.length === 0 ? next.value : Buffer.concat([head, next.value])
    }
  } catch (error) {
    if (head.length === 0) throw error
    failure = error
  }
  async function* octets(): AsyncGenerator<Uint8Array, undefined> {
    try {
      if (head.length > 0) yield head
      if (failure !== undefined) throw failure as Error
      yield* chunks
    } finally {
      await finish(chunks)
    }
  }
  return {head, octets: octets()}
}
