import {crc32, createInflateRaw, createZstdDecompress} from 'node:zlib'
import {DartaError} from '../record/errors.js'
import type {Codec} from './codec.js'
import {startCodecProgram, type CodecProgram} from './codec-program.js'
import {isSystemError, spokenName} from './errors.js'

const CHUNK_OCTETS = 1 << 17
/**
 * zlib gives up what it made of the piece in which it finds damage. Pieces grow from the first to
 * the second size, so that little of the good is lost with the bad, least of all in a small file.
 */
const FIRST_PIECE_OCTETS = 1 << 8
const PIECE_OCTETS = 1 << 14
/** More than this waiting for the consumer pauses the codec. */
const WAITING_OCTETS = 1 << 21

/**
 * Decompresses `source`: one or several members or frames, and the zeros that tapes pad with.
 *
 * @throws DartaError DARTA_COMPRESSION with the offset in the compressed input where the damage was
 * noticed, after all that could be decompressed was delivered
 */
export async function* decompress(
  codec: Codec,
  source: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<Uint8Array, undefined> {
  const input = new Pieces(source[Symbol.asyncIterator]())
  try {
    while (await input.more()) {
      const head = input.peek()
      if (input.taken > 0 && head.every((octet) => octet === 0)) {
        input.take(head.length)
      } else if (codec === 'gzip') {
        yield* gunzipMember(input, name)
      } else {
        yield* decompressMember(codec, input, name)
      }
    }
  } finally {
    input.close()
  }
}

/**
 * One member of gzip data. RFC 1952. zlib by itself would take what follows for the next member and
 * give up what it made of this one when it is none.
 */
async function* gunzipMember(input: Pieces, name: string): AsyncGenerator<Uint8Array, undefined> {
  const start = input.taken
  const fail = (words: string, offset = input.taken): DartaError =>
    damage('gzip', name, new Error(words), offset)
  const header = await input.read(10)
  if (header.length < 10) throw fail(CUT_SHORT)
  if (header[0] !== 0x1f || header[1] !== 0x8b || header[2] !== 8) {
    throw fail(start === 0 ? 'unknown header' : SOMETHING_ELSE, start)
  }
  const flags = header[3]
  if ((flags & 0x04) !== 0) {
    const length = await input.read(2)
    if (length.length < 2) throw fail(CUT_SHORT)
    await input.read(length[0] | (length[1] << 8))
  }
  // File name, comment: each ends with a zero octet.
  for (const flag of [0x08, 0x10]) if ((flags & flag) !== 0) await input.skipString()
  if ((flags & 0x02) !== 0) await input.read(2)

  let sum = 0
  let length = 0
  for await (const octets of decompressMember('gzip', input, name)) {
    sum = crc32(octets, sum)
    length = (length + octets.length) >>> 0
    yield octets
  }
  const end = input.taken
  const trailer = Buffer.from(await input.read(8))
  if (trailer.length < 8) throw fail(CUT_SHORT)
  if (trailer.readUInt32LE(0) !== sum) throw fail('incorrect data check', end)
  if (trailer.readUInt32LE(4) !== length) throw fail('incorrect length check', end)
}

const CUT_SHORT = 'unexpected end of file'
const SOMETHING_ELSE = 'something else follows'

/** A source cut into pieces, with what was not used of the last one given back. */
class Pieces {
  /** Octets that were used. */
  taken = 0
  readonly #source: AsyncIterator<Uint8Array>
  #rest: Uint8Array = new Uint8Array(0)
  #size = FIRST_PIECE_OCTETS

  constructor(source: AsyncIterator<Uint8Array>) {
    this.#source = source
  }

  /** Whether there is another piece. */
  async more(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const next = await this.#source.next()
      if (next.done === true) return false
      this.#rest = next.value
    }
    return true
  }

  peek(): Uint8Array {
    return this.#rest.subarray(0, this.#size)
  }

  take(octets: number): void {
    this.#rest = this.#rest.subarray(octets)
    this.taken += octets
    this.#size = Math.min(this.#size * 2, PIECE_OCTETS)
  }

  /** The next `octets` as they are, or as many as there are. */
  async read(octets: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    let wanted = octets
    while (wanted > 0 && (await this.more())) {
      const part = this.#rest.subarray(0, wanted)
      parts.push(part)
      wanted -= part.length
      this.taken += part.length
      this.#rest = this.#rest.subarray(part.length)
    }
    return parts.length === 1 ? parts[0] : Buffer.concat(parts)
  }

  /** Takes everything up to the next zero octet and that as well. */
  async skipString(): Promise<void> {
    while (await this.more()) {
      const at = this.#rest.indexOf(0)
      const length = at === -1 ? this.#rest.length : at + 1
      this.taken += length
      this.#rest = this.#rest.subarray(length)
      if (at !== -1) return
    }
  }

  /** Not waited for: a read of a silent pipe may be under way. */
  close(): void {
    this.#source.return?.().catch(() => {})
  }
}

async function* decompressMember(
  codec: Codec,
  input: Pieces,
  name: string,
): AsyncGenerator<Uint8Array, undefined> {
  const start = input.taken
  const engine = startEngine(codec)
  const ready: Uint8Array[] = []
  let waiting = 0
  let over = false
  let fault: Error | undefined
  let wake: (() => void) | undefined
  engine.output.on('data', (octets: Uint8Array) => {
    ready.push(octets)
    waiting += octets.length
    if (waiting > WAITING_OCTETS) engine.output.pause()
    wake?.()
  })
  const ending = engine.result.then((error) => {
    over = true
    fault = error
    wake?.()
  })
  const feed = async (): Promise<void> => {
    while (!over && (await input.more())) {
      const piece = input.peek()
      await Promise.race([ending, new Promise((done) => engine.input.write(piece, done))])
      if (fault !== undefined) return
      const consumed = engine.consumed()
      const used = consumed === undefined ? piece.length : start + consumed - input.taken
      input.take(used)
      // The member ended inside the piece.
      if (used < piece.length) return
    }
    if (!over) engine.input.end()
  }
  let sourceFault: unknown
  const feeding = feed().catch((error: unknown) => {
    sourceFault = error
    engine.kill()
  })
  try {
    for (;;) {
      const octets = ready.shift()
      if (octets !== undefined) {
        waiting -= octets.length
        if (engine.output.isPaused() && waiting < WAITING_OCTETS / 2) engine.output.resume()
        yield octets
      } else if (over) {
        break
      } else {
        await new Promise<void>((resolve) => (wake = resolve))
        wake = undefined
      }
    }
    await feeding
    if (sourceFault !== undefined) throw sourceFault as Error
    if (fault === undefined) return
    // A frame ended with the piece before, and this is not the next one.
    const other = isSystemError(fault) && fault.code === 'ZSTD_error_prefix_unknown'
    if (other && (await input.more()) && input.peek().every((octet) => octet === 0)) return
    throw damage(codec, name, other ? new Error(SOMETHING_ELSE) : fault, input.taken)
  } finally {
    engine.kill()
  }
}

/** A codec at work on one member or, where it does that by itself, on all of them. */
interface Engine extends CodecProgram {
  /** Octets of input that were used so far, where the codec says so. */
  consumed(): number | undefined
}

function startEngine(codec: Codec): Engine {
  switch (codec) {
    case 'gzip':
    case 'zstd': {
      const options = {chunkSize: CHUNK_OCTETS}
      const stream = codec === 'gzip' ? createInflateRaw(options) : createZstdDecompress(options)
      const result = new Promise<Error | undefined>((resolve) => {
        const done = (): void => resolve(undefined)
        stream.on('error', resolve).on('end', done).on('close', done)
      })
      return {
        input: stream,
        output: stream,
        consumed: () => stream.bytesWritten,
        result,
        kill: () => stream.destroy(),
      }
    }
    case 'bzip2':
    case 'lz4':
      return {...startCodecProgram(codec, ['-dc']), consumed: () => undefined}
  }
}

function damage(codec: Codec, name: string, error: Error, offset: number): DartaError {
  const what = spokenName(name, 'standard input')
  return new DartaError('DARTA_COMPRESSION', `${what}: ${codec}: ${error.message}`, offset, error)
}
