import type {Finding, ReadText} from './finding.js'

const IFF_UP = 0x1
const IFF_PROMISC = 0x100

/** Of the flags in /sys/class/net. */
export function isUp(flags: string | undefined): boolean {
  return (Number(flags) & IFF_UP) !== 0
}

/** Whatever concerns measuring on one interface. `features` and `rings` are what ethtool -k and -g print. */
export function examineInterface(
  name: string,
  read: ReadText,
  features: string | undefined,
  rings: string | undefined,
): Finding[] {
  const at = `/sys/class/net/${name}`
  const flags = Number(read(`${at}/flags`))
  if (!Number.isFinite(flags)) {
    return [
      {where: name, subject: 'interface', verdict: 'bad', words: 'there is none of this name'},
    ]
  }
  return [
    state(name, flags),
    ...offloads(name, features),
    ...tagOffload(name, features),
    ...queues(name, read),
    ...ringSize(name, rings),
    errors(name, read),
  ]
}

function state(where: string, flags: number): Finding {
  if ((flags & IFF_UP) === 0) {
    return {
      where,
      subject: 'state',
      verdict: 'bad',
      words: 'down: no packet comes',
      mend: `ip link set ${where} up`,
    }
  }
  const promiscuous = (flags & IFF_PROMISC) !== 0
  return {
    where,
    subject: 'state',
    verdict: 'ok',
    words: promiscuous ? 'up, promiscuous' : 'up; capture makes it promiscuous while it runs',
  }
}

const offloadWords: Readonly<Record<string, {short: string; harm: string}>> = {
  'generic-receive-offload': {
    short: 'gro',
    harm: 'packets of a Flow are put together before capture sees them: packet counts are too low, sizes too great',
  },
  'large-receive-offload': {
    short: 'lro',
    harm: 'the card puts packets together, and a router must not do that at all: packet counts are too low',
  },
  'rx-gro-hw': {
    short: 'rx-gro-hw',
    harm: 'the card puts packets together: packet counts are too low',
  },
  'tcp-segmentation-offload': {
    short: 'tso',
    harm: 'packets that this machine sends are seen before they are cut: their counts are too low, sizes too great',
  },
  'generic-segmentation-offload': {
    short: 'gso',
    harm: 'packets that this machine sends are seen before they are cut: their counts are too low, sizes too great',
  },
}

/** Offloads that change what a capture sees. Those of sending matter only for this machine's own packets. */
export function offloads(where: string, features: string | undefined): Finding[] {
  if (features === undefined) {
    return [
      {
        where,
        subject: 'offloads',
        verdict: 'unknown',
        words: 'ethtool is not installed or knows nothing of it',
        mend: 'apt-get install ethtool',
      },
    ]
  }
  const found: Finding[] = []
  for (const [name, {short, harm}] of Object.entries(offloadWords)) {
    const state = new RegExp(`^\\s*${name}: (on|off)`, 'm').exec(features)?.[1]
    if (state === undefined) continue
    const receives = name.includes('receive') || name.includes('gro')
    found.push(
      state === 'off'
        ? {where, subject: short, verdict: 'ok', words: 'off'}
        : {
            where,
            subject: short,
            verdict: receives ? 'bad' : 'warn',
            words: `on: ${harm}`,
            mend: `ethtool -K ${where} ${short} off`,
          },
    )
  }
  return found
}

/** The kernel keeps tags that the card took off apart. capture puts them back, but behind its filters. */
export function tagOffload(where: string, features: string | undefined): Finding[] {
  const state = /^\s*rx-vlan-offload: (on|off)/m.exec(features ?? '')?.[1]
  const subject = 'rxvlan'
  if (state === undefined) return []
  if (state === 'off') return [{where, subject, verdict: 'ok', words: 'off'}]
  return [
    {
      where,
      subject,
      verdict: 'warn',
      words:
        'on: VLAN tags are taken off before filters look: -f with vlan finds none (shares and records are right)',
      mend: `ethtool -K ${where} rxvlan off`,
    },
  ]
}

/** Several queues spread the load, but each has an order of its own. */
export function queues(where: string, read: ReadText): Finding[] {
  let count = 0
  while (count < 1024 && read(`/sys/class/net/${where}/queues/rx-${count}/rps_cpus`) !== undefined)
    count++
  if (count === 0) return []
  return [
    {
      where,
      subject: 'queues',
      verdict: 'ok',
      words:
        count === 1
          ? 'one receive queue'
          : `${count} receive queues: --threads can use them; for --by packets there has to be one (ethtool -L ${where} combined 1)`,
    },
  ]
}

/** The card's own ring: small ones overflow in a burst, before the kernel knows of the packets. */
export function ringSize(where: string, rings: string | undefined): Finding[] {
  const numbers = [...(rings ?? '').matchAll(/^RX:\s+(\d+)$/gm)].map((match) => Number(match[1]))
  // Virtual interfaces have none.
  if (numbers.length < 2) return []
  const [most, now] = numbers
  return [
    now >= most
      ? {where, subject: 'card ring', verdict: 'ok', words: `${now} packets, the most it can have`}
      : {
          where,
          subject: 'card ring',
          verdict: 'warn',
          words: `${now} of ${most} packets: a burst may be dropped by the card`,
          mend: `ethtool -G ${where} rx ${most}`,
        },
  ]
}

function errors(where: string, read: ReadText): Finding {
  const counters = [
    'rx_dropped',
    'rx_missed_errors',
    'rx_fifo_errors',
    'rx_over_errors',
    'rx_crc_errors',
  ]
  const counted = counters
    .map((name) => [name, Number(read(`/sys/class/net/${where}/statistics/${name}`) ?? 0)] as const)
    .filter(([, n]) => n > 0)
  if (counted.length === 0) {
    return {where, subject: 'errors', verdict: 'ok', words: 'the interface counts none'}
  }
  return {
    where,
    subject: 'errors',
    verdict: 'warn',
    words: `${counted.map(([name, n]) => `${name} ${n}`).join(', ')}: packets that no capture saw`,
  }
}
