import {readFileSync} from 'node:fs'

/** Rights of capabilities(7) that capturing takes, by their bit. */
const bits = {
  CAP_NET_ADMIN: 12n,
  CAP_NET_RAW: 13n,
  CAP_SYS_ADMIN: 21n,
  CAP_PERFMON: 38n,
  CAP_BPF: 39n,
}

export type Capability = keyof typeof bits

/** The effective capabilities in the text of /proc/self/status; undefined if it does not say. */
export function parseCapabilities(status: string): ReadonlySet<Capability> | undefined {
  const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1]
  if (hex === undefined) return undefined
  const mask = BigInt(`0x${hex}`)
  const found = new Set<Capability>()
  for (const [name, bit] of Object.entries(bits)) {
    if (((mask >> bit) & 1n) === 1n) found.add(name as Capability)
  }
  // CAP_SYS_ADMIN stands for the two that were split off it.
  if (found.has('CAP_SYS_ADMIN')) found.add('CAP_BPF').add('CAP_PERFMON')
  return found
}

/** Which of the capabilities this process has not; undefined where the system does not tell. */
export function missingCapabilities(
  wanted: readonly Capability[],
): readonly Capability[] | undefined {
  let status: string
  try {
    status = readFileSync('/proc/self/status', 'utf8')
  } catch {
    return undefined
  }
  const have = parseCapabilities(status)
  return have && wanted.filter((name) => !have.has(name))
}
