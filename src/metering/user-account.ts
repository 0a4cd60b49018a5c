import type {NativeCalls} from './user-netlink.js'

/** What a row of counters is about: a user, or what is nobody's. See linubia(4). */
export type AccountRow =
  'user' | 'forwarded' | 'kernel' | 'closing' | 'none' | 'overflow' | 'copies'

export type ProtocolClass = 'tcp' | 'udp' | 'icmp' | 'other'

/** Totals of one row, IP version, protocol and direction. They never go backwards while a source is open. */
export interface UserTotal {
  readonly row: AccountRow
  /** Of rows of users. */
  readonly uid?: number
  /** The same user as the user namespace numbers him that owns the network namespace; where the source tells. */
  readonly nsUid?: number
  readonly ipVersion: 4 | 6
  readonly protocol: ProtocolClass
  readonly direction: 'in' | 'out'
  /** As on the wire: segments and fragments one by one. */
  readonly packets: number
  /** From the IP header on. */
  readonly octets: number
}

/** What tells one total from another. */
export const totalKey = (t: Omit<UserTotal, 'packets' | 'octets'>): string =>
  `${t.row} ${t.uid ?? ''} ${t.ipVersion} ${t.protocol} ${t.direction}`

/** What has come since `base`, by `totalKey`. */
export function totalsSince(
  base: ReadonlyMap<string, UserTotal>,
  now: readonly UserTotal[],
): UserTotal[] {
  return now.map((total) => {
    const before = base.get(totalKey(total))
    return before === undefined
      ? total
      : {
          ...total,
          packets: total.packets - before.packets,
          octets: total.octets - before.octets,
        }
  })
}

/** One flow of a user's socket, both directions. */
export interface UserFlow {
  readonly ipVersion: 4 | 6
  /** IP protocol number. */
  readonly protocol: number
  readonly local: string
  readonly localPort: number
  readonly remote: string
  readonly remotePort: number
  readonly uid: number
  readonly nsUid?: number
  /** 0: not known. */
  readonly pid: number
  /** Empty: not known. */
  readonly command: string
  /** The kernel noted no process; this one had the socket open when it was looked. */
  readonly isProcessGuessed?: boolean
  /** Id of the cgroup, 0n: not known. */
  readonly cgroup: bigint
  /** Of the socket, 0n: not known. */
  readonly cookie: bigint
  readonly ifindex: number
  /** Milliseconds since 1970. */
  readonly startMs: number
  readonly endMs: number
  readonly inPackets: number
  readonly inOctets: number
  readonly outPackets: number
  readonly outOctets: number
}

/** What passed one interface in one IP version, in packets and octets of IP. */
export interface InterfaceTotal {
  readonly name: string
  readonly ipVersion: 4 | 6
  readonly inPackets: number
  readonly inOctets: number
  readonly outPackets: number
  readonly outOctets: number
}

/** How the process of a flow is known: noted by the kernel, a guess from who has its socket open, or not at all. */
export const attributionOf = ({pid, isProcessGuessed}: UserFlow): 'used' | 'open' | 'none' =>
  pid === 0 ? 'none' : isProcessGuessed === true ? 'open' : 'used'

export interface UserReading {
  /** Milliseconds since 1970. */
  readonly timeMs: number
  readonly totals: readonly UserTotal[]
  readonly flows: readonly UserFlow[]
  /** Of sources that see interfaces. */
  readonly interfaces?: readonly InterfaceTotal[]
  /** Name and number of what the source says of itself. */
  readonly statistics: ReadonlyMap<string, number>
}

/** An open source. */
export interface UserReader {
  /** Totals since the source began, or since the last reset by anybody if `reset`, which begins anew. */
  read(reset: boolean): UserReading
  /** Since when totals count that nobody reset, milliseconds since 1970; 0: not known. Another value: they began anew. */
  readonly beganMs: number
  /** Whether the source tells of processes and flows. */
  readonly hasFlows: boolean
  close(): void
}

export interface UserSourceOptions {
  /** The addon's system calls, where it is built. */
  readonly calls: NativeCalls | undefined
  /** Path of the cgroup to look at, for sources that look at one; the whole tree without it. */
  readonly cgroup?: string
  /** Whether flows and processes will be asked for, which costs some sources more. */
  readonly flows?: boolean
}

/** A kind of source, a file of `user-sources/`. */
export interface UserSource {
  readonly summary: string
  /** Why it cannot be used here; undefined where it can. */
  absence(options: UserSourceOptions): string | undefined
  /** @throws DartaError DARTA_USER_SOURCE, DARTA_PERMISSION */
  open(options: UserSourceOptions): UserReader
}
