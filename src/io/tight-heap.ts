import {setFlagsFromString} from 'node:v8'

/**
 * From here on garbage is looked for when the heap has grown by a quarter, and the place for new objects stays as large as it
 * is. V8 lets the one grow fourfold and the other to 128 MiB, which is right for objects that die young; a heap that
 * holds the state of many senders would take the memory of several.
 */
export function tightenHeap(): void {
  setFlagsFromString('--heap-growing-percent=25')
  setFlagsFromString('--semi-space-growth-factor=1')
}
