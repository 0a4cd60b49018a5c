import {
  fieldSpan,
  keepRecords,
  recordEnd,
  recordStart,
  type MessageContext,
  type RecordBatch,
} from '../../record/batch.js'
import {PAN_SPAN} from '../../record/crypto-pan-kernel.js'
import {
  fullLength,
  isList,
  unknownElement,
  VARIABLE,
  type InformationElement,
} from '../../record/element.js'
import {fromNtp, toNtp} from '../../record/value.js'
import type {StageLedger} from '../../record/ledger.js'
import {MAX_LIST_DEPTH} from '../../record/lists.js'
import type {Template} from '../../record/template.js'
import {namesNothing, optionsRecords} from './options-records.js'
import {maskAddresses} from './mask-text.js'
import {isAddress, type Method, type Policy} from './policy.js'
import type {CryptoPan} from './crypto-pan.js'

export interface AnonymizerOptions {
  readonly policy: Policy
  /** Absent where the policy has no use for it. */
  readonly cryptoPan: CryptoPan | undefined
  /** Added to the export times of Messages, seconds. */
  readonly exportShift: number
  /** Whether Options Records say what was done to what. RFC 6235 section 6. */
  readonly describe: boolean
  readonly ledger: StageLedger
}

/** Replaces values by others, in copies of the records. Nothing about a record's size changes. */
export interface Anonymizer {
  run(batches: readonly RecordBatch[]): RecordBatch[]
}

/** Changes the `length` octets at `at`. */
type Change = (octets: Uint8Array, view: DataView, at: number, length: number) => void

interface FieldPlan {
  readonly field: number
  /** −1: behind a field of variable length. */
  readonly offset: number
  readonly length: number
  /** Undefined: a list. */
  readonly change: Change | undefined
  /** The kernel permutes it: a whole address in a fixed place of records of one size. */
  readonly native: boolean
  /** Its value must not be that of an address that the record had. */
  readonly checked: boolean
}

interface Plan {
  readonly fields: readonly FieldPlan[]
  /** Those that the kernel does not change. */
  readonly plain: readonly FieldPlan[]
  readonly checked: readonly FieldPlan[]
}

const MAX_PLANS = 4096

export function createAnonymizer(options: AnonymizerOptions): Anonymizer {
  const {policy, cryptoPan, ledger} = options
  const kernel = cryptoPan?.kernel
  let spans = new Uint32Array(PAN_SPAN * 1024)
  let words = 0
  /** Batches that are changed but for what the kernel does to them. */
  let waiting: {batch: RecordBatch; plan: Plan; message: MessageContext; readable: number[]}[] = []
  const plans = new Map<Template, Plan>()
  const changes = new Map<InformationElement, Change | undefined>()
  const described = new Set<string>()
  const messages = new WeakMap<MessageContext, MessageContext>()
  let source: Uint8Array | undefined
  let octets: Uint8Array = new Uint8Array(0)
  let view = new DataView(octets.buffer)
  /** How far the copy of the source has been changed: batches come in order and do not overlap. */
  let done = 0

  function changeOf(element: InformationElement): Change | undefined {
    if (!changes.has(element)) {
      if (changes.size >= 65536) changes.clear()
      changes.set(element, makeChange(element, policy(element), cryptoPan))
    }
    return changes.get(element)
  }

  function planOf(template: Template): Plan {
    let plan = plans.get(template)
    if (plan === undefined) {
      const fields = template.fields.flatMap(({element, offset, length}, field): FieldPlan[] => {
        const place = {field, offset: length === VARIABLE ? -1 : offset, length}
        if (isList(element.type)) {
          return [{...place, change: undefined, native: false, checked: false}]
        }
        const change = changeOf(element)
        if (change === undefined) return []
        const {kind} = policy(element)
        // What is cut short may have been short already.
        const checked = isAddress(element) && (kind === 'crypto-pan' || kind === 'black')
        const native =
          kind === 'crypto-pan' &&
          kernel !== undefined &&
          template.recordOctets > 0 &&
          length === fullLength(element.type)
        return [{...place, change, native, checked}]
      })
      plan = {
        fields,
        plain: fields.filter(({native}) => !native),
        checked: fields.filter(({checked}) => checked),
      }
      if (plans.size >= MAX_PLANS) plans.clear()
      plans.set(template, plan)
    }
    return plan
  }

  function messageOf(message: MessageContext): MessageContext {
    let shifted = messages.get(message)
    if (shifted === undefined) {
      const {exportTime} = message
      // Where it came from is an address.
      shifted = {
        ...message,
        exporter: undefined,
        exportTime: exportTime === 0 ? 0 : (exportTime + options.exportShift) >>> 0,
      }
      messages.set(message, shifted)
    }
    return shifted
  }

  function changeList(
    batch: RecordBatch,
    type: string,
    start: number,
    end: number,
    depth: number,
  ): boolean {
    if (depth > MAX_LIST_DEPTH) return false
    if (type === 'basicList') {
      if (end - start < 5) return start === end
      let id = view.getUint16(start + 1)
      const length = view.getUint16(start + 3)
      let at = start + 5
      let pen = 0
      if (id & 0x8000) {
        if (end - at < 4) return false
        id &= 0x7fff
        pen = view.getUint32(at)
        at += 4
      }
      const element = batch.elements?.get(pen, id) ?? unknownElement(pen, id)
      while (at < end) {
        const before = at
        at = changeValue(batch, element, length, at, end, depth)
        if (at < 0 || at === before) return false
      }
      return true
    }
    if (type === 'subTemplateList') {
      if (end - start < 3) return start === end
      return changeRecords(batch, view.getUint16(start + 1), start + 3, end, depth)
    }
    let at = start + 1
    while (at < end) {
      if (end - at < 4) return false
      const length = view.getUint16(at + 2)
      if (length < 4 || at + length > end) return false
      if (!changeRecords(batch, view.getUint16(at), at + 4, at + length, depth)) return false
      at += length
    }
    return true
  }

  function changeRecords(
    batch: RecordBatch,
    templateId: number,
    start: number,
    end: number,
    depth: number,
  ): boolean {
    if (start === end) return true
    const template = batch.templates?.get(templateId)
    if (template === undefined || template.minimumOctets === 0) return false
    for (let at = start; at < end;) {
      for (const {element, length} of template.fields) {
        at = changeValue(batch, element, length, at, end, depth)
        if (at < 0) return false
      }
    }
    return true
  }

  /** Changes one value inside a list; returns the octet behind it, or −1 where it does not fit. */
  function changeValue(
    batch: RecordBatch,
    element: InformationElement,
    encoded: number,
    from: number,
    end: number,
    depth: number,
  ): number {
    let at = from
    let length = encoded
    if (length === VARIABLE) {
      if (at >= end) return -1
      length = octets[at++]
      if (length === 255) {
        if (end - at < 2) return -1
        length = view.getUint16(at)
        at += 2
      }
    }
    if (at + length > end) return -1
    if (isList(element.type)) {
      if (!changeList(batch, element.type, at, at + length, depth + 1)) return -1
    } else changeOf(element)?.(octets, view, at, length)
    return at + length
  }

  /** Whether record `index`, as it is now, has an address in a checked field that it had before. */
  function leaks(batch: RecordBatch, index: number, checked: readonly FieldPlan[]): boolean {
    const begin = recordStart(batch, index)
    for (const own of checked) {
      const now = own.offset >= 0 ? begin + own.offset : fieldSpan(batch, index, own.field).start
      const length = own.offset >= 0 ? own.length : fieldSpan(batch, index, own.field).length
      if (length < 4) continue
      const word = view.getUint32(now)
      for (const other of checked) {
        if (other.length !== own.length) continue
        const was =
          other.offset >= 0 ? begin + other.offset : fieldSpan(batch, index, other.field).start
        // Nearly always the first word tells.
        if (batch.view.getUint32(was) !== word) continue
        if (isSame(batch.octets, was, now, length)) return true
      }
    }
    return false
  }

  /** Zeros say nothing of anyone. */
  function isSame(before: Uint8Array, was: number, now: number, length: number): boolean {
    let zeros = true
    for (let i = 0; i < length; i++) {
      if (octets[now + i] !== before[was + i]) return false
      if (octets[now + i] !== 0) zeros = false
    }
    return !zeros
  }

  function anonymize(batch: RecordBatch, out: RecordBatch[]): void {
    const {template, count} = batch
    ledger.in += count
    if (batch.octets !== source || batch.start < done) {
      settle(out)
      source = batch.octets
      octets = batch.octets.slice()
      view = new DataView(octets.buffer)
    }
    done = recordEnd(batch, count - 1)
    const plan = planOf(template)
    const readable: number[] = []
    if (plan.plain.length > 0) {
      for (let i = 0; i < count; i++) if (change(batch, i, plan.plain)) readable.push(i)
    }
    for (const {native, offset, length} of plan.fields) {
      if (native) span(batch, offset, length)
    }
    waiting.push({batch, plan, message: messageOf(batch.message), readable})
  }

  function span({start, count, template}: RecordBatch, offset: number, length: number): void {
    if (words === spans.length) {
      const longer = new Uint32Array(2 * spans.length)
      longer.set(spans)
      spans = longer
    }
    spans[words] = start
    spans[words + 1] = count
    spans[words + 2] = template.recordOctets
    spans[words + 3] = offset
    spans[words + 4] = length
    words += PAN_SPAN
  }

  /** Finishes what waits for the kernel, and looks whether an address is left. */
  function settle(out: RecordBatch[]): void {
    if (words > 0) kernel!.run(octets, spans, words)
    words = 0
    for (const {batch, plan, message, readable} of waiting) {
      if (options.describe) describe(batch, message, out)
      const {count} = batch
      const unread = plan.plain.length > 0 ? count - readable.length : 0
      const kept: number[] = []
      let all = unread === 0
      for (let i = 0, k = 0; i < count; i++) {
        if (unread > 0) {
          if (readable[k] !== i) continue
          k++
        }
        if (leaks(batch, i, plan.checked)) {
          ledger.lose('address-left', 1, batch.message.offset)
          all = false
        } else kept.push(i)
      }
      if (kept.length === 0) continue
      const changed: RecordBatch = {...batch, octets, view, message}
      ledger.out += kept.length
      out.push(all ? changed : keepRecords(changed, kept))
    }
    waiting = []
  }

  /** Changes a record; false: it cannot go out. */
  function change(batch: RecordBatch, index: number, fields: readonly FieldPlan[]): boolean {
    const begin = recordStart(batch, index)
    for (const {field, offset, length, change: apply} of fields) {
      if (apply !== undefined && offset >= 0) {
        apply(octets, view, begin + offset, length)
        continue
      }
      const place = fieldSpan(batch, index, field)
      if (apply !== undefined) {
        apply(octets, view, place.start, place.length)
        continue
      }
      const {type} = batch.template.fields[field].element
      if (!changeList(batch, type, place.start, place.start + place.length, 1)) {
        // What cannot be read cannot be changed.
        ledger.lose('unreadable-list', 1, batch.message.offset)
        return false
      }
    }
    return true
  }

  function describe(batch: RecordBatch, message: MessageContext, out: RecordBatch[]): void {
    const {template} = batch
    const key = `${message.observationDomainId}|${template.layout}`
    if (namesNothing(template) || described.has(key)) return
    if (described.size >= 16 * MAX_PLANS) described.clear()
    described.add(key)
    out.push(...optionsRecords(template, policy, message))
  }

  return {
    run(batches) {
      const out: RecordBatch[] = []
      for (const batch of batches) if (batch.count > 0) anonymize(batch, out)
      settle(out)
      return out
    },
  }
}

/** Undefined: the value stays. */
function makeChange(
  element: InformationElement,
  method: Method,
  cryptoPan: CryptoPan | undefined,
): Change | undefined {
  const {type} = element
  const text = type === 'string'
  const black: Change = (octets, _, at, length) => {
    octets.fill(text ? 120 : 0, at, at + length)
  }
  switch (method.kind) {
    case 'keep':
      return undefined
    case 'black':
      return black
    case 'crypto-pan': {
      const pan = cryptoPan!
      if (type === 'ipv4Address') {
        return (octets, view, at, length) => {
          if (length === 4) view.setUint32(at, pan.ipv4(view.getUint32(at)))
          else black(octets, view, at, length)
        }
      }
      if (type === 'ipv6Address') {
        return (octets, view, at, length) => {
          if (length === 16) pan.ipv6(view, at)
          else black(octets, view, at, length)
        }
      }
      return (octets, view, at, length) => {
        if (length === 6) pan.mac(view, at)
        else black(octets, view, at, length)
      }
    }
    case 'truncate': {
      const {bits} = method
      return (octets, _, at, length) => {
        for (let i = 0; i < length; i++) {
          const left = bits - 8 * i
          if (left <= 0) octets[at + i] = 0
          else if (left < 8) octets[at + i] &= 0xff << (8 - left)
        }
      }
    }
    case 'bin':
      return (octets, _, at, length) => {
        let port = 0
        for (let i = 0; i < length; i++) port = 256 * port + octets[at + i]
        const least = port < 1024 ? 0 : port < 49152 ? 1024 : 49152
        for (let i = 0; i < length; i++) {
          octets[at + i] = (least / 256 ** (length - 1 - i)) & 255
        }
      }
    case 'mask-text':
      return (octets, _, at, length) => {
        maskAddresses(octets, at, at + length)
      }
    case 'shift':
      return timeChange(element, (ms) => ms + BigInt(method.ms) * 1_000_000n)
    case 'precision': {
      const step = BigInt(method.ms) * 1_000_000n
      return timeChange(element, (ns) => (step === 0n ? ns : ns - (ns % step)))
    }
  }
}

/** `of` takes and gives nanoseconds since 1970; times before 1970 become 1970. */
function timeChange(element: InformationElement, of: (ns: bigint) => bigint): Change {
  const positive = (ns: bigint): bigint => (ns < 0n ? 0n : ns)
  switch (element.type) {
    case 'dateTimeSeconds':
      return (_, view, at, length) => {
        if (length !== 4) return
        const ns = positive(of(BigInt(view.getUint32(at)) * 1_000_000_000n))
        view.setUint32(at, Number((ns / 1_000_000_000n) & 0xffffffffn))
      }
    case 'dateTimeMilliseconds':
      return (_, view, at, length) => {
        if (length !== 8) return
        view.setBigUint64(at, positive(of(view.getBigUint64(at) * 1_000_000n)) / 1_000_000n)
      }
    case 'dateTimeMicroseconds':
    case 'dateTimeNanoseconds': {
      const per = element.type === 'dateTimeMicroseconds' ? 1_000_000n : 1_000_000_000n
      const scale = 1_000_000_000n / per
      return (_, view, at, length) => {
        if (length !== 8) return
        const units = fromNtp(view.getUint32(at), view.getUint32(at + 4), per)
        const [seconds, fraction] = toNtp(positive(of(units * scale)) / scale, per)
        view.setUint32(at, seconds)
        view.setUint32(at + 4, fraction)
      }
    }
    default:
      return () => {}
  }
}
