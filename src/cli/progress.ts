import {basename} from 'node:path'
import {hideLine, isTerminal, showLine} from './terminal.js'

/** How far one input has come. */
export interface Progress {
  readonly position: number
  /** Undefined where the end is not known: then nothing is shown. */
  readonly size: number | undefined
}

const EVERY_MS = 200

/**
 * Shows a bar on standard error while an input of known size is read, if that is a terminal, stdout
 * is none (its words would mix) and the work takes longer than a moment. Returns what removes it.
 */
export function showProgress(name: string, progress: Progress, quiet: boolean): () => void {
  if (quiet || progress.size === undefined || !isTerminal(2) || isTerminal(1)) return () => {}
  const begin = performance.now()
  const timer = setInterval(() => {
    showLine(bar(shortName(name), progress, performance.now() - begin))
  }, EVERY_MS)
  timer.unref()
  return () => {
    clearInterval(timer)
    hideLine()
  }
}

/** The line must not be longer than the terminal is wide. */
function shortName(path: string): string {
  const name = basename(path)
  return name.length <= 28 ? name : `…${name.slice(-27)}`
}

const BAR_CELLS = 24

/** `big.pcap [=========>              ]  38 %  412 MB/s  0:07 left` */
export function bar(name: string, {position, size = 0}: Progress, elapsedMs: number): string {
  const part = size === 0 ? 1 : Math.min(1, position / size)
  const cells = Math.floor(part * BAR_CELLS)
  const drawn = `${'='.repeat(cells)}${cells < BAR_CELLS ? '>' : ''}`.padEnd(BAR_CELLS)
  const perMs = elapsedMs === 0 ? 0 : position / elapsedMs
  const left = perMs === 0 ? 0 : Math.round((size - position) / perMs / 1000)
  const clock = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`
  const percent = String(Math.floor(part * 100)).padStart(3)
  return `${name} [${drawn}] ${percent} %  ${(perMs / 1000).toFixed(0)} MB/s  ${clock} left`
}
