import {textTable} from '../../cli/text-table.js'
import {
  totalKey,
  type ProtocolClass,
  type UserFlow,
  type UserReading,
  type UserTotal,
} from '../../metering/user-account.js'
import {scaledNumber} from '../../processing/analysis/text-table.js'
import type {UserNames} from './user-names.js'

type Units = 'none' | 'si' | 'iec'

const classes: readonly ProtocolClass[] = ['tcp', 'udp', 'icmp', 'other']

interface Line {
  readonly name: string
  readonly id: string
  in: number
  out: number
  inSince: number
  outSince: number
  v6: number
  readonly classes: Record<ProtocolClass, number>
}

/** Users and remainders with what they have sent and received, and how fast in the last `seconds`. */
export function usersTable(
  reading: UserReading,
  before: ReadonlyMap<string, UserTotal>,
  seconds: number,
  names: UserNames,
  units: Units,
): string {
  const lines = new Map<string, Line>()
  for (const total of reading.totals) {
    const key = `${total.row} ${total.uid ?? ''}`
    let line = lines.get(key)
    if (line === undefined) {
      line = {
        name: total.uid === undefined ? total.row : names.of(total.uid),
        id: total.uid === undefined ? '-' : idText(total.uid, total.nsUid),
        in: 0,
        out: 0,
        inSince: 0,
        outSince: 0,
        v6: 0,
        classes: {tcp: 0, udp: 0, icmp: 0, other: 0},
      }
      lines.set(key, line)
    }
    const since = total.octets - (before.get(totalKey(total))?.octets ?? 0)
    if (total.direction === 'in') {
      line.in += total.octets
      line.inSince += since
    } else {
      line.out += total.octets
      line.outSince += since
    }
    if (total.ipVersion === 6) line.v6 += total.octets
    line.classes[total.protocol] += total.octets
  }
  const octets = (n: number): string => scaledNumber(n, units)
  const rate = (n: number): string => scaledNumber(seconds > 0 ? (8 * n) / seconds : 0, units)
  const shown = [...lines.values()]
    .filter((line) => line.in + line.out > 0)
    .sort((a, b) => b.inSince + b.outSince - a.inSince - a.outSince || b.in + b.out - a.in - a.out)
  return textTable(
    ['user', 'uid', 'in bit/s', 'out bit/s', 'in', 'out', 'IPv6', 'TCP', 'UDP', 'ICMP', 'other'],
    shown.map((line) => [
      line.name,
      line.id,
      rate(line.inSince),
      rate(line.outSince),
      octets(line.in),
      octets(line.out),
      octets(line.v6),
      ...classes.map((name) => octets(line.classes[name])),
    ]),
    ['left', ...Array<'right'>(10).fill('right')],
  )
}

/** Processes of users, from the flows that are held; a mark is behind the name of one that was guessed for any of them. */
export function processesTable(flows: readonly UserFlow[], names: UserNames, units: Units): string {
  const lines = new Map<
    string,
    {flow: UserFlow; isGuessed: boolean; flows: number; in: number; out: number}
  >()
  for (const flow of flows) {
    const key = `${flow.uid} ${flow.pid} ${flow.command}`
    const line = lines.get(key) ?? {flow, isGuessed: false, flows: 0, in: 0, out: 0}
    lines.set(key, line)
    line.isGuessed ||= flow.isProcessGuessed === true
    line.flows++
    line.in += flow.inOctets
    line.out += flow.outOctets
  }
  return textTable(
    ['user', 'uid', 'pid', 'process', 'cgroup', 'flows', 'in', 'out'],
    [...lines.values()]
      .sort((a, b) => b.in + b.out - a.in - a.out)
      .map(({flow, isGuessed, flows: n, ...sum}) => [
        names.of(flow.uid),
        idText(flow.uid, flow.nsUid),
        flow.pid === 0 ? '-' : String(flow.pid),
        `${flow.command === '' ? '-' : flow.command}${isGuessed ? '?' : ''}`,
        flow.cgroup === 0n ? '-' : String(flow.cgroup),
        String(n),
        scaledNumber(sum.in, units),
        scaledNumber(sum.out, units),
      ]),
    ['left', 'right', 'right', 'left', 'right', 'right', 'right', 'right'],
  )
}

/** A user of a container has two numbers. */
function idText(uid: number, nsUid: number | undefined): string {
  return nsUid === undefined || nsUid === uid ? String(uid) : `${uid} (${nsUid})`
}
