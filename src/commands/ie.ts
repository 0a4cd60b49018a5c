import {readFileSync} from 'node:fs'
import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {DartaCommand} from '../cli/base-command.js'
import {
  abstractTypeByName,
  elementNumber,
  elementSpecifier,
  findElements,
} from '../cli/element-query.js'
import {csvLine, textTable} from '../cli/text-table.js'
import type {InformationElement} from '../record/element.js'
import {ipdrMapping} from '../formats/ipdr/fields.js'
import {isServiceDefinition, readServiceDefinition} from '../formats/ipdr/service-definition.js'
import {readMapping, type MappedField, type Mapping} from '../formats/map/mapping.js'
import {readError} from '../io/errors.js'
import {DartaError} from '../record/errors.js'
import {allElements} from '../registry/lookup.js'

const columns = ['number', 'name', 'type', 'semantics', 'units', 'range', 'status', 'description']

export default class Ie extends DartaCommand {
  static override summary = 'Look up Information Elements.'
  static override description =
    'Without QUERY all registered elements are listed: the IANA registry and those of darta itself. ' +
    'Reverse elements (RFC 5103) are found by their names and numbers.'
  static override examples = [
    '<%= config.bin %> ie sourceIPv4Address',
    '<%= config.bin %> ie 8 29305/1',
    '<%= config.bin %> ie --spec /^flow(Start|End)/',
    '<%= config.bin %> ie --type ipv6Address -o ndjson',
  ]
  static override args = {
    query: Args.string({
      ignoreStdin: true,
      multiple: true,
      description: 'Name, number (8, 0/8, 29305/1), part of a name, or /regular expression/.',
    }),
  }
  static override flags = {
    type: Flags.string({
      helpValue: 'TYPE',
      summary: 'Only elements of this abstract data type, like unsigned64.',
    }),
    range: Flags.custom<NumberRange>({parse: async (input) => parseNumberRange(input)})({
      helpValue: '[PEN/]A-B',
      summary: 'Only elements with numbers from A to B, of IANA or of the enterprise PEN.',
    }),
    status: Flags.option({options: ['current', 'deprecated'] as const})({
      helpValue: 'current|deprecated',
      summary: 'Only elements of this status.',
    }),
    map: Flags.string({
      helpValue: 'FILE',
      exclusive: ['spec', 'type', 'range', 'status', 'output'],
      summary:
        'Show what becomes of the fields of the format that the mapping or IPDR service definition FILE describes; ipdr: which fields of IPDR have an element of IANA.',
    }),
    spec: Flags.boolean({
      summary: 'Write Information Element Specifiers, name(number)<type>[size] (RFC 7013).',
    }),
    output: Flags.option({options: ['table', 'ndjson', 'json', 'csv'] as const, char: 'o'})({
      helpValue: 'table|ndjson|json|csv',
      summary: 'Output format; table unless said otherwise.',
      exclusive: ['spec'],
    }),
  }

  protected async execute(): Promise<void> {
    const {args, flags} = await this.parse(Ie)
    if (flags.map !== undefined) {
      this.print(mappingTable(flags.map))
      return
    }
    const queries: string[] = args.query ?? []
    const type = flags.type === undefined ? undefined : abstractTypeByName(flags.type)
    const {range} = flags
    const candidates = queries.length === 0 ? allElements() : this.#find(queries)
    const found = candidates.filter(
      (element) =>
        (type === undefined || element.type === type) &&
        (flags.status === undefined || element.status === flags.status) &&
        (range === undefined || isWithin(element, range)),
    )
    if (found.length === 0 && candidates.length > 0) {
      throw new DartaError('DARTA_ELEMENT_UNKNOWN', 'no Information Element is like that')
    }
    if (found.length === 0) return
    if (flags.spec) this.print(found.map((element) => `${elementSpecifier(element)}\n`).join(''))
    else this.print(render(found, flags.output ?? 'table'))
  }

  /** What each query finds, nothing twice; a query that finds nothing does not hide the others. */
  #find(queries: readonly string[]): InformationElement[] {
    const found = new Set<InformationElement>()
    for (const query of queries) {
      try {
        for (const element of findElements(query)) found.add(element)
      } catch (error) {
        this.report(error)
      }
    }
    return [...found]
  }
}

/**
 * A line for each field that a mapping names, and for its columns, or for each field of a service definition of IPDR.
 *
 * @throws DartaError DARTA_USAGE, DARTA_FILE_READ
 */
function mappingTable(path: string): string {
  if (path === 'ipdr') return fieldTable(namedFields(ipdrMapping()))
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw readError(path, error)
  }
  if (!isServiceDefinition(text)) return fieldTable(namedFields(readMapping(text, path)))
  const mapping = ipdrMapping()
  return fieldTable(
    readServiceDefinition(text).map(({name, type}) => [name, mapping.of(name, type)]),
  )
}

type FieldRow = readonly [field: string, mapped: MappedField | undefined]

function namedFields(mapping: Mapping): FieldRow[] {
  const names = new Set([...mapping.named.keys(), ...(mapping.columns ?? [])])
  return [...names].map((name) => [name, mapping.of(name)])
}

function fieldTable(fields: readonly FieldRow[]): string {
  const rows = fields.map(([name, mapped]) => {
    if (mapped === undefined) return [name, '-', '', '', 'left out']
    const {element, factor, time, names: words, isNamed} = mapped
    const how = [
      ...(isNamed ? [] : ['no element of its own: described in the output']),
      ...(factor === 1 ? [] : [`times ${factor}`]),
      ...(element.type.startsWith('dateTime') ? [time] : []),
      ...(words.size === 0 ? [] : [[...words].map(([word, n]) => `${word}=${n}`).join(' ')]),
    ]
    return [name, element.name, elementNumber(element), element.type, how.join(', ')]
  })
  return textTable(['FIELD', 'ELEMENT', 'NUMBER', 'TYPE', 'HOW'], rows)
}

interface NumberRange {
  readonly enterpriseNumber: number
  readonly least: number
  readonly greatest: number
}

/** `1-100`, `500-`, `-7`, `8`, `32473/1-9` */
function parseNumberRange(input: string): NumberRange {
  const match = /^(?:(\d+)\/)?(\d*)(-?)(\d*)$/.exec(input)
  const [, enterprise, first, dash, last] = match ?? []
  if (match === null || (first === '' && last === '')) {
    throw new DartaError('DARTA_USAGE', `expected A-B like 1-100, not '${input}'`)
  }
  const least = first === '' ? 1 : Number(first)
  const greatest = dash === '' ? least : last === '' ? 32767 : Number(last)
  return {enterpriseNumber: Number(enterprise ?? 0), least, greatest}
}

function isWithin({enterpriseNumber, elementId}: InformationElement, range: NumberRange): boolean {
  return (
    enterpriseNumber === range.enterpriseNumber &&
    elementId >= range.least &&
    elementId <= range.greatest
  )
}

function render(elements: readonly InformationElement[], format: string): string {
  switch (format) {
    case 'ndjson':
      return elements.map((element) => `${JSON.stringify(description(element))}\n`).join('')
    case 'json':
      return `${JSON.stringify(elements.map(description), undefined, 2)}\n`
    case 'csv':
      return [columns, ...elements.map(cells)].map((row) => `${csvLine(row)}\n`).join('')
    default: {
      // Columns that say nothing about anything that was found are left out.
      const rows = elements.map(cells)
      const shown = columns
        .map((_, i) => i)
        .filter((i) => i < 3 || rows.some((row) => row[i] !== ''))
      return textTable(
        shown.map((i) => columns[i].toUpperCase()),
        rows.map((row) => shown.map((i) => row[i])),
      )
    }
  }
}

function cells(element: InformationElement): string[] {
  const {name, type, semantics, units, range, status, description} = element
  return [
    elementNumber(element),
    name,
    type,
    semantics,
    units,
    range === undefined ? '' : `${range[0]}-${range[1]}`,
    status,
    description,
  ]
}

/** The same for programs; members without content are left out. */
function description(element: InformationElement): Record<string, unknown> {
  const {enterpriseNumber, elementId, name, type, semantics, units, range, status} = element
  return {
    name,
    enterpriseNumber,
    elementId,
    type,
    semantics,
    ...(units !== '' && {units}),
    ...(range !== undefined && {range}),
    status,
    ...(element.description !== '' && {description: element.description}),
  }
}
