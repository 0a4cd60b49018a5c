import test, {type ExecutionContext} from 'ava'
import {spawnSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {gzipSync, zstdCompressSync} from 'node:zlib'
import {compressTo} from '../../src/io/compress.js'
import {codecs, detectCodec, type Codec} from '../../src/io/codec.js'
import {decompress} from '../../src/io/decompress.js'
import type {OctetSink} from '../../src/io/octet-sink.js'
import {DartaError} from '../../src/record/errors.js'
import {needing, tools} from '../support/needing.js'
import fc from '../support/properties.js'

/** Words that compress, with something in them that does not. */
const plain = Buffer.concat(
  Array.from({length: 400}, (_, i) =>
    Buffer.from(`record ${i} of many ${randomBytes(40).toString('hex')}\n`.repeat(4)),
  ),
)

/** What the codec's own program makes of `octets`. */
function packed(codec: Codec, octets: Uint8Array = plain): Buffer {
  const {status, stdout} = spawnSync(codec, ['-c'], {input: octets, maxBuffer: 1 << 28})
  if (status !== 0) throw new Error(`${codec} failed`)
  return stdout
}

async function* pieces(octets: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < octets.length; at += size) yield octets.subarray(at, at + size)
}

/** All that comes out, and the error that comes behind it. */
async function unpack(
  codec: Codec,
  octets: Uint8Array,
  size = 1 << 16,
): Promise<{out: Buffer; error: unknown}> {
  const out: Uint8Array[] = []
  try {
    for await (const chunk of decompress(codec, pieces(octets, size), 'x')) out.push(chunk)
    return {out: Buffer.concat(out), error: undefined}
  } catch (error) {
    return {out: Buffer.concat(out), error}
  }
}

function isDamage(t: ExecutionContext, error: unknown, codec: Codec): number {
  if (!(error instanceof DartaError)) {
    t.fail(String(error))
    return -1
  }
  t.is(error.code, 'DARTA_COMPRESSION')
  t.true(error.message.startsWith(`x: ${codec}: `), error.message)
  return error.offset ?? -1
}

function isPrefix(part: Uint8Array, whole: Uint8Array): boolean {
  return part.length <= whole.length && Buffer.compare(part, whole.subarray(0, part.length)) === 0
}

for (const codec of codecs) {
  const testWith = needing(tools(codec))

  testWith(`what ${codec} made comes out as it was, however its octets are cut`, async (t) => {
    const octets = packed(codec)
    t.is(detectCodec(octets), codec)
    for (const size of [1 << 20, 1000, 333]) {
      const {out, error} = await unpack(codec, octets, size)
      t.is(error, undefined)
      t.true(out.equals(plain))
    }
  })

  testWith(`an empty input of ${codec} comes out empty`, async (t) => {
    const {out, error} = await unpack(codec, packed(codec, Buffer.alloc(0)))
    t.is(error, undefined)
    t.is(out.length, 0)
  })

  testWith(`several outputs of ${codec} one after another come out as one`, async (t) => {
    const octets = packed(codec, plain.subarray(0, 1000))
    const more = packed(codec, plain.subarray(1000))
    const {out, error} = await unpack(
      codec,
      Buffer.concat([octets, more, packed(codec, Buffer.alloc(0))]),
    )
    t.is(error, undefined)
    t.true(out.equals(plain))
  })

  testWith(`what ${codec} made and was cut short gives its beginning and an error`, async (t) => {
    const octets = packed(codec)
    for (let cut = 20; cut < octets.length; cut += Math.ceil(octets.length / 9)) {
      const {out, error} = await unpack(codec, octets.subarray(0, cut))
      t.is(isDamage(t, error, codec), cut)
      t.true(isPrefix(out, plain))
    }
  })

  testWith(`an octet that changed in what ${codec} made is found`, async (t) => {
    const octets = Buffer.from(packed(codec))
    octets[octets.length >> 1] ^= 0x55
    const {error} = await unpack(codec, octets)
    const offset = isDamage(t, error, codec)
    t.true(offset > 0 && offset <= octets.length)
  })

  testWith(
    `${codec} reads what was compressed for it, at every level that has a meaning`,
    async (t) => {
      for (const level of [undefined, 1, 9]) {
        const sink = new Collected()
        const compressing = compressTo(sink, codec, level)
        await compressing.write([plain.subarray(0, 5000), plain.subarray(5000, 5001)])
        await compressing.write([plain.subarray(5001)])
        await compressing.end()
        t.true(sink.ended)
        const {status, stdout} = spawnSync(codec, ['-dc'], {input: sink.all(), maxBuffer: 1 << 28})
        t.is(status, 0)
        t.true(stdout.equals(plain))
      }
    },
  )
}

test('any octets survive gzip and zstd, cut anywhere, in any number of members', async (t) => {
  const cases = fc.record({
    parts: fc.array(fc.uint8Array({maxLength: 3000}), {minLength: 1, maxLength: 4}),
    size: fc.integer({min: 1, max: 5000}),
    gzip: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(cases, async ({parts, size, gzip}) => {
      const members = parts.map((part) => (gzip ? gzipSync(part) : zstdCompressSync(part)))
      const {out, error} = await unpack(gzip ? 'gzip' : 'zstd', Buffer.concat(members), size)
      return error === undefined && out.equals(Buffer.concat(parts))
    }),
    {numRuns: 60},
  )
  t.pass()
})

for (const [codec, pack] of [
  ['gzip', gzipSync],
  ['zstd', zstdCompressSync],
] as const) {
  test(`zeros behind ${codec} are padding`, async (t) => {
    const {out, error} = await unpack(
      codec,
      Buffer.concat([pack(plain), Buffer.alloc(100_000)]),
      4096,
    )
    t.is(error, undefined)
    t.true(out.equals(plain))
  })

  test(`what follows ${codec} and is something else is told with its octet`, async (t) => {
    const octets = pack(plain)
    const {out, error} = await unpack(
      codec,
      Buffer.concat([octets, Buffer.alloc(512), Buffer.from('something')]),
    )
    const offset = isDamage(t, error, codec)
    t.true(offset >= octets.length && offset <= octets.length + 512)
    t.true(out.equals(plain))
  })
}

test('of gzip data that is cut, all that can be decompressed is delivered', async (t) => {
  // Stored blocks show what could be had: everything up to the cut.
  const octets = gzipSync(plain, {level: 0})
  const cut = octets.length >> 1
  const {out} = await unpack('gzip', octets.subarray(0, cut))
  t.true(out.length > cut - 1000)
  t.true(isPrefix(out, plain))
})

test('the consumer may stop at any chunk', async (t) => {
  let closed = false
  async function* source(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield gzipSync(plain)
    } finally {
      closed = true
    }
  }
  for await (const chunk of decompress('gzip', source(), 'x')) {
    t.true(chunk.length > 0)
    break
  }
  await new Promise((resolve) => setImmediate(resolve))
  t.true(closed)
})

test('a fault of the source comes through as it is', async (t) => {
  const octets = gzipSync(plain)
  async function* source(): AsyncGenerator<Uint8Array> {
    yield octets.subarray(0, 5000)
    throw new DartaError('DARTA_FILE_READ', 'the disk is gone', 5000)
  }
  const error = await t.throwsAsync(async () => {
    for await (const chunk of decompress('gzip', source(), 'x')) void chunk
  })
  t.is((error as DartaError).code, 'DARTA_FILE_READ')
})

class Collected implements OctetSink {
  readonly name = 'x'
  octets = 0
  ended = false
  readonly #chunks: Uint8Array[] = []

  async write(chunks: readonly Uint8Array[]): Promise<void> {
    for (const chunk of chunks) {
      this.#chunks.push(chunk)
      this.octets += chunk.length
    }
  }

  async end(): Promise<void> {
    this.ended = true
  }

  async abort(): Promise<void> {}

  all(): Buffer {
    return Buffer.concat(this.#chunks)
  }
}
