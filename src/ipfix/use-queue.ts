/** What can be in a queue: its owner sets `used` when it is of use, and nothing else. */
export interface Usable {
  used: boolean
}

/** The place of a thing in a queue. */
export interface Place<T> {
  readonly value: T
  list: List<T>
  older: Place<T> | undefined
  newer: Place<T> | undefined
}

interface List<T> {
  size: number
  oldest: Place<T> | undefined
  newest: Place<T> | undefined
}

/**
 * Things in the order of their last use, about. What was used since it came to the head of its list goes to the end once
 * more when room is needed (second chance), so that use costs its owner one store. And what was ever used is in a list of
 * its own, of which things that nobody has used take no more than a quarter: a flood of these pushes out its like.
 */
export interface UseQueue<T extends Usable> {
  readonly fresh: List<T>
  readonly proven: List<T>
  readonly size: number
}

class Queue<T extends Usable> implements UseQueue<T> {
  readonly fresh: List<T> = {size: 0, oldest: undefined, newest: undefined}
  readonly proven: List<T> = {size: 0, oldest: undefined, newest: undefined}

  get size(): number {
    return this.fresh.size + this.proven.size
  }
}

/** The part of all that is for what was never used, as its inverse. */
export const FRESH_PART = 4

/** How many are spared in search of another. */
export const MOST_SPARED = 16

export function createUseQueue<T extends Usable>(): UseQueue<T> {
  return new Queue()
}

export function enqueue<T extends Usable>({fresh}: UseQueue<T>, value: T): Place<T> {
  const place: Place<T> = {value, list: fresh, older: undefined, newer: undefined}
  append(place)
  return place
}

/** Takes a place that is in a queue out of it. */
export function dequeue<T>(place: Place<T>): void {
  const {list, older, newer} = place
  if (older === undefined) list.oldest = newer
  else older.newer = newer
  if (newer === undefined) list.newest = older
  else newer.older = older
  place.older = undefined
  place.newer = undefined
  list.size--
}

/**
 * What has to go when there is no room; undefined: the queue is empty.
 *
 * @param spares says of something unused that another should go instead, if one is found soon
 */
export function leastUsed<T extends Usable>(
  queue: UseQueue<T>,
  spares: (value: T) => boolean = () => false,
): T | undefined {
  const {fresh, proven} = queue
  for (let spared = 0; ;) {
    const crowded = FRESH_PART * fresh.size > queue.size
    const place = crowded || proven.oldest === undefined ? fresh.oldest : proven.oldest
    if (place === undefined) return undefined
    const {value} = place
    if (!value.used && (spared === MOST_SPARED || !spares(value))) return value
    dequeue(place)
    if (value.used) place.list = proven
    else spared++
    value.used = false
    append(place)
  }
}

function append<T>(place: Place<T>): void {
  const {list} = place
  place.older = list.newest
  if (list.newest === undefined) list.oldest = place
  else list.newest.newer = place
  list.newest = place
  list.size++
}
