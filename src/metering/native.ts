import {getSystemErrorMap} from 'node:util'
import {DartaError} from '../record/errors.js'
import type {
  FileMeter,
  KeyPart,
  MeterCounters,
  MeterField,
  MeterOptions,
  MeterOutput,
  MeterShare,
} from './meter.js'
import {partOf} from './share.js'
import {SLOTS} from './share-hash.js'

/** The part of the native addon that meters; src/io/native.ts tells what its functions do. */
export interface MeterAddon<Handle> {
  meterCreate(options: AddonOptions): Handle
  meterPush(meter: Handle, octets: Uint8Array): unknown[]
  meterEndCapture(meter: Handle): number
  meterOpen(meter: Handle, path: string): [errno: number, status: number]
  meterStep(meter: Handle, octets: number): unknown[]
  meterFinish(meter: Handle): unknown[]
  meterFlush(meter: Handle): unknown[]
  meterFull(meter: Handle): boolean
  meterBeginning(meter: Handle): [octets: number, magic: number]
  meterCounters(meter: Handle): AddonCounters
  meterClose(meter: Handle): void
}

/** MeterShare in numbers; parts count from 0. */
export interface AddonShare {
  /** 1 by hash, 2 in turn */
  readonly shareBy: number
  readonly shareAddresses: number
  readonly shareProtocol: number
  readonly sharePorts: number
  readonly shareSeed: number
  /** One octet for each slot. */
  readonly shareOwned: Uint8Array
  readonly shareFirst: number
  readonly shareLast: number
  readonly shareParts: number
}

export type AddonOptions = Omit<
  MeterOptions,
  'emit' | 'key' | 'onFull' | 'fields' | 'seed' | 'share'
> &
  Partial<AddonShare> & {
    readonly emit: number
    readonly key: number
    readonly onFull: number
    readonly seed: number | undefined
    readonly v4: Uint32Array
    readonly v6: Uint32Array
  }

export type AddonCounters = Omit<MeterCounters, 'skipped' | 'lost' | 'firstOffset'> & {
  readonly skipped: readonly (string | number)[]
  readonly lost: readonly (string | number)[]
}

const emits: readonly MeterOptions['emit'][] = ['flows', 'packets', 'pcap']
const policies: readonly MeterOptions['onFull'][] = ['evict', 'drop', 'fail']
/** In the order of the bits in native/meter/packet.h. */
const keyParts: readonly KeyPart[] = [
  'src',
  'dst',
  'proto',
  'srcport',
  'dstport',
  'vlan',
  'tunnel',
  'interface',
  'tos',
  'srcmac',
  'dstmac',
]

/**
 * The Metering Process in C++. docs/METERING.md says what it does, and that it makes the same records as
 * typescript-meter.ts.
 *
 * @throws DartaError DARTA_USAGE for a field that it cannot fill
 */
export function createNativeMeter<Handle>(
  addon: MeterAddon<Handle>,
  options: MeterOptions,
): FileMeter {
  const handle = create(addon, options)
  let path = ''

  /** Throws what a status means. */
  function check(status: number): void {
    if (status === 1) throw notACapture(...addon.meterBeginning(handle))
    if (status === 2) {
      const {flowsLive} = addon.meterCounters(handle)
      throw new DartaError('DARTA_FLOW_TABLE_FULL', `${flowsLive} Flows are live: no room for more`)
    }
    if (status === 3) {
      throw new DartaError(
        'DARTA_FILE_READ',
        `${path} became shorter while it was read, or its device failed`,
      )
    }
  }

  function outputsOf(result: readonly unknown[]): MeterOutput[] {
    check(result[0] as number)
    return readOutputs(result)
  }

  return {
    push: (octets) => outputsOf(addon.meterPush(handle, octets)),
    endCapture() {
      check(addon.meterEndCapture(handle))
    },
    open(name) {
      const [errno, status] = addon.meterOpen(handle, name)
      check(status)
      path = name
      if (errno === 0) return
      const [code, words] = getSystemErrorMap().get(-errno) ?? ['', `error ${errno}`]
      throw new DartaError(
        code === 'EACCES' || code === 'EPERM' ? 'DARTA_PERMISSION' : 'DARTA_FILE_READ',
        `cannot read ${name}: ${code === 'ESPIPE' ? 'not a regular file' : words}`,
      )
    },
    step(octets) {
      const result = addon.meterStep(handle, octets)
      return {outputs: outputsOf(result), done: result[1] === 1}
    },
    full: () => addon.meterFull(handle),
    finish: () => outputsOf(addon.meterFinish(handle)),
    flush: () => outputsOf(addon.meterFlush(handle)),
    counters: () => readCounters(addon.meterCounters(handle)),
    close() {
      addon.meterClose(handle)
    },
  }
}

/** The buffers in a result: four values each, behind its first two. */
export function readOutputs(result: readonly unknown[]): MeterOutput[] {
  const outputs: MeterOutput[] = []
  for (let i = 2; i < result.length; i += 4) {
    outputs.push({
      octets: result[i] as Uint8Array,
      template: result[i + 1] as number,
      count: result[i + 2] as number,
      exportTime: result[i + 3] as number,
    })
  }
  return outputs
}

export function readCounters({skipped, lost, ...rest}: AddonCounters): MeterCounters {
  return {
    ...rest,
    skipped: triples(skipped, 1),
    lost: triples(lost, 1),
    firstOffset: triples(lost, 2),
  }
}

const PCAPNG_MAGIC = 0x0a0d0d0a

function notACapture(octets: number, magic: number): DartaError {
  const text = magic.toString(16).padStart(8, '0')
  const [why, offset] =
    octets < 4
      ? [`the input has ${octets} octets`, 0]
      : magic === PCAPNG_MAGIC
        ? ['a pcapng section with an unknown byte-order magic', 8]
        : [`magic ${text} is neither pcap nor pcapng`, 0]
  return new DartaError('DARTA_CAPTURE_FORMAT', `not a capture: ${why}`, offset)
}

function create<Handle>(addon: MeterAddon<Handle>, options: MeterOptions): Handle {
  try {
    return addon.meterCreate(addonOptions(options))
  } catch (error) {
    if (!(error instanceof Error) || (error as NodeJS.ErrnoException).code !== 'DARTA_USAGE') {
      throw error
    }
    throw new DartaError('DARTA_USAGE', error.message, undefined, error)
  }
}

/** Options in numbers, as the addon takes them. */
export function addonOptions(options: MeterOptions): AddonOptions {
  const {emit, key, onFull, fields, seed, share, ...rest} = options
  return {
    ...rest,
    ...(share !== undefined && shareNumbers(share)),
    emit: emits.indexOf(emit),
    key: key.reduce((bits, part) => bits | (1 << keyParts.indexOf(part)), 0),
    onFull: policies.indexOf(onFull),
    seed,
    v4: numbersOf(fields.v4),
    v6: numbersOf(fields.v6),
  }
}

function shareNumbers({share, selector, seed}: MeterShare): AddonShare {
  const {first, last, parts} = share
  return {
    shareBy: selector.kind === 'turn' ? 2 : 1,
    shareAddresses: {both: 0, src: 1, dst: 2}[selector.addresses],
    shareProtocol: Number(selector.protocol),
    sharePorts: Number(selector.ports),
    shareSeed: seed,
    shareOwned: Uint8Array.from({length: SLOTS}, (_, slot) =>
      Number(partOf(slot, parts) >= first && partOf(slot, parts) <= last),
    ),
    shareFirst: first - 1,
    shareLast: last - 1,
    shareParts: parts,
  }
}

function numbersOf(fields: readonly MeterField[]): Uint32Array {
  return Uint32Array.from(
    fields.flatMap(({element, length}) => [element.enterpriseNumber, element.elementId, length]),
  )
}

/** A map from each name to the number `place` behind it. */
function triples(list: readonly (string | number)[], place: 1 | 2): Map<string, number> {
  const map = new Map<string, number>()
  for (let i = 0; i < list.length; i += 3) map.set(list[i] as string, list[i + place] as number)
  return map
}
