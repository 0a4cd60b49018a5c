/** What the command's flags say about tables; the keys of `EncodeContext.options`. */
export interface Presentation {
  readonly time: TimeChoice
  /** How large counters are scaled. */
  readonly units: 'none' | 'si' | 'iec'
  /** Names instead of protocol numbers. */
  readonly names: boolean
}

export interface TimeChoice {
  readonly style: 'rfc3339' | 'epoch' | 'epoch-ms' | 'local' | 'relative' | 'strftime'
  readonly pattern?: string
}

/** Reads `time`, `units`, `plain` (-N) and `numeric` (2 for -nn). */
export function presentationOf(options: Readonly<Record<string, unknown>>): Presentation {
  return {
    time: (options.time as TimeChoice | undefined) ?? {style: 'rfc3339'},
    units:
      options.plain === true
        ? 'none'
        : ((options.units as Presentation['units'] | undefined) ?? 'si'),
    names: Number(options.numeric ?? 0) < 2,
  }
}

const suffixes = {
  si: ['', ' k', ' M', ' G', ' T', ' P', ' E'],
  iec: ['', ' Ki', ' Mi', ' Gi', ' Ti', ' Pi', ' Ei'],
}

/** `1.2 M`: a counter in three or four digits; whole below 1000 (1024), and always with units none. */
export function scaled(value: number | bigint, units: Presentation['units']): string {
  if (units === 'none') return String(value)
  const base = units === 'si' ? 1000 : 1024
  let n = Number(value)
  if (Math.abs(n) < base) return Number.isInteger(n) ? String(n) : n.toFixed(1)
  let step = 0
  // What would be shown as 1000.0 is 1.0 of the next unit.
  while (Math.abs(n) >= base - 0.05 && step < 6) {
    n /= base
    step++
  }
  return n.toFixed(1) + suffixes[units][step]
}

/**
 * Characters that would act on a terminal instead of being seen: controls, and those that turn the
 * direction of writing or join and hide.
 */

const acting =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g

/** Text that is safe on a terminal and in one line: `\x1b`, `\u{202e}` instead of what acts. */
export function visible(text: string): string {
  // Most is plain ASCII, of which none acts.
  if (/^[\x20-\x7e]*$/.test(text)) return text
  return text.replace(acting, (c) => {
    const code = c.charCodeAt(0)
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
  })
}

const pad2 = (n: number): string => String(n).padStart(2, '0')

const perSecondOf = {0: 1n, 3: 1000n, 6: 1_000_000n, 9: 1_000_000_000n} as const

const twoDigits = Array.from({length: 60}, (_, n) => String(n).padStart(2, '0'))

// Times come in clusters: the text of the last day is kept.
let lastDay = NaN
let lastDate = ''

/** `2013-01-01T00:00:00` of a whole second. */
function utcText(date: Date): string {
  const second = date.getTime() / 1000
  const day = Math.floor(second / 86400)
  if (day !== lastDay) {
    lastDate = date.toISOString().slice(0, -14)
    lastDay = day
  }
  const rest = second - day * 86400
  const minutes = Math.floor(rest / 60)
  const hours = Math.floor(minutes / 60)
  const clock = `${twoDigits[hours]}:${twoDigits[minutes - hours * 60]}:${twoDigits[rest - minutes * 60]}`
  return `${lastDate}T${clock}`
}

/**
 * A time for people.
 *
 * @param units since 1970, UTC
 * @param digits of the fraction of a second that `units` counts: 0, 3, 6 or 9
 * @param origin of `relative`, in the same units
 */
export function timeText(
  units: bigint,
  digits: 0 | 3 | 6 | 9,
  choice: TimeChoice,
  origin: bigint,
): string {
  const perSecond = perSecondOf[digits]
  const seconds = units / perSecond
  const fraction = digits === 0 ? '' : `.${String(units % perSecond).padStart(digits, '0')}`
  switch (choice.style) {
    case 'epoch':
      return `${seconds}${fraction}`
    case 'epoch-ms':
      return String(digits >= 3 ? units / 10n ** BigInt(digits - 3) : units * 1000n)
    case 'relative': {
      const past = units - origin
      const sign = past < 0n ? '-' : '+'
      const size = past < 0n ? -past : past
      const rest = digits === 0 ? '' : `.${String(size % perSecond).padStart(digits, '0')}`
      return `${sign}${size / perSecond}${rest}`
    }
    default: {
      const date = new Date(Number(seconds) * 1000)
      if (Number.isNaN(date.getTime())) return `${seconds}${fraction}`
      if (choice.style === 'strftime')
        return strftime(date, choice.pattern ?? '', fraction.slice(1))
      if (choice.style === 'local') {
        return (
          `${date.getFullYear()}-${pad2(date.getMonth() + 1)}-${pad2(date.getDate())} ` +
          `${pad2(date.getHours())}:${pad2(date.getMinutes())}:${pad2(date.getSeconds())}${fraction}`
        )
      }
      return `${utcText(date)}${fraction}Z`
    }
  }
}

/** The usual letters of strftime(3), in UTC; `%f` is the fraction of the second. */
export function strftime(date: Date, pattern: string, fraction: string): string {
  const iso = date.toISOString()
  const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
  const months = [
    'Jan',
    'Feb',
    'Mar',
    'Apr',
    'May',
    'Jun',
    'Jul',
    'Aug',
    'Sep',
    'Oct',
    'Nov',
    'Dec',
  ]
  const yearDay =
    Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / 86_400_000) + 1
  const letters: Record<string, string> = {
    Y: iso.slice(0, 4),
    y: iso.slice(2, 4),
    m: iso.slice(5, 7),
    d: iso.slice(8, 10),
    e: String(date.getUTCDate()).padStart(2, ' '),
    H: iso.slice(11, 13),
    M: iso.slice(14, 16),
    S: iso.slice(17, 19),
    j: String(yearDay).padStart(3, '0'),
    F: iso.slice(0, 10),
    T: iso.slice(11, 19),
    R: iso.slice(11, 16),
    a: days[date.getUTCDay()],
    b: months[date.getUTCMonth()],
    s: String(Math.floor(date.getTime() / 1000)),
    f: fraction,
    z: '+0000',
    Z: 'UTC',
    '%': '%',
  }
  return pattern.replace(/%(.)/g, (all, letter: string) => letters[letter] ?? all)
}

/** `...AP.SF`: TCP control bits CWR ECE URG ACK PSH RST SYN FIN. */
export function flagsText(bits: number): string {
  const letters = 'CEUAPRSF'
  let text = ''
  for (let i = 0; i < 8; i++) text += (bits & (0x80 >> i)) === 0 ? '.' : letters[i]
  return text
}

/** Seconds with milliseconds, or `1h02m03s` from an hour on. */
export function durationText(ms: number): string {
  if (ms < 3_600_000) return (ms / 1000).toFixed(3)
  const seconds = Math.floor(ms / 1000)
  return `${Math.floor(seconds / 3600)}h${pad2(Math.floor(seconds / 60) % 60)}m${pad2(seconds % 60)}s`
}
