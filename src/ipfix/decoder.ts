import {createMessageStream} from './message-stream.js'
import {createSession, type SessionOptions} from './session.js'
import type {RecordBatch} from '../record/batch.js'
import type {Decoder} from '../record/format.js'

/** Decodes a stream of Messages, RFC 5655 file or pipe, as one Transport Session. */
export function createDecoder(options: Omit<SessionOptions, 'reliable'>): Decoder {
  const session = createSession({...options, reliable: true})
  let out: RecordBatch[] = []
  const stream = createMessageStream({
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
      return take()
    },
    end() {
      stream.end()
      session.end()
      return take()
    },
  }
}
