import type {Frame} from './capture-file.js'
import type {MeterCounters} from './meter.js'
import {isLater, nanoseconds, setTime, type Time} from './time.js'

/** What a meter counts of frames: `frames = ipPackets + Σ skipped + Σ lost`. */
export interface FrameAccount {
  /** Greatest packet time so far. */
  readonly clock: Readonly<Time>
  frames(): number
  /** A frame of another share, which nobody here meters. */
  leave(): void
  /** A frame was read from the capture; now one of the others has to follow. */
  begin(frame: Frame): void
  meter(octets: number): void
  skip(kind: string): void
  /** @param octets what it was long, as in MeterCounters.lostOctets */
  lose(reason: string, frame: Frame, octets: number): void
  /** What was lost before it became a frame. */
  loseUnread(reason: string, offset: number, octets: number): void
  counters(): FrameCounters
}

type FrameCounters = Pick<
  MeterCounters,
  | 'frames'
  | 'ipPackets'
  | 'ipOctets'
  | 'skipped'
  | 'lost'
  | 'firstOffset'
  | 'lostOctets'
  | 'firstLostNs'
  | 'lastLostNs'
  | 'firstTimeNs'
  | 'lastTimeNs'
>

export function createFrameAccount(): FrameAccount {
  const clock: Time = {ms: 0, ns: 0}
  /** Earliest and latest time, undefined before the first. */
  const all = createSpan()
  const losses = createSpan()
  let frames = 0
  let others = 0
  let ipPackets = 0
  let ipOctets = 0
  let lostOctets = 0
  const skipped = new Map<string, number>()
  const lost = new Map<string, number>()
  const firstOffset = new Map<string, number>()

  function countLoss(reason: string, offset: number, octets: number): void {
    increase(lost, reason)
    lostOctets += octets
    if (!firstOffset.has(reason)) firstOffset.set(reason, offset)
  }

  return {
    clock,
    frames: () => frames,
    leave() {
      others++
    },
    begin({time}) {
      frames++
      all.add(time)
      if (isLater(time, clock)) setTime(clock, time)
    },
    meter(octets) {
      ipPackets++
      ipOctets += octets
    },
    skip(kind) {
      increase(skipped, kind)
    },
    lose(reason, frame, octets) {
      losses.add(frame.time)
      countLoss(reason, frame.offset, octets)
    },
    loseUnread(reason, offset, octets) {
      frames++
      countLoss(reason, offset, octets)
    },
    counters: () => ({
      frames: frames + others,
      ipPackets,
      ipOctets,
      skipped: new Map([...skipped, ...(others > 0 ? [['other-share', others] as const] : [])]),
      lost: new Map(lost),
      firstOffset: new Map(firstOffset),
      lostOctets,
      firstLostNs: losses.first(),
      lastLostNs: losses.last(),
      firstTimeNs: all.first(),
      lastTimeNs: all.last(),
    }),
  }
}

/** The least and the greatest of some times. */
interface Span {
  add(time: Readonly<Time>): void
  first(): bigint | undefined
  last(): bigint | undefined
}

function createSpan(): Span {
  let first: Time | undefined
  let last: Time | undefined
  return {
    add(time) {
      if (first === undefined || last === undefined) {
        first = {...time}
        last = {...time}
      } else if (isLater(time, last)) setTime(last, time)
      else if (isLater(first, time)) setTime(first, time)
    },
    first: () => first && nanoseconds(first),
    last: () => last && nanoseconds(last),
  }
}

function increase(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}
