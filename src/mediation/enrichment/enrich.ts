import {fieldSpan, recordEnd, recordStart, type RecordBatch} from '../../record/batch.js'
import {TAIL_STEP} from '../../record/append-tails.js'
import {fullLength, VARIABLE, type InformationElement} from '../../record/element.js'
import {kernels} from '../../record/kernels.js'
import type {StageLedger} from '../../record/ledger.js'
import {append, createOctetWriter} from '../../record/octet-writer.js'
import type {Reader} from '../../record/readers.js'
import {
  createTemplate,
  fieldIndex,
  type FieldSpecifier,
  type Template,
} from '../../record/template.js'
import {ipv6Text} from '../../record/value.js'
import {ie} from '../../registry/elements.js'
import {textField, type Attribute} from './attribute.js'
import type {InterfaceNames} from './interface-names.js'

/** An address: of IPv4 as a number, of IPv6 as text. */
export type HostKey = number | string

/** Names of hosts, of which more may come with time. */
export interface HostNames {
  /** Asks for the name of an address unless an answer is known or on its way. */
  want(key: HostKey): void
  /** Resolves when all that was wanted since the last time is answered, or was waited for long enough. */
  settle(): Promise<void>
  /** The field with the name of an address; an empty one if none is known. */
  field(key: HostKey): Uint8Array
}

export interface EnrichOptions {
  readonly attributes: readonly Attribute[]
  readonly hostNames?: HostNames
  readonly interfaceNames?: InterfaceNames
  readonly account: StageLedger
}

/** Puts into records what is known of their addresses and interfaces. */
export interface Enricher {
  run(batches: readonly RecordBatch[]): Promise<RecordBatch[]>
  /** Other tables in the place of those so far; what they told is forgotten. */
  replace(attributes: readonly Attribute[]): void
}

type Side = 0 | 1

/** Slots of the memory of addresses, of each version; an address has one slot. */
const SLOT_BITS = 18
const SLOTS = 1 << SLOT_BITS
/** Octets of different tails that are remembered. */
const MAX_TAILS = 1 << 26
const MAX_TEMPLATES = 4096

/** What records of one Template get. */
interface Plan {
  /** With the fields behind; undefined: they get none. */
  readonly template: Template | undefined
  readonly v4: readonly [source: number, destination: number]
  readonly v6: readonly [source: number, destination: number]
  /** Tails by address, for each side. */
  readonly tails: readonly [source: Tails, destination: Tails]
  /** AS numbers that the Template has and that are 0 in some records. */
  readonly fills: readonly Fill[]
  readonly hosts: readonly Side[]
  readonly interfaces: readonly Reader<string>[]
}

/** A batch that is to be made. */
interface Draft {
  readonly plan: Plan
  readonly template: Template
  /** Where it begins in what is written. */
  readonly start: number
  readonly offsets: Uint32Array | undefined
}

/** A field that is there already, which may say 0 for unknown. */
interface Fill {
  readonly field: number
  readonly side: Side
  readonly attribute: Attribute
  /** Which of the attribute's fields. */
  readonly part: number
}

/** Remembers which octets records get for an address. */
interface Tails {
  readonly of4: (address: number) => number
  readonly of6: (words: Uint32Array) => number
}

const sides = [
  [ie.sourceIPv4Address, ie.sourceIPv6Address],
  [ie.destinationIPv4Address, ie.destinationIPv6Address],
] as const
const hostFields = [ie.dartaSourceHostName, ie.dartaDestinationHostName] as const
const interfaceFields = [
  ['ingress', ie.dartaIngressInterfaceName],
  ['egress', ie.dartaEgressInterfaceName],
] as const

/**
 * What a record has already stays, but an AS number of 0, which says that it is unknown. Options Records pass as they are.
 *
 *     record | of the source | of the destination | names of hosts | names of interfaces
 */
export function createEnricher(options: EnrichOptions): Enricher {
  const {hostNames, interfaceNames, account} = options
  let {attributes} = options
  let plans = new Map<Template, Plan>()
  let tailsByParts = new Map<string, Tails>()
  /** Every different tail once, one behind the other. */
  let arena = createOctetWriter(1 << 16)
  let starts: number[] = []
  let lengths: number[] = []
  let byOctets = new Map<string, number>()
  let byText = new Map<string, number>()
  /** Tails in which something is known. */
  let telling: boolean[] = []
  let program = new Uint32Array(TAIL_STEP * 1024)
  const words = new Uint32Array(4)

  function forget(): void {
    plans = new Map()
    tailsByParts = new Map()
    arena = createOctetWriter(1 << 16)
    starts = []
    lengths = []
    byOctets = new Map()
    byText = new Map()
    telling = []
  }

  /** The number of a tail. */
  function tailOf(octets: Uint8Array, tells: boolean): number {
    const key = String.fromCharCode(...octets)
    let tail = byOctets.get(key)
    if (tail === undefined) {
      tail = starts.push(arena.length) - 1
      lengths.push(octets.length)
      telling.push(tells)
      append(arena, octets)
      byOctets.set(key, tail)
    }
    return tail
  }

  function textTail(text: string): number {
    let tail = byText.get(text)
    if (tail === undefined) {
      tail = tailOf(textField(text), text !== '')
      byText.set(text, tail)
    }
    return tail
  }

  /** @param parts attributes by place, and which of their fields */
  function tailsOf(parts: readonly (readonly [attribute: number, part: number])[]): Tails {
    const key = parts.join()
    const known = tailsByParts.get(key)
    if (known !== undefined) return known
    const used = [...new Set(parts.map(([attribute]) => attribute))]
    const byFound = new Map<string | number, number>()
    const make = (found: readonly number[]): number => {
      const foundKey = found.length === 1 ? found[0] : found.join()
      let tail = byFound.get(foundKey)
      if (tail === undefined) {
        const octets = createOctetWriter(64)
        for (const [attribute, part] of parts) {
          append(octets, attributes[attribute].octets(found[used.indexOf(attribute)])[part])
        }
        tail = tailOf(
          octets.octets.slice(0, octets.length),
          found.some((one) => one >= 0),
        )
        byFound.set(foundKey, tail)
      }
      return tail
    }
    const made: Tails = {
      of4: remember4((address) => make(used.map((a) => attributes[a].find4(address)))),
      of6: remember6((address) => make(used.map((a) => attributes[a].find6(address)))),
    }
    tailsByParts.set(key, made)
    return made
  }

  function makePlan(template: Template): Plan {
    const [source, destination] = sides.map((elements) =>
      elements.map((element) => addressField(template, element)),
    )
    const added: FieldSpecifier[][] = [[], [], [], []]
    const parts: [attribute: number, part: number][][] = [[], []]
    const fills: Fill[] = []
    for (const side of [0, 1] as const) {
      if ((side === 0 ? source : destination).every((field) => field < 0)) continue
      for (const [a, attribute] of attributes.entries()) {
        for (const [part, fields] of attribute.fields.entries()) {
          const field = fieldIndex(template, fields[side].element)
          if (field < 0) {
            added[side].push(fields[side])
            parts[side].push([a, part])
          } else if (fields[side].element.type === 'unsigned32') {
            fills.push({field, side, attribute, part})
          }
        }
      }
    }
    const hosts = ([0, 1] as const).filter(
      (side) =>
        hostNames !== undefined &&
        (side === 0 ? source : destination).some((field) => field >= 0) &&
        fieldIndex(template, hostFields[side]) < 0,
    )
    added[2] = hosts.map((side) => ({element: hostFields[side], length: VARIABLE}))
    const interfaces: Reader<string>[] = []
    for (const [way, element] of interfaceFields) {
      const reader = interfaceNames?.reader(template, way)
      if (reader === undefined || fieldIndex(template, element) >= 0) continue
      interfaces.push(reader)
      added[3].push({element, length: VARIABLE})
    }
    const behind = added.flat()
    return {
      template:
        behind.length === 0
          ? undefined
          : createTemplate(template.id, [...template.fields, ...behind], template.scopeCount),
      v4: [source[0], destination[0]],
      v6: [source[1], destination[1]],
      tails: [tailsOf(parts[0]), tailsOf(parts[1])],
      fills,
      hosts,
      interfaces,
    }
  }

  function planOf(template: Template): Plan {
    let plan = plans.get(template)
    if (plan === undefined) {
      if (plans.size >= MAX_TEMPLATES) plans.clear()
      plan = makePlan(template)
      plans.set(template, plan)
    }
    return plan
  }

  /** Reads the address of one side: IPv6 into `words`, then it is undefined; where both are there, the one that is not 0. */
  function addressReader(batch: RecordBatch, plan: Plan, side: Side): Reader<number | undefined> {
    const {template, start, view} = batch
    const {recordOctets: size} = template
    if (plan.v4[side] >= 0 && plan.v6[side] < 0 && size > 0) {
      // The usual case: one address, at a fixed place.
      const from = start + template.fields[plan.v4[side]].offset
      return (_batch, index) => view.getUint32(from + index * size)
    }
    const four = plan.v4[side] < 0 ? undefined : placeReader(template, plan.v4[side])
    const six = plan.v6[side] < 0 ? undefined : placeReader(template, plan.v6[side])
    return (_batch, index) => {
      if (four !== undefined) {
        const address = batch.view.getUint32(four(batch, index))
        if (address !== 0 || six === undefined) return address
      }
      if (six === undefined) return 0
      const at = six(batch, index)
      for (let w = 0; w < 4; w++) words[w] = batch.view.getUint32(at + 4 * w)
      return undefined
    }
  }

  const hostKey = (read: Reader<number | undefined>, batch: RecordBatch, i: number): HostKey =>
    read(batch, i) ?? textOfWords(words)

  function ask(batches: readonly RecordBatch[]): void {
    for (const batch of batches) {
      if (batch.template.scopeCount > 0) continue
      const plan = planOf(batch.template)
      for (const side of plan.hosts) {
        const read = addressReader(batch, plan, side)
        for (let i = 0; i < batch.count; i++) hostNames!.want(hostKey(read, batch, i))
      }
    }
  }

  /** Batches over the same octets, `from` to before `to`: what they get is copied behind their records in one go. */
  function enrich(batches: readonly RecordBatch[], from: number, to: number): RecordBatch[] {
    const drafts: (Draft | undefined)[] = []
    let at = 0
    let size = 0
    for (let b = from; b < to; b++) {
      const batch = batches[b]
      const {count} = batch
      account.in += count
      account.out += count
      const learned = interfaceNames?.learn(batch)
      const plan =
        batch.template.scopeCount > 0 || learned === true ? undefined : planOf(batch.template)
      if (plan === undefined || (plan.template === undefined && plan.fills.length === 0)) {
        if (plan !== undefined) account.note('nothing-to-add', count)
        drafts.push(undefined)
        continue
      }
      const template = plan.template ?? batch.template
      const offsets = template.recordOctets > 0 ? undefined : new Uint32Array(count + 1)
      drafts.push({plan, template, start: size, offsets})
      ;[at, size] = planSteps(batch, plan, offsets, at, size)
    }
    if (at === 0) return batches.slice(from, to)
    const octets = new Uint8Array(size)
    const view = new DataView(octets.buffer)
    const {octets: source} = batches[from]
    kernels.appendTails(source, program, at / TAIL_STEP, arena.octets, octets, 0)
    return drafts.map((draft, i) => {
      const batch = batches[from + i]
      if (draft === undefined) return batch
      const {plan, template, start, offsets} = draft
      const made = {...batch, template, octets, view, start, offsets}
      for (const fill of plan.fills) fillIn(made, batch, plan, fill)
      return made
    })
  }

  /** Puts the steps that make a batch into the program from `at` on. @returns where it and what is written go on */
  function planSteps(
    batch: RecordBatch,
    plan: Plan,
    offsets: Uint32Array | undefined,
    at: number,
    size: number,
  ): [at: number, size: number] {
    const {count} = batch
    const {tails, hosts, interfaces} = plan
    const readers = [addressReader(batch, plan, 0), addressReader(batch, plan, 1)]
    const most = at + TAIL_STEP * (2 + hosts.length + interfaces.length) * count
    if (program.length < most) {
      const longer = new Uint32Array(2 * most)
      longer.set(program)
      program = longer
    }
    const [readSource, readDestination] = readers
    const [tails0, tails1] = tails
    const steps = program
    let unknown = 0
    const behind = (tail: number): void => {
      steps[at] = 0
      steps[at + 1] = 0
      steps[at + 2] = 1
      steps[at + 3] = starts[tail]
      steps[at + 4] = lengths[tail]
      at += TAIL_STEP
      size += lengths[tail]
    }
    const more = hosts.length > 0 || interfaces.length > 0
    const {recordOctets} = batch.template
    for (let i = 0; i < count; i++) {
      if (offsets !== undefined) offsets[i] = size
      const source = readSource(batch, i)
      const first = source === undefined ? tails0.of6(words) : tails0.of4(source)
      const destination = readDestination(batch, i)
      const second = destination === undefined ? tails1.of6(words) : tails1.of4(destination)
      const begin = recordOctets > 0 ? batch.start + i * recordOctets : recordStart(batch, i)
      const octets = recordOctets > 0 ? recordOctets : recordEnd(batch, i) - begin
      // The record and what belongs to its source, then what belongs to its destination.
      steps[at] = begin
      steps[at + 1] = octets
      steps[at + 2] = 1
      steps[at + 3] = starts[first]
      steps[at + 4] = lengths[first]
      steps[at + 5] = 0
      steps[at + 6] = 0
      steps[at + 7] = 1
      steps[at + 8] = starts[second]
      steps[at + 9] = lengths[second]
      at += 2 * TAIL_STEP
      size += octets + lengths[first] + lengths[second]
      let tells = telling[first] || telling[second]
      if (more) {
        for (const side of hosts) {
          const tail = tailOf(hostNames!.field(hostKey(readers[side], batch, i)), true)
          behind(tail)
          tells ||= lengths[tail] > 1
        }
        for (const read of interfaces) {
          const tail = textTail(read(batch, i))
          behind(tail)
          tells ||= telling[tail]
        }
      }
      if (!tells) unknown++
    }
    if (offsets !== undefined) offsets[count] = size
    if (unknown > 0) account.note('nothing-known', unknown)
    return [at, size]
  }

  /** Where the field says 0, what is known of the address takes its place. */
  function fillIn(made: RecordBatch, batch: RecordBatch, plan: Plan, fill: Fill): void {
    const {field, side, attribute, part} = fill
    const read = addressReader(batch, plan, side)
    const {offset, length: fixed} = made.template.fields[field]
    const spanOf = (i: number): {start: number; length: number} =>
      offset >= 0 && fixed !== VARIABLE
        ? {start: recordStart(made, i) + offset, length: fixed}
        : fieldSpan(made, i, field)
    for (let i = 0; i < made.count; i++) {
      const {start, length} = spanOf(i)
      let at = start
      while (at < start + length && made.octets[at] === 0) at++
      if (at < start + length) continue
      const address = read(batch, i)
      const found = address === undefined ? attribute.find6(words) : attribute.find4(address)
      if (found < 0) continue
      const octets = attribute.octets(found)[part]
      const beyond = octets.length - length
      // A field of two octets has no room for the greater ones.
      if (beyond > 0 && octets.subarray(0, beyond).some((octet) => octet !== 0)) {
        account.note('as-too-great')
        continue
      }
      made.octets.set(octets.subarray(Math.max(0, beyond)), start + Math.max(0, -beyond))
    }
  }

  return {
    async run(batches) {
      // What tails are remembered is bounded; between two runs nobody holds their numbers.
      if (arena.length > MAX_TAILS) forget()
      if (hostNames !== undefined) {
        ask(batches)
        await hostNames.settle()
      }
      const made: RecordBatch[] = []
      for (let from = 0; from < batches.length;) {
        let to = from + 1
        while (to < batches.length && batches[to].octets === batches[from].octets) to++
        made.push(...enrich(batches, from, to))
        from = to
      }
      return made
    },
    replace(others) {
      attributes = others
      forget()
    },
  }
}

/** The field with an address, which has all its octets. */
function addressField(template: Template, element: InformationElement): number {
  const field = fieldIndex(template, element)
  return field >= 0 && template.fields[field].length === fullLength(element.type) ? field : -1
}

/** Where a field of a record begins. */
function placeReader(template: Template, field: number): Reader<number> {
  const {offset} = template.fields[field]
  return offset >= 0
    ? (batch, index) => recordStart(batch, index) + offset
    : (batch, index) => fieldSpan(batch, index, field).start
}

function textOfWords(words: Uint32Array): string {
  const octets = new Uint8Array(16)
  const view = new DataView(octets.buffer)
  for (let w = 0; w < 4; w++) view.setUint32(4 * w, words[w])
  return ipv6Text(octets, 0)
}

/** Remembers the last answer for each slot of addresses. */
function remember4(find: (address: number) => number): (address: number) => number {
  // Address and answer side by side: most of the time goes into fetching them. 0: no answer, else one more than it.
  const known = new Uint32Array(2 * SLOTS)
  return (address) => {
    const at = 2 * (Math.imul(address, 0x9e3779b1) >>> (32 - SLOT_BITS))
    if (known[at] === address && known[at + 1] !== 0) return known[at + 1] - 1
    const answer = find(address)
    known[at] = address
    known[at + 1] = answer + 1
    return answer
  }
}

function remember6(find: (words: Uint32Array) => number): (words: Uint32Array) => number {
  // Made when they are needed: most streams have IPv4 only.
  let keys: Uint32Array | undefined
  let found: Int32Array | undefined
  return (words) => {
    keys ??= new Uint32Array(4 * SLOTS)
    found ??= new Int32Array(SLOTS).fill(-1)
    const mixed = words[0] ^ Math.imul(words[1], 31) ^ Math.imul(words[2], 1021) ^ words[3]
    const slot = Math.imul(mixed, 0x9e3779b1) >>> (32 - SLOT_BITS)
    const at = 4 * slot
    const same =
      keys[at] === words[0] &&
      keys[at + 1] === words[1] &&
      keys[at + 2] === words[2] &&
      keys[at + 3] === words[3]
    if (same && found[slot] >= 0) return found[slot]
    const answer = find(words)
    keys.set(words, at)
    found[slot] = answer
    return answer
  }
}
