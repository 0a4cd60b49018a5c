import type {EncodeContext, Encoder} from '../../record/format.js'
import type {Template} from '../../record/template.js'
import {columns, elementColumn, isBiflow, isFlow, type Cell, type Column} from './columns.js'
import {presentationOf} from './presentation.js'
import type {Origin} from './value-text.js'

/** Rows that are looked at before the widths of a table are settled. */
const SAMPLE_ROWS = 500
const GAP = '  '

/** Rows of Options Records that wait for the end, under headings of their own. */
const OPTIONS_ROWS = 10_000

/** A table whose records have the same columns. */
interface Section {
  heading: readonly Column[]
  readonly rows: string[][]
  /** Settled once rows have been written. */
  widths: number[] | undefined
}

/**
 * Writes tables for people. Records of Flows share the columns named in `flowColumns`, IPv4 and IPv6 alike; all other
 * Templates get a column for each field under a heading of their own, which those share that differ in the IP version only. Widths are those of the first rows; a later cell
 * that is wider pushes its line, never the table.
 */
export function tableEncoder(
  {ledger, options}: EncodeContext,
  name: string,
  flowColumns: readonly string[],
  biflowColumns: readonly string[],
): Encoder {
  const presentation = presentationOf(options)
  const origin: Origin = {ns: undefined}
  const stage = ledger.stage(name, 'records')
  const cells = new Map<string, {key: string; columns: readonly Column[]; cells: Cell[]}>()
  let section: Section | undefined
  let sectionKey = ''
  let written = false
  const optionsSections = new Map<string, Section>()
  let optionsRows = 0

  function compiled(template: Template): {key: string; columns: readonly Column[]; cells: Cell[]} {
    let known = cells.get(template.layout)
    if (known === undefined) {
      const chosen = isFlow(template)
        ? (isBiflow(template) ? biflowColumns : flowColumns).map((word) => columns[word])
        : template.fields.map(({element}, i) => fieldColumn(element.name, i, template))
      known = {
        // Records of either IP version stand in one table.
        key:
          chosen.map(({heading}) => heading.replace(IP_VERSION, '')).join('\t') +
          (template.scopeCount > 0 ? '\toptions' : ''),
        columns: chosen,
        cells: chosen.map((column) => column.cell(template, presentation, origin)),
      }
      cells.set(template.layout, known)
    }
    return known
  }

  /** A heading line for people who read, and the rows that were waiting for their widths. */
  function settle(out: string[], section: Section | undefined): void {
    if (section === undefined || section.rows.length === 0) return
    const {heading, rows} = section
    if (section.widths === undefined) {
      section.widths = heading.map((column, i) =>
        Math.max(widthOf(column.heading), ...rows.map((row) => widthOf(row[i]))),
      )
      if (written) out.push('')
      out.push(
        line(
          heading.map((column) => column.heading),
          heading,
          section.widths,
        ),
      )
      written = true
    }
    for (const row of rows) out.push(line(row, heading, section.widths))
    rows.length = 0
  }

  function settleOptions(out: string[]): void {
    for (const options of optionsSections.values()) {
      settle(out, options)
      options.widths = undefined
    }
    optionsRows = 0
    // What follows stands under a heading again.
    sectionKey = ''
  }

  return {
    push(batches) {
      const out: string[] = []
      for (const batch of batches) {
        const plan = compiled(batch.template)
        stage.in += batch.count
        stage.out += batch.count
        if (batch.template.scopeCount > 0) {
          // People look for the records; what is said about them comes after.
          let options = optionsSections.get(plan.key)
          if (options === undefined) {
            options = {heading: plan.columns, rows: [], widths: undefined}
            optionsSections.set(plan.key, options)
          }
          for (let i = 0; i < batch.count; i++)
            options.rows.push(plan.cells.map((cell) => cell(batch, i)))
          optionsRows += batch.count
          if (optionsRows > OPTIONS_ROWS) settleOptions(out)
          continue
        }
        const heading =
          section !== undefined && plan.key === sectionKey
            ? headingOfBoth(section, plan.columns)
            : undefined
        if (section === undefined || heading === undefined) {
          settle(out, section)
          section = {heading: plan.columns, rows: [], widths: undefined}
          sectionKey = plan.key
        } else section.heading = heading
        for (let i = 0; i < batch.count; i++) {
          section.rows.push(plan.cells.map((cell) => cell(batch, i)))
          if (section.widths !== undefined || section.rows.length >= SAMPLE_ROWS)
            settle(out, section)
        }
      }
      return octetsOf(out)
    },
    flush() {
      const out: string[] = []
      settle(out, section)
      return octetsOf(out)
    },
    end() {
      const out: string[] = []
      settle(out, section)
      settleOptions(out)
      return octetsOf(out)
    },
  }
}

/** As in the names of elements that there are two of. */
const IP_VERSION = /(?<=IPv)[46]/g
const BOTH_VERSIONS = '4/6'

/** The heading of a section over rows with these columns too; undefined: it is written, and says something else. */
function headingOfBoth(
  {heading, widths}: Section,
  columns: readonly Column[],
): readonly Column[] | undefined {
  const alike = heading.every(
    ({heading: of}, i) =>
      of === columns[i].heading || of === columns[i].heading.replace(IP_VERSION, BOTH_VERSIONS),
  )
  if (alike) return heading
  if (widths !== undefined) return undefined
  return heading.map((column, i) =>
    column.heading === columns[i].heading
      ? column
      : {...column, heading: columns[i].heading.replace(IP_VERSION, BOTH_VERSIONS)},
  )
}

/** A field's own column: its place in the Template, so that a repeated element shows each of its values. */
function fieldColumn(heading: string, field: number, template: Template): Column {
  const column = elementColumn(template.fields[field].element, heading)
  const only = {
    ...template,
    fields: template.fields.map((f, i) => (i === field ? f : {...f, element: hidden})),
  }
  return {
    ...column,
    cell: (_template, presentation, origin) => column.cell(only, presentation, origin),
  }
}

/** Equal to no element that a column looks for. */
const hidden = {
  name: '',
  enterpriseNumber: -1,
  elementId: -1,
  type: 'octetArray',
  semantics: 'default',
  units: '',
  status: 'unknown',
  description: '',
} as const

function line(
  row: readonly string[],
  heading: readonly Column[],
  widths: readonly number[],
): string {
  let text = ''
  for (let i = 0; i < row.length; i++) {
    const cell = row[i]
    // A string's own length counts what takes two cells or none as one.
    const width = widths[i] + cell.length - widthOf(cell)
    if (i > 0) text += GAP
    text += heading[i].align === 'right' ? cell.padStart(width) : cell.padEnd(width)
  }
  return text.trimEnd()
}

function isPlain(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x20 || code > 0x7e) return false
  }
  return true
}

/** Cells a text takes on a terminal: wide East Asian characters take two, combining ones none. */
export function widthOf(text: string): number {
  if (isPlain(text)) return text.length
  let width = 0
  for (const c of text) {
    if (/\p{Mark}/u.test(c)) continue
    const code = c.codePointAt(0)!
    const wide =
      (code >= 0x1100 && code <= 0x115f) ||
      (code >= 0x2e80 && code <= 0xa4cf) ||
      (code >= 0xac00 && code <= 0xd7a3) ||
      (code >= 0xf900 && code <= 0xfaff) ||
      (code >= 0xfe30 && code <= 0xfe6f) ||
      (code >= 0xff00 && code <= 0xff60) ||
      (code >= 0xffe0 && code <= 0xffe6) ||
      (code >= 0x1f300 && code <= 0x1f64f) ||
      (code >= 0x20000 && code <= 0x3fffd)
    width += wide ? 2 : 1
  }
  return width
}

const encoder = new TextEncoder()

function octetsOf(lines: readonly string[]): Uint8Array[] {
  return lines.length === 0 ? [] : [encoder.encode(`${lines.join('\n')}\n`)]
}
