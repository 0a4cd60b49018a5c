import {readFileSync} from 'node:fs'
import {createCaptureReader} from '../../src/metering/capture-file.js'
import type {Sums} from './machine.js'

/** Whose packets with a port are, as traffic.c prints it. */
export interface Ownership {
  readonly host: 'home' | 'box'
  readonly protocol: number
  readonly port: number
  readonly side: 'both' | 'source' | 'dest'
  /** one user; each of several (copies); or several that are told apart only by time */
  readonly how: 'one' | 'each' | 'group'
  readonly uids: readonly string[]
}

/** One end of a packet: a port of a protocol at an address. */
interface Packet {
  readonly octets: number
  readonly protocol: number
  readonly source: {readonly address: string; readonly port: number}
  readonly dest: {readonly address: string; readonly port: number}
  /** ICMP and ICMPv6: the identifier of a request, of an answer, or the port of the packet that an error is about. */
  readonly icmp?: {kind: 'request' | 'answer' | 'error'; id: number; protocol: number}
}

/** Packets of a capture of Ethernet frames. Later fragments have the ports of the first. */
export function packetsOf(path: string): Packet[] {
  const packets: Packet[] = []
  const firsts = new Map<string, Packet>()
  const reader = createCaptureReader({
    frame({octets, start, end}) {
      const frame = Buffer.from(octets.subarray(start, end))
      const type = frame.readUInt16BE(12)
      const packet =
        type === 0x0800
          ? readV4(frame.subarray(14), firsts)
          : type === 0x86dd
            ? readV6(frame.subarray(14), firsts)
            : undefined
      if (packet !== undefined) packets.push(packet)
    },
    lost: (reason) => {
      throw new Error(reason)
    },
    full: () => false,
  })
  reader.push(readFileSync(path))
  reader.finish()
  return packets
}

function readV4(ip: Buffer, firsts: Map<string, Packet>): Packet {
  const fragment = ip.readUInt16BE(6)
  const key = ip.toString('hex', 12, 20) + ip.toString('hex', 4, 6) + ip[9].toString()
  return read(
    ip.subarray((ip[0] & 15) * 4),
    ip.readUInt16BE(2),
    ip[9],
    ip.subarray(12, 16).join('.'),
    ip.subarray(16, 20).join('.'),
    (fragment & 0x3fff) === 0 ? undefined : {key, first: (fragment & 0x1fff) === 0},
    firsts,
  )
}

function readV6(ip: Buffer, firsts: Map<string, Packet>): Packet {
  let protocol = ip[6]
  let at = 40
  let part: {key: string; first: boolean} | undefined
  while (protocol === 0 || protocol === 44) {
    if (protocol === 44) {
      const key = ip.toString('hex', 8, 40) + ip.toString('hex', at + 4, at + 8)
      part = {key, first: ip.readUInt16BE(at + 2) >> 3 === 0}
    }
    const octets = protocol === 44 ? 8 : (ip[at + 1] + 1) * 8
    protocol = ip[at]
    at += octets
  }
  return read(
    ip.subarray(at),
    ip.readUInt16BE(4) + 40,
    protocol,
    ip.toString('hex', 8, 24),
    ip.toString('hex', 24, 40),
    part,
    firsts,
  )
}

function read(
  payload: Buffer,
  octets: number,
  protocol: number,
  source: string,
  dest: string,
  part: {key: string; first: boolean} | undefined,
  firsts: Map<string, Packet>,
): Packet {
  if (part !== undefined && !part.first) {
    const first = firsts.get(part.key)
    if (first === undefined) throw new Error('a fragment before its first')
    return {...first, octets}
  }
  const ports = protocol === 6 || protocol === 17
  const packet: Packet = {
    octets,
    protocol,
    source: {address: source, port: ports ? payload.readUInt16BE(0) : 0},
    dest: {address: dest, port: ports ? payload.readUInt16BE(2) : 0},
    icmp: protocol === 1 || protocol === 58 ? readIcmp(payload, protocol) : undefined,
  }
  if (part !== undefined) firsts.set(part.key, packet)
  return packet
}

function readIcmp(icmp: Buffer, protocol: number): Packet['icmp'] {
  const id = icmp.readUInt16BE(4)
  const v4 = protocol === 1
  if (icmp[0] === (v4 ? 8 : 128)) return {kind: 'request', id, protocol}
  if (icmp[0] === (v4 ? 0 : 129)) return {kind: 'answer', id, protocol}
  if (v4 ? icmp[0] !== 3 : icmp[0] > 127) return undefined
  const quoted = icmp.subarray(8)
  return v4
    ? {kind: 'error', id: quoted.readUInt16BE((quoted[0] & 15) * 4), protocol: quoted[9]}
    : {kind: 'error', id: quoted.readUInt16BE(40), protocol: quoted[6]}
}

const homes = new Set(['10.9.0.1', 'fd090000000000000000000000000001'])
const boxes = new Set(['10.9.0.2', 'fd090000000000000000000000000002'])
const loops = /^127\.|^0{31}1$/
const groups = /^2(2[4-9]|3\d)\.|^ff/

/**
 * Sums that users of a host must have by what was captured. Users whose sockets changed hands are one, named `a+b`.
 *
 * @param stray ports of segments that someone else sent in the name of a port's owner
 */
export function expectedSums(
  host: 'home' | 'box',
  packets: readonly Packet[],
  owners: readonly Ownership[],
): Map<string, Sums> {
  const sums = new Map<string, Sums>()
  const add = (who: string, way: 'in' | 'out', octets: number): void => {
    const sum = sums.get(who) ?? {in: [0, 0], out: [0, 0]}
    sums.set(who, sum)
    sum[way][0]++
    sum[way][1] += octets
  }
  const ownersOf = (protocol: number, port: number, side: 'source' | 'dest'): string[] =>
    owners
      .filter(
        (o) =>
          o.host === host &&
          o.protocol === protocol &&
          o.port === port &&
          (o.side === 'both' || o.side === side),
      )
      .flatMap((o) => (o.how === 'group' ? [o.uids.join('+')] : o.uids))
  const here = (address: string): boolean =>
    (host === 'home' ? homes : boxes).has(address) || (host === 'home' && loops.test(address))
  for (const {octets, protocol, source, dest, icmp} of packets) {
    if (here(source.address)) {
      const port = icmp === undefined ? source.port : icmp.kind === 'request' ? icmp.id : -1
      for (const who of new Set(ownersOf(protocol, port, 'source'))) add(who, 'out', octets)
    }
    // Who sends to a group hears himself.
    if (here(dest.address) || (host === 'home' && groups.test(dest.address))) {
      const asked =
        icmp === undefined
          ? ownersOf(protocol, dest.port, 'dest')
          : icmp.kind === 'answer'
            ? ownersOf(protocol, icmp.id, 'dest')
            : icmp.kind === 'error'
              ? ownersOf(icmp.protocol, icmp.id, 'source')
              : []
      for (const who of new Set(asked)) add(who, 'in', octets)
    }
  }
  return sums
}
