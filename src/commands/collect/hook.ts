import {spawn} from 'node:child_process'
import {basename, dirname} from 'node:path'
import type {DartaCommand} from '../../cli/base-command.js'
import {splitWords} from '../../cli/words.js'

/** A file that is whole. */
export interface Finished {
  readonly path: string
  /** Where its period begins, or when it was finished; milliseconds since 1970. */
  readonly startMs: number
}

/** The command of `-x`, run for each file, one after another. */
export interface Hook {
  run(file: Finished): void
  /** Resolves when the last one has ended. */
  ended(): Promise<void>
}

/**
 * Words of the command: `%f` is the file, `%d` its folder, `%b` its name, `%t` the start of its period as YYYYMMDDhhmm, `%u` the same in seconds
 * since 1970, `%i` the name of the collector, `%%` a percent sign. No shell looks at them.
 */
export function createHook(command: DartaCommand, text: string, ident: string): Hook {
  const words = splitWords(text)
  let last: Promise<void> = Promise.resolve()

  async function start({path, startMs}: Finished): Promise<void> {
    const time = new Date(startMs).toISOString().replace(/\D/g, '').slice(0, 12)
    const values: Record<string, string> = {
      f: path,
      d: dirname(path),
      b: basename(path),
      t: time,
      u: String(Math.floor(startMs / 1000)),
      i: ident,
      '%': '%',
    }
    const [program, ...args] = words.map((word) =>
      word.replace(/%([fdbtui%])/g, (_, letter: string) => values[letter]),
    )
    await new Promise<void>((resolve) => {
      const child = spawn(program, args, {stdio: ['ignore', 'ignore', 'inherit']})
      child.on('error', (error) => {
        command.note(`-x: ${program} cannot be started: ${error.message}`)
        resolve()
      })
      child.on('close', (status, signal) => {
        if (status !== 0) {
          command.note(`-x: ${program} ended with ${signal ?? `status ${status ?? 0}`} for ${path}`)
        }
        resolve()
      })
    })
  }

  return {
    run(file) {
      last = last.then(() => start(file))
    },
    ended: () => last,
  }
}
