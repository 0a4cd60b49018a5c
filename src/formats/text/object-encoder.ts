import {recordStart, type MessageContext, type RecordBatch} from '../../record/batch.js'
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
import {MAX_LINE_OCTETS} from './object-decoder.js'
import {compileProgram} from './program.js'

const NOTHING = new Uint8Array(0)

/** `_ipfix` as it begins in the records of one Template, and of which Message that is. */
interface CachedMessage {
  exportTime: number
  observationDomainId: number
  sequenceNumber: number
  exporter: string | undefined
  text: Uint8Array
}

/** Writes records as JSON objects: one a line, or as the items of one array. */
export function createObjectEncoder(
  {ledger, options, argument}: EncodeContext,
  form: 'ndjson' | 'json',
): Encoder {
  const members = messageMembers(form, argument)
  const account = ledger.stage(`${form}-write`, 'records')
  const bigint = options.bigint === 'string' ? 'string' : 'number'
  const writer = createJsonRecordWriter(bigint, members !== 'none')
  const out = createTextBuffer()
  const messages = new WeakMap<JsonPlan, CachedMessage>()
  // Programs hold the Exporter, which Messages of one Template may come from several of.
  const keys = new WeakMap<JsonPlan, Map<string | undefined, object>>()
  const runner = kernels.text && createKernelRunner(kernels.text, out, plain)
  const lead = form === 'json' ? ',\n' : ''
  const tail = form === 'json' ? '' : '\n'
  let any = false

  function ipfix(plan: JsonPlan, message: MessageContext): Uint8Array {
    if (members === 'none') return NOTHING
    const cached = messages.get(plan)
    if (
      cached?.exportTime === message.exportTime &&
      cached.observationDomainId === message.observationDomainId &&
      cached.exporter === message.exporter &&
      (members === 'lasting' || cached.sequenceNumber === message.sequenceNumber)
    ) {
      return cached.text
    }
    const {exportTime, observationDomainId, sequenceNumber, exporter} = message
    const text = messageText(plan, message, members)
    messages.set(plan, {exportTime, observationDomainId, sequenceNumber, exporter, text})
    return text
  }

  /** Writes one record without the kernel. */
  function plain(batch: RecordBatch, index: number): void {
    const plan = writer.plan(batch.template)
    const text = ipfix(plan, batch.message)
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

  /** Same for all Messages whose records one program can write. */
  function programKey(plan: JsonPlan, {exporter}: MessageContext): object {
    let byExporter = keys.get(plan)
    if (byExporter === undefined)
      keys.set(plan, (byExporter = new Map<string | undefined, object>()))
    const name = members === 'none' ? undefined : exporter
    let key = byExporter.get(name)
    if (key === undefined) {
      if (byExporter.size >= 256) byExporter.clear()
      byExporter.set(name, (key = {}))
    }
    return key
  }

  function write(batch: RecordBatch): void {
    if (batch.count === 0) return
    account.in += batch.count
    account.out += batch.count
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
        compileProgram(batch.template, messageSteps(plan, batch.message, members, lead, tail), {
          form: 'json',
          bigint,
          watch: members !== 'none',
        })
      if (rest.count === 0 || runner.add(rest, programKey(plan, batch.message), compile)) return
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
function messageMembers(form: string, argument: string | undefined): MessageMembers | 'none' {
  if (argument === undefined || argument === '') return 'lasting'
  if (argument === 'all') return 'all'
  if (argument === 'bare') return 'none'
  throw new DartaError(
    'DARTA_USAGE',
    `-o ${form}:${argument}: expected ${form}, ${form}:all or ${form}:bare`,
  )
}
