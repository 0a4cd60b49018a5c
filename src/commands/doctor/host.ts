import type {Finding, ReadText} from './finding.js'

const CAP_NET_ADMIN = 12n
const CAP_NET_RAW = 13n
const CAP_BPF = 39n
/** Octets of socket buffer that a Collecting Process asks for. */
const WANTED_RMEM = 8 << 20

/** Whatever concerns measuring on this machine and not one interface. */
export function examineHost(read: ReadText, native: string | undefined): Finding[] {
  return [
    nativeAddon(native),
    ...capabilities(read('/proc/self/status')),
    clockSource(read('/sys/devices/system/clocksource/clocksource0/current_clocksource')),
    receiveBuffer(read('/proc/sys/net/core/rmem_max')),
    filterCompiler(read('/proc/sys/net/core/bpf_jit_enable')),
    softirqDrops(read('/proc/net/softnet_stat')),
  ]
}

function nativeAddon(absence: string | undefined): Finding {
  const subject = 'native addon'
  if (absence === undefined) return {where: 'host', subject, verdict: 'ok', words: 'loads'}
  return {
    where: 'host',
    subject,
    verdict: 'warn',
    words: `not there (${absence}): files are metered in TypeScript, interfaces not at all`,
    mend: 'npm run build',
  }
}

/** Effective capabilities, from /proc/self/status. */
export function capabilities(status: string | undefined): Finding[] {
  const where = 'host'
  const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(status ?? '')?.[1]
  if (hex === undefined) {
    return [
      {where, subject: 'privileges', verdict: 'unknown', words: '/proc/self/status cannot be read'},
    ]
  }
  const has = (bit: bigint): boolean => ((BigInt(`0x${hex}`) >> bit) & 1n) === 1n
  const found: Finding[] = [
    has(CAP_NET_RAW)
      ? {where, subject: 'CAP_NET_RAW', verdict: 'ok', words: 'there: interfaces can be captured'}
      : {
          where,
          subject: 'CAP_NET_RAW',
          verdict: 'bad',
          words: 'missing: no interface can be captured',
          mend: 'sudo, or a systemd unit with AmbientCapabilities=CAP_NET_RAW',
        },
  ]
  const admin = has(CAP_NET_ADMIN)
  found.push({
    where,
    subject: 'CAP_NET_ADMIN, CAP_BPF',
    verdict: 'ok',
    words: admin && has(CAP_BPF) ? 'there' : 'not both there: needed for AF_XDP and eBPF only',
  })
  return found
}

export function clockSource(source: string | undefined): Finding {
  const where = 'host'
  const subject = 'clock'
  if (source === undefined) {
    return {where, subject, verdict: 'unknown', words: 'the clock source cannot be read'}
  }
  // Reading these takes a trip to a device or the hypervisor for every packet's time stamp.
  const slow = ['hpet', 'acpi_pm', 'pit', 'jiffies', 'refined-jiffies']
  if (!slow.includes(source)) return {where, subject, verdict: 'ok', words: source}
  return {
    where,
    subject,
    verdict: 'warn',
    words: `${source} is slow to read: every packet costs more, and times are coarse`,
    mend: 'echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource',
  }
}

export function receiveBuffer(text: string | undefined): Finding {
  const where = 'host'
  const subject = 'socket buffers'
  const octets = Number(text)
  if (text === undefined || !Number.isFinite(octets)) {
    return {where, subject, verdict: 'unknown', words: 'net.core.rmem_max cannot be read'}
  }
  if (octets >= WANTED_RMEM) {
    return {where, subject, verdict: 'ok', words: `net.core.rmem_max is ${octets}`}
  }
  return {
    where,
    subject,
    verdict: 'warn',
    words: `net.core.rmem_max is ${octets}: bursts of export datagrams may be dropped (captures have their own rings)`,
    mend: `sysctl -w net.core.rmem_max=${WANTED_RMEM}`,
  }
}

function filterCompiler(text: string | undefined): Finding {
  const where = 'host'
  const subject = 'BPF compiler'
  if (text === undefined) {
    return {where, subject, verdict: 'unknown', words: 'net.core.bpf_jit_enable cannot be read'}
  }
  if (text !== '0')
    return {where, subject, verdict: 'ok', words: 'on: filters and shares cost little'}
  return {
    where,
    subject,
    verdict: 'warn',
    words: 'off: filters and shares are interpreted, which costs several times as much',
    mend: 'sysctl -w net.core.bpf_jit_enable=1',
  }
}

/** Packets that the kernel dropped before any socket saw them: second column, hexadecimal, of each processor. */
export function softirqDrops(text: string | undefined): Finding {
  const where = 'host'
  const subject = 'kernel backlog'
  if (text === undefined) {
    return {where, subject, verdict: 'unknown', words: '/proc/net/softnet_stat cannot be read'}
  }
  const drops = text
    .split('\n')
    .map((line) => parseInt(line.split(/\s+/)[1] ?? '0', 16) || 0)
    .reduce((a, b) => a + b, 0)
  if (drops === 0)
    return {
      where,
      subject,
      verdict: 'ok',
      words: 'no packet was dropped before it reached a socket',
    }
  return {
    where,
    subject,
    verdict: 'warn',
    words: `${drops} packets since boot were dropped before any socket saw them, and no capture counts these`,
    mend: 'sysctl -w net.core.netdev_max_backlog=10000',
  }
}
