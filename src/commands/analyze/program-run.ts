import type {ResultPromise} from 'execa'
import type {DartaCommand} from '../../cli/base-command.js'
import {detectFormat, formatByName} from '../../cli/find-format.js'
import type {WritableFormat} from '../../cli/record-output.js'
import {isClosedPipe} from '../../io/errors.js'
import type {RecordBatch} from '../../record/batch.js'
import {DartaError} from '../../record/errors.js'
import type {Decoder} from '../../record/format.js'
import {Ledger, type StageLedger} from '../../record/ledger.js'
import {fieldIndex} from '../../record/template.js'
import {ie} from '../../registry/elements.js'
import {createTextDecoder} from './text-results.js'

/** A program that takes the place of an application. */
export interface Program {
  /** What it is called in accounts and messages. */
  readonly name: string
  readonly words: readonly string[]
  /** What it reads. */
  readonly feed: WritableFormat
  /** Records that it was given. */
  readonly fed: StageLedger
  /** Records that it wrote. */
  readonly results: StageLedger
}

/** One process of it, from its first record to its last result. */
export interface ProgramRun {
  /** It reads no more; what it is given now is not looked at. */
  readonly gone: boolean
  /** Gives it records, whose octets are not needed after the call. */
  feed(batches: readonly RecordBatch[]): void
  /** Resolves when there is room for more. */
  drained(): Promise<void>
  /**
   * Ends its input and waits for its results and its end.
   *
   * @throws DartaError DARTA_CHILD it cannot be started, failed or died; DARTA_FORMAT_UNKNOWN it writes a capture
   */
  end(): Promise<void>
  /** Ends it at once. */
  kill(): void
}

/** Octets that are worth a write. */
const WORTH_WRITING = 60 * 1024
/** By so many octets every format is known, or by a whole line. */
const HEAD_OCTETS = 16
const NEWLINE = 10

/** @param take is given what the program writes, as it comes */
export async function startProgram(
  command: DartaCommand,
  program: Program,
  take: (batches: readonly RecordBatch[]) => Promise<void>,
): Promise<ProgramRun> {
  const {execa} = await import('execa')
  const {name, words, feed} = program
  const child: ResultPromise = execa(words[0], words.slice(1), {
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'inherit',
    buffer: false,
    reject: false,
    cleanup: true,
  })
  const stdin = child.stdin!
  const encoder = feed.newEncoder(new Ledger())
  let chunks: Uint8Array[] = []
  let octets = 0
  let waiting = 0
  let taken = 0
  let notRead = 0
  let gone = false
  // A child that is gone shows in drained(); the event only must not end us.
  stdin.on('error', () => (gone = true))
  void child.then(() => (gone = true))
  const written = readResults()
  // Who ends it gets the error.
  written.catch(() => {})

  async function readResults(): Promise<void> {
    let head = new Uint8Array(0)
    let decoder: Decoder | undefined
    const ledger = new Ledger()
    const push = async (chunk: Uint8Array): Promise<void> => {
      decoder ??= await decoderFor(chunk, ledger, name)
      await give(decoder.push(chunk))
    }
    for await (const chunk of child.stdout as AsyncIterable<Uint8Array>) {
      if (decoder !== undefined) await push(chunk)
      else {
        head = Buffer.concat([head, chunk])
        if (head.length >= HEAD_OCTETS || head.includes(NEWLINE)) await push(head)
      }
    }
    if (decoder === undefined && head.length > 0) await push(head)
    if (decoder !== undefined) await give(decoder.end())
    // What could not be read is told as this program's; its decoder's account is nobody else's.
    for (const {lost, missing} of ledger.stages) {
      const {results} = program
      for (const [reason, n] of lost) {
        results.in += n
        results.lose(reason, n)
      }
      for (const [reason, n] of missing) results.miss(reason, n)
    }
  }

  async function give(decoded: readonly RecordBatch[]): Promise<void> {
    // What describes elements (RFC 5610) is for the decoder: the records go on in Messages of our own.
    const batches = decoded.filter(
      ({template}) => fieldIndex(template, ie.informationElementId) < 0,
    )
    if (batches.length === 0) return
    const count = batches.reduce((n, batch) => n + batch.count, 0)
    program.results.in += count
    await take(batches)
    program.results.out += count
  }

  async function put(): Promise<void> {
    const all = chunks
    const records = waiting
    chunks = []
    octets = 0
    waiting = 0
    for (const chunk of all) {
      if (gone || stdin.destroyed) break
      await new Promise<void>((resolve) => {
        stdin.write(chunk, (error) => {
          if (error) {
            gone = true
            if (!isClosedPipe(error)) command.report(new DartaError('DARTA_CHILD', error.message))
          }
          resolve()
        })
      })
    }
    if (gone || stdin.destroyed) notRead += records
    else {
      program.fed.out += records
      taken += records
    }
  }

  return {
    get gone() {
      return gone
    },
    feed(batches) {
      if (batches.length === 0) return
      chunks.push(...encoder.push(batches))
      for (const {count, template} of batches) {
        waiting += count
        octets += count * template.minimumOctets
        program.fed.in += count
      }
    },
    async drained() {
      if (waiting === 0) return
      // What may be followed by nothing for long is not held back.
      if (command.live) chunks.push(...encoder.flush())
      if (command.live || octets >= WORTH_WRITING) await put()
    },
    async end() {
      chunks.push(...encoder.end())
      await put()
      stdin.end()
      const ended = (await child) as Ended
      let unreadable: unknown
      await written.catch((error: unknown) => (unreadable = error))
      // By the terminal the user has stopped both, and a program need not end as ours do.
      const stopped = command.stopping.aborted && /^SIG(INT|TERM|HUP)$/.test(ended.signal ?? '')
      const failed = ended.failed === true && !stopped
      if (failed || unreadable !== undefined) {
        // What it made of the records that it took, nobody knows.
        program.fed.out -= taken
        if (taken > 0) program.fed.lose('of-failed-program', taken)
        if (notRead > 0) program.fed.lose('gone', notRead)
        if (unreadable !== undefined) throw unreadable as Error
        throw new DartaError('DARTA_CHILD', `${name} (${words[0]}) ${fateOf(ended)}`)
      }
      // A program may have seen enough, as head(1) has.
      if (notRead > 0) program.fed.skip('not-read', notRead)
    },
    kill() {
      gone = true
      child.kill()
      // What nobody reads would never be over.
      child.stdout!.destroy()
    },
  }
}

interface Ended {
  readonly exitCode?: number
  readonly signal?: string
  readonly failed?: boolean
  readonly code?: string
}

function fateOf({exitCode, signal, code}: Ended): string {
  if (signal !== undefined) return `died of ${signal}`
  if (exitCode !== undefined) return `ended with status ${exitCode}`
  return `cannot be started: ${code === 'ENOENT' ? 'there is no such command' : (code ?? 'unknown')}`
}

/** The format that the program writes; lines of text where it is none of ours. */
async function decoderFor(head: Uint8Array, ledger: Ledger, name: string): Promise<Decoder> {
  const found = await detectFormat(head)
  if (found === undefined) return createTextDecoder(ledger)
  if (found.startsWith('pcap')) {
    throw new DartaError('DARTA_FORMAT_UNKNOWN', `${name} writes a capture and no results`, 0)
  }
  return (await formatByName(found, '--exec')).format.decoder!({ledger, source: name})
}
