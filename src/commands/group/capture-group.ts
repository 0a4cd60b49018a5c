import {hostname} from 'node:os'
import type {DartaCommand} from '../../cli/base-command.js'
import {eitherProgram} from '../../metering/bpf-assembler.js'
import type {PlanChange} from '../../metering/coordination/group-node.js'
import {NAME} from '../../metering/coordination/message.js'
import {
  createShareControl,
  type Findings,
  type ShareAddon,
  type ShareNumbers,
  type WatchedSlots,
} from '../../metering/coordination/share-control.js'
import type {ChangingShare, LiveCapture, ShareOf} from '../../metering/live.js'
import type {MeterOptions} from '../../metering/meter.js'
import type {Selector} from '../../metering/selector.js'
import {selectorByName} from '../../metering/selector-by-name.js'
import {selectors} from '../../metering/selectors/index.js'
import {SLOTS} from '../../metering/share-hash.js'
import {shareProgram} from '../../metering/share-bpf.js'
import {DartaError} from '../../record/errors.js'
import type {GroupFlagValues} from './capture-flags.js'
import {planWords} from './coordinate.js'
import {parseGroupUrl} from './group-url.js'
import {groupMeeting, type Meeting} from './meeting.js'
import {joinGroup, type Membership} from './membership.js'
import {openReportFile, type ReportFile} from './report-file.js'

/** Octets of a packet that a standby keeps, and that digests are made of. */
const HEADER_OCTETS = 256
/** What detection, a plan and its lead take at most, and some room. */
const SHADOW_MS = 3000
const SHADOW_OCTETS = 64 << 20
/** At the end the time of the last packet is rounded up, to less than this. */
const ROUNDED_MS = 1000

/** A capture's part in a group. */
export interface GroupCapture {
  /** For the source that is captured. */
  readonly changing: ChangingShare
  /** The share before any plan: nothing. */
  readonly share: ShareOf
  /** Joins, when the capture is open and privileges are given up. `settle` resolves when all is written. */
  start(live: LiveCapture, settle: () => Promise<void>): void
  /** Lets the others take over; resolves when they have. */
  leave(): Promise<void>
  /** Ends its part. `exported`: all that it took is written. */
  end(exported: boolean): Promise<void>
}

/**
 * Prepares a capture for a group; reads all files that take privileges.
 *
 * @throws DartaError DARTA_USAGE, DARTA_FILE_READ, DARTA_TLS, DARTA_NATIVE_MISSING
 */
export async function prepareGroup(
  command: DartaCommand,
  flags: GroupFlagValues & {readonly backend: string; readonly force?: boolean},
  options: MeterOptions,
  addon: ShareAddon | undefined,
  snapOctets: number,
): Promise<GroupCapture> {
  const url = parseGroupUrl(flags.group!, 'connect')
  const id = flags.node ?? `${hostname()}-${process.pid}`
  if (!NAME.test(id)) {
    throw new DartaError('DARTA_USAGE', `--node: '${id}' is no name of a node`)
  }
  if (flags.backend !== 'tpacket' || addon === undefined) {
    throw new DartaError(
      'DARTA_USAGE',
      '--group goes with --backend tpacket, whose filter can change',
    )
  }
  if (snapOctets < HEADER_OCTETS / 2) {
    throw new DartaError('DARTA_USAGE', `--group needs a --snaplen of ${HEADER_OCTETS / 2} or more`)
  }
  const meeting = await groupMeeting(url, flags)
  // A change of plan must not wait for a file.
  const bySelector = new Map<string, Selector>()
  for (const name of Object.keys(selectors)) bySelector.set(name, await selectorByName(name))
  const unsentMs = options.emit === 'flows' ? options.activeTimeoutMs + 1000 : 0
  const ringMs = flags.shadow ?? SHADOW_MS + unsentMs
  const ringOctets = flags['shadow-memory'] ?? SHADOW_OCTETS
  const keeps = ringMs > 0 && ringOctets > 0
  const keeper = addon.shareCreate({
    ringOctets: keeps ? ringOctets : 0,
    ringMs,
    headerOctets: HEADER_OCTETS,
  })
  return createGroupCapture(command, {
    ...{meeting, id, addon, keeper, keeps, unsentMs, bySelector},
    weight: flags.weight ?? 1,
    leaveMs: flags['leave-wait'],
    report:
      flags.report === undefined
        ? undefined
        : openReportFile(flags.report, id, flags.force ?? false),
  })
}

function createGroupCapture(
  command: DartaCommand,
  setting: {
    readonly meeting: Meeting
    readonly id: string
    readonly weight: number
    readonly leaveMs: number | undefined
    readonly addon: ShareAddon
    readonly keeper: unknown
    readonly keeps: boolean
    /** How long a packet may stay in a flow table before it goes out. */
    readonly unsentMs: number
    readonly bySelector: ReadonlyMap<string, Selector>
    readonly report: ReportFile | undefined
  },
): GroupCapture {
  const {addon, keeper, keeps, report} = setting
  const control = createShareControl(addon, keeper, keeps)
  const account = command.ledger.stage('share', 'packets')
  let membership: Membership | undefined
  let live: LiveCapture | undefined
  let settle: () => Promise<void> = async () => {}
  let thru = 0
  let findings: Findings | undefined
  let numbers: ShareNumbers | undefined
  let selector: Selector = setting.bySelector.get('flow')!
  let seed = 0
  let filter: WatchedSlots = {owned: new Uint8Array(SLOTS / 8), kept: new Uint8Array(SLOTS / 8)}
  let lastPlan = ''

  const share = (): ShareOf => ({
    text: setting.meeting.name,
    owns: () => {
      throw new DartaError('DARTA_INTERNAL', 'a share that changes is decided in the addon')
    },
    program(linkType, acceptOctets) {
      const owned = shareProgram(linkType, selector, seed, filter.owned, acceptOctets)
      if (filter.kept.every((octet) => octet === 0)) return owned
      // Of what is only kept the headers do.
      const octets = Math.min(acceptOctets, HEADER_OCTETS)
      if (octets === acceptOctets) {
        const both = filter.owned.map((octet, i) => octet | filter.kept[i])
        return shareProgram(linkType, selector, seed, both, acceptOctets)
      }
      return eitherProgram(owned, shareProgram(linkType, selector, seed, filter.kept, octets))
    },
  })

  /** Lets the kernel pass what is needed now; what it passes too much is sorted out behind it. */
  function updateFilter(): void {
    const next = control.watched(Date.now())
    const isSame = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0
    if (isSame(next.owned, filter.owned) && isSame(next.kept, filter.kept)) return
    filter = next
    try {
      live?.changeShare?.(share())
    } catch (error) {
      command.report(error)
      command.stop()
    }
  }

  function onPlan({plan, views, recoveries}: PlanChange): void {
    const found = setting.bySelector.get(plan.by)
    if (found?.kind !== 'hash') {
      command.report(
        new DartaError('DARTA_GROUP', `the group divides by '${plan.by}', which this node cannot`),
      )
      return
    }
    const isOther = selector !== found || seed !== plan.seed
    selector = found
    seed = plan.seed
    if (isOther) filter = {owned: new Uint8Array(0), kept: new Uint8Array(0)}
    // First the filter: what the plan says to take must come.
    control.install(plan, found, views, recoveries)
    updateFilter()
    const key = `${plan.term}/${plan.epoch}`
    if (key === lastPlan) {
      if (plan.confirmed) command.detail(planWords(plan))
      return
    }
    lastPlan = key
    report?.plan(plan)
    command.note(planWords(plan))
    for (const {id, thru: last} of plan.lost) {
      if (id === setting.id) {
        command.note('the others think that this node died; it joins again')
        continue
      }
      const since = last === 0 ? 'an unknown time' : new Date(last).toISOString()
      command.note(
        keeps
          ? `node ${id} died: its packets since ${since} are taken from what was kept`
          : `node ${id} died: its packets between ${since} and ${new Date(plan.at).toISOString()} are lost`,
      )
    }
  }

  account.update = () => {
    if (numbers === undefined) return
    const taken = numbers.taken.reduce((sum, one) => sum + one, 0)
    account.out = taken
    account.skipped.set('kept-for-others', numbers.kept - numbers.taken[3])
    account.skipped.set('of-others', numbers.foreign)
    account.in = taken + numbers.kept - numbers.taken[3] + numbers.foreign
    for (const [reason, n] of account.skipped) if (n <= 0) account.skipped.delete(reason)
    const names = ['', 'giving', 'receiving', 'recovered', 'unconfirmed']
    numbers.taken.forEach((n, mark) => {
      if (mark > 0 && n > 0) account.noted.set(names[mark], n)
    })
    if (numbers.keptLost > 0) account.noted.set('kept-too-short', numbers.keptLost)
  }

  return {
    share: share(),
    changing: {
      keeper,
      before() {
        findings = control.take()
      },
      async after() {
        if (findings === undefined) return
        const found = findings
        findings = undefined
        numbers = found.numbers
        await settle()
        report?.findings(found)
        // Of a clock that was set back since there may be times to come.
        const isPast = found.closedMs < Date.now() + ROUNDED_MS
        if (found.closedMs > 0 && isPast) thru = Math.max(thru, found.closedMs - setting.unsentMs)
      },
    },
    start(capture, settled) {
      live = capture
      settle = settled
      membership = joinGroup({
        ...{meeting: setting.meeting, id: setting.id, weight: setting.weight},
        leaveMs: setting.leaveMs,
        onPlan,
        onLease(ms) {
          control.lease(ms)
          updateFilter()
        },
        onClockSet() {
          thru = 0
          lastPlan = ''
          control.reset()
          updateFilter()
        },
        note: (text) => command.note(text),
        report() {
          const drops = capture.kernel().reduce((sum, {drops: n}) => sum + (n ?? 0), 0)
          report?.drops(drops, Date.now())
          const taken = numbers?.taken.reduce((sum, one) => sum + one, 0) ?? 0
          return {
            thru: Math.max(thru, 0),
            numbers: {
              packets: taken,
              octets: numbers?.octets ?? 0,
              drops,
              shadowed: numbers?.held ?? 0,
            },
          }
        },
      })
    },
    leave: async () => membership?.leave(),
    async end(exported) {
      await membership?.close(exported)
      report?.end()
    },
  }
}
