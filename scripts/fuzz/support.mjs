import {join} from 'node:path'
import {fileURLToPath} from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

/** A module of the build: of `src` or `test`. */
export const built = (path) => import(join(root, 'build', path))

/** @throws Error if what has to hold whatever comes does not */
export function promise(holds, message) {
  if (!holds) throw new Error(`broken promise: ${message}`)
}

/** What a ledger's stage skipped or lost, over all reasons. */
export const sum = (map) => [...map.values()].reduce((a, b) => a + b, 0)

/** in = out + skipped + lost, at every stage. */
export function checkBalance(ledger) {
  for (const stage of ledger.stages) {
    promise(stage.in === stage.out + sum(stage.skipped) + sum(stage.lost), stage.line())
  }
}
