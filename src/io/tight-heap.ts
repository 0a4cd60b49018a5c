import {setFlagsFromString} from 'node:v8'

/**
 * From here on garbage is looked for when the heap has grown by a quarter. V8 lets it grow fourfold, which is right for a
 * small one; one that holds the state of many senders would take the memory of several.
 */
export function tightenHeap(): void {
  setFlagsFromString('--heap-growing-percent=25')
}
