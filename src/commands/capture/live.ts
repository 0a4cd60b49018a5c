import {statSync} from 'node:fs'
import type {DartaCommand} from '../../cli/base-command.js'
import {nearest} from '../../cli/suggest.js'
import {loadNative} from '../../io/native.js'
import {dropPrivileges} from '../../io/privileges.js'
import {backends} from '../../metering/backends/index.js'
import {
  checkSource,
  goneFault,
  type KernelCounters,
  type LiveBackend,
  type LiveCapture,
  type LiveSource,
} from '../../metering/live.js'
import {watchInterfaces, type InterfaceCounters} from '../../metering/interface-counters.js'
import {receiveQueues} from '../../metering/interfaces.js'
import type {MeterCounters, MeterOptions} from '../../metering/meter.js'
import type {MeterAddon} from '../../metering/native.js'
import type {LiveAddon} from '../../metering/native-live.js'
import {selectorByName} from '../../metering/selector-by-name.js'
import {ownedSlots, parseShare} from '../../metering/share.js'
import {shareProgram} from '../../metering/share-bpf.js'
import {shareSlot} from '../../metering/share-hash.js'
import {DartaError} from '../../record/errors.js'
import type {StageLedger} from '../../record/ledger.js'
import {prepareGroup, type GroupCapture} from '../group/capture-group.js'
import {HEADER_OCTETS, type LiveFlagValues} from './live-flags.js'
import type {MeterExporter} from './open-exporter.js'
import {selectionSequence, type SelectorReport} from './selection.js'

type AddonParts = LiveAddon & MeterAddon<unknown>

const WHOLE_FRAME = 262144
/** How often the landmarks of packets in turn are fetched; the kernel keeps those of a million packets. */
const LANDMARKS_MS = 200
/** Node fires longer timers at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** The Selection Sequence of a live capture: what its kernel part decides, then the meter's. */
async function selectorsOf(flags: LiveFlagValues): Promise<SelectorReport[]> {
  const {filter, share, by} = flags
  return selectionSequence({
    ...(filter !== undefined && {filter}),
    ...(share !== undefined && {
      share: {
        share: parseShare(share),
        by,
        turn: (await selectorByName(by)).kind === 'turn',
        seed: flags['share-seed'],
      },
    }),
  })
}

/**
 * Captures until the command is told to stop, the packet limit is reached or an interface goes away. The devices are
 * opened first, then every privilege is given up, then the output is opened and packets are looked at.
 *
 * @throws DartaError
 */
export async function captureLive(
  command: DartaCommand,
  flags: LiveFlagValues & {readonly interface: string[]},
  options: MeterOptions,
  openOutput: (selectors: readonly SelectorReport[]) => Promise<MeterExporter>,
): Promise<void> {
  const backend = await liveBackend(flags.backend)
  const addon = loadNative()
  const snapOctets = flags.snaplen ?? (options.emit === 'pcap' ? WHOLE_FRAME : HEADER_OCTETS)
  if (snapOctets < 1 || snapOctets > WHOLE_FRAME) {
    throw new DartaError('DARTA_USAGE', `--snaplen goes from 1 to ${WHOLE_FRAME}`)
  }
  const group =
    flags.group === undefined
      ? undefined
      : await prepareGroup(command, flags, options, addon, snapOctets)
  const source: LiveSource = {
    interfaces: [...new Set(flags.interface)],
    filter: flags.filter,
    // A Packet Report's section begins behind the link header.
    snapOctets:
      options.emit === 'packets' ? Math.max(snapOctets, options.sectionOctets + 64) : snapOctets,
    ringOctets: flags.buffer,
    promiscuous: !flags['no-promiscuous'],
    mirrorPort: flags['mirror-port'],
    threads: flags.threads,
    // A group's nodes say how far their output is.
    prompt: group !== undefined || !becomesFile(flags.write),
    waitMs: waitMs(flags, options),
    ...(group === undefined ? await shareOf(flags) : {share: group.share}),
    ...(group !== undefined && {changing: group.changing}),
  }
  checkSource(source)
  const live = await backend.open(source, options, addon)
  try {
    dropPrivileges(addon, flags.user, flags['user-group'])
    if (source.turn !== undefined) cautionQueues(command, source.interfaces)
    const caution = backend.caution?.(source)
    if (caution !== undefined) command.note(caution)
    command.note(`capturing on ${source.interfaces.join(', ')} by ${flags.backend}`)
    const watch = watchInterfaces(source.interfaces)
    const exporter = await openOutput(await selectorsOf(flags))
    await run(command, live, exporter, watch, flags['stats-interval'], group)
  } finally {
    live.close()
  }
}

/**
 * How long packets may lie in the kernel's ring. Each look at it wakes a thread, and where few packets come that costs
 * more than the packets. A Flow ends after seconds of silence, so that a part of one is not noticed; whoever wants the packets
 * themselves, a certain number of them or the accounts of a group waits for them.
 */
function waitMs(flags: LiveFlagValues, {emit, maxFrames}: MeterOptions): number {
  const soon = flags.group !== undefined || maxFrames > 0
  return !soon && (emit === 'flows' || becomesFile(flags.write)) ? 500 : 50
}

/** Nobody reads a file before it is whole: records may wait in their buffers. */
function becomesFile(path: string | undefined): boolean {
  if (path === undefined || path === '-') return false
  return statSync(path, {throwIfNoEntry: false})?.isFile() !== false
}

async function run(
  command: DartaCommand,
  live: LiveCapture,
  exporter: MeterExporter,
  watch: () => InterfaceCounters[],
  statisticsMs: number,
  group: GroupCapture | undefined,
): Promise<void> {
  const kernel = command.ledger.stage('kernel', 'packets')
  const meter = command.ledger.stage('meter', 'packets')
  // Behind the exporter's own stage they would be out of the data's order.
  const update = (): void => {
    enterKernel(kernel, live.kernel(), watch(), ended)
    enterMeter(meter, live.counters())
  }
  let ended = false
  let exported = false
  kernel.update = update
  command.onFlush(() => live.flush())
  command.onStop(() => {
    // The others take over before this node ends; a second signal does not wait for it.
    if (group === undefined) live.stop()
    else void group.leave().finally(() => live.stop())
  })
  command.signal.addEventListener('abort', () => live.stop(), {once: true})
  const turns = live.turns ?? []
  let tellTurns = Promise.resolve()
  const sayTurns = (all: boolean): Promise<void> => {
    const said = turns.flatMap((counter) => counter.landmarks(all))
    if (said.length > 0) tellTurns = exporter.landmarks?.(said) ?? tellTurns
    return tellTurns
  }
  // A failure of the output shows at the next write, too.
  const timer = setInterval(() => void sayTurns(false).catch(() => {}), LANDMARKS_MS)
  if (turns.length === 0) clearInterval(timer)
  const report = (): void => {
    const counters = withKernel(live.counters(), live.kernel())
    const said = exporter.report?.(counters, {kernel: live.kernel(), interfaces: watch()})
    said?.catch(() => {})
  }
  const reports =
    statisticsMs > 0 ? setInterval(report, Math.min(statisticsMs, LONGEST_TIMER_MS)) : undefined
  let gone: DartaError | undefined
  const notice = (name: string, what: 'down' | 'gone' | 'ended'): void => {
    if (what === 'down') command.note(`${name} is down; capture goes on when it is up again`)
    else command.report(goneFault(name, what))
  }
  group?.start(live, () => exporter.settle())
  try {
    try {
      for await (const outputs of live.outputs(notice)) await exporter.write(outputs)
    } catch (error) {
      // The interface went away: what was metered until then is good, and written.
      if (!(error instanceof DartaError) || error.code !== 'DARTA_INTERFACE') throw error
      gone = error
    }
    ended = true
    update()
    clearInterval(timer)
    clearInterval(reports)
    await sayTurns(true)
    const list = live.kernel()
    await exporter.end(withKernel(live.counters(), list), {kernel: list, interfaces: watch()})
    exported = true
  } catch (error) {
    await exporter.abort()
    throw error
  } finally {
    clearInterval(timer)
    clearInterval(reports)
    update()
    kernel.update = undefined
    await group?.end(exported)
  }
  for (const counter of turns) {
    const {packets, resets} = counter.counts()
    const since = resets > 0 ? ` since the last of ${resets} beginnings` : ''
    command.note(`${counter.interfaceName}: ${packets} packets counted${since}`)
  }
  for (const {interface: name, freezes} of live.kernel()) {
    if (freezes > 0) command.note(`the ring of ${name} was full ${freezes} times`)
  }
  if (gone !== undefined) throw gone
}

/** Several receive queues mean several orders of packets, and each node has its own. */
function cautionQueues(command: DartaCommand, interfaces: readonly string[]): void {
  for (const name of interfaces) {
    const queues = receiveQueues(name) ?? 0
    if (queues > 1) {
      command.note(
        `${name} has ${queues} receive queues, so that packets may be counted in another order than by other nodes: ` +
          `ethtool -L ${name} combined 1`,
      )
    }
  }
}

/** All ways to capture, by name. */
export async function liveBackends(): Promise<Map<string, LiveBackend<AddonParts>>> {
  const found = new Map<string, LiveBackend<AddonParts>>()
  for (const [name, load] of Object.entries(backends)) {
    const backend = (await load()).default
    if ('kind' in backend) found.set(name, backend)
  }
  return found
}

async function liveBackend(name: string): Promise<LiveBackend<AddonParts>> {
  const live = await liveBackends()
  const found = live.get(name)
  if (found !== undefined) return found
  const [near] = nearest(name, [...live.keys()])
  throw new DartaError(
    'DARTA_USAGE',
    `no backend is named '${name}'; ${near === undefined ? `there are ${[...live.keys()].join(', ')}` : `${near}?`}`,
  )
}

async function shareOf(flags: LiveFlagValues): Promise<Pick<LiveSource, 'share' | 'turn'>> {
  const {share: text, begin, threads} = flags
  if (text === undefined) return {share: undefined}
  const share = parseShare(text)
  const selector = await selectorByName(flags.by)
  if (selector.kind === 'turn') {
    if (threads > 1 || flags.backend !== 'tpacket') {
      throw new DartaError(
        'DARTA_USAGE',
        `--by ${flags.by} counts in one place: --backend tpacket and one thread`,
      )
    }
    return {share: undefined, turn: {share, begin}}
  }
  if (begin !== undefined) {
    throw new DartaError('DARTA_USAGE', '--begin says where to count from: it needs --by packets')
  }
  const owned = ownedSlots(share)
  return {
    share: {
      text,
      owns(frame, linkType) {
        const slot = shareSlot(frame, linkType, selector, flags['share-seed'])
        return ((owned[slot >> 3] >> (slot & 7)) & 1) === 1
      },
      program: (linkType, acceptOctets) =>
        shareProgram(linkType, selector, flags['share-seed'], owned, acceptOctets),
      early: (linkType) =>
        shareProgram(linkType, selector, flags['share-seed'], owned, WHOLE_FRAME, 'accepted'),
    },
  }
}

function enterKernel(
  account: StageLedger,
  list: readonly KernelCounters[],
  interfaces: readonly InterfaceCounters[],
  ended: boolean,
): void {
  const drops = list.reduce((sum, one) => sum + (one.drops ?? 0), 0)
  account.in = list.reduce((sum, one) => sum + one.packets, 0)
  account.out = list.reduce((sum, one) => sum + one.taken, 0)
  // Until then it is held, and read soon.
  const left = account.in - drops - account.out
  if (ended && left > 0) account.skipped.set('after-the-end', left)
  const enter = (counts: Map<string, number>, reason: string, n: number): void => {
    if (n > 0) counts.set(reason, n)
  }
  const sum = (counter: 'missed' | 'dropped' | 'errors'): number =>
    interfaces.reduce((total, one) => total + one[counter], 0)
  enter(account.lost, 'ring-full', drops)
  // The card had no room: nobody saw these.
  enter(account.missing, 'interface-missed', sum('missed'))
  // Whether these would have been captured cannot be told.
  enter(account.noted, 'interface-dropped', sum('dropped'))
  enter(account.noted, 'interface-errors', sum('errors'))
  const downs = list.reduce((total, one) => total + one.downs, 0)
  enter(account.noted, 'interface-down', downs)
}

function enterMeter(account: StageLedger, counters: MeterCounters): void {
  account.in = counters.frames
  account.out = counters.ipPackets
  for (const [kind, n] of counters.skipped) account.skipped.set(kind, n)
  for (const [reason, n] of counters.lost) account.lost.set(reason, n)
}

/** What the Exporting Process reports as ignored (RFC 7011 section 4.2) includes what the kernel dropped. */
function withKernel(counters: MeterCounters, list: readonly KernelCounters[]): MeterCounters {
  const drops = list.reduce((sum, one) => sum + (one.drops ?? 0), 0)
  if (drops === 0) return counters
  return {
    ...counters,
    frames: counters.frames + drops,
    lost: new Map([...counters.lost, ['ring-full', drops]]),
  }
}
