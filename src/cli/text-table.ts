/** Columns of words, two spaces apart, each as wide as its widest cell; ends with a line break. */
export function textTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  align: readonly ('left' | 'right')[] = [],
): string {
  const widths = headings.map((heading, i) =>
    rows.reduce((width, row) => Math.max(width, row[i].length), heading.length),
  )
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => (align[i] === 'right' ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join('  ')
      .trimEnd()
  return `${[headings, ...rows].map(line).join('\n')}\n`
}

/** One line of CSV (RFC 4180), without the line break. */
export function csvLine(cells: readonly string[]): string {
  return cells
    .map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell))
    .join(',')
}
