import type {RecordBatch, RecordStream} from '../../record/batch.js'

/**
 * All that several streams give, as it comes. A stream is asked for more only when what it gave last was taken, so that it
 * knows by that when it was.
 */
export async function* joinStreams(streams: readonly RecordStream[]): RecordStream {
  const iterators = streams.map((stream) => stream[Symbol.asyncIterator]())
  type Next = {readonly i: number; readonly result: IteratorResult<readonly RecordBatch[], unknown>}
  const ask = async (i: number): Promise<Next> => ({i, result: await iterators[i].next()})
  const asked = new Map(iterators.map((_, i) => [i, ask(i)]))
  try {
    while (asked.size > 0) {
      const {i, result} = await Promise.race(asked.values())
      if (result.done === true) {
        asked.delete(i)
        continue
      }
      yield result.value
      asked.set(i, ask(i))
    }
  } finally {
    // One that is waiting for what may never come is not waited for.
    for (const i of asked.keys()) void iterators[i].return?.()?.catch(() => {})
  }
}
