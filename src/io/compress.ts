import {constants, createGzip, createZstdCompress} from 'node:zlib'
import {DartaError} from '../record/errors.js'
import type {Codec} from './codec.js'
import {startCodecProgram, type CodecProgram} from './codec-program.js'
import type {OctetSink} from './octet-sink.js'

const CHUNK_OCTETS = 1 << 17

/** Compresses what goes to `sink`; without a level the codec's own default. */
export function compressTo(sink: OctetSink, codec: Codec, level?: number): OctetSink {
  return new CompressingSink(sink, startEngine(codec, level))
}

interface Engine extends CodecProgram {
  /** Makes all that was put in come out; undefined where the codec cannot. */
  flush?(): Promise<void>
}

class CompressingSink implements OctetSink {
  readonly #sink: OctetSink
  readonly #engine: Engine
  #ready: Uint8Array[] = []
  #fault: Error | undefined

  constructor(sink: OctetSink, engine: Engine) {
    this.#sink = sink
    this.#engine = engine
    engine.output.on('data', (octets: Uint8Array) => this.#ready.push(octets))
    void engine.result.then((fault) => (this.#fault = fault))
  }

  get name(): string {
    return this.#sink.name
  }

  get octets(): number {
    return this.#sink.octets
  }

  async write(chunks: readonly Uint8Array[]): Promise<void> {
    const {input, result} = this.#engine
    for (const chunk of chunks) {
      await Promise.race([result, new Promise((done) => input.write(chunk, done))])
      this.#check()
    }
    await this.#pass()
  }

  async flush(): Promise<void> {
    await this.#engine.flush?.()
    this.#check()
    await this.#pass()
    await this.#sink.flush?.()
  }

  async end(): Promise<void> {
    this.#engine.input.end()
    await this.#engine.result
    this.#check()
    await this.#pass()
    await this.#sink.end()
  }

  async abort(): Promise<void> {
    this.#engine.kill()
    await this.#sink.abort()
  }

  async #pass(): Promise<void> {
    const chunks = this.#ready
    this.#ready = []
    await this.#sink.write(chunks)
  }

  #check(): void {
    if (this.#fault === undefined) return
    const {message} = this.#fault
    throw new DartaError('DARTA_COMPRESSION', `cannot compress ${this.name}: ${message}`)
  }
}

function startEngine(codec: Codec, level: number | undefined): Engine {
  if (codec === 'bzip2' || codec === 'lz4') {
    return startCodecProgram(codec, ['-c', ...(level === undefined ? [] : [`-${level}`])])
  }
  const gzip = codec === 'gzip'
  const stream = gzip
    ? createGzip({level, chunkSize: CHUNK_OCTETS})
    : createZstdCompress({
        chunkSize: CHUNK_OCTETS,
        params: level === undefined ? {} : {[constants.ZSTD_c_compressionLevel]: level},
      })
  return {
    input: stream,
    output: stream,
    flush: () =>
      new Promise((resolve) => {
        stream.flush(gzip ? constants.Z_SYNC_FLUSH : constants.ZSTD_e_flush, resolve)
      }),
    result: new Promise((resolve) => {
      stream.on('error', resolve).on('close', () => resolve(undefined))
    }),
    kill: () => stream.destroy(),
  }
}
