import {readFileSync} from 'node:fs'
import {basename} from 'node:path'
import {root} from '../support/needing.js'
import {addressHex, ntpSeconds, numberOf, type Row} from './rows.js'

/** The tables of `../shared/fixtures/flows`: a Flow a line, as text that can be compared. */

export function fiveTuple(row: Row): (string | number)[] {
  const version = 'sourceIPv4Address' in row ? 'IPv4' : 'IPv6'
  return [
    row[`source${version}Address`],
    row[`destination${version}Address`],
    numberOf(row, 'protocolIdentifier'),
    numberOf(row, 'sourceTransportPort'),
    numberOf(row, 'destinationTransportPort'),
  ]
}

export function flowLine(row: Row): string {
  return [
    ...fiveTuple(row),
    numberOf(row, 'packetDeltaCount'),
    numberOf(row, 'octetDeltaCount'),
    ntpSeconds(row.flowStartNanoseconds),
    ntpSeconds(row.flowEndNanoseconds),
    // The tables have the eight flags of octet 13 only.
    numberOf(row, 'tcpControlBits') & 0xff,
  ].join(' ')
}

/** What `flowLine` must give for the Flows of a capture, sorted. */
export function expectedFlows(name: string): string[] {
  const path = `${root}../shared/fixtures/flows/${basename(name)}.flows.tsv`
  const [, ...lines] = readFileSync(path, 'utf8').trimEnd().split('\n')
  return lines
    .map((line) => {
      const [src, dst, proto, sport, dport, packets, octets, first, last, flags] = line.split('\t')
      const key = [addressHex(src), addressHex(dst), proto, sport, dport]
      const times = [first, last].map((time) => (time === 'None' ? '0.000000000' : time))
      return [...key, packets, octets, ...times, Number(flags)].join(' ')
    })
    .sort()
}
