import type {RecordValue, Value} from '../record/value.js'
import {ie, reverseOf} from '../registry/lookup.js'
import type {InformationElement} from '../record/element.js'

/** What a session had since it began, as the access server counted it; undefined: not told. */
export interface SessionCounts {
  /** What came from the user. */
  readonly inputOctets: bigint | undefined
  readonly inputPackets: bigint | undefined
  /** What went to the user. */
  readonly outputOctets: bigint | undefined
  readonly outputPackets: bigint | undefined
  readonly seconds: number | undefined
  /** When it was counted, milliseconds since 1970. */
  readonly timeMs: number | undefined
}

const reverseOctets = reverseOf(ie.octetTotalCount)!
const reversePackets = reverseOf(ie.packetTotalCount)!

type Pair = readonly [InformationElement, Value | undefined]

/**
 * A session as a Biflow (RFC 5103) whose source is the user: what he sent is the forward direction, what he received the
 * reverse one, and both are totals of the session. dartaSourceSessionId says whose direction is forward (RFC 5103 section 4).
 */
export function sessionFields(counts: SessionCounts): RecordValue {
  const {timeMs, seconds} = counts
  const startMs = timeMs === undefined ? undefined : Math.max(0, timeMs - 1000 * (seconds ?? 0))
  return present([
    [ie.flowStartMilliseconds, startMs],
    [ie.flowEndMilliseconds, timeMs],
    [ie.dartaSessionSeconds, seconds],
    [ie.octetTotalCount, counts.inputOctets],
    [ie.packetTotalCount, counts.inputPackets],
    [reverseOctets, counts.outputOctets],
    [reversePackets, counts.outputPackets],
  ])
}

/** The pairs that have a value. */
export function present(pairs: readonly Pair[]): RecordValue {
  return pairs.filter((pair): pair is readonly [InformationElement, Value] => pair[1] !== undefined)
}
