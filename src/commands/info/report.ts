/** Something that went wrong, how often, and where first. */
export interface Fault {
  readonly reason: string
  readonly count: number
  /** Octet of the input. */
  readonly octet?: number
}

/** A span of time, RFC 3339, UTC. */
export interface Window {
  readonly first: string
  readonly last: string
}

export function faultsOf(
  counts: ReadonlyMap<string, number>,
  firstOffset: ReadonlyMap<string, number>,
): Fault[] {
  return [...counts].map(([reason, count]) => {
    const octet = firstOffset.get(reason)
    return {reason, count, ...(octet !== undefined && {octet})}
  })
}

/** `2024-05-01T10:00:00Z`; what no calendar holds stays a number. */
export function secondsText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
}

/** `2024-05-01T10:00:00.123Z` of milliseconds since 1970. */
export function millisecondsText(ms: bigint): string {
  const date = new Date(Number(ms))
  return Number.isNaN(date.getTime()) ? `${ms} ms` : date.toISOString()
}

/** `2024-05-01T10:00:00.123456789Z` of nanoseconds since 1970. */
export function nanosecondsText(ns: bigint): string {
  const fraction = String(ns % 1_000_000_000n).padStart(9, '0')
  return secondsText(Number(ns / 1_000_000_000n)).replace('Z', `.${fraction}Z`)
}

/** JSON with all digits of every counter. */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(
    value,
    (_, member: unknown) => (typeof member === 'bigint' ? rawNumber(member) : member),
    indent,
  )
}

/** A number that JSON.stringify writes digit by digit. */
function rawNumber(value: bigint): unknown {
  return (JSON as unknown as {rawJSON(text: string): unknown}).rawJSON(String(value))
}
