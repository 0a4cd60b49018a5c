import {existsSync, readFileSync} from 'node:fs'
import {DartaError} from '../../record/errors.js'
import {littleEndian} from '../byte-order.js'
import {createProcessFinder} from '../socket-processes.js'
import type {
  AccountRow,
  InterfaceTotal,
  ProtocolClass,
  UserFlow,
  UserReader,
  UserReading,
  UserSource,
  UserTotal,
} from '../user-account.js'
import {
  attribute,
  genericBody,
  genericFamily,
  NETLINK_GENERIC,
  netlinkAsk,
  readAttributes,
  type NativeCalls,
} from '../user-netlink.js'

const FOLDER = '/proc/net/linubia'

const rows: readonly AccountRow[] = [
  'user',
  'forwarded',
  'kernel',
  'closing',
  'none',
  'overflow',
  'copies',
]
const protocols: readonly ProtocolClass[] = ['tcp', 'udp', 'icmp', 'other']
const directions = ['in', 'out'] as const

// From linubia-kmod/uapi/linubia.h.
const GET_USERS = 1
const A_RESET = 2
const A_ROW = 3
const A_UID = 4
const A_NS_UID = 5
const A_COUNTERS = 6

/** Lines of a text file of the module as objects, by the names in its first line. */
export function readTable(text: string): Map<string, string>[] {
  const [names = [], ...lines] = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(' '))
  return lines.map((words) => new Map(words.map((word, i) => [names[i] ?? '', word])))
}

/** The totals of `users4` or `users6`. */
export function totalsOf(text: string, ipVersion: 4 | 6): UserTotal[] {
  return readTable(text).flatMap((line) => {
    const who = line.get('uid') ?? ''
    const named = rows.find((row) => row === who)
    const number = (name: string): number => Number(line.get(name) ?? 0)
    return protocols.flatMap((protocol) =>
      directions.map((direction) => ({
        row: named ?? ('user' as const),
        ...(named === undefined ? {uid: Number(who), nsUid: number('ns_uid')} : {}),
        ipVersion,
        protocol,
        direction,
        packets: number(`${protocol}_${direction}_packets`),
        octets: number(`${protocol}_${direction}_octets`),
      })),
    )
  })
}

export function flowsOf(text: string): UserFlow[] {
  return readTable(text).map((line) => {
    const number = (name: string): number => Number(line.get(name) ?? 0)
    const ms = (name: string): number => Number(BigInt(line.get(name) ?? 0) / 1_000_000n)
    const command = line.get('comm') ?? '-'
    return {
      ipVersion: line.get('family') === '6' ? 6 : 4,
      protocol: number('protocol'),
      local: line.get('local') ?? '',
      localPort: number('local_port'),
      remote: line.get('remote') ?? '',
      remotePort: number('remote_port'),
      uid: number('uid'),
      nsUid: number('ns_uid'),
      pid: number('tgid'),
      command: command === '-' ? '' : command,
      cgroup: BigInt(line.get('cgroup') ?? 0),
      cookie: BigInt(line.get('cookie') ?? 0),
      ifindex: number('ifindex'),
      startMs: ms('first_ns'),
      endMs: ms('last_ns'),
      inPackets: number('in_packets'),
      inOctets: number('in_octets'),
      outPackets: number('out_packets'),
      outOctets: number('out_octets'),
    }
  })
}

function interfacesOf(text: string): InterfaceTotal[] {
  return readTable(text).map((line) => {
    const number = (name: string): number => Number(line.get(name) ?? 0)
    return {
      name: line.get('name') ?? '',
      ipVersion: line.get('family') === '6' ? 6 : 4,
      inPackets: number('in_buffers') + number('forward_in_buffers'),
      inOctets: number('in_buffer_octets') + number('forward_in_buffer_octets'),
      outPackets: number('out_buffers') + number('forward_out_buffers'),
      outOctets: number('out_buffer_octets') + number('forward_out_buffer_octets'),
    }
  })
}

function statisticsOf(text: string): Map<string, number> {
  return new Map(
    text
      .split('\n')
      .map((line) => line.split(' '))
      .filter(([name, value]) => value !== undefined && name !== 'version')
      .map(([name, value]) => [name, Number(value)]),
  )
}

/** Totals since the last reset by anybody; the kernel begins anew. */
function resetTotals(calls: NativeCalls): UserTotal[] {
  const family = genericFamily(calls, 'linubia')
  if (family === undefined) throw new DartaError('DARTA_USER_SOURCE', 'the module is not loaded')
  const body = genericBody(GET_USERS, 1, attribute(A_RESET, new Uint8Array(0)))
  return netlinkAsk(calls, NETLINK_GENERIC, family, body, true).flatMap((message) => {
    const attributes = readAttributes(message.body, 4)
    const counters = attributes.get(A_COUNTERS)
    const row = rows[attributes.get(A_ROW)?.getUint8(0) ?? -1]
    if (counters === undefined || row === undefined) return []
    const id = (number: number): number | undefined =>
      attributes.get(number)?.getUint32(0, littleEndian)
    const totals: UserTotal[] = []
    let at = 0
    for (const ipVersion of [4, 6] as const) {
      for (const protocol of protocols) {
        for (const direction of directions) {
          totals.push({
            row,
            uid: id(A_UID),
            nsUid: id(A_NS_UID),
            ipVersion,
            protocol,
            direction,
            packets: Number(counters.getBigUint64(at, littleEndian)),
            octets: Number(counters.getBigUint64(at + 8, littleEndian)),
          })
          at += 16
        }
      }
    }
    return totals
  })
}

const kmod: UserSource = {
  summary: 'the kernel module linubia(4): every packet, with flows and processes',
  absence: () => (existsSync(FOLDER) ? undefined : 'the module linubia is not loaded'),
  open({calls, flows = false}): UserReader {
    const read = (name: string): string => readFileSync(`${FOLDER}/${name}`, 'utf8')
    const finder = calls === undefined || !flows ? undefined : createProcessFinder(calls)
    const readFlows = (): UserFlow[] => flowsOf(read('flows'))
    return {
      hasFlows: true,
      beganMs: Math.floor((statisticsOf(read('stats')).get('began_ns') ?? 0) / 1e6),
      read(reset): UserReading {
        if (reset && calls === undefined) {
          throw new DartaError('DARTA_USER_SOURCE', 'a reset needs the native addon')
        }
        return {
          timeMs: Date.now(),
          totals: reset
            ? resetTotals(calls!)
            : [...totalsOf(read('users4'), 4), ...totalsOf(read('users6'), 6)],
          flows: finder === undefined ? readFlows() : finder.name(readFlows()),
          interfaces: interfacesOf(read('interfaces')),
          statistics: statisticsOf(read('stats')),
        }
      },
      close: () => {},
    }
  },
}

export default kmod
