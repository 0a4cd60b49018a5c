import {littleEndian} from './byte-order.js'
import {asksBesideFrame, compileFilter} from './compile-filter.js'
import {ebpfOctets} from './ebpf.js'
import type {LiveSource, TurnOf} from './live.js'
import {seenLinkType, type LiveAddon} from './native-live.js'
import {
  LANDMARK_OCTETS,
  LANDMARKS,
  TURN_HEADER_OCTETS,
  TURN_VALUE_OCTETS,
  turnProgram,
} from './turn-program.js'
import {DartaError} from '../record/errors.js'

/** A packet that all nodes see, and how many one of them has counted before it. */
export interface Landmark {
  readonly interfaceName: string
  /** `2/4` */
  readonly share: string
  /** Milliseconds since 1970 by this machine's clock, with a fraction. */
  readonly timeMs: number
  readonly digest: number
  readonly packets: number
}

/** The kernel's count of one interface. */
export interface TurnCounter {
  readonly interfaceName: string
  /** Packets since the beginning, and how often it began anew. */
  counts(): {packets: number; resets: number}
  /** Those that came since the last call; without `all` the very last one may be kept back, which is perhaps being written. */
  landmarks(all: boolean): Landmark[]
}

/**
 * Loads the socket filter that takes one interface's packets in turn.
 *
 * @throws DartaError DARTA_PERMISSION, DARTA_INTERFACE; DARTA_USAGE for a filter
 */
export async function loadTurns(
  addon: LiveAddon,
  source: LiveSource,
  turn: TurnOf,
  interfaceName: string,
): Promise<{descriptor: number; counter: TurnCounter}> {
  const seen = seenLinkType(interfaceName)
  const compile = async (text: string | undefined) => {
    if (text !== undefined && asksBesideFrame(text)) {
      throw new DartaError(
        'DARTA_USAGE',
        `'${text}': VLAN tags and directions are not seen where packets are counted in turn`,
      )
    }
    return text === undefined ? undefined : await compileFilter(text, seen)
  }
  const program = turnProgram({
    share: turn.share,
    filter: await compile(source.filter),
    begin: await compile(turn.begin),
    snapOctets: source.snapOctets,
  })
  const turns = addon.turnsLoad(ebpfOctets(program), TURN_VALUE_OCTETS)
  if (Array.isArray(turns)) {
    const [call, errno, log] = turns as [string, number, string]
    throw loadFault(call, errno, log)
  }
  const {first, last, parts} = turn.share
  const share = first === last ? `${first}/${parts}` : `${first}-${last}/${parts}`
  return {
    descriptor: addon.turnsDescriptor(turns),
    counter: createTurnCounter(interfaceName, share, () => addon.turnsRead(turns)),
  }
}

function loadFault(call: string, errno: number, log: string): DartaError {
  const [EPERM, EINVAL] = [1, 22]
  if (errno === EPERM) {
    return new DartaError(
      'DARTA_PERMISSION',
      `taking packets in turn needs CAP_BPF, which this process has not (${call})`,
    )
  }
  const reason = log.trim().split('\n').at(-1) ?? ''
  const words =
    errno === EINVAL ? 'this kernel does not take it: Linux 5.12 does' : `error ${errno}`
  return new DartaError('DARTA_INTERFACE', `${call} of the filter that counts: ${words} ${reason}`)
}

/** @param read the map's value, as turn-program.ts describes it */
function createTurnCounter(
  interfaceName: string,
  share: string,
  read: () => Uint8Array,
): TurnCounter {
  const toWallMs = wallMinusMonotonicMs()
  let known = 0
  const view = (): DataView => {
    const octets = read()
    return new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  }
  return {
    interfaceName,
    counts() {
      const now = view()
      return {
        packets: Number(now.getBigUint64(0, littleEndian)),
        resets: Number(now.getBigUint64(8, littleEndian)),
      }
    },
    landmarks(all) {
      const now = view()
      const end = Number(now.getBigUint64(16, littleEndian)) - (all ? 0 : 1)
      const found: Landmark[] = []
      for (let i = Math.max(known, end - LANDMARKS); i < end; i++) {
        const at = TURN_HEADER_OCTETS + (i % LANDMARKS) * LANDMARK_OCTETS
        found.push({
          interfaceName,
          share,
          timeMs: toWallMs + Number(now.getBigUint64(at + 16, littleEndian)) / 1e6,
          digest: now.getUint32(at, littleEndian),
          packets: Number(now.getBigUint64(at + 8, littleEndian)),
        })
      }
      known = Math.max(known, end)
      return found
    },
  }
}

/** The kernel's times are those of the monotonic clock. Of several readings the one that was disturbed least. */
function wallMinusMonotonicMs(): number {
  let best = Infinity
  let difference = 0
  for (let i = 0; i < 10; i++) {
    const before = Number(process.hrtime.bigint()) / 1e6
    const wall = Date.now()
    const took = Number(process.hrtime.bigint()) / 1e6 - before
    if (took >= best) continue
    best = took
    difference = wall - before - took / 2
  }
  return difference
}
