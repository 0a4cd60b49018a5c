import {existsSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {darta} from '../support/darta.js'
import {needing, root, shared} from '../support/needing.js'

interface Truth {
  readonly file: string
  readonly format: string
  /** Frames that could be read. */
  readonly packets: number
  readonly ip_packets: number
  readonly ip_bytes: number
  /** What has a length that cannot be. */
  readonly bad_ip_length: number
  readonly captured_bytes: number
  readonly wire_bytes: number
  readonly snapped_packets: number
  readonly linktypes: readonly number[]
  /** Null where packets have no time. */
  readonly min_ts: string | null
  readonly max_ts: string | null
}

interface InfoReport {
  readonly file: string
  readonly format: string
  readonly frames: number
  readonly linkTypes: Readonly<Record<string, number>>
  readonly cutFrames: number
  readonly wireOctets: number
  readonly capturedOctets: number
  readonly time?: {readonly first: string; readonly last: string}
  readonly ipPackets: number
  readonly ipOctets: number
  readonly lost: readonly {readonly reason: string; readonly count: number}[]
}

const file = join(root, '../shared/fixtures/truth.json')
const truths = existsSync(file)
  ? Object.values(
      (JSON.parse(readFileSync(file, 'utf8')) as {captures: Record<string, Truth>}).captures,
    )
  : []

/** `1700000000.000000123`, as the truth writes times. */
function seconds(text: string): string {
  return `${Date.parse(text) / 1000 - (Date.parse(text) % 1000) / 1000}.${text.slice(20, 29)}`
}

needing(shared('fixtures/truth.json'))('info counts what is in all shared captures', async (t) => {
  const args = truths.flatMap((truth) => ['-r', join(root, '../shared/fixtures', truth.file)])
  const {code, stdout} = await darta(t, ['info', '-q', '-o', 'ndjson', ...args])
  t.is(code, 0)
  const lines = stdout.toString().trim().split('\n')
  t.is(lines.length, truths.length)
  for (const [i, line] of lines.entries()) {
    const report = JSON.parse(line) as InfoReport
    const truth = truths[i]
    const count = (...reasons: string[]): number =>
      report.lost.reduce((sum, one) => sum + (reasons.includes(one.reason) ? one.count : 0), 0)
    const unread = count('truncated', 'malformed', 'unknown-interface')
    if (count('malformed') > 0) {
      // The tool that made truth.json ends at the damage; darta goes on behind it.
      t.true(report.frames - unread > truth.packets, truth.file)
      continue
    }
    t.like(
      {
        ...report,
        frames: report.frames - unread,
        linkTypes: Object.keys(report.linkTypes).map(Number),
        time: report.time && [report.time.first, report.time.last].map(seconds),
      },
      {
        format: truth.format,
        frames: truth.packets,
        linkTypes: truth.packets === 0 ? [] : [...truth.linktypes].sort((a, b) => a - b),
        cutFrames: truth.snapped_packets,
        wireOctets: truth.wire_bytes,
        capturedOctets: truth.captured_bytes,
        ipPackets: truth.ip_packets,
        ipOctets: truth.ip_bytes,
        ...(truth.min_ts !== null && truth.packets > 0 && {time: [truth.min_ts, truth.max_ts]}),
      },
      truth.file,
    )
  }
})
