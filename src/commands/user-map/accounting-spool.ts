import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import {readError, writeError} from '../../io/errors.js'
import {DiameterFault} from '../../mediation/diameter/avp.js'
import {encodeMessage, messageOctets, readHeader} from '../../mediation/diameter/message.js'
import {DartaError} from '../../record/errors.js'

/** A request that has no answer yet. */
export interface SpooledRequest {
  readonly octets: Uint8Array
  readonly endToEnd: number
  /** It may have arrived: it goes out with T from now on. */
  mayHaveArrived: boolean
}

/** Requests that wait for their answers. */
export interface AccountingSpool {
  /** In the order in which they came. */
  readonly requests: Map<number, SpooledRequest>
  /** Takes requests; where there is a file they are on disk when it returns. @throws DartaError DARTA_FILE_WRITE */
  add(requests: readonly {octets: Uint8Array; endToEnd: number}[]): void
  /** A request is done with. */
  settle(endToEnd: number): void
  close(): void
}

/** What lies in a file that is done with, before it is written anew. */
const MOST_DONE_OCTETS = 16 << 20

/**
 * Opens a spool. Its file is a row of Diameter messages: each request, and behind it somewhere the header of its answer. So a
 * crash costs at most a repetition. What a crash left of a last message is taken off.
 *
 * @param path without it requests are kept in memory
 * @throws DartaError DARTA_SPILL, DARTA_FILE_READ, DARTA_FILE_WRITE, DARTA_PERMISSION
 */
export function openAccountingSpool(path: string | undefined): AccountingSpool {
  const requests = new Map<number, SpooledRequest>()
  if (path === undefined) {
    return {
      requests,
      add(added) {
        for (const one of added) requests.set(one.endToEnd, {...one, mayHaveArrived: false})
      },
      settle: (endToEnd) => void requests.delete(endToEnd),
      close: () => {},
    }
  }
  let descriptor: number
  let octets = 0
  try {
    descriptor = openSync(path, 'a+', 0o600)
    octets = restore(path, requests)
    if (fstatSync(descriptor).size > octets) ftruncateSync(descriptor, octets)
  } catch (error) {
    throw readError(path, error)
  }
  const write = (chunks: readonly Uint8Array[], safely: boolean): void => {
    const chunk = Buffer.concat(chunks)
    try {
      for (let at = 0; at < chunk.length;) at += writeSync(descriptor, chunk, at)
      if (safely) fdatasyncSync(descriptor)
    } catch (error) {
      // A part of a message would be taken for damage.
      ftruncateSync(descriptor, octets)
      throw writeError(path, error)
    }
    octets += chunk.length
  }
  /** What is still to be done alone, in a file that takes the place of this one. */
  const shorten = (): void => {
    const left = [...requests.values()].map((one) => one.octets)
    if (left.length === 0) {
      ftruncateSync(descriptor, 0)
      octets = 0
      return
    }
    const next = `${path}.tmp`
    writeFileSync(next, Buffer.concat(left), {mode: 0o600})
    const opened = openSync(next, 'a+')
    fsyncSync(opened)
    renameSync(next, path)
    closeSync(descriptor)
    descriptor = opened
    octets = fstatSync(descriptor).size
  }
  return {
    requests,
    add(added) {
      write(
        added.map((one) => one.octets),
        true,
      )
      for (const one of added) requests.set(one.endToEnd, {...one, mayHaveArrived: false})
    },
    settle(endToEnd) {
      const request = requests.get(endToEnd)
      if (request === undefined) return
      requests.delete(endToEnd)
      try {
        write([answerHeader(request.octets)], false)
        if (requests.size === 0 || octets > MOST_DONE_OCTETS + 2 * sizeOf(requests)) shorten()
      } catch (error) {
        throw writeError(path, error)
      }
    },
    close: () => closeSync(descriptor),
  }
}

function sizeOf(requests: ReadonlyMap<number, SpooledRequest>): number {
  let sum = 0
  for (const {octets} of requests.values()) sum += octets.length
  return sum
}

/** The shortest message that says which request is done with. */
function answerHeader(request: Uint8Array): Uint8Array {
  return encodeMessage({...readHeader(request), request: false}, [])
}

/** Fills `requests` with what has no answer; how many octets of the file are whole messages. */
function restore(path: string, requests: Map<number, SpooledRequest>): number {
  const all = new Uint8Array(readFileSync(path))
  let at = 0
  try {
    while (at < all.length) {
      const length = messageOctets(all, at)
      if (length === undefined || length > all.length - at) break
      const octets = all.slice(at, at + length)
      const {request, endToEnd} = readHeader(octets)
      // Whether it had gone out when its process ended is not known.
      if (request) requests.set(endToEnd, {octets, endToEnd, mayHaveArrived: true})
      else requests.delete(endToEnd)
      at += length
    }
  } catch (error) {
    if (!(error instanceof DiameterFault)) throw error
    throw new DartaError('DARTA_SPILL', `${path} is no spool of accounting: ${error.message}`, at)
  }
  return at
}
