import {openProtocols} from '../../src/commands/collect/protocols.js'
import {sampledHeaderReader} from '../../src/commands/collect/sampled-header.js'
import {createTemplatePool, type PoolLimits} from '../../src/ipfix/template-store.js'
import {
  createCollector,
  type Collector,
  type CollectorOptions,
} from '../../src/mediation/collector.js'
import type {DomainLosses} from '../../src/mediation/protocol.js'
import type {RecordBatch} from '../../src/record/batch.js'
import {Ledger, type StageLedger} from '../../src/record/ledger.js'

export interface Collecting {
  readonly collector: Collector
  readonly ledger: Ledger
  readonly out: RecordBatch[]
  /** Records taken so far; `out` is emptied, so that a flood does not stay in memory. */
  readonly records: () => number
  readonly account: (stage: string) => StageLedger
  /** Sends from an address and port; the time is that of receipt. */
  readonly send: (from: string, octets: Uint8Array, ms?: number) => void
  readonly losses: (from: string) => DomainLosses[]
}

/** A Collecting Process with all protocols and no sockets. */
export async function collecting(
  options: Partial<Omit<CollectorOptions, 'protocols' | 'context'>> & {
    readonly pool?: PoolLimits
    readonly templateLifetime?: number
  } = {},
): Promise<Collecting> {
  const ledger = new Ledger()
  const out: RecordBatch[] = []
  const collector = createCollector({
    protocols: await openProtocols(),
    context: {
      ledger,
      pool: createTemplatePool(options.pool),
      templateLifetime: options.templateLifetime ?? 0,
      readHeader: sampledHeaderReader(),
    },
    account: () => ledger.stage('datagrams', 'packets'),
    maxSessions: 1024,
    ...options,
  })
  let sum = 0
  let offset = 0
  function records(): number {
    for (const {count} of out.splice(0)) sum += count
    return sum
  }
  return {
    collector,
    ledger,
    out,
    records,
    account(stage) {
      const found = ledger.stages.find((one) => one.stage === stage)
      if (found === undefined) throw new Error(`no account ${stage}`)
      return found
    },
    send(from, octets, ms = 1_700_000_000_000) {
      const [host, port] = from.split(':')
      const address = Uint8Array.from(host.split('.'), Number)
      collector
        .source(from, () => ({name: from, address, port: Number(port)}))
        .datagram(octets, ms, offset, out)
      offset += octets.length
      if (out.length > 4096) records()
    },
    losses(from) {
      return [...collector.reports()]
        .filter(({exporter}) => exporter.name === from)
        .flatMap(({losses}) => [...losses])
    },
  }
}

/* Datagrams of each protocol, in which only numbers differ. */

export interface Numbered {
  readonly sequence: number
  readonly records?: number
  readonly domain?: number
  /** Seconds since 1970. */
  readonly time?: number
}

function begin(octets: number): [Uint8Array, DataView] {
  const bytes = new Uint8Array(octets)
  return [bytes, new DataView(bytes.buffer)]
}

export function netflow5({
  sequence,
  records = 1,
  domain = 0,
  time = 1_700_000_000,
}: Numbered): Uint8Array {
  const [octets, view] = begin(24 + 48 * records)
  view.setUint16(0, 5)
  view.setUint16(2, records)
  view.setUint32(4, 60_000)
  view.setUint32(8, time)
  view.setUint32(16, sequence)
  view.setUint16(20, domain)
  for (let i = 0; i < records; i++) view.setUint32(24 + 48 * i + 20, 1)
  return octets
}

/** A message of so many octets with its header. RFC 3954 section 5.1. */
function beginNetflow9(
  octets: number,
  count: number,
  {sequence, domain = 0, time = 1_700_000_000}: Numbered,
): [Uint8Array, DataView] {
  const [bytes, view] = begin(octets)
  view.setUint16(0, 9)
  view.setUint16(2, count)
  view.setUint32(8, time)
  view.setUint32(12, sequence)
  view.setUint32(16, domain)
  return [bytes, view]
}

/** Template 256: sourceIPv4Address. */
export function netflow9Template(of: Numbered): Uint8Array {
  const [octets] = beginNetflow9(32, 1, of)
  octets.set([0, 0, 0, 12, 1, 0, 0, 1, 0, 8, 0, 4], 20)
  return octets
}

export function netflow9(of: Numbered): Uint8Array {
  const {records = 1} = of
  const [octets, view] = beginNetflow9(24 + 4 * records, records, of)
  view.setUint16(20, 256)
  view.setUint16(22, 4 + 4 * records)
  return octets
}

/** A Message of so many octets with its header. RFC 7011 section 3.1. */
function beginIpfix(
  octets: number,
  {sequence, domain = 0, time = 1_700_000_000}: Numbered,
): [Uint8Array, DataView] {
  const [bytes, view] = begin(octets)
  view.setUint16(0, 10)
  view.setUint16(2, octets)
  view.setUint32(4, time)
  view.setUint32(8, sequence)
  view.setUint32(12, domain)
  return [bytes, view]
}

export function ipfixTemplate(of: Numbered): Uint8Array {
  const [octets] = beginIpfix(28, of)
  octets.set([0, 2, 0, 12, 1, 0, 0, 1, 0, 8, 0, 4], 16)
  return octets
}

export function ipfix(of: Numbered): Uint8Array {
  const {records = 1} = of
  const [octets, view] = beginIpfix(20 + 4 * records, of)
  view.setUint16(16, 256)
  view.setUint16(18, 4 + 4 * records)
  return octets
}

/** `sample`: the number of its one counter sample; none: no sample. */
export function sflow({
  sequence,
  domain = 0,
  sample,
}: Numbered & {readonly sample?: number}): Uint8Array {
  const [octets, view] = begin(sample === undefined ? 28 : 48)
  view.setUint32(0, 5)
  view.setUint32(4, 1)
  view.setUint32(8, 0xc0000201)
  view.setUint32(12, domain)
  view.setUint32(16, sequence)
  view.setUint32(20, 1000)
  view.setUint32(24, sample === undefined ? 0 : 1)
  if (sample !== undefined) {
    view.setUint32(28, 2)
    view.setUint32(32, 12)
    view.setUint32(36, sample)
    view.setUint32(40, 1)
  }
  return octets
}
