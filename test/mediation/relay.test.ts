import {join} from 'node:path'
import {createDatagramIntake} from '../../src/commands/collect/datagram-intake.js'
import {openProtocols} from '../../src/commands/collect/protocols.js'
import {readFiles} from '../../src/commands/collect/read-files.js'
import {sampledHeaderReader} from '../../src/commands/collect/sampled-header.js'
import {DATAGRAM_NUMBERS, type DatagramBlock} from '../../src/io/udp-receiver.js'
import {createEncoder} from '../../src/ipfix/encoder.js'
import {createCollectingProcess} from '../../src/ipfix/session.js'
import {createTemplatePool} from '../../src/ipfix/template-store.js'
import {createCollector} from '../../src/mediation/collector.js'
import {createIpfixStream} from '../../src/mediation/ipfix-stream.js'
import {createOrigin} from '../../src/mediation/origin.js'
import {createRelay} from '../../src/mediation/relay.js'
import {createSampling, type Sampling} from '../../src/mediation/sampling.js'
import type {RecordBatch} from '../../src/record/batch.js'
import {Ledger} from '../../src/record/ledger.js'
import {fixtures} from '../ipfix/fixtures.js'
import {addon, native} from '../support/native-addon.js'
import {needing} from '../support/needing.js'
import {createRandom} from '../support/random.js'
import {exportCases} from './exports.js'

interface Arrival {
  readonly from: string
  readonly octets: Uint8Array
  readonly ms: number
}

interface Choices {
  readonly origin?: boolean
  readonly sampling?: Sampling
  readonly ignorePorts?: boolean
  /** Datagrams of a block; 1 to so many. */
  readonly most?: number
  /** Templates of all sessions. */
  readonly maxTemplates?: number
  readonly maxDomains?: number
}

interface Result {
  readonly octets: Buffer
  readonly ledger: readonly string[]
  readonly losses: unknown
  readonly templates: unknown
  /** Datagrams that went the long way. */
  readonly long: number
}

function blockOf(arrivals: readonly Arrival[]): DatagramBlock {
  const octets = new Uint8Array(Buffer.concat(arrivals.map(({octets: one}) => one)))
  const datagrams = new Uint32Array(DATAGRAM_NUMBERS * arrivals.length)
  const bytes = new Uint8Array(datagrams.buffer)
  const baseMs = arrivals[0].ms
  let at = 0
  for (const [i, {from, octets: one, ms}] of arrivals.entries()) {
    const [host, port] = from.split(':')
    const address = Uint8Array.from(host.split('.'), Number)
    // Those of the same address are to meet in one place, as those with the same hash do.
    datagrams.set([at, one.length, 0, address[3], Number(port), 4, ms - baseMs], 11 * i)
    bytes.set(address, 4 * (11 * i + 7))
    at += one.length
  }
  return {octets, datagrams, baseMs}
}

/** What becomes of the datagrams, by the long way alone or with a relay. */
async function collect(
  arrivals: readonly Arrival[],
  relayed: boolean,
  choices: Choices,
): Promise<Result> {
  const ledger = new Ledger()
  const {maxTemplates, maxDomains} = choices
  const origin = choices.origin === false ? undefined : createOrigin()
  const sampling = createSampling(choices.sampling ?? 'auto')
  const kernel = relayed ? addon!.createRelay() : undefined
  let latest = 0
  const relay =
    kernel &&
    createRelay({kernel, origin, sampling, latest: (time) => (latest = Math.max(latest, time))})
  const collector = createCollector({
    protocols: await openProtocols(),
    context: {
      ledger,
      pool: createTemplatePool({maxTemplates, maxDomains}),
      templateLifetime: 0,
      readHeader: sampledHeaderReader(),
    },
    account: () => ledger.stage('datagrams', 'packets'),
    maxSessions: 1024,
    forgetting: (source) => relay?.forget(source),
  })
  const source = collector.source.bind(collector)
  const watched = new WeakSet()
  let long = 0
  collector.source = (...args) => {
    const found = source(...args)
    if (watched.has(found)) return found
    watched.add(found)
    const datagram = found.datagram.bind(found)
    found.datagram = (...rest) => {
      long++
      datagram(...rest)
    }
    return found
  }
  const encoder = createEncoder({ledger})
  const intake = createDatagramIntake({
    collector,
    relay,
    ignorePorts: choices.ignorePorts ?? false,
    decodeAs: new Map(),
    ports: [2055],
  })
  relay?.use(encoder)
  const chunks: Uint8Array[] = []
  const random = createRandom(7)
  for (let i = 0; i < arrivals.length;) {
    const n = 1 + random(choices.most ?? 40)
    const block = blockOf(arrivals.slice(i, i + n))
    const out: Parameters<typeof intake.take>[1] = []
    intake.take(block, out, relay !== undefined)
    for (const {message} of out) latest = Math.max(latest, message.exportTime)
    const batches = sampling.apply(origin?.add(out) ?? out)
    chunks.push(...encoder.push(batches))
    i += n
  }
  const losses = [...collector.reports()].map(({key, protocol, losses: of}) => [
    key,
    protocol,
    [...of],
  ])
  // What the kernel knows of Templates comes back with its lanes.
  relay?.use(undefined)
  const templates = [...collector.reports()].map(({templates: of}) => [...of])
  collector.end()
  chunks.push(...encoder.end())
  kernel?.close()
  const lines = [...ledger.lines(), `octets: ${intake.octets}`, `latest: ${latest}`]
  return {octets: Buffer.concat(chunks), ledger: lines.sort(), losses, templates, long}
}

/** Both ways must come to the same; gives the part of the datagrams that were passed on. */
async function compared(arrivals: readonly Arrival[], choices: Choices = {}): Promise<number> {
  // A session may change what it is given.
  const copies = (): Arrival[] =>
    arrivals.map((one) => ({...one, octets: new Uint8Array(one.octets)}))
  const long = await collect(copies(), false, choices)
  const both = await collect(copies(), true, choices)
  for (const part of ['ledger', 'losses', 'templates'] as const) {
    if (JSON.stringify(both[part]) !== JSON.stringify(long[part])) {
      const text = (of: Result): string => JSON.stringify(of[part], undefined, 1)
      throw new Error(`${part}:\n${text(long)}\nwith a relay:\n${text(both)}`)
    }
  }
  if (!both.octets.equals(long.octets)) {
    const at = both.octets.findIndex((octet, i) => octet !== long.octets[i])
    throw new Error(`octets differ from ${at} of ${long.octets.length}, ${both.octets.length}`)
  }
  return arrivals.length === 0 ? 0 : 1 - both.long / arrivals.length
}

/* Exporters that do whatever an exporter may do. */

interface Field {
  readonly id: number
  readonly length: number
}

const plainFields: readonly Field[] = [
  {id: 8, length: 4},
  {id: 12, length: 4},
  {id: 6, length: 2},
  {id: 6, length: 1},
  {id: 1, length: 8},
  {id: 2, length: 4},
  {id: 152, length: 8},
  {id: 130, length: 4},
  {id: 258, length: 8},
]
const oddFields: readonly Field[] = [
  {id: 82, length: 8},
  {id: 82, length: 65535},
  {id: 34, length: 4},
  {id: 48, length: 1},
  {id: 210, length: 3},
]

type Random = (limit: number) => number

class Exporter {
  readonly from: string
  readonly protocol: 5 | 9 | 10
  readonly domain: number
  readonly #random: Random
  readonly #templates = new Map<number, Field[]>()
  #sequence: number
  #time = 1_700_000_000
  #options = 0

  constructor(from: string, protocol: 5 | 9 | 10, domain: number, random: Random) {
    this.from = from
    this.protocol = protocol
    this.domain = domain
    this.#random = random
    // Some pass 2^32.
    this.#sequence = random(3) === 0 ? 2 ** 32 - 1 - random(200) : random(1000)
    const count = 1 + random(3)
    for (let i = 0; i < count; i++) this.#define(256 + i)
  }

  #define(id: number): void {
    const random = this.#random
    const fields = Array.from({length: 1 + random(5)}, () =>
      random(12) === 0
        ? oddFields[random(oddFields.length)]
        : plainFields[random(plainFields.length)],
    )
    this.#templates.set(
      id,
      this.protocol === 9 ? fields.filter(({length}) => length < 65535) : fields,
    )
    if (this.#templates.get(id)!.length === 0) this.#templates.set(id, [plainFields[0]])
  }

  #word(octets: number[], value: number, length: number): void {
    for (let i = length - 1; i >= 0; i--) octets.push(Math.floor(value / 2 ** (8 * i)) % 256)
  }

  #set(id: number, body: readonly number[]): number[] {
    const set: number[] = []
    const padding = this.#random(4) === 0 ? this.#random(3) : 0
    this.#word(set, id, 2)
    this.#word(set, 4 + body.length + padding, 2)
    set.push(...body, ...new Array<number>(padding).fill(this.#random(40) === 0 ? 1 : 0))
    return set
  }

  #announcement(): number[] {
    const body: number[] = []
    for (const [id, fields] of this.#templates) {
      this.#word(body, id, 2)
      this.#word(body, fields.length, 2)
      for (const {id: element, length} of fields) {
        this.#word(body, element, 2)
        this.#word(body, length, 2)
      }
    }
    const set: number[] = []
    this.#word(set, this.protocol === 9 ? 0 : 2, 2)
    this.#word(set, 4 + body.length, 2)
    return [...set, ...body]
  }

  #record(fields: readonly Field[]): number[] {
    return fields.flatMap(({length}) => {
      const n = length === 65535 ? this.#random(20) : length
      const value = Array.from({length: n}, () => this.#random(256))
      return length === 65535 ? [n, ...value] : value
    })
  }

  /** Tells of a sampler, 1 in `interval`. */
  #samplingOptions(interval: number): number[] {
    const id = 400
    const body: number[] = []
    this.#word(body, id, 2)
    if (this.protocol === 9) for (const n of [4, 4, 1, 4, 34, 4]) this.#word(body, n, 2)
    else for (const n of [2, 1, 149, 4, 34, 4]) this.#word(body, n, 2)
    const sets: number[] = []
    this.#word(sets, this.protocol === 9 ? 1 : 3, 2)
    this.#word(sets, 4 + body.length, 2)
    sets.push(...body)
    this.#word(sets, id, 2)
    this.#word(sets, 12, 2)
    this.#word(sets, this.domain, 4)
    this.#word(sets, interval, 4)
    this.#options++
    return sets
  }

  next(): Uint8Array {
    const random = this.#random
    this.#time += random(6) === 0 ? 1 : 0
    if (random(60) === 0) this.#time -= random(3)
    return Uint8Array.from(this.protocol === 5 ? this.#netflow5() : this.#message())
  }

  #netflow5(): number[] {
    const random = this.#random
    const count = random(15) === 0 ? 0 : 1 + random(30)
    const octets: number[] = []
    this.#word(octets, 5, 2)
    this.#word(octets, random(30) === 0 ? count + random(3) : count, 2)
    this.#word(octets, 60_000 + random(1000), 4)
    this.#word(octets, this.#time, 4)
    this.#word(octets, random(2 ** 30), 4)
    this.#word(octets, this.#sequence, 4)
    this.#word(octets, this.domain, 2)
    this.#word(octets, random(25) === 0 ? random(4) : 0, 2)
    for (let i = 0; i < count * 48; i++) octets.push(random(256))
    if (random(40) === 0) octets.push(...new Array<number>(random(9)).fill(0))
    this.#sequence = (this.#sequence + count) % 2 ** 32
    return octets
  }

  #message(): number[] {
    const random = this.#random
    const sets: number[] = []
    let records = 0
    if (random(9) === 0) sets.push(...this.#announcement())
    if (random(60) === 0) {
      this.#define(256 + random(3))
      if (random(4) > 0) sets.push(...this.#announcement())
    }
    const count = random(20) === 0 ? 0 : 1 + random(4)
    const ids = [...this.#templates.keys()]
    for (let i = 0; i < count; i++) {
      const id = random(80) === 0 ? 300 : ids[random(ids.length)]
      const fields = this.#templates.get(id) ?? [plainFields[0]]
      const n = random(20)
      sets.push(...this.#set(id, Array.from({length: n}, () => this.#record(fields)).flat()))
      records += n
    }
    if (random(50) === 0) sets.push(...this.#announcement())
    if (this.#options < 4 && random(90) === 0) sets.push(...this.#samplingOptions(1 + random(3)))
    const octets: number[] = []
    if (this.protocol === 9) {
      this.#word(octets, 9, 2)
      this.#word(octets, records, 2)
      this.#word(octets, random(90_000), 4)
      this.#word(octets, this.#time, 4)
      this.#word(octets, this.#sequence, 4)
      this.#word(octets, this.domain, 4)
      octets.push(...sets)
      if (random(50) === 0) octets.push(...new Array<number>(random(9)).fill(0))
      this.#sequence = (this.#sequence + 1) % 2 ** 32
    } else {
      this.#word(octets, 10, 2)
      this.#word(octets, 16 + sets.length, 2)
      this.#word(octets, this.#time, 4)
      this.#word(octets, this.#sequence, 4)
      this.#word(octets, this.domain, 4)
      octets.push(...sets)
      this.#sequence = (this.#sequence + records) % 2 ** 32
    }
    return octets
  }
}

/** Datagrams of several exporters, some of them lost, doubled, late or damaged on the way. */
function traffic(seed: number, count: number, damage: number): Arrival[] {
  const random = createRandom(seed)
  const exporters = ([5, 9, 10] as const).flatMap((protocol, i) => [
    new Exporter(`192.0.2.${1 + (seed % 2)}:${2000 + i}`, protocol, 0, random),
    new Exporter(`192.0.2.1:${2000 + (seed % 3)}`, protocol, 7, random),
  ])
  const arrivals: Arrival[] = []
  const late: Arrival[] = []
  let ms = 1_700_000_000_123
  while (arrivals.length < count) {
    const exporter = exporters[random(exporters.length)]
    ms += random(5) === 0 ? random(4) : 0
    const octets = exporter.next()
    const one = {from: exporter.from, octets, ms}
    const fate = random(damage)
    if (fate === 0) continue
    if (fate === 1) late.push(one)
    else arrivals.push(one)
    if (fate === 2) arrivals.push({...one, octets: octets.slice()})
    if (fate === 3) octets[random(octets.length)] = random(256)
    if (fate === 4) arrivals.push({...one, octets: octets.slice(0, random(octets.length))})
    if (fate === 5) {
      const other = exporter.next()
      arrivals.push({...one, octets: Uint8Array.of(...exporter.next(), ...other)})
    }
    if (random(6) === 0 && late.length > 0) arrivals.push({...late.shift()!, ms})
  }
  return arrivals
}

for (const [how, choices] of [
  ['', {}],
  [' without origin', {origin: false}],
  [' with one rate for all', {sampling: 100}],
  [' without making up for sampling', {sampling: 'none'}],
  [' with sessions of an address in common', {ignorePorts: true}],
  [' with room for few Templates', {maxTemplates: 5, maxDomains: 5}],
  [' one datagram at a time', {most: 1}],
] as readonly [string, Choices][]) {
  needing(native)(
    `gives the same octets and accounts as the long way, whatever exporters do${how}`,
    async (t) => {
      let passed = 0
      for (let seed = 1; seed <= 12; seed++) {
        passed += await compared(traffic(seed, 400, seed % 2 === 0 ? 12 : 200), choices)
      }
      // Else little was compared.
      t.log(`${Math.round((100 * passed) / 12)} % passed on`)
      t.true(passed / 12 > (choices.sampling === 100 ? -1 : 0.1))
    },
  )
}

needing(native)('passes on nearly all of what orderly exporters send', async (t) => {
  for (const protocol of [5, 9, 10] as const) {
    const exporter = new Orderly(protocol)
    const arrivals = Array.from({length: 2000}, (_, i) => ({
      from: '192.0.2.1:2000',
      octets: exporter.next(),
      ms: 1_700_000_000_000 + i,
    }))
    const passed = await compared(arrivals)
    t.true(passed > 0.99, `${protocol}: ${passed}`)
  }
})

/** Announces its one Template with every tenth datagram. */
class Orderly {
  readonly #protocol: 5 | 9 | 10
  #sent = 0

  constructor(protocol: 5 | 9 | 10) {
    this.#protocol = protocol
  }

  next(): Uint8Array {
    const n = this.#sent++
    const time = 1_700_000_000 + Math.floor(n / 100)
    if (this.#protocol === 5) {
      const octets = new Uint8Array(24 + 48 * 30).fill(n)
      const view = new DataView(octets.buffer)
      for (const [at, value] of [
        [0, (5 << 16) | 30],
        [4, 60_000],
        [8, time],
        [12, 5_000_000 * (n % 200)],
        [16, 30 * n],
        [20, 0],
      ]) {
        view.setUint32(at, value)
      }
      return octets
    }
    const header = this.#protocol === 9 ? 20 : 16
    const announces = n % 10 === 0
    const octets = new Uint8Array(header + (announces ? 16 : 0) + 4 + 12 * 100).fill(n)
    const view = new DataView(octets.buffer)
    const words =
      this.#protocol === 9
        ? [(9 << 16) | 100, 60_000 + n, time, n, 3]
        : [(10 << 16) | octets.length, time, 100 * n, 3]
    for (const [i, word] of words.entries()) view.setUint32(4 * i, word)
    let at = header
    if (announces) {
      octets.set([0, this.#protocol === 9 ? 0 : 2, 0, 16, 1, 0, 0, 2, 0, 8, 0, 4, 0, 1, 0, 8], at)
      at += 16
    }
    octets.set([1, 0, (4 + 1200) >> 8, (4 + 1200) & 255], at)
    return octets
  }
}

/** What becomes of a stream that comes in chunks. */
function collectStream(octets: Uint8Array, chunk: Random, relayed: boolean): Omit<Result, 'long'> {
  const ledger = new Ledger()
  const origin = createOrigin()
  const sampling = createSampling('auto')
  const kernel = relayed ? addon!.createRelay() : undefined
  const relay = kernel && createRelay({kernel, origin, sampling, latest: () => {}})
  const process = createCollectingProcess({ledger, reliable: true})
  const exporter = {name: '192.0.2.1:4739', address: Uint8Array.of(192, 0, 2, 1), port: 4739}
  const stream = createIpfixStream(process, exporter)
  const encoder = createEncoder({ledger})
  relay?.use(encoder)
  const chunks: Uint8Array[] = []
  const push = (batches: readonly RecordBatch[]): void => {
    chunks.push(...encoder.push(sampling.apply(origin.add(batches))))
  }
  let at = 0
  let ms = 1_700_000_000_000
  while (at < octets.length) {
    const n = 1 + chunk(3000)
    const out: RecordBatch[] = []
    stream.push(octets.slice(at, at + n), ms++, out, relay)
    push(out)
    at += n
  }
  const out: RecordBatch[] = []
  const losses = [...stream.losses()]
  stream.end(out)
  push(out)
  chunks.push(...encoder.end())
  kernel?.close()
  return {
    octets: Buffer.concat(chunks),
    ledger: [...ledger.lines(), String(stream.damagedInRow)],
    losses,
    templates: [],
  }
}

needing(native)('gives the same for a stream of Messages, damaged ones too', (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = createRandom(seed)
    const exporters = [0, 1].map((domain) => new Exporter('', 10, domain, random))
    const messages = Array.from({length: 200}, () => {
      const message = exporters[random(2)].next()
      const fate = random(seed % 2 === 0 ? 30 : 3000)
      if (fate === 0) message[random(message.length)] = random(256)
      if (fate === 1) return message.slice(0, random(message.length))
      return fate === 2 ? new Uint8Array(0) : message
    })
    const octets = new Uint8Array(Buffer.concat(messages))
    const long = collectStream(octets, createRandom(seed), false)
    t.deepEqual(collectStream(octets, createRandom(seed), true), long, `seed ${seed}`)
  }
})

/** The datagrams of an export of the fixtures, as they would come over sockets. */
async function datagramsOf(files: readonly string[]): Promise<Arrival[]> {
  const arrivals: Arrival[] = []
  const protocols = await openProtocols()
  const ledger = new Ledger()
  const pool = createTemplatePool()
  const collector = createCollector({
    protocols,
    context: {ledger, pool, templateLifetime: 0, readHeader: sampledHeaderReader()},
    account: () => ledger.stage('datagrams', 'packets'),
    maxSessions: 1024,
  })
  collector.source = (_, exporter) => ({
    gone: false,
    used: false,
    exporter: exporter(),
    session: undefined,
    datagram(octets, ms = 1_700_000_000_000) {
      const {address, port = 0} = exporter()
      const from = `${address?.length === 4 ? address.join('.') : '192.0.2.9'}:${port}`
      arrivals.push({from, octets: octets.slice(), ms: Math.floor(ms)})
    },
  })
  const {signal} = new AbortController()
  const reader = {stopping: signal, signal, live: false, quiet: true, report: () => {}}
  const streams = () => createCollectingProcess({ledger: new Ledger(), reliable: true, pool})
  const paths = files.map((file) => join(fixtures, file))
  const reading = {
    collector,
    streams,
    ledger,
    decodeAs: new Map<never, never>(),
    ignorePorts: false,
    gone: [],
  }
  for await (const _ of readFiles(reader, paths, reading)) continue
  return arrivals
}

for (const {name, files} of exportCases()) {
  needing(native)(`gives the same for the export ${name}, sent three times`, async (t) => {
    const arrivals = await datagramsOf(files)
    const ordered = [...arrivals].sort((a, b) => a.ms - b.ms)
    t.true((await compared([...ordered, ...ordered, ...ordered])) >= 0)
  })
}

needing(native)('has no lane for datagrams that are too short to have a domain', (t) => {
  const kernel = addon!.createRelay()
  const words = new Uint32Array(15)
  words[8] = 65535
  const spare = new Uint8Array(1 << 20)
  const room = [words, new Uint32Array(2), new Uint8Array(0), spare, new Uint32Array(30)] as const
  const datagrams = blockOf([{from: '192.0.2.1:1', octets: Uint8Array.of(0, 5), ms: 0}]).datagrams
  kernel.source(datagrams[3], 0, 1, Uint8Array.of(192, 0, 2, 1), 0)
  t.is(kernel.datagrams(Uint8Array.of(0, 5), datagrams, 0, 0, ...room), 0)
  t.throws(() => kernel.datagrams(Uint8Array.of(0), datagrams, 0, 0, ...room), {
    instanceOf: TypeError,
  })
  t.throws(() => kernel.lane(Uint32Array.of(0, 6, 0, 0, 0), new Uint8Array(0)), {
    instanceOf: TypeError,
  })
  kernel.close()
  t.throws(() => kernel.drop(0), {instanceOf: TypeError})
})
