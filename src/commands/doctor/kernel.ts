import type {Finding, ReadText} from './finding.js'

const where = 'host'

/** What the kernel offers to captures, and how the processors and the clock are kept. */
export function examineKernel(read: ReadText, synchronized: string | undefined): Finding[] {
  return [
    ...protocols(read('/proc/net/protocols')),
    countingFilter(read('/proc/sys/kernel/osrelease')),
    softirqBudget(read('/proc/net/softnet_stat')),
    ...governor(read('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor')),
    clockSynchronized(synchronized),
  ]
}

/** Families of sockets: packet sockets for capture's usual backend, XDP sockets for the other. */
export function protocols(text: string | undefined): Finding[] {
  const subject = 'capture sockets'
  if (text === undefined) {
    return [{where, subject, verdict: 'unknown', words: '/proc/net/protocols cannot be read'}]
  }
  const has = (name: string): boolean => new RegExp(`^${name}\\s`, 'm').test(text)
  return [
    has('PACKET')
      ? {where, subject, verdict: 'ok', words: 'packet sockets are there'}
      : {
          where,
          subject,
          verdict: 'bad',
          words: 'there are no packet sockets: no interface can be captured',
          mend: 'modprobe af_packet',
        },
    has('XDP')
      ? {where, subject: 'AF_XDP', verdict: 'ok', words: 'there'}
      : {
          where,
          subject: 'AF_XDP',
          verdict: 'ok',
          words: 'not there: --backend af-xdp cannot be used',
        },
  ]
}

/** Shares in turn are counted by an atomic operation that Linux has since 5.12. */
export function countingFilter(release: string | undefined): Finding {
  const subject = 'filters that count'
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(release ?? '') ?? []
  if (major === undefined) {
    return {where, subject, verdict: 'unknown', words: 'the version of the kernel cannot be read'}
  }
  const enough = Number(major) > 5 || (Number(major) === 5 && Number(minor) >= 12)
  return {
    where,
    subject,
    verdict: 'ok',
    words: enough
      ? `Linux ${major}.${minor} has them (--by packets)`
      : `Linux ${major}.${minor} has none, 5.12 does: --by packets cannot be used`,
  }
}

/** How often the kernel had packets left when its time was over: third column, hexadecimal, of each processor. */
export function softirqBudget(text: string | undefined): Finding {
  const subject = 'receive budget'
  if (text === undefined) {
    return {where, subject, verdict: 'unknown', words: '/proc/net/softnet_stat cannot be read'}
  }
  const columns = text.split('\n').map((line) => line.trim().split(/\s+/))
  const sum = (column: number): number =>
    columns.reduce((n, cells) => n + (parseInt(cells[column] ?? '0', 16) || 0), 0)
  const [packets, squeezed] = [sum(0), sum(2)]
  // Now and then it happens to every machine.
  if (squeezed * 100_000 <= packets || squeezed < 100) {
    return {where, subject, verdict: 'ok', words: 'the kernel keeps up with what comes'}
  }
  return {
    where,
    subject,
    verdict: 'warn',
    words: `${squeezed} times since boot the kernel had to leave packets for later: bursts may overflow the card's ring`,
    mend: 'sysctl -w net.core.netdev_budget=600 net.core.netdev_budget_usecs=8000',
  }
}

export function governor(name: string | undefined): Finding[] {
  const subject = 'processor speed'
  // Many virtual machines have none.
  if (name === undefined) return []
  if (name !== 'powersave') return [{where, subject, verdict: 'ok', words: `governor ${name}`}]
  return [
    {
      where,
      subject,
      verdict: 'warn',
      words: 'governor powersave: a burst comes before the processor is fast, and rings overflow',
      mend: 'cpupower frequency-set -g performance',
    },
  ]
}

/** What `timedatectl show -p NTPSynchronized --value` says. */
export function clockSynchronized(answer: string | undefined): Finding {
  const subject = 'time'
  if (answer === 'yes') return {where, subject, verdict: 'ok', words: 'kept by the network'}
  if (answer !== 'no') {
    return {
      where,
      subject,
      verdict: 'unknown',
      words:
        'timedatectl does not tell whether the network keeps it: nodes that share a link must agree on it',
    }
  }
  return {
    where,
    subject,
    verdict: 'warn',
    words: 'not kept by the network: times of several machines do not fit together',
    mend: 'timedatectl set-ntp true',
  }
}
