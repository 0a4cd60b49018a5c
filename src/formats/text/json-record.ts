import type {MessageContext, RecordBatch} from '../../record/batch.js'
import type {Template} from '../../record/template.js'
import {createTextBuffer, put, putText, reserve, textOctets, type TextBuffer} from './buffer.js'
import {createFieldSpans, locate, type FieldSpans} from './field-spans.js'
import {putJsonList, type ListForm} from './json-lists.js'
import {
  hiddenFraction,
  hiddenSize,
  jsonPlan,
  usualLengthOctets,
  type JsonPlan,
  type WatchedField,
} from './json-plan.js'
import {kinds, type Kind} from './kinds.js'
import type {TextStep} from './program.js'
import {SCALAR_OCTETS, putJsonOctets, type BigintForm} from './json-values.js'
import {putTime} from './scalars.js'

/** What lists inside a record need to be read. */
export type ListContext = Pick<RecordBatch, 'octets' | 'templates' | 'elements'>

/** Writes records of any Template as JSON objects; it keeps the plans it makes. */
export interface JsonRecordWriter {
  readonly bigint: BigintForm
  /** Whether members are written that only serve to make the same octets again. */
  readonly hidden: boolean
  plan(template: Template): JsonPlan
  /**
   * Writes the record at `start` as one object, without a line end. `ipfix` is what `_ipfix` begins
   * with, empty for none. Returns the octet behind the record; −1 if it reaches beyond `limit`, and
   * what has been written is void then.
   */
  write(
    out: TextBuffer,
    plan: JsonPlan,
    context: ListContext,
    start: number,
    limit: number,
    ipfix: Uint8Array,
    lists: ListForm,
  ): number
}

const OPEN_IPFIX = textOctets(',"_ipfix":{')

export function createJsonRecordWriter(bigint: BigintForm, hidden: boolean): JsonRecordWriter {
  const plans = new WeakMap<Template, JsonPlan>()
  let last: JsonPlan | undefined
  // One set of spans per depth: lists hold records that hold lists.
  const spansByDepth: FieldSpans[] = []
  let depth = 0

  function plan(template: Template): JsonPlan {
    if (last?.template === template) return last
    let found = plans.get(template)
    if (found === undefined) {
      found = jsonPlan(template, bigint)
      plans.set(template, found)
    }
    last = found
    return found
  }

  function spansFor(fields: number): FieldSpans {
    const spans = spansByDepth[depth]
    if (spans !== undefined && spans.starts.length >= fields) return spans
    return (spansByDepth[depth] = createFieldSpans(fields))
  }

  const writer: JsonRecordWriter = {
    bigint,
    hidden,
    plan,
    write(out, {template, steps, afterFields, watched}, context, start, limit, ipfix, lists) {
      const {octets} = context
      const spans = spansFor(template.fields.length)
      const end = locate(template, octets, start, limit, spans)
      if (end < 0) return -1
      depth++
      for (const {field, prefix, write} of steps) {
        reserve(out, prefix.length + SCALAR_OCTETS)
        put(out, prefix)
        const at = spans.starts[field]
        const length = spans.lengths[field]
        if (write !== undefined) write(out, octets, at, length)
        else if (lists === 'octets') putJsonOctets(out, octets, at, length)
        else putJsonList(out, template.fields[field].element.type, context, at, length, writer)
      }
      depth--
      reserve(out, afterFields.length + ipfix.length + OPEN_IPFIX.length + 2)
      put(out, afterFields)
      put(out, ipfix)
      let open = ipfix.length > 0
      if (hidden && watched.length > 0) {
        const members = hiddenMembers(template, watched, octets, spans)
        if (members !== '') {
          if (open) out.octets[out.at++] = 44
          else put(out, OPEN_IPFIX)
          putText(out, members)
          reserve(out, 2)
          open = true
        }
      }
      if (open) out.octets[out.at++] = 125
      out.octets[out.at++] = 125
      return end
    },
  }
  return writer
}

/** `"lengthOctets":{…},"sizes":{…},"fractions":{…}`, each only where a field of this record hides something. */
function hiddenMembers(
  {fields}: Template,
  watched: readonly WatchedField[],
  octets: Uint8Array,
  {starts, lengths, lengthOctets}: FieldSpans,
): string {
  const members = new Map<string, Map<string, string>>()
  const note = (
    name: string,
    {key, group}: WatchedField,
    hidden: (field: number) => number | undefined,
  ): void => {
    let rows = members.get(name)
    if (rows?.has(key)) return
    const values = group.map(hidden)
    if (values.every((value) => value === undefined)) return
    if (rows === undefined) members.set(name, (rows = new Map<string, string>()))
    // Of several fields under one key each has its place.
    const texts = values.map((value) => (value === undefined ? 'null' : String(value)))
    rows.set(key, group.length === 1 ? texts[0] : `[${texts.join()}]`)
  }
  for (const watch of watched) {
    note('lengthOctets', watch, (field) => {
      const usual = usualLengthOctets(fields[field].element, lengths[field])
      const own = lengthOctets[field]
      return own === 0 || own === usual ? undefined : own
    })
    note('sizes', watch, (field) =>
      hiddenSize(fields[field].element, fields[field].length, lengths[field]),
    )
    note('fractions', watch, (field) =>
      hiddenFraction(fields[field].element, octets, starts[field], lengths[field]),
    )
  }
  return ['lengthOctets', 'sizes', 'fractions']
    .flatMap((name) => {
      const rows = members.get(name)
      if (rows === undefined) return []
      return `"${name}":{${[...rows].map(([key, text]) => `${JSON.stringify(key)}:${text}`).join()}}`
    })
    .join()
}

/** Which members of the Message `_ipfix` has besides export time, Observation Domain and Exporter. */
export interface MessageMembers {
  readonly sequenceNumber: boolean
  readonly templateId: boolean
}

const clock = createTextBuffer()

/** What `_ipfix` begins with in records that came in this Message: everything but the closing brace. */
export function messageText(
  plan: JsonPlan,
  message: MessageContext,
  members: MessageMembers,
): Uint8Array {
  clock.at = clock.begin = 0
  reserve(clock, 32)
  putTime(clock, message.exportTime, 0, 0)
  const values: Partial<Record<Kind, string | number>> = {
    [kinds.exportTime]: String.fromCharCode(...clock.octets.subarray(0, clock.at)),
    [kinds.observationDomainId]: message.observationDomainId,
    [kinds.sequenceNumber]: message.sequenceNumber,
  }
  const parts = messageParts(plan, message, members)
  return textOctets(parts.map(([prefix, kind]) => `${prefix}${values[kind] ?? ''}`).join(''))
}

/** The text of `_ipfix` with gaps for what changes from Message to Message: a prefix, and what follows it. */
function messageParts(
  {template, templateMembers}: JsonPlan,
  {exporter}: MessageContext,
  members: MessageMembers,
): [prefix: string, kind: Kind][] {
  const parts: [string, Kind][] = [
    [',"_ipfix":{"exportTime":"', kinds.exportTime],
    ['","observationDomainId":', kinds.observationDomainId],
  ]
  if (members.sequenceNumber) parts.push([',"sequenceNumber":', kinds.sequenceNumber])
  let rest = members.templateId ? `,"templateId":${template.id}` : ''
  if (isNetworkAddress(exporter)) rest += `,"exporter":"${exporter}"`
  if (templateMembers !== '') rest += `,${templateMembers}`
  parts.push([rest, kinds.none])
  return parts
}

/** The steps of a whole record for the text kernel, with `lead` before it and `tail` behind it. */
export function messageSteps(
  plan: JsonPlan,
  message: MessageContext,
  members: MessageMembers | undefined,
  lead: string,
  tail: string,
): TextStep[] {
  const steps: TextStep[] = plan.steps.map(({field, kind, prefix}) => ({field, kind, prefix}))
  steps[0] = {...steps[0], prefix: joined(textOctets(lead), steps[0].prefix)}
  let pending = plan.afterFields
  if (members !== undefined) {
    for (const [prefix, kind] of messageParts(plan, message, members)) {
      steps.push({field: -1, kind, prefix: joined(pending, textOctets(prefix))})
      pending = NOTHING
    }
  }
  const close = members === undefined ? '}' : '}}'
  steps.push({field: -1, kind: kinds.none, prefix: joined(pending, textOctets(close + tail))})
  return steps
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

/** What `_ipfix` begins with in a record inside a list: nothing of the Message. */
export function nestedText({templateMembers}: JsonPlan): Uint8Array {
  return templateMembers === '' ? NOTHING : textOctets(`,"_ipfix":{${templateMembers}`)
}

const NOTHING = new Uint8Array(0)

/** The exporter is part of a record only if it is one; names of files depend on who reads them. */
function isNetworkAddress(exporter: string | undefined): exporter is string {
  return exporter !== undefined && /^(?:\d+(?:\.\d+){3}|\[[0-9a-f:.]+\]):\d+$/.test(exporter)
}
