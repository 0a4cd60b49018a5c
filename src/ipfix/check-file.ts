import type {InformationElement} from '../record/element.js'
import {readUnsigned} from '../record/readers.js'
import type {Template} from '../record/template.js'
import {ie} from '../registry/elements.js'
import type {Violation} from './check.js'

/** NTP counts from 1900. */
const NTP_SECONDS = 2_208_988_800
const DIGEST_OCTETS = 16

/** What RFC 5655 says of the options that describe a file, held against what the file has. */
export interface FileCheck {
  /** Digests that were right. */
  readonly digests: number
  /** File Time Windows. */
  readonly windows: number
  /** A Message begins. */
  begin(): void
  /** Whether records of this Template say anything of that. */
  concerns(template: Template): boolean
  /** A value of a record; `at` is its octet in what `view` shows, whose Message is from `start` to `end`. */
  value(
    template: Template,
    field: number,
    octets: Uint8Array,
    message: {readonly start: number; readonly end: number},
    at: number,
    length: number,
  ): void
  /** End of the stream. */
  finish(): void
}

/**
 * @param report with the octet of `octets` where it begins
 * @param base octet of the stream where `octets` begins
 * @param md5 verifies digests; without it none is
 */
export function createFileCheck(
  report: (violation: Violation) => void,
  base: () => number,
  md5: ((octets: Uint8Array) => Uint8Array) | undefined,
): FileCheck {
  const concerned = new WeakMap<Template, boolean>()
  let digests = 0
  let windows = 0
  let inMessage = 0
  let first = Infinity
  let firstAt = 0
  let last = -Infinity
  let lastAt = 0
  let from: number | undefined
  let to: number | undefined

  return {
    get digests() {
      return digests
    },
    get windows() {
      return windows
    },
    begin() {
      inMessage = 0
    },
    concerns(template) {
      let known = concerned.get(template)
      if (known === undefined) {
        known = template.fields.some(({element}) => kindOf(element) !== undefined)
        concerned.set(template, known)
      }
      return known
    },
    value(template, field, octets, {start, end}, at, length) {
      const {element} = template.fields[field]
      const kind = kindOf(element)
      const offset = base() + at
      if (kind === 'digest') {
        if (length !== DIGEST_OCTETS || md5 === undefined) return
        if (++inMessage > 1) {
          const message = 'a second digest in one Message'
          report({offset, message, rule: '5655 8.1.1'})
          return
        }
        // A Buffer's own slice would be no copy.
        const message = new Uint8Array(octets.subarray(start, end))
        message.fill(0, at - start, at - start + DIGEST_OCTETS)
        const right = md5(message)
        if (right.every((octet, i) => octet === octets[at + i])) digests++
        else {
          const words = 'the digest is not that of its Message, which has been changed'
          report({offset, message: words, rule: '5655 8.1.1'})
        }
        return
      }
      const ms = kind === undefined ? undefined : milliseconds(element, octets, at, length)
      if (ms === undefined) return
      if (kind === 'window-start') {
        if (++windows > 1) {
          report({offset, message: 'a second File Time Window', rule: '5655 8.1.2'})
        }
        from = Math.min(from ?? ms, ms)
      } else if (kind === 'window-end') to = Math.max(to ?? ms, ms)
      else if (kind === 'start' && ms < first) {
        first = ms
        firstAt = offset
      } else if (kind === 'end' && ms > last) {
        last = ms
        lastAt = offset
      }
    },
    finish() {
      const outside = (what: string, by: number, offset: number): void => {
        const message = `a Flow ${what} ${by} ms outside of the File Time Window`
        report({offset, message, rule: '5655 8.1.2'})
      }
      if (from !== undefined && first < Math.floor(from)) {
        outside('begins', Math.ceil(from - first), firstAt)
      }
      // Finer times end within the last unit of the window.
      if (to !== undefined && Math.floor(last) > Math.ceil(to)) {
        outside('ends', Math.ceil(last - to), lastAt)
      }
    },
  }
}

type Kind = 'digest' | 'window-start' | 'window-end' | 'start' | 'end'

const kinds = new Map<string, Kind>([[ie.messageMD5Checksum.name, 'digest']])
for (const unit of ['Seconds', 'Milliseconds', 'Microseconds', 'Nanoseconds']) {
  kinds.set(`minFlowStart${unit}`, 'window-start')
  kinds.set(`maxFlowEnd${unit}`, 'window-end')
  kinds.set(`flowStart${unit}`, 'start')
  kinds.set(`flowEnd${unit}`, 'end')
}

function kindOf({enterpriseNumber, name}: InformationElement): Kind | undefined {
  return enterpriseNumber === 0 ? kinds.get(name) : undefined
}

/** Milliseconds since 1970, with their fraction; undefined where the field has not the octets of its type. */
function milliseconds(
  {type}: InformationElement,
  octets: Uint8Array,
  at: number,
  length: number,
): number | undefined {
  if (type === 'dateTimeSeconds')
    return length === 4 ? readUnsigned(octets, at, 4) * 1000 : undefined
  if (length !== 8) return undefined
  const [high, low] = [readUnsigned(octets, at, 4), readUnsigned(octets, at + 4, 4)]
  if (type === 'dateTimeMilliseconds') return high * 2 ** 32 + low
  return (high - NTP_SECONDS) * 1000 + (low * 1000) / 2 ** 32
}
