/** The place of a thing in a queue. */
export interface Place<T> {
  readonly value: T
  older: Place<T> | undefined
  newer: Place<T> | undefined
}

/**
 * Things in the order of their last use, about: what was used since it came to the head goes to the end once more
 * when room is needed (second chance), so that use costs its owner one store.
 */
export interface UseQueue<T> {
  size: number
  oldest: Place<T> | undefined
  newest: Place<T> | undefined
}

export function createUseQueue<T>(): UseQueue<T> {
  return {size: 0, oldest: undefined, newest: undefined}
}

export function enqueue<T>(queue: UseQueue<T>, value: T): Place<T> {
  const place: Place<T> = {value, older: queue.newest, newer: undefined}
  if (queue.newest === undefined) queue.oldest = place
  else queue.newest.newer = place
  queue.newest = place
  queue.size++
  return place
}

/** Takes a place that is in the queue out of it. */
export function dequeue<T>(queue: UseQueue<T>, place: Place<T>): void {
  const {older, newer} = place
  if (older === undefined) queue.oldest = newer
  else older.newer = newer
  if (newer === undefined) queue.newest = older
  else newer.older = older
  place.older = undefined
  place.newer = undefined
  queue.size--
}

/** Moves the oldest to the end; the queue has two or more. */
export function renew<T>(queue: UseQueue<T>): void {
  const place = queue.oldest
  if (place === undefined || place === queue.newest) return
  dequeue(queue, place)
  place.older = queue.newest
  if (queue.newest !== undefined) queue.newest.newer = place
  queue.newest = place
  queue.size++
}
