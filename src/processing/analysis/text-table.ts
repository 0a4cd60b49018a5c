import type {TableStyle} from './app.js'

/** Columns of words, two spaces apart, numbers to the right; each line ends with a line break. */
export function textTable(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly boolean[],
): string {
  const widths = heads.map((head, i) =>
    rows.reduce((n, r) => Math.max(n, r[i].length), head.length),
  )
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (right[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join('  ')
      .trimEnd()
  return [heads, ...rows].map((cells) => `${line(cells)}\n`).join('')
}

const prefixes = {
  si: ['', ' k', ' M', ' G', ' T', ' P', ' E'],
  iec: ['', ' Ki', ' Mi', ' Gi', ' Ti', ' Pi', ' Ei'],
}

/** `12`, `1.2 M`, `1.1 Mi`; all digits where nothing is scaled. */
export function scaledNumber(value: bigint | number, units: TableStyle['units']): string {
  if (units === 'none') return typeof value === 'bigint' ? String(value) : String(Math.round(value))
  const base = units === 'si' ? 1000 : 1024
  let number = Number(value)
  let power = 0
  // What would be written as 1000.0 belongs to the next unit.
  while (number >= (power === 0 ? base : base - 0.05) && power < 6) {
    number /= base
    power++
  }
  return `${power === 0 ? Math.round(number) : number.toFixed(1)}${prefixes[units][power]}`
}

/** `12.3 %` of a part between 0 and 1. */
export function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`
}

/** `2026-08-01T10:00:00.123Z`; empty beyond what a calendar has. */
export function utcTime(ms: number | bigint): string {
  const date = new Date(Number(ms))
  return Number.isNaN(date.getTime()) ? '' : date.toISOString()
}
