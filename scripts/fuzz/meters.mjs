import {built} from './support.mjs'

/** What differs between the meters in C++ and in TypeScript; undefined if nothing does. */
export async function loadComparison() {
  const {loadNative, nativeAbsence} = await built('src/io/native.js')
  const {createNativeMeter} = await built('src/metering/native.js')
  const {createTypescriptMeter} = await built('src/metering/typescript-meter.js')
  const addon = loadNative()
  if (addon === undefined) throw new Error(nativeAbsence())
  return (captures, options) => {
    const a = account(createNativeMeter(addon, options), captures, options)
    const b = account(createTypescriptMeter(options), captures, options)
    for (const name of Object.keys(b)) {
      if (a[name] === b[name]) continue
      const only = (x, y) => {
        const theirs = new Set(y.split('\n'))
        return x
          .split('\n')
          .filter((line) => !theirs.has(line))
          .slice(0, 4)
          .join('\n  ')
          .slice(0, 2000)
      }
      return `${name}\n C++\n  ${only(a[name], b[name])}\n TypeScript\n  ${only(b[name], a[name])}`
    }
    return undefined
  }
}

/** Records as lines, counters and errors of one meter. */
function account(meter, captures, options) {
  const outputs = []
  const errors = []
  const attempt = (fn) => {
    try {
      outputs.push(...(fn() ?? []))
      return true
    } catch (error) {
      if (error.code === undefined || error.code === 'DARTA_INTERNAL') throw error
      errors.push(error.code)
      return false
    }
  }
  for (const [i, parts] of captures.entries()) {
    if (!parts.every((part) => attempt(() => meter.push(part)))) break
    if (i + 1 < captures.length && !attempt(() => meter.endCapture())) break
  }
  // What was read at the very end could not be metered; what was metered before is still to be had.
  if (!attempt(() => meter.finish())) attempt(() => meter.finish())
  const counters = {...meter.counters()}
  delete counters.memoryOctets
  meter.close()
  // With a limit, how much was read ahead is an implementation's own business.
  const stops = options.maxFrames > 0 || options.onFull === 'fail' || errors.length > 0
  if (stops) delete counters.inputOctets
  const told = Object.entries(counters).sort()
  return {
    errors: errors.join('\n'),
    counters: told.map(([name, value]) => `${name} ${text(value)}`).join('\n'),
    records: records(outputs, options),
  }
}

function text(value) {
  return value instanceof Map ? JSON.stringify([...value].sort()) : String(value)
}

/** Flows in any order, but all; packets and frames in theirs. */
function records(outputs, {emit, fields}) {
  if (emit === 'pcap') return Buffer.concat(outputs.map(({octets}) => octets)).toString('hex')
  if (emit === 'packets') {
    return Buffer.concat(outputs.map(({octets}) => octets.subarray(20))).toString('hex')
  }
  const sizes = [fields.v4, fields.v6].map((list) =>
    list.reduce((sum, {length}) => sum + length, 0),
  )
  const lines = []
  for (const {octets, template} of outputs) {
    const body = Buffer.from(octets.buffer, octets.byteOffset + 20, octets.byteLength - 20)
    for (let at = 0; at < body.length; at += sizes[template]) {
      lines.push(`${template} ${body.toString('hex', at, at + sizes[template])}`)
    }
  }
  return lines.sort().join('\n')
}
