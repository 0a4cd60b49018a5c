import {LAST_TIME, setNanoseconds, setTime, type Time} from './time.js'

/** What an Interface Description Block says. draft-ietf-opsawg-pcapng section 4.2. */
export interface CaptureInterface {
  readonly linkType: number
  /** Octets captured of a frame at most; 0: no limit. */
  readonly snapLength: number
  /** Timestamp units in a second (if_tsresol). */
  readonly unitsPerSecond: bigint
  /** Seconds to add to timestamps (if_tsoffset). */
  readonly offsetSeconds: bigint
}

const IF_TSRESOL = 9
const IF_TSOFFSET = 14

/** Reads the body of an Interface Description, `start` to `end` (at least 8 octets). */
export function readInterface(
  view: DataView,
  start: number,
  end: number,
  littleEndian: boolean,
): CaptureInterface {
  let unitsPerSecond = 1000000n
  let offsetSeconds = 0n
  let at = start + 8
  while (at + 4 <= end) {
    const code = view.getUint16(at, littleEndian)
    const length = view.getUint16(at + 2, littleEndian)
    const value = at + 4
    if (code === 0 || value + length > end) break
    if (code === IF_TSRESOL && length === 1) {
      const exponent = view.getUint8(value)
      unitsPerSecond = exponent & 0x80 ? 2n ** BigInt(exponent & 0x7f) : 10n ** BigInt(exponent)
    }
    if (code === IF_TSOFFSET && length === 8) offsetSeconds = view.getBigInt64(value, littleEndian)
    at = value + Math.ceil(length / 4) * 4
  }
  return {
    linkType: view.getUint16(start, littleEndian),
    snapLength: view.getUint32(start + 4, littleEndian),
    unitsPerSecond,
    offsetSeconds,
  }
}

/** Sets `time` from the two halves of a timestamp of interface `from`. */
export function setPacketTime(time: Time, high: number, low: number, from: CaptureInterface): void {
  if (from.offsetSeconds === 0n) {
    if (from.unitsPerSecond === 1000000n && high < 0x200000) {
      const us = high * 2 ** 32 + low
      time.ms = Math.floor(us / 1000)
      time.ns = (us % 1000) * 1000
      return
    }
    if (from.unitsPerSecond === 1000000000n) {
      // 2^32 ns are 4294 ms and 967296 ns; so no intermediate value passes 2^53.
      const rest = high * 967296 + low
      time.ms = high * 4294 + Math.floor(rest / 1e6)
      time.ns = rest % 1e6
      if (high >= 0x80000000) setTime(time, LAST_TIME)
      return
    }
  }
  const units = (BigInt(high) << 32n) | BigInt(low)
  setNanoseconds(
    time,
    (units * 1000000000n) / from.unitsPerSecond + from.offsetSeconds * 1000000000n,
  )
}
