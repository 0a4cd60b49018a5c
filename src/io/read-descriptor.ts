import {close, fstatSync, read} from 'node:fs'
import {readError} from './errors.js'
import {isTerminal} from './standard-streams.js'

/** When reading ends early: an instance of the base command, or two signals of one's own. */
export interface Ending {
  /** Aborted when the user asks to stop: files end at once, pipes are drained of what still comes. */
  readonly stopping: AbortSignal
  /** Aborted when all further work is in vain. */
  readonly signal: AbortSignal
}

/** Octets from a descriptor, in large chunks that are never changed after they are handed out. */
export interface OctetInput {
  /** What the user called it; `-` is standard input. */
  readonly name: string
  /** Octets from where reading began to the end, where that is known (regular files). */
  readonly size: number | undefined
  /** Octets read so far. */
  readonly position: number
  /** Read once. Ends at the end of the input or as `Ending` says; closes the descriptor. */
  readonly chunks: AsyncIterableIterator<Uint8Array>
  /** Takes a chunk back to which nothing refers any more: it may be written over. Undefined: all chunks are for good. */
  readonly recycle?: (this: void, chunk: Uint8Array) => void
}

/** What one read of a file asks for: what is made of it as text, eight times as much, should stay in the cache until written. */
const FILE_CHUNK_OCTETS = 1 << 18
/** Chunks that wait to be written over: one is being read while one is in use. */
const MAX_FREE = 2

/** Takes over `fd`, which is closed when reading ends, except standard input. */
export async function readDescriptor(
  name: string,
  fd: number,
  ending: Ending,
): Promise<OctetInput> {
  const stat = fstatSync(fd)
  const counter = {name, size: undefined as number | undefined, position: 0}
  let recycle: OctetInput['recycle']
  let chunks: AsyncIterableIterator<Uint8Array>
  if (stat.isFIFO() || stat.isSocket() || isTerminal(fd)) {
    // Loaded where it is needed: sockets take longer than a small file.
    const {readSocket} = await import('./read-socket.js')
    chunks = readSocket(name, fd, ending, counter)
  } else {
    // Files of /proc say 0 and hold something all the same.
    if (stat.isFile() && stat.size > 0) counter.size = stat.size
    const chunkOf = createChunks()
    chunks = readFileDescriptor(name, fd, ending, counter, chunkOf.get)
    recycle = chunkOf.recycle
  }
  return Object.assign(counter, {chunks, recycle})
}

/** Memory to read into. What comes back is used again, as new memory has to be found, cleared and looked after. */
function createChunks(): {
  readonly get: (this: void, octets: number) => Buffer
  readonly recycle: NonNullable<OctetInput['recycle']>
} {
  const free: Buffer[] = []
  return {
    get: (octets) =>
      free.at(-1)?.length === octets ? free.pop()! : Buffer.allocUnsafeSlow(octets),
    recycle({buffer}) {
      // No list of what was made: it would keep what does not come back until all of the heap is marked. The first chunk may
      // have been put together from pieces, and memory that is shared with others is not as long.
      if (buffer.byteLength !== FILE_CHUNK_OCTETS || free.length === MAX_FREE) return
      free.push(Buffer.from(buffer))
    },
  }
}

async function* readFileDescriptor(
  name: string,
  fd: number,
  {stopping, signal}: Ending,
  counter: {size: number | undefined; position: number},
  chunkOf: (octets: number) => Buffer,
): AsyncGenerator<Uint8Array, undefined> {
  const next = (): Promise<Uint8Array | Error> => {
    const left = counter.size === undefined ? Infinity : counter.size - counter.position
    // One octet more than is left, so that a small file's end is seen by a short read.
    const room = Math.max(4096, Math.min(FILE_CHUNK_OCTETS, left + 1))
    const octets = chunkOf(room)
    return new Promise((resolve) => {
      read(fd, octets, 0, room, null, (error, length) =>
        resolve(error ?? octets.subarray(0, length)),
      )
    })
  }
  let ahead = next()
  try {
    for (;;) {
      const octets = await ahead
      if (octets instanceof Error) throw readError(name, octets, counter.position)
      if (octets.length === 0 || stopping.aborted || signal.aborted) return
      counter.position += octets.length
      ahead = next()
      yield octets
    }
  } finally {
    await ahead
    if (fd > 2) close(fd, () => {})
  }
}
