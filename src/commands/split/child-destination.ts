import type {ResultPromise} from 'execa'
import type {DartaCommand} from '../../cli/base-command.js'
import {placeName, type Place, type Rotation} from '../../cli/rotation.js'
import {splitWords} from '../../cli/words.js'
import {isClosedPipe} from '../../io/errors.js'
import {DartaError} from '../../record/errors.js'
import type {LedgerUnit} from '../../record/ledger.js'
import type {Destination} from './destination.js'

export interface ChildOptions {
  /**
   * A command line for the shell's words: split at spaces, quotes kept together; the numbers and times of `placeName` in it
   * are those of the child.
   */
  readonly command: string
  readonly rotation: Rotation
  /** Start it again when it ends early; what it had is lost, and counted. */
  readonly restart: boolean
  /** Take its standard output instead of letting it write to ours. */
  readonly takeOutput: boolean
  readonly unit: LedgerUnit
  /** What it is called in accounts and messages: `child-2` unless said otherwise. */
  readonly name?: string
}

export interface ChildDestination extends Destination {
  /** Standard output of the first child, if it is taken. */
  output(): AsyncIterable<Uint8Array>
}

/** A child process that reads its part on standard input, or one after another. */
export async function childDestination(
  command: DartaCommand,
  first: Place,
  options: ChildOptions,
): Promise<ChildDestination> {
  const {execa} = await import('execa')
  const pattern = splitWords(options.command)
  if (pattern.length === 0) throw new DartaError('DARTA_USAGE', '--exec needs a command')
  const name = options.name ?? `child-${first.part ?? 1}`
  const account = command.ledger.stage(name, options.unit)
  let place = first
  let child: ResultPromise
  let gone = false
  let aborted = false

  function start(): void {
    gone = false
    const rotation = {periodMs: options.rotation.periodMs}
    const words = pattern.map((word) => placeName(word, place, rotation))
    const started = execa(words[0], words.slice(1), {
      stdin: 'pipe',
      stdout: options.takeOutput ? 'pipe' : 'inherit',
      stderr: 'inherit',
      buffer: false,
      reject: false,
      cleanup: true,
    })
    child = started
    // A child that is gone shows in write(); the event only must not end us.
    started.stdin.on('error', () => {})
    void started.then(() => {
      if (child === started) gone = true
    })
  }

  async function put(chunks: readonly Uint8Array[]): Promise<boolean> {
    const stdin = child.stdin!
    if (gone || stdin.destroyed) return false
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

  async function finish(): Promise<void> {
    child.stdin!.end()
    const {exitCode, signal, failed, code} = (await child) as {
      exitCode?: number
      signal?: string
      failed?: boolean
      code?: string
    }
    if (failed !== true || aborted) return
    const how =
      signal !== undefined
        ? `died of ${signal}`
        : exitCode !== undefined
          ? `ended with status ${exitCode}`
          : `cannot be started: ${code === 'ENOENT' ? 'there is no such command' : (code ?? 'unknown')}`
    command.report(new DartaError('DARTA_CHILD', `${name} (${pattern[0]}) ${how}`))
  }

  start()
  return {
    name,
    account,
    live: true,
    async write(chunks) {
      if (await put(chunks)) return 'taken'
      if (!options.restart || aborted || command.stopping.aborted) return 'gone'
      await child
      account.note('started-again')
      start()
      return 'again'
    },
    async next(next) {
      await finish()
      place = next
      start()
    },
    end: finish,
    async abort() {
      aborted = true
      child.kill()
      // What nobody reads would never be over.
      if (options.takeOutput) child.stdout?.destroy()
      await child
    },
    output: () => child.stdout as AsyncIterable<Uint8Array>,
  }
}

/**
 * Watches over what reads the children's outputs: if it fails, nobody reads what they write any more. They would wait for
 * ever, and whoever writes to them too, so they are ended. The fault is told by who awaits `joined`.
 */
export function endWithJoined(
  command: DartaCommand,
  joined: Promise<void>,
  children: readonly ChildDestination[],
): void {
  joined.catch(() => {
    command.stop()
    for (const child of children) void child.abort()
  })
}
