import {recordStart, type RecordBatch} from '../../record/batch.js'
import {DartaError} from '../../record/errors.js'
import type {EncodeContext, Encoder} from '../../record/format.js'
import {kernels} from '../../record/kernels.js'
import {createTextBuffer, putText, reserve, takeChunks} from './buffer.js'
import type {JsonPlan} from './json-plan.js'
import {
  createJsonRecordWriter,
  messageSteps,
  messageText,
  type MessageMembers,
} from './json-record.js'
import {createKernelRunner} from './kernel-runner.js'
import {createNamedTemplates} from './named-templates.js'
import {MAX_LINE_OCTETS} from './object-decoder.js'
import {compileProgram} from './program.js'

const NOTHING = new Uint8Array(0)

/** `_ipfix` as it begins in the records of one Template, and of which Message that is. */
interface CachedMessage {
  exportTime: number
  observationDomainId: number
  sequenceNumber: number
  exporter: string | undefined
  named: boolean
  text: Uint8Array
}

/** Writes records as JSON objects: one a line, or as the items of one array. */
export function createObjectEncoder(
  {ledger, options, argument}: EncodeContext,
  form: 'ndjson' | 'json',
): Encoder {
  const which = messageMembers(form, argument)
  const bare = which === 'bare'
  const account = ledger.stage(`${form}-write`, 'records')
  const bigint = options.bigint === 'string' ? 'string' : 'number'
  const writer = createJsonRecordWriter(bigint, !bare)
  const names = createNamedTemplates()
  const out = createTextBuffer()
  const messages = new WeakMap<JsonPlan, CachedMessage>()
  // Programs hold the Exporter, of which a Template may have several.
  const keys = new WeakMap<JsonPlan, Map<string, object>>()
  const runner = kernels.text && createKernelRunner(kernels.text, out, plain)
  const lead = form === 'json' ? ',\n' : ''
  const tail = form === 'json' ? '' : '\n'
  let any = false

  /** What `_ipfix` has of the Message. A Template that others name by its ID keeps it. */
  function membersOf(batch: RecordBatch): MessageMembers {
    const all = which === 'all'
    return {sequenceNumber: all, templateId: all || names.has(batch)}
  }

  function ipfix(plan: JsonPlan, batch: RecordBatch): Uint8Array {
    if (bare) return NOTHING
    const {message} = batch
    const {exportTime, observationDomainId, sequenceNumber, exporter} = message
    const members = membersOf(batch)
    const cached = messages.get(plan)
    if (
      cached?.exportTime === exportTime &&
      cached.observationDomainId === observationDomainId &&
      cached.exporter === exporter &&
      cached.named === members.templateId &&
      (!members.sequenceNumber || cached.sequenceNumber === sequenceNumber)
    ) {
      return cached.text
    }
    const text = messageText(plan, message, members)
    const named = members.templateId
    messages.set(plan, {exportTime, observationDomainId, sequenceNumber, exporter, named, text})
    return text
  }

  /** Writes one record without the kernel. */
  function plain(batch: RecordBatch, index: number): void {
    const plan = writer.plan(batch.template)
    const text = ipfix(plan, batch)
    const start = recordStart(batch, index)
    const limit = batch.octets.length
    if (form === 'json') putText(out, any ? lead : '[\n')
    any = true
    const from = out.at - out.begin
    writer.write(out, plan, batch, start, limit, text, 'structure')
    if (out.at - out.begin - from > MAX_LINE_OCTETS && plan.hasLists) {
      // Structure takes more room than octets; a line has to stay readable.
      out.at = out.begin + from
      writer.write(out, plan, batch, start, limit, text, 'octets')
    }
    reserve(out, 1)
    if (form === 'ndjson') out.octets[out.at++] = 10
    out.begin = out.at
  }

  /** Same for all batches that one program can write. */
  function programKey(plan: JsonPlan, batch: RecordBatch): object {
    let own = keys.get(plan)
    if (own === undefined) keys.set(plan, (own = new Map<string, object>()))
    const {exporter = ''} = batch.message
    const name = bare ? '' : `${membersOf(batch).templateId ? 1 : 0}${exporter}`
    let key = own.get(name)
    if (key === undefined) {
      if (own.size >= 256) own.clear()
      own.set(name, (key = {}))
    }
    return key
  }

  function write(batch: RecordBatch): void {
    if (batch.count === 0) return
    account.in += batch.count
    account.out += batch.count
    if (which === 'lasting') names.note(batch)
    let index = 0
    if (runner !== undefined) {
      let rest: RecordBatch = batch
      if (form === 'json' && !any) {
        // What opens the array is no part of any program.
        plain(batch, index++)
        rest = behindFirst(batch)
      }
      const plan = writer.plan(batch.template)
      const compile = (): Uint32Array | undefined =>
        compileProgram(
          batch.template,
          messageSteps(plan, batch.message, bare ? undefined : membersOf(batch), lead, tail),
          {form: 'json', bigint, watch: !bare},
        )
      if (rest.count === 0 || runner.add(rest, programKey(plan, batch), compile)) return
    }
    for (; index < batch.count; index++) plain(batch, index)
  }

  return {
    push(batches) {
      for (const batch of batches) write(batch)
      runner?.flush()
      return takeChunks(out, false)
    },
    flush: () => takeChunks(out, true),
    end() {
      if (form === 'json') {
        putText(out, any ? '\n]\n' : '[]\n')
        out.begin = out.at
      }
      return takeChunks(out, true)
    },
  }
}

/** All records but the first. */
function behindFirst(batch: RecordBatch): RecordBatch {
  const count = batch.count - 1
  return {
    ...batch,
    count,
    start: count > 0 ? recordStart(batch, 1) : batch.start,
    offsets: batch.offsets?.subarray(1),
  }
}

/** @throws DartaError DARTA_USAGE */
function messageMembers(form: string, argument: string | undefined): 'lasting' | 'all' | 'bare' {
  if (argument === undefined || argument === '') return 'lasting'
  if (argument === 'all' || argument === 'bare') return argument
  throw new DartaError(
    'DARTA_USAGE',
    `-o ${form}:${argument}: expected ${form}, ${form}:all or ${form}:bare`,
  )
}
