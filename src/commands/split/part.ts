import type {ResultPromise} from 'execa'
import type {DartaCommand} from '../../cli/base-command.js'
import {splitWords} from '../../cli/words.js'
import {isClosedPipe} from '../../io/errors.js'
import {writeFile} from '../../io/write-file.js'
import {DartaError} from '../../record/errors.js'

/** Where one part of a divided stream goes. */
export interface Part {
  /** What it is called in accounts and messages: `part-2.pcap`, `child 2`. */
  readonly name: string
  /** False when nobody takes it any more. Resolves when there is room for more. */
  write(chunks: readonly Uint8Array[]): Promise<boolean>
  end(): Promise<void>
  abort(): Promise<void>
}

/** `part-%d.pcap` with the part's number, from 1, in place of %d (`%03d` pads); `%%` is a percent sign. */
export function partName(pattern: string, number: number): string {
  return pattern.replace(/%(?:(0\d)?d|%)/g, (all, width: string | undefined) =>
    all === '%%' ? '%' : String(number).padStart(Number(width ?? 0), '0'),
  )
}

/** Whether the pattern gives every part a name of its own. */
export function namesEachPart(pattern: string): boolean {
  return partName(pattern, 1) !== partName(pattern, 2)
}

export async function filePart(command: DartaCommand, path: string, force: boolean): Promise<Part> {
  const sink = await writeFile(path, {force, stopping: command.stopping})
  return {
    name: path,
    async write(chunks) {
      await sink.write(chunks)
      return true
    },
    end: () => sink.end(),
    abort: () => sink.abort(),
  }
}

export interface ChildOptions {
  /** A command line for the shell's words: split at spaces, quotes kept together; %d is the part's number. */
  readonly command: string
  /** Start it again when it ends early; what it had is lost, and counted. */
  readonly restart: boolean
  /** Take its standard output instead of letting it write to ours. */
  readonly takeOutput: boolean
}

export interface ChildPart extends Part {
  /** Its standard output, if it is taken. */
  output(): AsyncIterable<Uint8Array>
  /** How often it was started again. */
  restarts(): number
}

/** A child process that reads its part on standard input. `begin` gives what each new child must read first. */
export async function childPart(
  command: DartaCommand,
  number: number,
  options: ChildOptions,
  begin: () => readonly Uint8Array[],
): Promise<ChildPart> {
  const {execa} = await import('execa')
  const words = splitWords(options.command).map((word) => partName(word, number))
  if (words.length === 0) throw new DartaError('DARTA_USAGE', '--exec needs a command')
  const name = `child ${number}`
  let child: ResultPromise
  let gone = false
  let restarts = 0

  function start(): void {
    gone = false
    child = execa(words[0], words.slice(1), {
      stdin: 'pipe',
      stdout: options.takeOutput ? 'pipe' : 'inherit',
      stderr: 'inherit',
      buffer: false,
      reject: false,
      cleanup: true,
    })
    // A child that is gone shows in write(); the event only must not end us.
    child.stdin!.on('error', () => {})
    void child.then(() => (gone = true))
  }

  async function put(chunks: readonly Uint8Array[]): Promise<boolean> {
    const stdin = child.stdin!
    for (const chunk of chunks) {
      if (gone || stdin.destroyed) return false
      const taken = await new Promise<boolean>((resolve) => {
        stdin.write(chunk, (error) => {
          if (error && !isClosedPipe(error))
            command.report(new DartaError('DARTA_FILE_WRITE', `${name}: ${error.message}`))
          resolve(!error)
        })
      })
      if (!taken) return false
    }
    return true
  }

  start()
  if (!(await put(begin()))) gone = true
  return {
    name,
    async write(chunks) {
      if (await put(chunks)) return true
      if (!options.restart || command.stopping.aborted) return false
      await child
      restarts++
      command.note(`${name} ended and was started again`)
      start()
      await put(begin())
      // What was given to the one that ended is lost; the next octets are the new one's.
      return false
    },
    async end() {
      child.stdin!.end()
      const {exitCode, signal, failed, shortMessage} = (await child) as {
        exitCode?: number
        signal?: string
        failed?: boolean
        shortMessage?: string
      }
      if (failed === true) {
        const how =
          signal !== undefined
            ? `died of ${signal}`
            : exitCode !== undefined
              ? `ended with status ${exitCode}`
              : (shortMessage ?? 'failed')
        command.report(new DartaError('DARTA_CHILD', `${name} (${words[0]}) ${how}`))
      }
    },
    async abort() {
      child.kill()
      await child
    },
    output: () => child.stdout as AsyncIterable<Uint8Array>,
    restarts: () => restarts,
  }
}
