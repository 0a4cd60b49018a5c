import {createCaptureReader} from '../../metering/capture-file.js'
import {isLater, nanoseconds, setTime, type Time} from '../../metering/time.js'
import type {Meter, MeterCounters} from '../../metering/meter.js'
import {faultsOf, nanosecondsText, type Fault, type Window} from './report.js'

/** What is in a capture. */
export interface CaptureReport {
  readonly format: 'pcap' | 'pcapng'
  readonly frames: number
  /** Frames by LINKTYPE_ number. */
  readonly linkTypes: Readonly<Record<string, number>>
  /** Frames of which not all octets were captured. */
  readonly cutFrames: number
  /** Octets the frames had on the wire. */
  readonly wireOctets: number
  readonly capturedOctets: number
  /** Of the packets; undefined without any. */
  readonly time: Window | undefined
  readonly ipPackets: number
  /** Octets of the IP packets, as octetDeltaCount counts them. */
  readonly ipOctets: number
  /** Frames without IP, by kind. */
  readonly skipped: Readonly<Record<string, number>>
  readonly lost: readonly Fault[]
}

/** Takes the octets of a capture; `meter` is one that makes Packet Reports, which are thrown away. */
export interface CaptureSurvey {
  push(octets: Uint8Array): void
  end(): CaptureReport
  counters(): MeterCounters
}

export function surveyCapture(format: 'pcap' | 'pcapng', meter: Meter): CaptureSurvey {
  const linkTypes = new Map<number, number>()
  let cutFrames = 0
  let wireOctets = 0
  let capturedOctets = 0
  const first: Time = {ms: 0, ns: 0}
  const last: Time = {ms: 0, ns: 0}
  const reader = createCaptureReader({
    frame({linkType, start, end, originalLength, time}) {
      if (linkTypes.size === 0) {
        setTime(first, time)
        setTime(last, time)
      } else if (isLater(time, last)) setTime(last, time)
      else if (isLater(first, time)) setTime(first, time)
      linkTypes.set(linkType, (linkTypes.get(linkType) ?? 0) + 1)
      if (end - start < originalLength) cutFrames++
      wireOctets += originalLength
      capturedOctets += end - start
    },
    // The meter counts damage, in the same way.
    lost: () => {},
    full: () => false,
  })
  return {
    counters: () => meter.counters(),
    push(octets) {
      meter.push(octets)
      reader.push(octets)
    },
    end() {
      reader.finish()
      meter.endCapture()
      const counters = meter.counters()
      const empty = linkTypes.size === 0
      return {
        format,
        frames: counters.frames,
        linkTypes: Object.fromEntries(linkTypes),
        cutFrames,
        wireOctets,
        capturedOctets,
        time: empty
          ? undefined
          : {first: nanosecondsText(nanoseconds(first)), last: nanosecondsText(nanoseconds(last))},
        ipPackets: counters.ipPackets,
        ipOctets: counters.ipOctets,
        skipped: Object.fromEntries(counters.skipped),
        lost: faultsOf(counters.lost, counters.firstOffset),
      }
    },
  }
}
