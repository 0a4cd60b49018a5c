import {FRESH_PART, MOST_SPARED} from './use-queue.js'

/** The ends of a list of slots; −1: it is empty. */
export interface SlotEnds {
  oldest: number
  newest: number
}

/** Links of lists whose things are numbers, the slots of someone's arrays: a thing is in one list of these at most. */
export class ListLinks {
  /** −1: none. */
  older = new Int32Array(0)
  newer = new Int32Array(0)

  /** Makes room for slots below `capacity`. */
  grow(capacity: number): void {
    this.older = larger(this.older, new Int32Array(capacity))
    this.newer = larger(this.newer, new Int32Array(capacity))
  }
}

/** Puts a slot at the end of a list. */
export function link(list: SlotEnds, links: ListLinks, slot: number): void {
  links.older[slot] = list.newest
  links.newer[slot] = -1
  if (list.newest < 0) list.oldest = slot
  else links.newer[list.newest] = slot
  list.newest = slot
}

/** Takes a slot that is in the list out of it. */
export function unlink(list: SlotEnds, links: ListLinks, slot: number): void {
  const older = links.older[slot]
  const newer = links.newer[slot]
  if (older < 0) list.oldest = newer
  else links.newer[older] = newer
  if (newer < 0) list.newest = older
  else links.older[newer] = older
}

/** Links of queues as those of `use-queue.ts`: being in one costs 9 octets and no object. */
export class SlotLinks extends ListLinks {
  /** 1: of the list of those that were ever used. */
  proven = new Uint8Array(0)

  override grow(capacity: number): void {
    super.grow(capacity)
    this.proven = larger(this.proven, new Uint8Array(capacity))
  }
}

/** `to`, which begins as `from`. */
export function larger<T extends Uint8Array | Uint16Array | Int32Array | Uint32Array>(
  from: T,
  to: T,
): T {
  to.set(from)
  return to
}

interface SlotList extends SlotEnds {
  size: number
}

/** Slots in the order of their last use, about: see `UseQueue`. */
export class SlotQueue {
  readonly fresh: SlotList = {size: 0, oldest: -1, newest: -1}
  readonly proven: SlotList = {size: 0, oldest: -1, newest: -1}

  get size(): number {
    return this.fresh.size + this.proven.size
  }
}

export function enqueueSlot(queue: SlotQueue, links: SlotLinks, slot: number): void {
  links.proven[slot] = 0
  append(queue.fresh, links, slot)
}

/** Takes a slot that is in the queue out of it. */
export function dequeueSlot(queue: SlotQueue, links: SlotLinks, slot: number): void {
  const list = links.proven[slot] === 1 ? queue.proven : queue.fresh
  unlink(list, links, slot)
  list.size--
}

/**
 * What has to go when there is no room, by the rules of `leastUsed`; −1: the queue is empty.
 *
 * @param takeUse says whether a slot was used since it was asked for last
 */
export function leastUsedSlot(
  queue: SlotQueue,
  links: SlotLinks,
  takeUse: (slot: number) => boolean,
  spares: (slot: number) => boolean,
): number {
  const {fresh, proven} = queue
  for (let spared = 0; ;) {
    const crowded = FRESH_PART * fresh.size > queue.size
    const slot = crowded || proven.oldest < 0 ? fresh.oldest : proven.oldest
    if (slot < 0) return -1
    const used = takeUse(slot)
    if (!used && (spared === MOST_SPARED || !spares(slot))) return slot
    dequeueSlot(queue, links, slot)
    if (used) links.proven[slot] = 1
    else spared++
    append(links.proven[slot] === 1 ? proven : fresh, links, slot)
  }
}

function append(list: SlotList, links: SlotLinks, slot: number): void {
  link(list, links, slot)
  list.size++
}
