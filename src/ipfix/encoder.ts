import {keepRecords, recordEnd, recordStart, type RecordBatch} from '../record/batch.js'
import {isControlBits, isList, REVERSE_PEN, VARIABLE} from '../record/element.js'
import {createRecordBuilder} from '../record/record-writer.js'
import {maskUtf8} from '../record/utf8.js'
import {lacksDirection} from './biflow.js'
import {namesTemplate, walkField, type ListWalk} from './list-templates.js'
import {
  MAX_MESSAGE_OCTETS,
  MESSAGE_HEADER_OCTETS,
  MIN_DATA_SET_ID,
  OPTIONS_TEMPLATE_SET_ID,
  SET_HEADER_OCTETS,
  TEMPLATE_SET_ID,
  writeMessageHeader,
} from './message.js'
import {templateRecordOctets, writeTemplateRecord} from './template-record.js'
import {
  isSameObject,
  mibFieldReader,
  mibFieldTemplate,
  mibFieldValues,
  type MibFieldReader,
} from './mib-fields.js'
import {typeRecordReader, typeRecordValues, typeTemplate} from './type-records.js'
import type {InformationElement} from '../record/element.js'
import type {Encoder} from '../record/format.js'
import type {Ledger} from '../record/ledger.js'
import type {RelayRoom} from '../record/relay-kernel.js'
import {RELAY_WORD, RELAY_WORDS} from '../record/relay-kernel.js'
import type {Template} from '../record/template.js'

export interface EncoderOptions {
  readonly ledger: Ledger
  /** Octets a Message may have, 576..65535; on UDP what the path carries. Default 65535. */
  readonly maxMessageOctets?: number
  /** Each array returned is one Message (UDP); else Messages that lie together come as one array. */
  readonly messagePerArray?: boolean
  /** Seconds of export time after which all Templates are sent again; 0 (default): never. */
  readonly templateRefresh?: number
  /** Gives a buffer of so many octets to build Messages in, for those who can use theirs again; what is in it does not matter. */
  readonly newBlock?: (octets: number) => Uint8Array<ArrayBuffer>
  /** Told of each record, `from` to before `to` of a batch, that no Message takes in. */
  readonly lost?: (batch: RecordBatch, from: number, to: number) => void
  /** Takes back such a buffer, whose last octets are in what `push` or `flush` gives out next. */
  readonly leaveBlock?: (block: Uint8Array<ArrayBuffer>) => void
  /** Templates that the stream which goes on here announced before: they keep their IDs and are not announced again. */
  readonly announced?: readonly {
    readonly observationDomainId: number
    readonly id: number
    readonly template: Template
  }[]
}

/** A Template whose records a kernel may copy: nothing in them is looked at but the octets at `masked`. */
export interface PlainTemplate {
  /** In our Messages. */
  readonly id: number
  /** Number of its Observation Domain in `domains` of a relay kernel. */
  readonly domain: number
  /** Octets of a record of which the upper four bits are cleared. */
  readonly masked: readonly number[]
}

export interface IpfixEncoder extends Encoder {
  /** Takes batches as `push` does; what becomes of them is given out by the next `push` or `flush`. */
  add(batches: readonly RecordBatch[]): void
  /** What a kernel needs to write records of this Template, once they have been announced; undefined if it cannot. */
  plain(template: Template, observationDomainId: number): PlainTemplate | undefined
  /**
   * Lets a kernel go on with the Messages: see src/record/relay-kernel.ts. What `run` returns is returned. Undefined if blocks
   * are too small for one.
   */
  relay: (<T>(run: (room: RelayRoom) => T) => T) | undefined
  /**
   * Sends all Templates of every domain again, in Messages of this export time (seconds since 1970). RFC 7011 section 8.4.
   */
  refreshTemplates(exportTime: number): void
}

/** What is known of a Template of the input. */
interface Outgoing {
  readonly template: Template
  /** The ID it has in our Messages. */
  readonly id: number
  readonly recordOctets: number
  /** Elements that readers may not know by themselves. */
  readonly described: readonly InformationElement[]
  /** Has fields that name Templates. */
  readonly lists: boolean
  readonly directionless: boolean
  readonly types: ReturnType<typeof typeRecordReader>
  readonly mibFields: ReturnType<typeof mibFieldReader>
  /** What has to be said of its fields in the Message that announces it (RFC 8038); undefined: nothing. */
  readonly objects: RecordBatch | undefined
  /** Fields whose octets are looked at on the way out. */
  readonly strings: readonly number[]
  readonly controlBits: readonly number[]
}

interface OutgoingDomain {
  readonly id: number
  /** Its number: `domainWords` has the Data Records in its Messages closed so far, modulo 2^32, and its ID. */
  readonly number: number
  /** By ID, in the order of first use. */
  readonly announced: Map<number, Template>
  refreshedAt: number
}

/** Less is no room for what a kernel may write at once. */
const MIN_RELAY_OCTETS = 1 << 19

/**
 * Encodes batches as IPFIX Messages. RFC 7011 sections 3, 8 and 10.
 *
 * Templates get IDs from 256 on in the order of first use, one for each layout, the same in all Observation
 * Domains. A Template goes ahead of its first record in each domain. Export time and domain are those of the
 * Messages that the records came in, so the same records give the same octets; records with the same ones share Messages. Sequence
 * numbers begin at 0. Records are copied as they are, but for Template IDs in structured data and options, which become
 * ours (RFC 7119), octets of strings that are no UTF-8 (`?`, counted), and the upper four bits of tcpControlBits (0, RFC 9565).
 * Records with reverse elements and no direction are not sent (RFC 5103). Which SNMP objects fields have the values of is said
 * behind each announcement of their Template, in the same Message (RFC 8038 section 5.3).
 */
export function createEncoder(options: EncoderOptions): IpfixEncoder {
  const maxOctets = options.maxMessageOctets ?? MAX_MESSAGE_OCTETS
  const refresh = options.templateRefresh ?? 0
  const ledger = options.ledger.stage('ipfix-write', 'records')
  const blockOctets = Math.max(16 * maxOctets, 65536)

  const outgoing = new WeakMap<Template, Outgoing>()
  const ids = new Map<string, number>()
  const domains = new Map<number, OutgoingDomain>()
  const byNumber: OutgoingDomain[] = []
  let domainWords = new Uint32Array(2 * 16)
  const describedAlready = new Set<string>()
  /** IDs given to Templates that were named, by domain and original ID, but have not come yet. */
  const reserved = new Map<string, number>()
  let nextId = MIN_DATA_SET_ID
  for (const {observationDomainId, id, template} of options.announced ?? []) {
    ids.set(template.layout, id)
    outgoingDomain(observationDomainId).announced.set(id, template)
    nextId = Math.max(nextId, id + 1)
  }

  const newBlock = (): Uint8Array<ArrayBuffer> =>
    options.newBlock?.(blockOctets) ?? new Uint8Array(blockOctets)

  let out: Uint8Array[] = []
  /** Octets in which Messages are built one behind the other; those behind `at` are free. */
  let block = new Uint8Array(0)
  let view = new DataView(block.buffer)
  /** Where the Messages begin that are done but not in `out`. */
  let doneFrom = 0
  let start = 0
  let at = 0
  /** The Message being built; undefined: none. */
  let domain: OutgoingDomain | undefined
  let exportTime = 0
  let count = 0
  /** The Set being built; −1: none. */
  let setStart = -1
  let setId = 0

  function outgoingDomain(id: number): OutgoingDomain {
    let of = domains.get(id)
    if (of === undefined) {
      of = {id, number: byNumber.length, announced: new Map(), refreshedAt: 0}
      domains.set(id, of)
      byNumber.push(of)
      if (domainWords.length < 2 * byNumber.length) {
        const larger = new Uint32Array(2 * domainWords.length)
        larger.set(domainWords)
        domainWords = larger
      }
      domainWords[2 * of.number + 1] = id
    }
    return of
  }

  function layoutId(layout: string, domainId: number, original: number): number {
    let id = ids.get(layout)
    if (id === undefined) {
      const key = `${domainId}/${original}`
      id = reserved.get(key)
      reserved.delete(key)
      if (id === undefined) {
        if (nextId > 65535) return -1
        id = nextId++
      }
      ids.set(layout, id)
    }
    return id
  }

  function outgoingOf(template: Template, domainId: number): Outgoing {
    let known = outgoing.get(template)
    if (known !== undefined) return known
    const {fields} = template
    const indices = (wanted: (field: number) => boolean): number[] =>
      fields.map((_, i) => i).filter(wanted)
    const described = fields.map(({element}) => element).filter(needsTypeRecord)
    // Type records go ahead, so their Template has the lower ID, as it will have in whatever reads this and encodes again.
    if (described.length > 0) outgoingOf(typeTemplate, domainId)
    const id = layoutId(template.layout, domainId, template.id)
    known = {
      template,
      id,
      recordOctets: template.recordOctets,
      described,
      directionless: lacksDirection(template),
      lists: fields.some(({element}) => isList(element.type) || namesTemplate(element)),
      types: typeRecordReader(template),
      mibFields: mibFieldReader(template),
      objects: objectsOf(template, id),
      strings: indices((i) => fields[i].element.type === 'string'),
      controlBits: indices(
        (i) => isControlBits(fields[i].element) && fields[i].length === 2 && fields[i].offset >= 0,
      ),
    }
    outgoing.set(template, known)
    return known
  }

  function closeSet(): void {
    if (setStart < 0) return
    view.setUint16(setStart, setId)
    view.setUint16(setStart + 2, at - setStart)
    setStart = -1
  }

  function closeMessage(): void {
    if (domain === undefined) return
    closeSet()
    writeMessageHeader(view, start, {
      length: at - start,
      exportTime,
      sequenceNumber: domainWords[2 * domain.number],
      observationDomainId: domain.id,
    })
    domainWords[2 * domain.number] += count
    domain = undefined
    count = 0
    if (options.messagePerArray) handOver()
  }

  /** Puts the Messages that are done into `out`. */
  function handOver(): void {
    const to = domain === undefined ? at : start
    if (to > doneFrom) out.push(block.subarray(doneFrom, to))
    doneFrom = to
  }

  function openMessage(of: OutgoingDomain, time: number): void {
    if (block.length - at < maxOctets) {
      handOver()
      if (block.length > 0) options.leaveBlock?.(block)
      block = newBlock()
      view = new DataView(block.buffer)
      at = 0
      doneFrom = 0
    }
    start = at
    at += MESSAGE_HEADER_OCTETS
    domain = of
    exportTime = time
    if (refresh > 0 && of.announced.size > 0 && ((time - of.refreshedAt) | 0) >= refresh) {
      announceAgain(of, time)
    }
  }

  function announceAgain(of: OutgoingDomain, time: number): void {
    of.refreshedAt = time
    for (const [id, template] of of.announced) writeTemplate(of, time, id, template)
  }

  /**
   * Makes sure that a Set of this ID is open and has room for `octets` more.
   *
   * @param behind octets of the same Message for which there has to be room behind them
   * @returns false if no Message has so much room
   */
  function reserve(
    of: OutgoingDomain,
    time: number,
    id: number,
    octets: number,
    behind = 0,
  ): boolean {
    if (MESSAGE_HEADER_OCTETS + SET_HEADER_OCTETS + octets + behind > maxOctets) return false
    if (domain !== undefined && (domain !== of || exportTime !== time)) closeMessage()
    if (domain !== undefined) {
      const header = setStart >= 0 && setId === id ? 0 : SET_HEADER_OCTETS
      if (at + header + octets + behind - start > maxOctets) closeMessage()
    }
    if (domain === undefined) openMessage(of, time)
    if (setStart < 0 || setId !== id) {
      closeSet()
      // Templates sent again may have filled the Message that was just opened.
      if (at + SET_HEADER_OCTETS + octets + behind - start > maxOctets) {
        return reserve(of, time, id, octets, behind)
      }
      setStart = at
      setId = id
      at += SET_HEADER_OCTETS
    }
    return true
  }

  function writeTemplate(
    of: OutgoingDomain,
    time: number,
    id: number,
    template: Template,
  ): boolean {
    const set = template.scopeCount > 0 ? OPTIONS_TEMPLATE_SET_ID : TEMPLATE_SET_ID
    const {objects} = outgoingOf(template, of.id)
    const octets = templateRecordOctets(template)
    if (objects === undefined) {
      if (!reserve(of, time, set, octets)) return false
      at = writeTemplateRecord(view, at, template, id)
      return true
    }
    const options = outgoingOf(mibFieldTemplate, of.id)
    if (options.id < 0) return false
    const optionsOctets = templateRecordOctets(mibFieldTemplate)
    const said = recordEnd(objects, objects.count - 1) - recordStart(objects, 0)
    // All of it, or nothing, goes into one Message.
    const rest = SET_HEADER_OCTETS + optionsOctets + SET_HEADER_OCTETS + said
    if (!reserve(of, time, set, octets, rest)) return false
    at = writeTemplateRecord(view, at, template, id)
    reserve(of, time, OPTIONS_TEMPLATE_SET_ID, optionsOctets)
    at = writeTemplateRecord(view, at, mibFieldTemplate, options.id)
    of.announced.set(options.id, mibFieldTemplate)
    reserve(of, time, options.id, said)
    copy(objects, 0, objects.count, options)
    ledger.note('mib-field-record', objects.count)
    return true
  }

  /** Sends what must go ahead of the records of a Template. @returns false if that is not possible */
  function announce(of: OutgoingDomain, time: number, known: Outgoing): boolean {
    if (known.id < 0) return false
    if (of.announced.has(known.id)) return true
    for (const element of known.described) describe(of, time, element)
    const isFirst = of.announced.size === 0
    if (!writeTemplate(of, time, known.id, known.template)) return false
    if (isFirst) of.refreshedAt = time
    of.announced.set(known.id, known.template)
    return true
  }

  /** Sends the type record of an element once. RFC 5610 section 3. */
  function describe(of: OutgoingDomain, time: number, element: InformationElement): void {
    const key = `${element.enterpriseNumber}/${element.elementId}`
    if (describedAlready.has(key)) return
    describedAlready.add(key)
    const known = outgoingOf(typeTemplate, of.id)
    const builder = createRecordBuilder(typeTemplate)
    builder.add(typeRecordValues(element))
    const batch = builder.take({
      exportTime: time,
      sequenceNumber: 0,
      observationDomainId: of.id,
      offset: 0,
    })
    if (batch === undefined || !announce(of, time, known)) return
    const size = recordEnd(batch, 0) - recordStart(batch, 0)
    if (!reserve(of, time, known.id, size)) return
    copy(batch, 0, 1, known)
    ledger.note('type-record')
  }

  /** Copies records [from, to) into the Set that has been reserved for them. */
  function copy(batch: RecordBatch, from: number, to: number, known: Outgoing): void {
    const first = recordStart(batch, from)
    const octets = recordEnd(batch, to - 1) - first
    block.set(batch.octets.subarray(first, first + octets), at)
    const shift = at - first
    if (known.controlBits.length > 0 || known.strings.length > 0) {
      for (let i = from; i < to; i++) clean(batch, i, known, shift)
    }
    at += octets
    count += to - from
  }

  function clean(batch: RecordBatch, index: number, known: Outgoing, shift: number): void {
    const begin = recordStart(batch, index)
    for (const field of known.controlBits) {
      block[begin + shift + known.template.fields[field].offset] &= 0x0f
    }
    if (known.strings.length === 0) return
    if (known.recordOctets > 0) {
      for (const field of known.strings) {
        const {offset, length} = known.template.fields[field]
        checkString(begin + shift + offset, begin + shift + offset + length)
      }
      return
    }
    const {octets} = batch
    let place = begin
    for (const {element, length} of known.template.fields) {
      let n = length
      if (n === VARIABLE) {
        n = octets[place++]
        if (n === 255) {
          n = (octets[place] << 8) | octets[place + 1]
          place += 2
        }
      }
      if (element.type === 'string') checkString(place + shift, place + shift + n)
      place += n
    }
  }

  /** Ill-formed strings are not sent. RFC 7011 section 6.1.6. */
  function checkString(from: number, to: number): void {
    if (maskUtf8(block, from, to) > 0) ledger.note('ill-formed-string')
  }

  /** Records with structured data, one by one: each Template in it must be announced, and its ID becomes ours. */
  function addWithLists(batch: RecordBatch, of: OutgoingDomain, known: Outgoing): void {
    const time = batch.message.exportTime
    const patches: [at: number, id: number][] = []
    const checks: [element: InformationElement, at: number, octets: number][] = []
    const walk: ListWalk = {
      octets: batch.octets,
      view: batch.view,
      templates: batch.templates,
      elements: batch.elements,
      found: (place, template) => {
        let id: number | undefined
        if (template !== undefined) {
          const inner = outgoingOf(template, of.id)
          if (announce(of, time, inner)) id = inner.id
        }
        patches.push([place, id ?? reservedId(of.id, batch.view.getUint16(place))])
      },
      checked: (element, place, length) => checks.push([element, place, length]),
    }
    for (let i = 0; i < batch.count; i++) {
      const first = recordStart(batch, i)
      const end = recordEnd(batch, i)
      patches.length = 0
      checks.length = 0
      let place = first
      for (const {element, length} of known.template.fields) {
        place = walkField(walk, element, length, place, end)
        if (place < 0) break
      }
      if (!reserve(of, time, known.id, end - first)) {
        ledger.lose('record-too-long')
        options.lost?.(batch, i, i + 1)
        continue
      }
      const shift = at - first
      block.set(batch.octets.subarray(first, end), at)
      at += end - first
      count++
      for (const [where, id] of patches) view.setUint16(where + shift, id)
      for (const [element, where, n] of checks) {
        const from = where + shift
        if (element.type === 'string') checkString(from, from + n)
        else if (n === 2) block[from] &= 0x0f
      }
      ledger.out++
    }
  }

  /** Those of MIB Field Options that do not go out anyway, with the Template that they are about. */
  function unsaidMibFields(
    batch: RecordBatch,
    of: OutgoingDomain,
    read: MibFieldReader,
  ): RecordBatch | undefined {
    if (batch.template.layout !== mibFieldTemplate.layout) return batch
    const others: number[] = []
    for (let i = 0; i < batch.count; i++) {
      const said = read(batch, i)
      const template = said && batch.templates?.get(said.templateId)
      const mib = said && template?.fields[said.field]?.mib
      if (said === undefined || template === undefined || mib === undefined) others.push(i)
      else if (!isSameObject(mib, said.object)) others.push(i)
      else if (!announce(of, batch.message.exportTime, outgoingOf(template, of.id))) others.push(i)
      else ledger.out++
    }
    return others.length === 0 ? undefined : keepRecords(batch, others)
  }

  /** An ID for a Template that has not come: nobody else gets it, and that Template does if it comes. */
  function reservedId(domainId: number, original: number): number {
    const key = `${domainId}/${original}`
    let id = reserved.get(key)
    if (id === undefined) {
      id = nextId <= 65535 ? nextId++ : original
      reserved.set(key, id)
    }
    return id
  }

  function add(batch: RecordBatch): void {
    if (batch.count === 0) return
    ledger.in += batch.count
    const {message} = batch
    const known = outgoingOf(batch.template, message.observationDomainId)
    const of = outgoingDomain(message.observationDomainId)
    if (known.types !== undefined) {
      for (let i = 0; i < batch.count; i++) {
        const element = known.types(batch, i)
        if (element !== undefined) {
          describedAlready.add(`${element.enterpriseNumber}/${element.elementId}`)
        }
      }
    }
    if (known.directionless) {
      ledger.lose('reverse-without-direction', batch.count)
      options.lost?.(batch, 0, batch.count)
      return
    }
    const rest = known.mibFields === undefined ? batch : unsaidMibFields(batch, of, known.mibFields)
    if (rest !== undefined) addAnnounced(rest, of, known)
  }

  function addAnnounced(batch: RecordBatch, of: OutgoingDomain, known: Outgoing): void {
    if (!announce(of, batch.message.exportTime, known)) {
      ledger.lose(known.id < 0 ? 'template-ids' : 'template-too-long', batch.count)
      options.lost?.(batch, 0, batch.count)
      return
    }
    if (known.lists && batch.templates !== undefined) addWithLists(batch, of, known)
    else if (batch.offsets === undefined) addFixed(batch, of, known)
    else addVariable(batch, batch.offsets, of, known)
  }

  function addFixed(batch: RecordBatch, of: OutgoingDomain, known: Outgoing): void {
    const size = known.recordOctets
    for (let i = 0; i < batch.count;) {
      if (!reserve(of, batch.message.exportTime, known.id, size)) {
        ledger.lose('record-too-long', batch.count - i)
        options.lost?.(batch, i, batch.count)
        return
      }
      const room = Math.floor((maxOctets - (at - start)) / size)
      const n = Math.min(room, batch.count - i)
      copy(batch, i, i + n, known)
      ledger.out += n
      i += n
    }
  }

  function addVariable(
    batch: RecordBatch,
    offsets: Uint32Array,
    of: OutgoingDomain,
    known: Outgoing,
  ): void {
    for (let i = 0; i < batch.count;) {
      if (!reserve(of, batch.message.exportTime, known.id, offsets[i + 1] - offsets[i])) {
        ledger.lose('record-too-long')
        options.lost?.(batch, i, i + 1)
        i++
        continue
      }
      const room = maxOctets - (at - start)
      let to = i + 1
      while (to < batch.count && offsets[to + 1] - offsets[i] <= room) to++
      copy(batch, i, to, known)
      ledger.out += to - i
      i = to
    }
  }

  function take(): Uint8Array[] {
    handOver()
    const octets = out
    out = []
    return octets
  }

  const words = new Uint32Array(RELAY_WORDS)
  let spare: Uint8Array<ArrayBuffer> | undefined

  function relay<T>(run: (room: RelayRoom) => T): T {
    const spareBlock = (spare ??= newBlock())
    words[RELAY_WORD.at] = at
    words[RELAY_WORD.start] = start
    words[RELAY_WORD.open] = domain === undefined ? 0 : 1
    words[RELAY_WORD.time] = exportTime
    words[RELAY_WORD.domain] = domain?.number ?? 0
    words[RELAY_WORD.count] = count
    words[RELAY_WORD.set] = Math.max(setStart, 0)
    words[RELAY_WORD.setId] = setId
    words[RELAY_WORD.most] = maxOctets
    const result = run({words, domains: domainWords, block, spare: spareBlock})
    if (words[RELAY_WORD.switched] === 1) {
      const end = words[RELAY_WORD.end]
      if (end > doneFrom) out.push(block.subarray(doneFrom, end))
      if (block.length > 0) options.leaveBlock?.(block)
      block = spareBlock
      view = new DataView(block.buffer)
      spare = undefined
      doneFrom = 0
    }
    at = words[RELAY_WORD.at]
    start = words[RELAY_WORD.start]
    domain = words[RELAY_WORD.open] === 1 ? byNumber[words[RELAY_WORD.domain]] : undefined
    exportTime = words[RELAY_WORD.time]
    count = words[RELAY_WORD.count]
    setStart = words[RELAY_WORD.set] === 0 ? -1 : words[RELAY_WORD.set]
    setId = words[RELAY_WORD.setId]
    ledger.in += words[RELAY_WORD.records]
    ledger.out += words[RELAY_WORD.records]
    return result
  }

  return {
    add(batches) {
      for (const batch of batches) add(batch)
    },
    plain(template, observationDomainId) {
      const known = outgoing.get(template)
      const of = domains.get(observationDomainId)
      if (known === undefined || of?.announced.has(known.id) !== true) return undefined
      const {fields} = template
      const masked = known.controlBits.map((field) => fields[field].offset)
      const options = known.types !== undefined || known.mibFields !== undefined
      const looked = known.lists || known.directionless || options
      if (looked || known.recordOctets === 0 || known.strings.length > 0) return undefined
      return {id: known.id, domain: of.number, masked}
    },
    relay:
      blockOctets >= MIN_RELAY_OCTETS && !options.messagePerArray && refresh === 0
        ? relay
        : undefined,
    push(batches) {
      for (const batch of batches) add(batch)
      return take()
    },
    flush() {
      closeMessage()
      return take()
    },
    end() {
      closeMessage()
      return take()
    },
    refreshTemplates(time) {
      for (const of of domains.values()) announceAgain(of, time)
    },
  }
}

/** Ours, and others' that a type record described. Reverse elements (RFC 5103) are known by their number. */
function needsTypeRecord(element: InformationElement): boolean {
  const pen = element.enterpriseNumber
  return pen !== 0 && pen !== REVERSE_PEN && element.status !== 'unknown'
}

/** What is said of the fields of a Template that is announced under `id`. RFC 8038 section 5.4.3. */
function objectsOf(template: Template, id: number): RecordBatch | undefined {
  const values = mibFieldValues(template, id)
  if (values.length === 0) return undefined
  const builder = createRecordBuilder(mibFieldTemplate)
  for (const one of values) builder.add(one)
  return builder.take({exportTime: 0, sequenceNumber: 0, observationDomainId: 0, offset: 0})
}
