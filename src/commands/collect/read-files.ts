import {detectFormat} from '../../cli/find-format.js'
import {readInputs, type InputReader} from '../../cli/record-input.js'
import type {OpenInput} from '../../io/open-input.js'
import type {CollectingProcess} from '../../ipfix/session.js'
import type {Collector, NamedProtocol} from '../../mediation/collector.js'
import type {Exporter} from '../../mediation/protocol.js'
import {isIpdrConnection} from '../../mediation/ipdr/message.js'
import {createIpfixStream, type IpfixStream} from '../../mediation/ipfix-stream.js'
import type {Losses} from '../../mediation/loss-records.js'
import type {RecordBatch, RecordStream} from '../../record/batch.js'
import {DartaError} from '../../record/errors.js'
import type {Ledger} from '../../record/ledger.js'
import {addressText} from '../../record/value.js'
import {createPayloadReader, type Payload} from './capture-payloads.js'
import {createIpdrStreams, type IpdrStream} from './ipdr-stream.js'

/** What a file of one datagram has at most. */
const DATAGRAM_OCTETS = 65535

export interface FileReading {
  readonly collector: Collector
  /** For files and connections. */
  readonly streams: () => CollectingProcess
  readonly ledger: Ledger
  /** Of `--decode-as`, by port. */
  readonly decodeAs: ReadonlyMap<number, NamedProtocol>
  /** Whether all that comes from one address by UDP is one session, whatever its ports. */
  readonly ignorePorts: boolean
  /** Takes in what sessions that are over have told. */
  readonly gone: Losses[]
}

/**
 * Records of files: captures, IPFIX files, and files of one datagram, which are taken as what one Exporter sends.
 * What is damaged is reported, and reading goes on with the next file.
 */
export async function* readFiles(
  command: InputReader,
  names: readonly string[],
  reading: FileReading,
): RecordStream {
  let octetsBefore = 0
  yield* readInputs(command, names, async function* (input) {
    octetsBefore += yield* readFile(command, input, reading, octetsBefore)
  })
}

/** Returns the octets of the file if it was one datagram. */
async function* readFile(
  command: InputReader,
  input: OpenInput,
  reading: FileReading,
  offset: number,
): AsyncGenerator<readonly RecordBatch[], number> {
  if (input.head.length === 0) return 0
  const kind = await detectFormat(input.head)
  if (kind === 'pcap' || kind === 'pcapng') {
    yield* readCapture(command, input, reading)
    return 0
  }
  if (kind === 'ipdr') {
    yield* readDocument(command, input, reading)
    return 0
  }
  const begin = await readBegin(input)
  const {octets, whole} = begin
  if (whole && !isSeveralMessages(octets)) {
    const protocol = reading.collector.detect(octets)
    if (protocol === undefined) throw unknown(input.name, octets)
    const out: RecordBatch[] = []
    const exporter = {name: input.name, address: undefined}
    const source = reading.collector.source('files', () => exporter)
    source.datagram(octets.slice(), undefined, offset, out)
    if (out.length > 0) yield out
    return octets.length
  }
  if (kind !== 'ipfix') throw unknown(input.name, octets)
  const exporter = {name: input.name, address: undefined}
  const stream = createIpfixStream(reading.streams(), exporter)
  for (let chunk: Uint8Array | undefined = octets; chunk !== undefined;) {
    const out: RecordBatch[] = []
    stream.push(chunk, undefined, out)
    if (out.length > 0) yield out
    chunk = await begin.next()
  }
  const out: RecordBatch[] = []
  reading.gone.push({exporter, protocol: 'ipfix', losses: [...stream.losses()]})
  stream.end(out)
  if (out.length > 0) yield out
  return 0
}

/** Records of an IPDR document. */
async function* readDocument(
  command: InputReader,
  input: OpenInput,
  {ledger}: FileReading,
): RecordStream {
  const {default: ipdr} = await import('../../formats/ipdr.js')
  const decoder = ipdr.decoder({ledger, source: input.name})
  try {
    for (let chunk = await nextChunk(input); chunk !== undefined; chunk = await nextChunk(input)) {
      const batches = decoder.push(chunk)
      if (batches.length > 0) yield batches
    }
  } catch (error) {
    // What was whole before is kept.
    command.report(error)
  }
  const batches = decoder.end()
  if (batches.length > 0) yield batches
}

/** The first octets of an input, and whether they are all; more of them by `next`. */
async function readBegin(input: OpenInput): Promise<{
  octets: Uint8Array
  whole: boolean
  next: () => Promise<Uint8Array | undefined>
}> {
  const chunks: Uint8Array[] = []
  let size = 0
  let ended = false
  while (size <= DATAGRAM_OCTETS) {
    const next = await nextChunk(input)
    if (next === undefined) {
      ended = true
      break
    }
    chunks.push(next)
    size += next.length
  }
  const octets = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)
  return {
    octets,
    whole: ended,
    next: async () => (ended ? undefined : nextChunk(input)),
  }
}

async function nextChunk({octets}: OpenInput): Promise<Uint8Array | undefined> {
  const next: IteratorResult<Uint8Array, unknown> = await octets.next()
  return next.done === true ? undefined : next.value
}

/** Two IPFIX Messages or more: a file of RFC 5655, which is a session of its own. */
function isSeveralMessages(octets: Uint8Array): boolean {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  if (octets.length < 20 || view.getUint16(0) !== 10) return false
  const next = view.getUint16(2)
  return next >= 16 && octets.length - next >= 16 && view.getUint16(next) === 10
}

function unknown(name: string, octets: Uint8Array): DartaError {
  const hex = Buffer.from(octets.subarray(0, 4)).toString('hex')
  return new DartaError(
    'DARTA_FORMAT_UNKNOWN',
    `${name} begins with ${hex}: neither a capture nor an IPFIX file nor a datagram of a protocol that darta knows`,
    0,
  )
}

async function* readCapture(
  command: InputReader,
  input: OpenInput,
  {collector, streams, ledger, decodeAs, ignorePorts, gone}: FileReading,
): RecordStream {
  const account = ledger.stage('capture', 'packets')
  let out: RecordBatch[] = []
  const known = new Set<string>()
  const open = new Map<string, {stream: IpfixStream; exporter: Exporter} | undefined>()
  const ipdr = new Map<string, IpdrStream>()
  let ipdrStreams: ReturnType<typeof createIpdrStreams> | undefined

  function datagram(payload: Payload): void {
    const {octets, sourcePort, destinationPort, timeMs, offset} = payload
    const key = keyOf(payload)
    const forced = decodeAs.get(destinationPort) ?? decodeAs.get(sourcePort)
    if (forced === undefined && !known.has(key)) {
      const found = collector.detect(octets)
      const expected = found !== undefined && isUsual(found, destinationPort)
      if (found === undefined || !(expected || found.protocol.isWhole(octets))) {
        account.out--
        account.skip('not-an-export')
        return
      }
      known.add(key)
    }
    const exporter = (): Exporter => exporterOf(payload)
    const session = ignorePorts ? addressText(payload.source) : key
    collector.source(session, exporter).datagram(octets, timeMs, offset, out, forced)
  }

  function stream(payload: Payload): void {
    const key = keyOf(payload)
    const known = ipdr.get(key)
    if (known !== undefined) {
      known.push(payload.octets, payload.timeMs, out)
      return
    }
    if (!open.has(key)) {
      const {octets} = payload
      if (isIpdrConnection(octets)) {
        ipdrStreams ??= createIpdrStreams(ledger)
        const one = ipdrStreams.open(octets, exporterOf(payload))
        ipdr.set(key, one)
        one.push(octets, payload.timeMs, out)
        return
      }
      const isIpfix = octets.length >= 4 && octets[0] === 0 && octets[1] === 10
      const exporter = exporterOf(payload)
      const stream = isIpfix ? createIpfixStream(streams(), exporter) : undefined
      open.set(key, stream && {stream, exporter})
    }
    const one = open.get(key)
    if (one === undefined) {
      account.out--
      account.skip('other-connection')
    } else {
      one.stream.push(payload.octets, payload.timeMs, out)
    }
  }

  function close(one: {stream: IpfixStream; exporter: Exporter} | undefined): void {
    if (one === undefined) return
    gone.push({exporter: one.exporter, protocol: 'ipfix', losses: [...one.stream.losses()]})
    one.stream.end(out)
  }

  const reader = createPayloadReader(
    {
      datagram,
      stream,
      streamEnd(payload) {
        const key = keyOf(payload)
        close(open.get(key))
        open.delete(key)
        ipdr.get(key)?.end(out)
        ipdr.delete(key)
      },
    },
    account,
  )
  for (;;) {
    let next: IteratorResult<Uint8Array, unknown>
    try {
      next = await input.octets.next()
    } catch (error) {
      command.report(error)
      break
    }
    if (next.done === true) break
    reader.push(next.value)
    if (out.length > 0) yield out
    out = []
  }
  reader.finish()
  for (const one of open.values()) close(one)
  for (const one of ipdr.values()) one.end(out)
  if (out.length > 0) yield out
}

function exporterOf({source, sourcePort}: Payload): Exporter {
  return {name: endpointText(source, sourcePort), address: source, port: sourcePort}
}

function isUsual({protocol}: NamedProtocol, port: number): boolean {
  return port === protocol.port || [2055, 9995, 9996, 4739, 4740, 6343].includes(port)
}

function keyOf({source, sourcePort, destination, destinationPort}: Payload): string {
  return `${endpointText(source, sourcePort)}>${endpointText(destination, destinationPort)}`
}

/** `192.0.2.1:4739`, `[2001:db8::1]:4739` */
export function endpointText(address: Uint8Array, port: number): string {
  const text = addressText(address)
  // Joined, it is one string; added up, it would keep all its parts in memory.
  return [address.length === 4 ? text : `[${text}]`, port].join(':')
}
