import {recordEnd, recordStart, type RecordBatch, type RecordStage} from '../record/batch.js'
import {VARIABLE} from '../record/element.js'
import {makeColumnReader} from '../record/group-reader.js'
import type {StageLedger} from '../record/ledger.js'
import {createOctetWriter, append, extend, type OctetWriter} from '../record/octet-writer.js'
import {numberReader, readerOf, valueReader} from '../record/readers.js'
import {createTemplate, type Template} from '../record/template.js'
import {ie} from '../registry/elements.js'
import {endColumn, startColumn} from '../registry/flow-columns.js'
import {endsReader, type Ends, type EndsReader, type NatMappings} from './nat-mappings.js'

interface Process {
  readonly id: number
  readonly name: string
  /** How it is known: `used` or `open`. */
  readonly attribution: string
}

/** A flow of which the user is known. Times are milliseconds since 1970. */
interface KnownFlow {
  startMs: number
  endMs: number
  readonly userId: number
  readonly userName: string
  /** Where one is known. */
  process?: Process
}

/** Users of flows by addresses, ports, protocol and time. */
export interface UserFlows {
  /** How many flows are known. */
  readonly size: number
  /** Takes flows of `user-map --processes`; records without a user are left out. */
  learn(batch: RecordBatch): void
  /** Whoever had the flow from this end between these times; why not, if nobody. */
  find(ends: Ends, from: 'source' | 'dest', startMs: number, endMs: number): KnownFlow | Missing
}

/** Why a flow has no user: no such flow is known, or only at other times. */
type Missing = 'no-user-flow' | 'other-time'

/**
 * Users with the same addresses and ports at different times are told apart; clocks and the meter's and the kernel's
 * notion of a flow's first packet may differ by `slackMs`.
 */
export function createUserFlows(slackMs: number): UserFlows {
  const flows = new Map<string, KnownFlow[]>()
  const readers = new Map<Template, {ends: EndsReader; take: (b: RecordBatch, i: number) => void}>()
  let size = 0
  const key = ({source, dest, protocol}: Ends): string => protocol + source + dest
  const takerOf = (template: Template): {take: (b: RecordBatch, i: number) => void} => {
    const known = readers.get(template)
    if (known !== undefined) return known
    const ends = endsReader(template)
    const userId = readerOf(template, ie.dartaUserId, numberReader)
    const userName = readerOf(template, ie.userName, valueReader)
    const processId = readerOf(template, ie.dartaProcessId, numberReader)
    const processName = readerOf(template, ie.dartaProcessName, valueReader)
    const attribution = readerOf(template, ie.dartaProcessAttribution, valueReader)
    const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
    const processOf = (batch: RecordBatch, i: number): Process | undefined => {
      const id = processId?.(batch, i) ?? 0
      if (id === 0) return undefined
      // Records without an attribution are of a time when none was told.
      return {
        id,
        name: textOf(processName?.(batch, i)),
        attribution: textOf(attribution?.(batch, i)),
      }
    }
    const start = makeColumnReader(startColumn, template)
    const end = makeColumnReader(endColumn, template)
    const taker = {
      ends,
      take(batch: RecordBatch, i: number): void {
        const of = ends(batch, i)
        if (of === undefined || userId === undefined) return
        const id = userId(batch, i)
        const name = userName?.(batch, i)
        const flow: KnownFlow = {
          startMs: start?.(batch, i) ?? 0,
          endMs: end?.(batch, i) ?? Infinity,
          userId: id,
          userName: typeof name === 'string' ? name : String(id),
          process: processOf(batch, i),
        }
        const ports = key(of)
        const list = flows.get(ports)
        // A long flow is reported again and again.
        const same = list?.find((f) => f.userId === id && f.startMs === flow.startMs)
        if (same !== undefined) {
          same.endMs = Math.max(same.endMs, flow.endMs)
          // What the kernel notes later is better than a guess; a process that is gone was it all the same.
          same.process = flow.process ?? same.process
        } else {
          size++
          if (list === undefined) flows.set(ports, [flow])
          else list.push(flow)
        }
      },
    }
    readers.set(template, taker)
    return taker
  }
  return {
    get size() {
      return size
    },
    learn(batch) {
      const {take} = takerOf(batch.template)
      for (let i = 0; i < batch.count; i++) take(batch, i)
    },
    find(ends, from, startMs, endMs) {
      const list = flows.get(
        from === 'source'
          ? key(ends)
          : key({source: ends.dest, dest: ends.source, protocol: ends.protocol}),
      )
      if (list === undefined) return 'no-user-flow'
      let best: KnownFlow | undefined
      let most = -Infinity
      for (const flow of list) {
        const overlap = Math.min(flow.endMs, endMs) - Math.max(flow.startMs, startMs)
        if (overlap < -slackMs || overlap <= most) continue
        most = overlap
        best = flow
      }
      return best ?? 'other-time'
    },
  }
}

/** Elements that a record gets: of the user at the one local end, or of both, and of a process where one is known. */
const addedForUser = [
  [
    {element: ie.userName, length: VARIABLE},
    {element: ie.dartaUserId, length: 4},
  ],
  [
    {element: ie.dartaPeerUserName, length: VARIABLE},
    {element: ie.dartaPeerUserId, length: 4},
  ],
]
const addedForProcess = [
  [
    {element: ie.dartaProcessId, length: 4},
    {element: ie.dartaProcessName, length: VARIABLE},
    {element: ie.dartaProcessAttribution, length: VARIABLE},
  ],
  [
    {element: ie.dartaPeerProcessId, length: 4},
    {element: ie.dartaPeerProcessName, length: VARIABLE},
    {element: ie.dartaPeerProcessAttribution, length: VARIABLE},
  ],
]

/** What records get: a letter for each end, `p` with a process, `u` without; nothing if there is no user. */
const kindOf = (found: readonly KnownFlow[]): string =>
  found.map(({process}) => (process === undefined ? 'u' : 'p')).join('')

interface Tagger {
  readonly ends: EndsReader
  readonly start: ReturnType<typeof makeColumnReader>
  readonly end: ReturnType<typeof makeColumnReader>
  /** By what a record gets (`kindOf`). */
  readonly templateOf: (kind: string) => Template
}

const utf8 = new TextEncoder()

/**
 * Puts the user behind records of flows: `userName` and `dartaUserId` of the end that is this host's, or of the source
 * where both are, and then those of the destination as `dartaPeerUserName` and `dartaPeerUserId`; where the process is
 * known, that and how it is known. Records without a user pass as they are, and are noted by reason.
 *
 * @param nat what a translator between this host and whoever made the records did to addresses; records keep theirs
 */
export function mapUsers(
  flows: () => UserFlows,
  account: StageLedger,
  nat?: NatMappings,
): RecordStage {
  const taggers = new Map<Template, Tagger>()
  const taggerOf = (template: Template): Tagger => {
    let tagger = taggers.get(template)
    if (tagger === undefined) {
      const {id, fields} = template
      const templates = new Map([['', template]])
      tagger = {
        ends: endsReader(template),
        start: makeColumnReader(startColumn, template),
        end: makeColumnReader(endColumn, template),
        templateOf(kind) {
          let tagged = templates.get(kind)
          if (tagged === undefined) {
            const added = [...kind].flatMap((one, i) => [
              ...addedForUser[i],
              ...(one === 'p' ? addedForProcess[i] : []),
            ])
            tagged = createTemplate(id, [...fields, ...added])
            templates.set(kind, tagged)
          }
          return tagged
        },
      }
      taggers.set(template, tagger)
    }
    return tagger
  }
  return async function* (source, {signal}) {
    for await (const batches of source) {
      signal.throwIfAborted()
      yield batches.flatMap((batch) => {
        account.in += batch.count
        account.out += batch.count
        if (batch.template.scopeCount > 0) return [batch]
        return tagBatch(batch, taggerOf(batch.template), flows(), account, nat)
      })
    }
  }
}

/** Of variable length, in one octet. RFC 7011 section 7. */
function appendText(writer: OctetWriter, text: string): void {
  const octets = utf8.encode(text).subarray(0, 254)
  // The buffer may be another one after it has grown.
  const length = extend(writer, 1)
  writer.octets[length] = octets.length
  append(writer, octets)
}

function appendNumber(writer: OctetWriter, number: number): void {
  const at = extend(writer, 4)
  writer.view.setUint32(at, number)
}

function tagBatch(
  batch: RecordBatch,
  {ends, start, end, templateOf}: Tagger,
  flows: UserFlows,
  account: StageLedger,
  nat: NatMappings | undefined,
): RecordBatch[] {
  const out: RecordBatch[] = []
  let kind = ''
  let writer = createOctetWriter()
  let offsets: number[] = []
  const put = (): void => {
    if (offsets.length === 0) return
    const octets = writer.octets.slice(0, writer.length)
    const template = templateOf(kind)
    out.push({
      ...batch,
      template,
      octets,
      view: new DataView(octets.buffer),
      start: 0,
      count: offsets.length,
      offsets:
        template.recordOctets > 0 ? undefined : Uint32Array.from([...offsets, octets.length]),
    })
    writer = createOctetWriter()
    offsets = []
  }
  for (let i = 0; i < batch.count; i++) {
    const of = ends(batch, i)
    const from = start?.(batch, i) ?? end?.(batch, i) ?? batch.message.exportTime * 1000
    const to = end?.(batch, i) ?? from
    const found: KnownFlow[] = []
    let why: Missing | 'no-addresses' = 'no-addresses'
    if (of !== undefined) {
      const look = (ends: Ends): void => {
        const ours = flows.find(ends, 'source', from, to)
        const theirs = flows.find(ends, 'dest', from, to)
        if (typeof ours === 'object') found.push(ours)
        if (typeof theirs === 'object') found.push(theirs)
        why = ours === 'other-time' || theirs === 'other-time' ? 'other-time' : 'no-user-flow'
      }
      look(of)
      const inside = found.length === 0 ? nat?.inside(of, from, to) : undefined
      if (inside !== undefined) {
        look(inside)
        if (found.length > 0) account.note('by-nat')
      }
    }
    if (found.length === 0) account.note(why)
    // Order is kept: a batch goes on as long as its records get as much.
    const gets = kindOf(found)
    if (gets !== kind) put()
    kind = gets
    offsets.push(writer.length)
    append(writer, batch.octets.subarray(recordStart(batch, i), recordEnd(batch, i)))
    for (const {userName, userId, process} of found) {
      appendText(writer, userName)
      appendNumber(writer, userId)
      if (process === undefined) continue
      appendNumber(writer, process.id)
      appendText(writer, process.name)
      appendText(writer, process.attribution)
    }
  }
  put()
  return out
}
