import type {Flow} from './flow.js'

/**
 * Flows with the least `due` first, of several equal ones the one made first. A binary heap in which
 * each Flow knows its place.
 */
export interface DeadlineHeap {
  first(): Flow | undefined
  add(flow: Flow): void
  remove(flow: Flow): void
  /** Puts `flow` where it belongs after its `due` has changed. */
  moved(flow: Flow): void
  clear(): void
}

export function createDeadlineHeap(): DeadlineHeap {
  const heap: Flow[] = []

  function put(flow: Flow, place: number): void {
    heap[place] = flow
    flow.place = place
  }

  function rise(flow: Flow, place: number): void {
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (!isBefore(flow, heap[parent])) break
      put(heap[parent], place)
      place = parent
    }
    put(flow, place)
  }

  function sink(flow: Flow, place: number): void {
    for (;;) {
      let child = 2 * place + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++
      if (!isBefore(heap[child], flow)) break
      put(heap[child], place)
      place = child
    }
    put(flow, place)
  }

  function moved(flow: Flow): void {
    const {place} = flow
    if (place > 0 && isBefore(flow, heap[(place - 1) >> 1])) rise(flow, place)
    else sink(flow, place)
  }

  return {
    first: () => heap[0],
    add(flow) {
      rise(flow, heap.length)
    },
    remove(flow) {
      const last = heap.pop() as Flow
      if (last === flow) return
      put(last, flow.place)
      moved(last)
    },
    moved,
    clear() {
      heap.length = 0
    },
  }
}

function isBefore(a: Flow, b: Flow): boolean {
  if (a.due.ms !== b.due.ms) return a.due.ms < b.due.ms
  if (a.due.ns !== b.due.ns) return a.due.ns < b.due.ns
  return a.made < b.made
}
