import {availableParallelism} from 'node:os'
import {textTable} from '../../cli/text-table.js'
import {loadNative} from '../../io/native.js'
import {bpfOctets} from '../../metering/bpf-assembler.js'
import {ebpfOctets} from '../../metering/ebpf.js'
import {addonOptions} from '../../metering/native.js'
import flow from '../../metering/selectors/flow.js'
import {shareProgram} from '../../metering/share-bpf.js'
import {earlyProgram} from '../../metering/xdp-program.js'
import {ownedSlots} from '../../metering/share.js'
import {TURN_VALUE_OCTETS, turnProgram} from '../../metering/turn-program.js'
import {DartaError} from '../../record/errors.js'
import {meterOptions} from '../capture/meter-options.js'
import {
  capturedRate,
  gain,
  losslessRate,
  nodesNeeded,
  type CaptureNode,
  type Gain,
} from './capacity-model.js'
import type {ReadText} from './finding.js'

/** What is asked of the planner. */
export interface CapacityQuestion {
  /** An interface whose traffic is to be captured; its frames' mean size and its speed count. */
  readonly interface: string | undefined
  /** Packets a second on the link. */
  readonly offered: number | undefined
  readonly nodes: number
  readonly times: number
  readonly cores: 1 | 2
  /** Whether the nodes capture with --mirror-port. */
  readonly mirrorPort: boolean
  /** Nanoseconds a packet of the application that one machine runs instead of darta. */
  readonly applicationNs: number | undefined
}

export interface CapacityAnswer {
  readonly frameOctets: number
  readonly cores: 1 | 2
  /** Nanoseconds of processor time a packet. */
  readonly costs: {
    readonly receive: number
    /** By a socket that rejects all without a look: what the kernel takes for having one. */
    readonly rejectAll: number
    readonly reject: number
    readonly rejectInTurn: number | undefined
    readonly accept: number
    readonly acceptWhole: number
    readonly meter: number
    /** With --mirror-port: receiving and dropping it, and what is more if it goes on. */
    readonly dropEarly: number | undefined
    readonly passEarly: number | undefined
  }
  readonly mirrorPort: boolean
  readonly oneRuns: 'darta' | 'application'
  /** Packets a second of the interface at its full speed, where that is known. */
  readonly lineRate: number | undefined
  /** Packets a second without loss, by 1 node, 2, … */
  readonly lossless: readonly number[]
  readonly loads: readonly Load[]
  readonly gain: Gain & {readonly nodes: number; readonly times: number}
}

interface Load {
  readonly offered: number
  /** Of what is said: the load that was asked for, or that of the full link. */
  readonly what?: 'asked' | 'line-rate'
  readonly nodesNeeded: number | undefined
  /** Packets a second captured by one machine (of what `oneRuns`), then by 1 node, 2, … */
  readonly byOne: number
  readonly captured: readonly number[]
}

const SNAP_OCTETS = 256
/** Preamble, start of frame, frame check sequence and gap, which counters of frames leave out. */
const WIRE_OCTETS = 24
const DEFAULT_FRAME_OCTETS = 512
const FLOWS = 65536
/** Loads of the table, packets a second. */
const LOADS = [1e5, 2e5, 5e5, 1e6, 1.5e6, 2e6, 3e6, 5e6, 1e7, 14_880_952]

/**
 * Measures what packets cost here and tells what nodes like this machine could capture.
 *
 * @throws DartaError DARTA_NATIVE_MISSING, DARTA_PERMISSION, DARTA_UNFIT
 */
export function planCapacity(question: CapacityQuestion, read: ReadText): CapacityAnswer {
  const {mean, speed} = interfaceFacts(question.interface, read)
  const frameOctets = Math.min(Math.max(mean ?? DEFAULT_FRAME_OCTETS, 64), 1514)
  const {cores, nodes, times} = question
  const costs = measure(frameOctets)
  const {applicationNs, mirrorPort} = question
  const {dropEarly, passEarly} = costs
  const early =
    mirrorPort && dropEarly !== undefined && passEarly !== undefined
      ? {drop: dropEarly, pass: passEarly}
      : undefined
  if (mirrorPort && early === undefined) {
    throw new DartaError(
      'DARTA_UNFIT',
      'this kernel cannot send frames by a driver, so that what --mirror-port costs is not known: Linux 5.18 can',
    )
  }
  const node: CaptureNode = {costs: {...costs, ...(early && {early})}, cores}
  const one: CaptureNode =
    applicationNs === undefined
      ? node
      : {cores, costs: {...costs, accept: costs.acceptWhole, meter: applicationNs}}
  const counts = Array.from({length: nodes}, (_, i) => i + 1)
  const lineRate = speed === undefined ? undefined : speed / 8 / (frameOctets + WIRE_OCTETS)
  const load = (offered: number, what?: Load['what']): Load => ({
    offered,
    ...(what !== undefined && {what}),
    nodesNeeded: nodesNeeded(node, offered),
    byOne: capturedRate(one, 1, offered),
    captured: counts.map((n) => capturedRate(node, n, offered)),
  })
  const loads = LOADS.map((offered) => load(offered))
  if (lineRate !== undefined) loads.push(load(lineRate, 'line-rate'))
  if (question.offered !== undefined) loads.push(load(question.offered, 'asked'))
  loads.sort((a, b) => a.offered - b.offered)
  return {
    frameOctets,
    cores,
    costs,
    mirrorPort,
    oneRuns: applicationNs === undefined ? 'darta' : 'application',
    lineRate,
    lossless: counts.map((n) => losslessRate(node, n)),
    loads,
    gain: {nodes, times, ...gain(node, nodes, one, times)},
  }
}

function interfaceFacts(
  name: string | undefined,
  read: ReadText,
): {mean: number | undefined; speed: number | undefined} {
  if (name === undefined) return {mean: undefined, speed: undefined}
  const at = `/sys/class/net/${name}`
  if (read(`${at}/flags`) === undefined) {
    throw new DartaError('DARTA_INTERFACE', `there is no interface ${name}`)
  }
  const number = (file: string): number => Number(read(`${at}/${file}`) ?? NaN)
  const packets = number('statistics/rx_packets')
  const mbits = number('speed')
  return {
    mean: packets >= 1000 ? Math.round(number('statistics/rx_bytes') / packets) : undefined,
    speed: mbits > 0 ? mbits * 1e6 : undefined,
  }
}

function measure(frameOctets: number): CapacityAnswer['costs'] {
  const addon = loadNative()
  if (addon === undefined) {
    throw new DartaError('DARTA_NATIVE_MISSING', 'measuring needs the native addon: npm run build')
  }
  const nobody = new Uint8Array(512)
  const everybody = ownedSlots({first: 1, last: 1, parts: 1})
  const turns = addon.turnsLoad(
    ebpfOctets(
      turnProgram({
        share: {first: 1, last: 1, parts: 2 ** 31 - 1},
        filter: undefined,
        begin: undefined,
        snapOctets: SNAP_OCTETS,
      }),
    ),
    TURN_VALUE_OCTETS,
  )
  const counts = !Array.isArray(turns)
  const early = (owned: Uint8Array): Uint8Array =>
    earlyProgram(shareProgram(1, flow, 0, owned, SNAP_OCTETS, 'accepted'), 'direct')
  const measured = addon.measureCapacity(addonOptions(defaultMeter()), {
    frameOctets,
    flows: FLOWS,
    batch: 8192,
    rounds: 12,
    reject: bpfOctets(shareProgram(1, flow, 0, nobody)),
    accept: bpfOctets(shareProgram(1, flow, 0, everybody, SNAP_OCTETS)),
    whole: new Uint8Array(0),
    turn: counts ? addon.turnsDescriptor(turns) : 0,
    earlyDrop: early(nobody),
    earlyPass: early(everybody),
  })
  if (Array.isArray(measured)) {
    const [call, errno] = measured
    if (errno === 1 || errno === 13) {
      throw new DartaError(
        'DARTA_PERMISSION',
        `measuring needs CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_NET_RAW for a network namespace of its own (${call})`,
      )
    }
    throw new DartaError('DARTA_UNFIT', `packets cannot be measured here: ${call}, error ${errno}`)
  }
  const {receive, rejectAll, reject, rejectTurn, accept, acceptWhole, meter, earlyDrop, earlyPass} =
    measured
  const known = (ns: number): number | undefined => (ns < 0 ? undefined : ns)
  return {
    receive,
    rejectAll,
    reject,
    rejectInTurn: counts ? rejectTurn : undefined,
    accept,
    acceptWhole,
    meter,
    dropEarly: known(earlyDrop),
    passEarly: known(earlyPass),
  }
}

/** As `capture -i` meters without options. */
function defaultMeter(): ReturnType<typeof meterOptions> {
  return meterOptions({
    emit: 'flows',
    biflow: false,
    decap: false,
    precision: 'ms',
    section: 64,
    'on-full': 'evict',
  })
}

/** Processors that kernel and process can have: more than two do not help. */
export function usableCores(): 1 | 2 {
  return availableParallelism() > 1 ? 2 : 1
}

/** The answer as tables for people. */
export function capacityText(answer: CapacityAnswer): string {
  const {costs, cores, frameOctets, loads, lossless, gain: gained, oneRuns} = answer
  const ns = (value: number | undefined): string =>
    value === undefined ? 'not measured' : `${value.toFixed(0)} ns`
  const rate = (value: number): string => `${(value / 1e6).toFixed(value < 1e6 ? 3 : 2)} M`
  const rows: string[][] = [
    ['receive a packet', ns(costs.receive), 'by the kernel, whoever wants it'],
    ['show it to a socket', ns(costs.rejectAll), 'more, one that rejects all without a look'],
    ['reject it', ns(costs.reject), 'more, if it is of another share'],
    ['reject it in turn', ns(costs.rejectInTurn), 'more, with --by packets'],
    ['drop it early', ns(costs.dropEarly), 'in the place of both, with --mirror-port'],
    ['let it pass early', ns(costs.passEarly), 'more, with --mirror-port'],
    ['accept it', ns(costs.accept), 'more, cut to its headers'],
    ['accept it whole', ns(costs.acceptWhole), 'more'],
    ['meter it', ns(costs.meter), 'by a process'],
  ]
  const nodes = lossless.map((_, i) => `${i + 1} ${i === 0 ? 'node' : 'nodes'}`)
  const other = oneRuns === 'application'
  const headings = ['offered/s', 'needed', ...(other ? ['application'] : []), ...nodes]
  const table = loads.map(({offered, what, nodesNeeded: needed, byOne, captured}) => [
    `${rate(offered)}${what === 'line-rate' ? ' (line rate)' : what === 'asked' ? ' (asked)' : ''}`,
    needed === undefined ? '–' : String(needed),
    ...(other ? [rate(byOne)] : []),
    ...captured.map(rate),
  ])
  const one = other ? 'one machine with the application' : 'one'
  const {offered, most, mostAt, times} = gained
  const said =
    offered === undefined
      ? `${gained.nodes} nodes never capture ${times} times what ${one} does: ${most.toFixed(1)} times at most, at ${rate(mostAt)} packets/s`
      : `${gained.nodes} nodes capture ${times} times what ${one} does from ${rate(offered)} packets/s on`
  return (
    `Measured here, processor time a packet of ${frameOctets} octets:\n` +
    textTable(['', '', ''], rows, ['left', 'right']).replace(/^.*\n/, '') +
    `\nModelled for nodes like this machine, kernel and process on ${cores === 2 ? 'a processor each' : 'one processor'}` +
    `${answer.mirrorPort ? ', with --mirror-port' : ''}; packets captured a second:\n` +
    textTable(
      headings,
      [['without loss', '', ...(other ? [''] : []), ...lossless.map(rate)], ...table],
      headings.map((_, i) => (i === 0 ? 'left' : 'right')),
    ) +
    `\n${said}\n`
  )
}
