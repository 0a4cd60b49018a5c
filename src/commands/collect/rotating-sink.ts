import {existsSync, mkdirSync} from 'node:fs'
import {basename, dirname, join} from 'node:path'
import type {DartaCommand} from '../../cli/base-command.js'
import {createBlockPool} from '../../cli/block-pool.js'
import {
  compressSink,
  forRelays,
  IDLE_FLUSH_MS,
  writableFormat,
  type RecordSink,
} from '../../cli/record-output.js'
import {
  checkPattern,
  periodsUntil,
  periodStart,
  placeName,
  type Rotation,
} from '../../cli/rotation.js'
import type {Compression} from '../../cli/values.js'
import {strftime} from '../../formats/human/presentation.js'
import type {OctetSink} from '../../io/octet-sink.js'
import {writeFile} from '../../io/write-file.js'
import type {RecordBatch} from '../../record/batch.js'
import {DartaError} from '../../record/errors.js'
import type {Encoder} from '../../record/format.js'
import type {Ledger} from '../../record/ledger.js'
import type {Hook} from './hook.js'
import {recoverFiles} from './recover-files.js'

export interface RotatingOptions {
  /** As of `placeName`. */
  readonly pattern: string
  readonly rotation: Rotation
  /** Pattern of strftime(3) for folders between that of `pattern` and the file; undefined: none. */
  readonly layout: string | undefined
  readonly output: string | undefined
  readonly force: boolean
  readonly compress: Compression | undefined
  readonly lineBuffered: boolean
  /** For the encoder of each file. */
  readonly encoding?: Readonly<Record<string, unknown>>
  readonly hook: Hook | undefined
  /** One account for the encoders of all files. */
  readonly ledger: Ledger
  /** Told of what goes into the file at hand. */
  readonly seen: (batches: readonly RecordBatch[]) => void
  /** Records that stand at the end of each file. */
  readonly last: () => readonly RecordBatch[]
  /** Told when a file has its name. */
  readonly published: () => Promise<void>
  /** Whether periods end by the clock when nothing comes. */
  readonly live: boolean
}

/** Layouts of nfcapd(1) by number. */
const layouts = [
  '',
  '%Y/%m/%d',
  '%Y/%m/%d/%H',
  '%Y/%W/%u',
  '%Y/%W/%u/%H',
  '%Y/%j',
  '%Y/%j/%H',
  '%Y-%m-%d',
  '%Y-%m-%d/%H',
]

/** `-S`: a number of nfcapd's, or a pattern. @throws DartaError DARTA_USAGE */
export function parseLayout(text: string): string {
  if (/^\d+$/.test(text)) {
    const layout = layouts[Number(text)]
    if (layout !== undefined) return layout
    throw new DartaError('DARTA_USAGE', '-S: layouts have the numbers 0 to 8')
  }
  if (text.startsWith('/') || text.split('/').includes('..')) {
    throw new DartaError('DARTA_USAGE', `-S: '${text}' leads out of the folder of -w`)
  }
  return text
}

interface Open {
  readonly name: string
  readonly startMs: number | undefined
  readonly sink: OctetSink
  readonly encoder: Encoder
}

/**
 * Files one after another, each whole when it has its name, and each with all that is needed to read it. Periods in which
 * nothing came have their file too. A name that is taken gets a number behind it, so that a collector that is started
 * again in the same period loses neither the old file nor the new one.
 *
 * @throws DartaError DARTA_USAGE, DARTA_FILE_WRITE, DARTA_PERMISSION
 */
export async function openRotatingSink(
  command: DartaCommand,
  options: RotatingOptions,
): Promise<RecordSink> {
  const {pattern, rotation, layout, output, force, compress, hook, ledger} = options
  const {periodMs} = rotation
  checkPattern(pattern, 0, rotation)
  const {name, newEncoder} = await writableFormat(output ?? process.env.DARTA_FORMAT ?? 'ipfix')
  const pool = createBlockPool()
  let file = 0
  let octets = 0
  let current: Open | undefined
  /** Where the period at hand begins. */
  let period: number | undefined
  let timer: NodeJS.Timeout | undefined
  let clock: NodeJS.Timeout | undefined
  /** Work is done one after another, also when timers and signals come between. */
  let work: Promise<void> = Promise.resolve()
  let failed: unknown
  /** Steps that are not done. */
  let busy = 0

  function inTurn(step: () => Promise<void>): Promise<void> {
    busy++
    work = work.then(async () => {
      try {
        if (failed !== undefined) throw failed as Error
        await step()
      } catch (error) {
        failed = error
        throw error
      } finally {
        busy--
      }
    })
    // Who writes next gets the error.
    work.catch(() => {})
    return work
  }

  async function begin(startMs: number | undefined): Promise<void> {
    file++
    octets = 0
    const plain = placeName(pattern, {file, startMs}, rotation)
    const folder =
      layout === undefined || layout === ''
        ? dirname(plain)
        : join(dirname(plain), strftime(new Date(startMs ?? Date.now()), layout, ''))
    mkdirSync(folder, {recursive: true})
    let path = join(folder, basename(plain))
    // A ring's own files are replaced.
    const own = rotation.files !== undefined && file > rotation.files
    if (!force && !own) {
      for (let n = 1; existsSync(path); n++) path = join(folder, `${basename(plain)}.${n}`)
    }
    const uncompressed = await writeFile(path, {
      force: force || own,
      stopping: command.stopping,
      // What comes over a network cannot be had again.
      ...(options.live && {full: command.fullDisk(), keeps: true}),
    })
    const sink = await compressSink(uncompressed, compress)
    const encoder = newEncoder(ledger, {...options.encoding, ...pool.options})
    current = {name: path, startMs, sink, encoder}
  }

  async function put(chunks: readonly Uint8Array[]): Promise<void> {
    if (chunks.length === 0 || current === undefined) return
    for (const chunk of chunks) octets += chunk.length
    const {sink} = current
    const left = pool.takeLeft()
    await sink.write(chunks)
    pool.taken(sink, left)
  }

  async function finish(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    const ending = current
    if (ending === undefined) return
    await put(ending.encoder.push(options.last()))
    await put(ending.encoder.end())
    current = undefined
    await ending.sink.end()
    await options.published()
    command.detail(`wrote ${ending.name}`)
    hook?.run({path: ending.name, startMs: ending.startMs ?? Date.now()})
  }

  /** Ends what is over at this time; periods without records have their files made. */
  async function advance(ms: number): Promise<void> {
    if (periodMs === undefined) {
      if (current === undefined) await begin(undefined)
      return
    }
    if (period === undefined) {
      period = periodStart(ms, periodMs)
      await begin(period)
      wait()
      return
    }
    if (ms < period + periodMs && !isSetBack(ms)) {
      if (current === undefined) await begin(period)
      return
    }
    const starts = isSetBack(ms) ? [periodStart(ms, periodMs)] : periodsUntil(period, ms, periodMs)
    for (const start of starts) {
      await finish()
      period = start
      await begin(start)
    }
    wait()
  }

  /** A clock that was wrong and is set back must not hold the file of that time open until it comes. */
  function isSetBack(ms: number): boolean {
    return options.live && ms < period! - periodMs!
  }

  /** Wakes up when the period at hand is over, if nothing comes until then. */
  function wait(): void {
    if (!options.live || periodMs === undefined || period === undefined) return
    clearTimeout(clock)
    const left = period + periodMs - Date.now()
    // A clock that jumps is looked at again after a minute.
    clock = setTimeout(
      () => {
        const now = Date.now()
        if (now >= period! + periodMs || isSetBack(now))
          void inTurn(() => advance(now)).catch(() => {})
        else wait()
      },
      Math.max(Math.min(left, 60_000), 10),
    )
  }

  async function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    if (current === undefined) return
    await put(current.encoder.flush())
    await current.sink.flush?.()
  }

  async function write(batches: readonly RecordBatch[]): Promise<void> {
    if (batches.length === 0 && current !== undefined) {
      await put(current.encoder.push([]))
      await turnBySize()
    }
    for (let i = 0; i < batches.length;) {
      const ms = timeOf(batches[i])
      await advance(ms)
      // All that is of the same period goes together.
      let to = i + 1
      const end = periodMs === undefined ? Infinity : period! + periodMs
      while (to < batches.length && timeOf(batches[to]) < end) to++
      const part = i === 0 && to === batches.length ? batches : batches.slice(i, to)
      options.seen(part)
      await put(current!.encoder.push(part))
      i = to
      await turnBySize()
    }
    if (options.lineBuffered) await flush()
    else if (command.live) {
      timer ??= setTimeout(() => void inTurn(flush).catch(() => {}), IDLE_FLUSH_MS)
    }
  }

  async function turnBySize(): Promise<void> {
    if (rotation.octets === undefined || octets < rotation.octets) return
    await finish()
    await begin(period)
  }

  function timeOf({message}: RecordBatch): number {
    return message.receivedMs ?? message.exportTime * 1000
  }

  if (options.live) {
    const plain = name === 'ipfix' && (compress === undefined || compress.codec === 'none')
    const left = plain ? recoverFiles(command, {pattern, rotation, layout, now: Date.now()}) : []
    for (const {path, startMs} of left) {
      hook?.run({path, startMs: periodMs === undefined ? startMs : periodStart(startMs, periodMs)})
    }
    await inTurn(() => advance(Date.now()))
  }
  return {
    format: name,
    relayEncoder(fromMs, toMs) {
      if (current === undefined || busy > 0) return undefined
      if (periodMs !== undefined && (fromMs < period! || toMs >= period! + periodMs))
        return undefined
      return forRelays(current.encoder)
    },
    write: (batches) => inTurn(() => write(batches)),
    flush: () =>
      inTurn(async () => {
        await finish()
        if (options.live) await begin(period)
      }),
    settle: () =>
      inTurn(async () => {
        await flush()
        await current?.sink.settle?.()
      }),
    async end() {
      clearTimeout(clock)
      await inTurn(async () => {
        if (current === undefined && file === 0) await advance(Date.now())
        await finish()
      })
      await hook?.ended()
    },
    async abort() {
      clearTimeout(clock)
      clearTimeout(timer)
      await current?.sink.abort()
      await hook?.ended()
    },
  }
}
