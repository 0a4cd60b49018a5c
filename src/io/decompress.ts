import {spawn} from 'node:child_process'
import type {Readable, Writable} from 'node:stream'
import {createGunzip, createZstdDecompress} from 'node:zlib'
import {DartaError} from '../record/errors.js'
import {isSystemError} from './errors.js'

export const codecs = ['gzip', 'bzip2', 'zstd', 'lz4'] as const
export type Codec = (typeof codecs)[number]

/** The codec whose magic number `head` begins with. */
export function detectCodec(head: Uint8Array): Codec | undefined {
  const [a, b, c, d] = head
  if (a === 0x1f && b === 0x8b) return 'gzip'
  if (a === 0x42 && b === 0x5a && c === 0x68 && d >= 0x31 && d <= 0x39) return 'bzip2'
  if (a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd) return 'zstd'
  if (a === 0x04 && b === 0x22 && c === 0x4d && d === 0x18) return 'lz4'
  // A skippable frame (RFC 8878 section 3.1.2); lz4 has the same, which is not seen in practice.
  if ((a & 0xf0) === 0x50 && b === 0x2a && c === 0x4d && d === 0x18) return 'zstd'
  return undefined
}

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
      if (input.taken > 0) {
        if (head.every((octet) => octet === 0)) {
          input.take(head.length)
          continue
        }
        if (detectCodec(head) !== codec) {
          throw damage(codec, name, new Error('something else follows'), input.taken)
        }
      }
      yield* decompressMember(codec, input, name)
    }
  } finally {
    input.close()
  }
}

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
      // The end of a member can lie inside the piece.
      const used = engine.consumed()
      input.take(used === undefined ? piece.length : start + used - input.taken)
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
    if (fault !== undefined) throw damage(codec, name, fault, input.taken)
  } finally {
    engine.kill()
  }
}

/** A codec at work on one member or, where it does that by itself, on all of them. */
interface Engine {
  readonly input: Writable
  readonly output: Readable
  /** Octets of input that were used so far, where the codec says so. */
  consumed(): number | undefined
  /** Resolves when all output was read: with what went wrong, if something did. */
  readonly result: Promise<Error | undefined>
  kill(): void
}

function startEngine(codec: Codec): Engine {
  switch (codec) {
    case 'gzip':
    case 'zstd': {
      const options = {chunkSize: CHUNK_OCTETS}
      const stream = codec === 'gzip' ? createGunzip(options) : createZstdDecompress(options)
      const result = new Promise<Error | undefined>((resolve) => {
        stream.on('error', resolve).on('close', () => resolve(undefined))
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
      return startProgram(codec)
  }
}

/** The codecs that Node does not have: the program of that name does it. */
function startProgram(codec: Codec): Engine {
  const child = spawn(codec, ['-dc'], {stdio: ['pipe', 'pipe', 'pipe']})
  let words = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (words += text))
  // It goes away when it finds damage; `result` says why.
  child.stdin.on('error', () => {})
  const result = new Promise<Error | undefined>((resolve) => {
    child.on('error', (error) => {
      const missing = isSystemError(error) && error.code === 'ENOENT'
      resolve(missing ? new Error(`the program ${codec} is not installed`) : error)
    })
    child.on('close', (status) => {
      if (status === 0) resolve(undefined)
      const [line] = words.trim().split('\n')
      resolve(new Error(line || `ended with status ${status ?? 'of a signal'}`))
    })
  })
  return {
    input: child.stdin,
    output: child.stdout,
    consumed: () => undefined,
    result,
    kill: () => child.kill('SIGKILL'),
  }
}

function damage(codec: Codec, name: string, error: Error, offset: number): DartaError {
  return new DartaError('DARTA_COMPRESSION', `${name}: ${codec}: ${error.message}`, offset, error)
}
