import {DartaError} from '../../record/errors.js'
import {ipv4Text, ipv6Text} from '../../record/value.js'
import {littleEndian} from '../byte-order.js'
import {createProcessFinder} from '../socket-processes.js'
import {
  totalKey,
  totalsSince,
  type UserFlow,
  type UserReader,
  type UserReading,
  type UserSource,
  type UserTotal,
} from '../user-account.js'
import {NETLINK_SOCK_DIAG, netlinkAsk, type NativeCalls} from '../user-netlink.js'

/** From linux/sock_diag.h and linux/inet_diag.h. */
const SOCK_DIAG_BY_FAMILY = 20
const AF_INET = 2
const AF_INET6 = 10
const TCP = 6
const INET_DIAG_INFO = 2
const REQUEST_OCTETS = 56
const MESSAGE_OCTETS = 72
/** Established and on its way to the end; a listener sends nothing. */
const STATES = 0xfff & ~(1 << 10)

/** Places of struct tcp_info. */
const INFO = {bytesReceived: 128, segmentsOut: 136, segmentsIn: 140, bytesSent: 200}
/** Of a TCP header with timestamps, as nearly every segment has it. */
const TCP_HEADER_OCTETS = 32

interface SocketState extends UserFlow {
  readonly key: string
}

const sockets: UserSource = {
  summary: 'the sockets that exist when it looks: TCP only, octets reckoned, needs no rights',
  absence: ({calls}) => (calls === undefined ? 'the native addon is not built' : undefined),
  open({calls, flows = false}): UserReader {
    if (calls === undefined) throw new DartaError('DARTA_USER_SOURCE', 'needs the native addon')
    const finder = flows ? createProcessFinder(calls) : undefined
    /** What sockets had when they were last seen; those that are gone keep it. */
    const gone = new Map<string, UserTotal>()
    let before = new Map<string, SocketState>()
    let base = new Map<string, UserTotal>()
    let polls = 0
    return {
      hasFlows: true,
      beganMs: Date.now(),
      close: () => {},
      read(reset): UserReading {
        polls++
        const now = new Map(
          [...socketsOf(calls, AF_INET), ...socketsOf(calls, AF_INET6)].map((s) => [s.key, s]),
        )
        for (const [key, socket] of before) if (!now.has(key)) add(gone, socket)
        before = now
        const sums = new Map(gone)
        for (const socket of now.values()) add(sums, socket)
        const totals = totalsSince(base, [...sums.values()])
        if (reset) base = sums
        return {
          timeMs: Date.now(),
          totals,
          flows: finder?.name([...now.values()]) ?? [...now.values()],
          statistics: new Map([
            ['sockets', now.size],
            ['polls', polls],
          ]),
        }
      },
    }
  },
}

function add(sums: Map<string, UserTotal>, socket: SocketState): void {
  const {uid, ipVersion} = socket
  for (const [direction, packets, octets] of [
    ['in', socket.inPackets, socket.inOctets],
    ['out', socket.outPackets, socket.outOctets],
  ] as const) {
    const row = {row: 'user', uid, ipVersion, protocol: 'tcp', direction} as const
    const key = totalKey(row)
    const sum = sums.get(key)
    sums.set(key, {
      ...row,
      packets: (sum?.packets ?? 0) + packets,
      octets: (sum?.octets ?? 0) + octets,
    })
  }
}

function socketsOf(calls: NativeCalls, family: number): SocketState[] {
  const request = new Uint8Array(REQUEST_OCTETS)
  request[0] = family
  request[1] = TCP
  request[2] = 1 << (INET_DIAG_INFO - 1)
  new DataView(request.buffer).setUint32(4, STATES, littleEndian)
  return netlinkAsk(calls, NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, request, true).flatMap(
    ({type, body}) => (type === SOCK_DIAG_BY_FAMILY ? readSocket(body) : []),
  )
}

/** One struct inet_diag_msg and what follows it; nothing if it has no counters. */
export function readSocket(body: DataView): SocketState[] {
  if (body.byteLength < MESSAGE_OCTETS) return []
  const family = body.getUint8(0)
  if (family !== AF_INET && family !== AF_INET6) return []
  const info = attributeOf(body, INET_DIAG_INFO)
  if (info === undefined || info.byteLength < INFO.bytesSent + 8) return []
  const octets = new Uint8Array(body.buffer, body.byteOffset, body.byteLength)
  const text = (at: number): string =>
    family === AF_INET ? ipv4Text(octets, at) : ipv6Text(octets, at)
  const count = (at: number): number => Number(info.getBigUint64(at, littleEndian))
  const header = (family === AF_INET ? 20 : 40) + TCP_HEADER_OCTETS
  const segmentsIn = info.getUint32(INFO.segmentsIn, littleEndian)
  const segmentsOut = info.getUint32(INFO.segmentsOut, littleEndian)
  const uid = body.getUint32(64, littleEndian)
  const cookie = body.getBigUint64(44, littleEndian)
  // In TIME_WAIT and before accept() there is no socket any more, or not yet.
  if (body.getUint32(68, littleEndian) === 0 && segmentsOut === 0) return []
  const socket = {
    ipVersion: family === AF_INET ? (4 as const) : (6 as const),
    protocol: TCP,
    local: text(8),
    localPort: body.getUint16(4),
    remote: text(24),
    remotePort: body.getUint16(6),
    uid,
    pid: 0,
    command: '',
    cgroup: 0n,
    cookie,
    ifindex: body.getUint32(40, littleEndian),
    startMs: 0,
    endMs: Date.now(),
    inPackets: segmentsIn,
    inOctets: count(INFO.bytesReceived) + segmentsIn * header,
    outPackets: segmentsOut,
    outOctets: count(INFO.bytesSent) + segmentsOut * header,
  }
  return [{...socket, key: `${cookie}`}]
}

function attributeOf(body: DataView, wanted: number): DataView | undefined {
  for (let at = MESSAGE_OCTETS; at + 4 <= body.byteLength;) {
    const octets = body.getUint16(at, littleEndian)
    if (octets < 4 || at + octets > body.byteLength) return undefined
    if (body.getUint16(at + 2, littleEndian) === wanted) {
      return new DataView(body.buffer, body.byteOffset + at + 4, octets - 4)
    }
    at += (octets + 3) & ~3
  }
  return undefined
}

export default sockets
