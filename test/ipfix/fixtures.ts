import {spawnSync} from 'node:child_process'
import {existsSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {createDecoder} from '../../src/ipfix/decoder.js'
import {createSession, type SessionObserver} from '../../src/ipfix/session.js'
import {Ledger} from '../../src/record/ledger.js'
import {root} from '../support/needing.js'
import {accounts, type Decoded} from './octets.js'
import type {RecordBatch} from '../../src/record/batch.js'

export const fixtures = join(root, '../shared/fixtures')

/** What `truth.json` says of one case of `exports/`; its tools have the definitions. */
export interface Truth {
  readonly name: string
  readonly files: readonly string[]
  readonly messages: Readonly<Record<string, number>>
  readonly data_records: number
  readonly options_records?: number
  readonly sets_without_template?: number
  readonly withdrawals?: number
  readonly template_announcements: number
  readonly templates: readonly {
    readonly domain: number
    readonly id: number
    readonly kind: 'data' | 'options'
    readonly times: number
    readonly fields: readonly (readonly number[])[]
  }[]
  readonly by_template?: Readonly<Record<string, number>>
  readonly malformed?: readonly string[]
}

/** Cases whose Messages are all IPFIX. */
export function ipfixCases(): Truth[] {
  const file = join(fixtures, 'truth.json')
  if (!existsSync(file)) return []
  const truth = JSON.parse(readFileSync(file, 'utf8')) as {exports: Record<string, Truth>}
  return Object.values(truth.exports).filter(
    ({messages}) => Object.keys(messages).join() === 'ipfix',
  )
}

/** Cases that hold packets need tshark to get at their payload. */
export function needsTshark({files}: Truth): boolean {
  return files.some((file) => file.endsWith('.pcap'))
}

/** Decodes a case as it was sent: files as streams, datagrams one by one and by their sender. */
export function decodeCase(truth: Truth, observer?: SessionObserver): Decoded {
  const ledger = new Ledger()
  const batches: RecordBatch[] = []
  const streams = new Map<string, ReturnType<typeof createDecoder>>()
  const sessions = new Map<string, ReturnType<typeof createSession>>()
  let offset = 0
  for (const {from, octets, stream} of truth.files.flatMap((file) => payloads(file))) {
    if (stream) {
      let decoder = streams.get(from)
      if (decoder === undefined) {
        decoder = createDecoder({ledger, source: from, observer})
        streams.set(from, decoder)
      }
      batches.push(...decoder.push(octets))
    } else {
      let session = sessions.get(from)
      if (session === undefined) {
        session = createSession({ledger, source: from, reliable: false, observer})
        sessions.set(from, session)
      }
      session.datagram(octets, offset, batches)
    }
    offset += octets.length
  }
  for (const decoder of streams.values()) batches.push(...decoder.end())
  for (const session of sessions.values()) session.end()
  return {batches, ...accounts(ledger)}
}

interface Payload {
  readonly from: string
  readonly octets: Uint8Array
  readonly stream: boolean
}

const known = new Map<string, Payload[]>()

export function payloads(file: string): Payload[] {
  let list = known.get(file)
  if (list === undefined) {
    list = readPayloads(file)
    known.set(file, list)
  }
  return list
}

function readPayloads(file: string): Payload[] {
  const path = join(fixtures, file)
  if (!file.endsWith('.pcap')) {
    const octets = new Uint8Array(readFileSync(path))
    return [{from: 'file', octets, stream: file.endsWith('.ipfix')}]
  }
  const fields = ['ip.src', 'ipv6.src', 'tcp.srcport', 'udp.payload', 'tcp.payload']
  const {stdout} = spawnSync(
    'tshark',
    ['-n', '-r', path, '-T', 'fields', '-E', 'separator=;', '-E', 'occurrence=f']
      .concat(fields.flatMap((field) => ['-e', field]))
      .concat(['-d', 'udp.port==1-65535,data']),
    {encoding: 'utf8', maxBuffer: 2 ** 26},
  )
  const list: Payload[] = []
  const ports = new Set<string>()
  for (const line of stdout.split('\n')) {
    const [ip4, ip6, tcpPort, udp, tcp] = line.split(';')
    if (!udp && !tcp) continue
    // Other TCP connections of the capture, BGP for one.
    if (!udp && !ports.has(tcpPort)) {
      if (!tcp.startsWith('000a')) continue
      ports.add(tcpPort)
    }
    list.push({
      // The truth takes what one address sends for one session.
      from: ip4 || ip6,
      octets: new Uint8Array(Buffer.from((udp || tcp).replaceAll(':', ''), 'hex')),
      stream: !udp,
    })
  }
  return list
}
