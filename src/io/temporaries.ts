import {unlinkSync} from 'node:fs'

/** Temporary files of this process that have not become outputs yet. */
const temporaries = new Set<string>()
let listening = false

/** Has `path` removed if the process ends before it is forgotten. */
export function rememberTemporary(path: string): void {
  temporaries.add(path)
  if (listening) return
  listening = true
  process.on('exit', removeTemporaries)
}

/** The file has its final name now, or is gone. */
export function forgetTemporary(path: string): void {
  temporaries.delete(path)
}

/** Removes them all; what is called before the process kills itself, as then no exit event comes. */
export function removeTemporaries(): void {
  for (const path of temporaries) {
    try {
      unlinkSync(path)
    } catch {
      // Gone already, or its folder is.
    }
  }
  temporaries.clear()
}
