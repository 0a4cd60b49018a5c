import {createEncoder} from '../../src/ipfix/encoder.js'
import {Ledger} from '../../src/record/ledger.js'
import {ie} from '../../src/registry/elements.js'
import {address, batchOf, templateOf} from './records.js'

const template = templateOf([
  ie.sourceIPv4Address,
  ie.destinationIPv4Address,
  ie.sourceTransportPort,
  ie.destinationTransportPort,
  ie.protocolIdentifier,
  ie.flowId,
  ie.octetDeltaCount,
  ie.packetDeltaCount,
  ie.flowStartMilliseconds,
  ie.flowEndMilliseconds,
])

export interface Numbering {
  /** Seconds since 1970 of the Message that record `n` comes in. */
  readonly exportTime?: (n: number) => number
  readonly domain?: number
}

/** A stream of IPFIX Messages with `count` Flow Records from `first` on, each with its number as flowId. */
export function numberedRecords(count: number, first = 0, numbering: Numbering = {}): Uint8Array {
  const {exportTime = () => 1_700_000_000, domain = 1} = numbering
  const encoder = createEncoder({ledger: new Ledger(), maxMessageOctets: 1400})
  const octets: Uint8Array[] = []
  const from = address('192.0.2.1')
  const to = address('198.51.100.2')
  for (let n = first; n < first + count;) {
    const time = exportTime(n)
    const rows = []
    for (; n < first + count && rows.length < 1000 && exportTime(n) === time; n++) {
      const start = time * 1000 - 2000
      rows.push([from, to, 1024 + (n % 60000), 443, 6, n, 100 + (n % 7), 1 + (n % 3), start, start])
    }
    const message = {exportTime: time, observationDomainId: domain}
    octets.push(...encoder.push([batchOf(template, rows, message)]))
  }
  octets.push(...encoder.end())
  return Buffer.concat(octets)
}
