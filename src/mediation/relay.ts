import type {IpfixEncoder} from '../ipfix/encoder.js'
import {MIN_DATA_SET_ID, SET_HEADER_OCTETS} from '../ipfix/message.js'
import {restoreSequence, saveSequence, SEQUENCE_WORDS} from '../ipfix/sequence.js'
import type {StoredTemplate} from '../ipfix/template-store.js'
import type {RecordBatch} from '../record/batch.js'
import {readUnsigned} from '../record/readers.js'
import {
  MAX_ANNOUNCEMENT_OCTETS,
  MAX_ANNOUNCEMENTS,
  RELAY_WORD,
  TOUCHED_WORDS,
  type RelayKernel,
  type RelayRoom,
} from '../record/relay-kernel.js'
import type {createOrigin} from './origin.js'
import type {Exporter, PlainSource} from './protocol.js'
import type {createSampling} from './sampling.js'

export interface RelayOptions {
  readonly kernel: RelayKernel
  /** Undefined: records get nothing behind them. */
  readonly origin: ReturnType<typeof createOrigin> | undefined
  readonly sampling: ReturnType<typeof createSampling>
  /** Told the latest export time of what was passed on. */
  readonly latest: (exportTime: number) => void
}

/** A Transport Session as a relay sees it. */
export interface RelaySession {
  /** Set when something of it was passed on. */
  used: boolean
}

/** A datagram's sender, as its block has it. */
export interface RelaySender {
  readonly hash: number
  readonly socket: number
  readonly port: number
  readonly address: Uint8Array
}

/**
 * Passes datagrams and Messages on to an encoder without a look at their records, where nothing about them has to be
 * decided: their Templates are known, they come in order, nothing is held, nothing is sampled. What it leaves goes the long
 * way, after which `learn` sees whether more like it can pass. Both ways give the same octets and the same accounts.
 */
export interface Relay {
  /** Begins to write with this encoder, or ends to do so. */
  use(encoder: IpfixEncoder | undefined): void
  /** Passes datagrams of a receiver's oldest block on; `left`: those that have to be looked at before it goes on. */
  received(receiver: object): Passed & {readonly left: DatagramList | undefined}
  /** Passes datagrams of a block on, from this one; returns the first that was left. `octets`: of those passed on. */
  datagrams(octets: Uint8Array, datagrams: Uint32Array, from: number, baseMs: number): Passed
  /** Passes Messages of a stream on that lie back to back from this octet; returns the first that was left. */
  messages(octets: Uint8Array, from: number, session: RelaySession, receivedMs: number): Passed
  /** The session reads this datagram or Message, the long way. */
  settle(session: RelaySession, octets: Uint8Array): void
  /** Writes what became of it. */
  write(batches: readonly RecordBatch[]): void
  /** The session has read it. */
  learn(
    session: RelaySession,
    exporter: Exporter,
    octets: Uint8Array,
    plain: PlainSource | undefined,
    sender?: RelaySender,
  ): void
  /** The session is over. */
  forget(session: RelaySession): void
}

/** As `DatagramBlock` of src/io/udp-receiver.ts. */
export interface DatagramList {
  readonly octets: Uint8Array
  readonly datagrams: Uint32Array
  readonly baseMs: number
}

export interface Passed {
  readonly next: number
  readonly count: number
  readonly octets: number
}

/** Where the domain is in the headers of protocols, and how long these are. */
const headers: Readonly<
  Record<number, readonly [domainAt: number, domainOctets: number, octets: number]>
> = {
  5: [20, 2, 24],
  9: [16, 4, 20],
  10: [12, 4, 16],
}

/** Numbers of a datagram in its block: see src/io/udp-receiver.ts. */
const DATAGRAM_NUMBERS = 11
const MAX_LANES = 4096
/** Lanes that one call of the kernel may touch. */
const MAX_TOUCHED = 1024
const MAX_MASKED = 4
/** Templates of a lane. */
const MAX_TEMPLATES = 64

/** Number of the lowest bit that is set. */
const ctz = (bits: number): number => 31 - Math.clz32(bits & -bits)

interface Lane {
  readonly number: number
  readonly key: number
  readonly source: PlainSource
  /** Their IDs, in the order in which the kernel has them. */
  readonly templates: number[]
  readonly owner: Owner
  /** The kernel follows its sequence numbers. */
  awake: boolean
  /** Templates that the datagram at hand has announced again, and what `source.events()` was before it. */
  refreshed: StoredTemplate[]
  events: number
  readonly announcements: Announcement[]
}

interface Announcement {
  readonly templates: readonly StoredTemplate[]
  /** Export time of the last Message that had it, when the lane woke up. */
  time: number
}

interface Owner {
  /** What the kernel calls the session; undefined until it has had a lane. */
  number: number | undefined
  readonly session: RelaySession
  readonly lanes: Map<number, Lane>
}

export function createRelay({kernel, origin, sampling, latest}: RelayOptions): Relay {
  const owners = new WeakMap<RelaySession, Owner>()
  const lanes: (Lane | undefined)[] = []
  const words = new Uint32Array(SEQUENCE_WORDS + MAX_ANNOUNCEMENTS)
  const touched = new Uint32Array(TOUCHED_WORDS * MAX_TOUCHED)
  let open = 0
  let sessions = 0
  let changes = sampling.changes
  let encoder: IpfixEncoder | undefined

  /** From here on the session follows the numbers of this lane. */
  function fallAsleep(lane: Lane): void {
    if (!lane.awake) return
    lane.awake = false
    kernel.get(lane.number, words)
    restoreSequence(lane.source.sequence, words)
    for (const [i, announcement] of lane.announcements.entries()) {
      const time = words[SEQUENCE_WORDS + i]
      if (time === announcement.time) continue
      for (const stored of announcement.templates) stored.exportTime = time
    }
  }

  function wakeUp(lane: Lane): void {
    lane.awake = true
    saveSequence(lane.source.sequence, words)
    for (const [i, announcement] of lane.announcements.entries()) {
      announcement.time = announcement.templates[0].exportTime
      words[SEQUENCE_WORDS + i] = announcement.time
    }
    kernel.put(lane.number, words)
  }

  /** Template Sets that were read without a word and changed nothing will do so again, as long as no Template changes. */
  function learnAnnouncement(lane: Lane, octets: Uint8Array): void {
    const {source, refreshed, announcements} = lane
    if (refreshed.length === 0 || source.setsAt === undefined) return
    if (source.events() !== lane.events || announcements.length === MAX_ANNOUNCEMENTS) return
    let first = -1
    let last = -1
    for (let at = source.setsAt; octets.length - at >= SET_HEADER_OCTETS;) {
      const length = readUnsigned(octets, at + 2, 2)
      if (length < SET_HEADER_OCTETS) return
      if (readUnsigned(octets, at, 2) < MIN_DATA_SET_ID) {
        // Those that do not stand together are two announcements.
        if (last >= 0 && last !== at) return
        if (first < 0) first = at
        last = at + length
      }
      at += length
    }
    if (first < 0 || last > octets.length || last - first > MAX_ANNOUNCEMENT_OCTETS) return
    kernel.announce(lane.number, octets.slice(first, last))
    announcements.push({templates: refreshed, time: 0})
    lane.refreshed = []
  }

  function drop(lane: Lane): void {
    if (lanes[lane.number] !== lane) return
    fallAsleep(lane)
    lane.source.watch(undefined)
    lane.owner.lanes.delete(lane.key)
    kernel.drop(lane.number)
    lanes[lane.number] = undefined
    open--
  }

  function dropAll(): void {
    for (const lane of lanes) if (lane !== undefined) drop(lane)
  }

  /** Those datagrams look the same that have the same key; undefined: it is cut short, or several in one. */
  function keyOf(octets: Uint8Array): number | undefined {
    const header = octets.length < 2 || octets[0] !== 0 ? undefined : headers[octets[1]]
    if (header === undefined || octets.length < header[2]) return undefined
    if (octets[1] === 10 && readUnsigned(octets, 2, 2) !== octets.length) return undefined
    return octets[1] * 2 ** 32 + readUnsigned(octets, header[0], header[1])
  }

  function openLane(
    owner: Owner,
    key: number,
    source: PlainSource,
    exporter: Exporter,
    domain: number,
  ): Lane {
    if (open >= MAX_LANES) dropAll()
    const {protocol, word, id} = source
    owner.number ??= sessions++ % 2 ** 28
    const program = Uint32Array.of(owner.number, protocol, word, id, domain)
    const number = kernel.lane(program, exporter.address ?? new Uint8Array(0))
    const lane: Lane = {
      number,
      key,
      source,
      templates: [],
      owner,
      awake: false,
      refreshed: [],
      events: source.events(),
      announcements: [],
    }
    lanes[number] = lane
    owner.lanes.set(key, lane)
    owners.set(owner.session, owner)
    source.watch({changed: () => drop(lane), refreshed: (stored) => lane.refreshed.push(stored)})
    open++
    return lane
  }

  /** What the kernel has to know of a Template: what the encoder calls it and its domain; undefined if it is not plain. */
  function wordsOf(
    source: PlainSource,
    {address}: Exporter,
    id: number,
  ): {domain: number; words: Uint32Array} | undefined {
    const template = source.template(id)
    if (template === undefined) return undefined
    // Whatever comes over a network has a time of receipt.
    const message = {receivedMs: 0, exporterAddress: address, observationDomainId: source.id}
    const extension = origin?.extension(template, message, source.columns)
    const out = extension?.template ?? template
    if (!sampling.leavesAlone(out, message, source.samplingInterval)) return undefined
    const plain = encoder?.plain(out, source.id)
    if (plain === undefined || plain.masked.length > MAX_MASKED) return undefined
    const {masked} = plain
    const parts = extension?.parts ?? 0
    return {
      domain: plain.domain,
      words: Uint32Array.of(id, plain.id, template.recordOctets, parts, masked.length, ...masked),
    }
  }

  /** Makes known to the kernel which Templates the Sets of this datagram have. */
  function widen(
    owner: Owner,
    key: number,
    known: Lane | undefined,
    source: PlainSource,
    exporter: Exporter,
    octets: Uint8Array,
  ): Lane | undefined {
    let lane = known
    const take = (id: number): void => {
      if (lane?.templates.includes(id) || lane?.templates.length === MAX_TEMPLATES) return
      const found = wordsOf(source, exporter, id)
      if (found === undefined) return
      lane ??= openLane(owner, key, source, exporter, found.domain)
      kernel.addTemplate(lane.number, found.words)
      lane.templates.push(id)
    }
    let at = source.setsAt
    if (at === undefined) take(0)
    else {
      while (octets.length - at >= SET_HEADER_OCTETS) {
        const id = readUnsigned(octets, at, 2)
        const length = readUnsigned(octets, at + 2, 2)
        if (length < SET_HEADER_OCTETS) break
        if (id >= MIN_DATA_SET_ID) take(id)
        at += length
      }
    }
    return lane
  }

  /** Books what the entry at `at` of `touched` says; returns its Messages. */
  function book(at: number): number {
    const [number, messages, records, low, high] = touched.subarray(at, at + TOUCHED_WORDS)
    const {owner, source, templates} = lanes[number]!
    owner.session.used = true
    source.count(messages, records)
    for (let bits = low; bits !== 0; bits &= bits - 1) source.use(templates[ctz(bits)])
    for (let bits = high; bits !== 0; bits &= bits - 1) source.use(templates[32 + ctz(bits)])
    return messages
  }

  /** Calls the kernel until it does not end for want of room; `call` says whether there is more. */
  function run(call: (room: RelayRoom) => boolean): Omit<Passed, 'next'> {
    const passed = {count: 0, octets: 0}
    const relay = encoder?.relay
    if (relay === undefined) return passed
    let more = true
    while (more) {
      relay((room) => {
        more = call(room)
        const {words: answer} = room
        latest(answer[RELAY_WORD.latest])
        passed.octets += answer[RELAY_WORD.octets]
        for (let i = 0; i < answer[RELAY_WORD.touched]; i++) passed.count += book(TOUCHED_WORDS * i)
        if (answer[RELAY_WORD.switched] === 0) more = false
      })
    }
    return passed
  }

  return {
    use(next) {
      if (next === encoder) return
      dropAll()
      encoder = next
    },
    received(receiver) {
      let left: ReturnType<RelayKernel['received']>
      const passed = run(({words: room, domains, block, spare}) => {
        left = kernel.received(receiver, room, domains, block, spare, touched)
        return left === undefined
      })
      return {
        ...passed,
        next: 0,
        left: left && {octets: left[0], datagrams: left[1], baseMs: left[2]},
      }
    },
    datagrams(octets, datagrams, from, baseMs) {
      const count = datagrams.length / DATAGRAM_NUMBERS
      let next = from
      if (open === 0) return {next, count: 0, octets: 0}
      const passed = run(({words: room, domains, block, spare}) => {
        next = kernel.datagrams(
          octets,
          datagrams,
          next,
          baseMs,
          room,
          domains,
          block,
          spare,
          touched,
        )
        return next < count
      })
      return {...passed, next}
    },
    messages(octets, from, session, receivedMs) {
      const owner = owners.get(session)
      let next = from
      if (owner?.number === undefined || owner.lanes.size === 0) return {next, count: 0, octets: 0}
      const {number} = owner
      const passed = run(({words: room, domains, block, spare}) => {
        next = kernel.messages(
          octets,
          next,
          number,
          receivedMs,
          room,
          domains,
          block,
          spare,
          touched,
        )
        return next < octets.length
      })
      return {...passed, next}
    },
    settle(session, octets) {
      const owner = owners.get(session)
      if (owner === undefined) return
      const key = keyOf(octets)
      if (key === undefined) for (const lane of owner.lanes.values()) fallAsleep(lane)
      else {
        const lane = owner.lanes.get(key)
        if (lane === undefined) return
        fallAsleep(lane)
        lane.refreshed = []
        lane.events = lane.source.events()
      }
    },
    write(batches) {
      if (batches.length === 0) return
      for (const {message} of batches) latest(message.exportTime)
      encoder?.add(sampling.apply(origin?.add(batches) ?? batches))
      if (changes === sampling.changes) return
      changes = sampling.changes
      dropAll()
    },
    learn(session, exporter, octets, plain, sender) {
      // A session without lanes costs nothing here.
      const owner: Owner = owners.get(session) ?? {number: undefined, session, lanes: new Map()}
      // What was odd about one domain's datagram may have been taken for the others' as well.
      for (const lane of owner.lanes.values()) if (!lane.source.settled()) drop(lane)
      const key = keyOf(octets)
      if (key !== undefined && plain !== undefined) {
        let known = owner.lanes.get(key)
        if (known !== undefined && known.source.word !== plain.word) {
          drop(known)
          known = undefined
        }
        if (known !== undefined) learnAnnouncement(known, octets)
        widen(owner, key, known, known?.source ?? plain, exporter, octets)
      }
      for (const lane of owner.lanes.values()) if (!lane.awake) wakeUp(lane)
      if (sender !== undefined && owner.number !== undefined && owner.lanes.size > 0) {
        const {hash, socket, port, address} = sender
        kernel.source(hash, socket, port, address, owner.number)
      }
    },
    forget(session) {
      const owner = owners.get(session)
      if (owner === undefined) return
      for (const lane of owner.lanes.values()) drop(lane)
    },
  }
}
