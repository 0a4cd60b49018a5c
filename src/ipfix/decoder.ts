import {createGatherer} from './gather.js'
import {createMessageStream} from './message-stream.js'
import {createSession, type SessionOptions} from './session.js'
import type {RecordBatch} from '../record/batch.js'
import type {DecodeContext, Decoder} from '../record/format.js'

export interface DecoderOptions extends Omit<SessionOptions, 'reliable'> {
  /** See `DecodeContext` of src/record/format.ts. */
  readonly anyOrder?: boolean
  readonly sift?: DecodeContext['sift']
  readonly passing?: boolean
}

/** Decodes a stream of Messages, RFC 5655 file or pipe, as one Transport Session. */
export function createDecoder({anyOrder, sift, passing, ...options}: DecoderOptions): Decoder {
  const session = createSession({...options, reliable: true})
  const lets = sift !== undefined || passing === true
  let out: RecordBatch[] = []
  const gather =
    anyOrder === true || sift !== undefined
      ? createGatherer(session, options.source, sift)
      : undefined
  const stream = createMessageStream({
    ...(gather && {
      skip: (octets: Uint8Array, view: DataView, at: number, offset: number) =>
        gather(octets, view, at, offset, out),
    }),
    message: (octets, view, start, length, offset) => {
      session.message(octets, view, start, length, offset, out)
    },
    damage: (damage) => {
      session.damage(damage)
    },
  })
  function take(): RecordBatch[] {
    const batches = out
    out = []
    return batches
  }
  return {
    push(octets) {
      stream.push(octets)
      // Nothing but batches refers to them then.
      if (lets) stream.release()
      return take()
    },
    lets,
    end() {
      stream.end()
      session.end()
      return take()
    },
  }
}
