import type {StageLedger} from '../../record/ledger.js'

/** Octets that all lanes together may hold while one has nothing to compare with. */
const MOST_HELD_OCTETS = 32 << 20

/** Something that has its place in the order. */
export interface Item<T> {
  readonly value: T
  readonly octets: number
  /** Packets or records in it. */
  readonly count: number
}

/**
 * Merges streams that are in order each: always the earliest of those that come next; ties go in the order of the lanes. A
 * lane that is silent holds the others up only as far as there is memory: then they go on without it, and what it gives
 * afterwards and should have come before is noted as `late`.
 */
export async function* mergeLanes<T>(
  sources: readonly AsyncIterable<readonly Item<T>[]>[],
  isEarlier: (a: T, b: T) => boolean,
  account: StageLedger,
  mostHeld = MOST_HELD_OCTETS,
): AsyncGenerator<readonly T[]> {
  const lanes = sources.map(() => ({queue: [] as Item<T>[], at: 0, ended: false}))
  let held = 0
  let stopped = false
  let failure: unknown
  let wakeMerger: (() => void) | undefined
  const waiting: (() => void)[] = []
  const wakeReaders = (): void => {
    for (const wake of waiting.splice(0)) wake()
  }

  async function read(
    lane: (typeof lanes)[number],
    source: (typeof sources)[number],
  ): Promise<void> {
    try {
      for await (const items of source) {
        if (stopped) return
        for (const item of items) {
          lane.queue.push(item)
          held += item.octets
          account.in += item.count
        }
        wakeMerger?.()
        while (!stopped && held >= mostHeld && lane.at < lane.queue.length) {
          await new Promise<void>((resolve) => waiting.push(resolve))
        }
      }
    } catch (error) {
      failure ??= error
    } finally {
      lane.ended = true
      wakeMerger?.()
    }
  }
  lanes.forEach((lane, i) => void read(lane, sources[i]))

  let last: T | undefined
  try {
    for (;;) {
      const taken: T[] = []
      for (;;) {
        if (failure !== undefined) throw failure as Error
        const silent = lanes.some(({queue, at, ended}) => !ended && at >= queue.length)
        if (silent && held < mostHeld) break
        let first: (typeof lanes)[number] | undefined
        for (const lane of lanes) {
          if (lane.at >= lane.queue.length) continue
          if (
            first === undefined ||
            isEarlier(lane.queue[lane.at].value, first.queue[first.at].value)
          ) {
            first = lane
          }
        }
        if (first === undefined) break
        const {value, octets, count} = first.queue[first.at++]
        if (first.at === first.queue.length) {
          first.queue.length = 0
          first.at = 0
        }
        held -= octets
        account.out += count
        if (last !== undefined && isEarlier(value, last)) account.note('late', count)
        else last = value
        taken.push(value)
        if (taken.length === 1024) break
      }
      wakeReaders()
      if (taken.length > 0) {
        yield taken
        continue
      }
      if (lanes.every(({queue, at, ended}) => ended && at >= queue.length)) return
      await new Promise<void>((resolve) => (wakeMerger = resolve))
      wakeMerger = undefined
    }
  } finally {
    stopped = true
    wakeReaders()
  }
}
