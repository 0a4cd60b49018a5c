/** One capture node's report, as `capture --report` wrote it. */
export interface CoverageReport {
  readonly spans: CoverageSpan[]
  readonly listed: CoverageListed[]
  readonly plans: CoveragePlan[]
  readonly drops: CoverageDrops[]
}

/** What a node saw and took of one class of slots in one span of time. */
export interface CoverageSpan {
  readonly node: string
  readonly epoch: number
  readonly planDigest: number
  /** Ids, separated by commas. */
  readonly owners: string
  readonly standby: string
  /** Taken as owner, or seen as standby. */
  readonly owner: boolean
  readonly startMs: number
  readonly endMs: number
  readonly packets: number
  readonly sum: bigint
  readonly xor: bigint
}

/** A packet near the instant at which epoch `epoch` began and its slot changed hands; 0: a recovered one. */
export interface CoverageListed {
  readonly node: string
  readonly epoch: number
  readonly slot: number
  readonly previousOwners: string
  readonly previousStandby: string
  readonly owners: string
  readonly standby: string
  readonly taken: boolean
  readonly mark: number
  readonly lost: string
  readonly timeMs: number
  readonly digest: bigint
}

/** A plan that a node put in force; once for each node that it says died. */
export interface CoveragePlan {
  readonly node: string
  readonly epoch: number
  readonly planDigest: number
  readonly at: number
  /** When the node had it in force. */
  readonly installedMs: number
  readonly guardMs: number
  /** Empty: nobody died. */
  readonly lost: string
  readonly thru: number
}

export interface CoverageDrops {
  readonly node: string
  readonly timeMs: number
  readonly packets: number
}

/** Something that is not as it should be, with where and when. Times in ms since 1970. */
export interface CoverageFault {
  readonly kind: 'missed' | 'doubled' | 'unknown'
  readonly node: string
  readonly epoch: number
  readonly fromMs: number
  readonly toMs: number
  /** Undefined: nobody saw them, so nobody knows. */
  readonly packets: number | undefined
  readonly why: string
}

export interface CoverageResult {
  readonly nodes: readonly string[]
  readonly epochs: readonly number[]
  /** Packets that were taken, each once; with redundancy each as often as it should. */
  readonly packets: number
  /** Copies that bear a mark: around switches, recovered, or of a node thought dead. */
  readonly markedCopies: number
  readonly recovered: number
  /** Taken packets that no second node saw. */
  readonly unwitnessed: number
  /** Packets that the witness did not see though the owner took them. */
  readonly witnessMissed: number
  readonly faults: readonly CoverageFault[]
}

/** Count, sum and exclusive or of digests; adding and taking away go in any order. */
interface Sum {
  packets: number
  sum: bigint
  xor: bigint
}

/** A node's last spans may not be complete, and filters and rings need a moment; and twice the guard band, if that is more. */
const LEAST_LATE_MS = 300
const WORD = (1n << 64n) - 1n
const zero = (): Sum => ({packets: 0, sum: 0n, xor: 0n})

function add(to: Sum, what: Sum, sign: 1 | -1 = 1): void {
  to.packets += sign * what.packets
  to.sum = (to.sum + BigInt(sign) * what.sum) & WORD
  to.xor ^= what.xor
}

const one = (digest: bigint): Sum => ({packets: 1, sum: digest, xor: digest})
const isZero = ({packets, sum, xor}: Sum): boolean => packets === 0 && sum === 0n && xor === 0n
const idsOf = (owners: string): string[] => owners.split(',').filter((id) => id !== '')

/** All rows of slots with the same owners and standby, between two deaths among these. */
interface Stretch {
  readonly owners: string[]
  readonly standby: string
  readonly epochs: Set<number>
  /** By node. */
  readonly spans: Map<string, CoverageSpan[]>
  /** What each node must have more or less than its rows say, from the lists around switches. */
  readonly corrections: Map<string, Sum>
  /** Listed around the instant at which it ended, from before it: seen by all its nodes. */
  end: number | undefined
}

/**
 * Proves from the reports of all nodes that each packet was taken by the nodes that should, or tells what was missed or
 * doubled.
 *
 * The packets of a slot are seen by its owners and its standby. Both sum digests of what they saw; equal sums mean the
 * same packets. Around the instants at which a slot changes hands clocks decide differently, so that packets are listed
 * one by one: who lists it, saw it then; who does not, has it in the sums of the side on which the others saw it. What a
 * standby recovered for a node that died is what that one had not exported: taken packets + recovered ones − those that
 * both have = seen ones.
 */
export function verifyCoverage(reports: readonly CoverageReport[]): CoverageResult {
  const spans = reports.flatMap((report) => report.spans)
  const listed = reports.flatMap((report) => report.listed)
  const plans = reports.flatMap((report) => report.plans)
  const drops = reports.flatMap((report) => report.drops)
  const nodes = [...new Set([...spans, ...plans].map(({node}) => node))].sort()
  const epochs = [...new Set([...spans, ...plans].map(({epoch}) => epoch))].sort((a, b) => a - b)
  const faults: CoverageFault[] = []
  const planOf = new Map<number, CoveragePlan>()
  const deaths = new Map<string, CoveragePlan[]>()

  for (const plan of plans) {
    const known = planOf.get(plan.epoch)
    if (known === undefined) planOf.set(plan.epoch, plan)
    else if (known.planDigest !== plan.planDigest) {
      faults.push({
        ...{kind: 'unknown', node: plan.node, epoch: plan.epoch, packets: undefined},
        ...{fromMs: Math.min(known.at, plan.at), toMs: endOf(plan.epoch)},
        why: `nodes ${known.node} and ${plan.node} had different plans`,
      })
    }
    if (plan.lost === '') continue
    const list = deaths.get(plan.lost) ?? []
    if (!list.some(({epoch}) => epoch === plan.epoch)) list.push(plan)
    deaths.set(plan.lost, list)
  }
  for (const list of deaths.values()) list.sort((a, b) => a.epoch - b.epoch)

  function endOf(epoch: number): number {
    const later = plans.filter((plan) => plan.epoch > epoch).map(({at}) => at)
    const last = Math.max(0, ...spans.map(({endMs}) => endMs))
    return later.length === 0 ? last : Math.min(...later)
  }

  const lateMs = Math.max(LEAST_LATE_MS, ...plans.map(({guardMs}) => 2 * guardMs))
  const stretches = new Map<string, Stretch>()
  /** A death ends the stretch of those slots that the dead node was of. */
  function stretchOf(owners: string, standby: string, epoch: number): Stretch {
    const ended = [...idsOf(owners), standby]
      .flatMap((id) => deaths.get(id) ?? [])
      .filter((death) => death.epoch <= epoch).length
    const key = `${owners}/${standby}#${ended}`
    let stretch = stretches.get(key)
    if (stretch === undefined) {
      stretch = {
        owners: idsOf(owners),
        standby,
        epochs: new Set(),
        spans: new Map(),
        corrections: new Map(),
        end: undefined,
      }
      stretches.set(key, stretch)
    }
    return stretch
  }
  for (const span of spans) {
    const stretch = stretchOf(span.owners, span.standby, span.epoch)
    stretch.epochs.add(span.epoch)
    const list = stretch.spans.get(span.node) ?? []
    list.push(span)
    stretch.spans.set(span.node, list)
  }

  let markedCopies = 0
  let packets = 0
  correctByLists()

  let recovered = 0
  let unwitnessed = 0
  let witnessMissed = 0
  for (const stretch of stretches.values()) check(stretch)
  for (const [id, list] of deaths) for (const death of list) checkUnheard(id, death)
  faults.sort((a, b) => a.fromMs - b.fromMs || (a.node < b.node ? -1 : 1))
  return {nodes, epochs, packets, markedCopies, recovered, unwitnessed, witnessMissed, faults}

  /** Brings what nodes sorted by different clocks to one side of each instant. */
  function correctByLists(): void {
    const groups = new Map<string, CoverageListed[]>()
    /** By digest, who recovered it: with what it kept before it knew of the instant. */
    const savers = new Map<bigint, Set<string>>()
    for (const row of listed) {
      if (row.epoch === 0) {
        savers.set(row.digest, (savers.get(row.digest) ?? new Set()).add(row.node))
        continue
      }
      const key = `${row.epoch}/${row.slot}`
      const list = groups.get(key) ?? []
      list.push(row)
      groups.set(key, list)
    }
    for (const list of groups.values()) {
      const {epoch, owners, standby} = list.find((row) => row.owners !== '') ?? list[0]
      const known = list.find((row) => row.previousOwners !== '')
      const plan = planOf.get(epoch)
      if (plan === undefined) continue
      const gone = new Set(
        plans.filter((p) => p.epoch === epoch && p.lost !== '').map(({lost}) => lost),
      )
      const before =
        known === undefined
          ? undefined
          : stretchOf(known.previousOwners, known.previousStandby, epoch - 1)
      const after = stretchOf(owners, standby, epoch)
      const dies = before?.owners.some((id) => gone.has(id)) === true
      const byDigest = new Map<bigint, CoverageListed[]>()
      for (const row of list) {
        const rows = byDigest.get(row.digest) ?? []
        rows.push(row)
        byDigest.set(row.digest, rows)
      }
      for (const [digest, rows] of byDigest) {
        const perNode = new Map<string, CoverageListed[]>()
        for (const row of rows) {
          const own = perNode.get(row.node) ?? []
          own.push(row)
          perNode.set(row.node, own)
        }
        const times = Math.max(...[...perNode.values()].map((own) => own.length))
        const isLeft = rows[0].timeMs < plan.at
        const side = isLeft ? before : after
        for (let copy = 0; copy < times; copy++) {
          const isElsewhere = (id: string): boolean =>
            !gone.has(id) && (perNode.get(id)?.length ?? 0) <= copy
          const hasSaved = (id: string): boolean => savers.get(digest)?.has(id) === true
          for (const id of side === undefined ? [] : [...side.owners, side.standby]) {
            // Who does not list it has it in the sums of this side, where it is only in this node's.
            const skip = id === '' || (isLeft && dies) || hasSaved(id)
            if (!skip && isElsewhere(id)) correct(side!, id, digest)
          }
          const takers = [...perNode.values()].filter((own) => own[copy]?.taken === true).length
          const inSums = (side?.owners ?? []).filter(isElsewhere).length
          const due = side?.owners.length ?? 1
          const all = takers + inSums
          // Those in sums are counted there.
          packets += Math.min(takers, Math.max(0, due - inSums))
          if (all > due) markedCopies += all - due
          if (all < due && !(isLeft && dies) && !savers.has(digest)) {
            faults.push({
              ...{kind: 'missed', node: (side?.owners ?? []).join(','), epoch, packets: 1},
              ...{fromMs: rows[0].timeMs, toMs: rows[0].timeMs + 1},
              why: `seen by ${[...perNode.keys()].join(', ')} when the slot changed hands, taken by ${all}`,
            })
          }
        }
      }
      // Where an owner died all that the others saw before the instant counts, listed or not.
      if (dies) {
        for (const row of list) {
          const isOf = row.node === before.standby || before.owners.includes(row.node)
          if (isOf && row.timeMs < plan.at) correct(before, row.node, row.digest, -1)
        }
      }
    }
  }

  /** The node's rows say `sign` times this packet too much. */
  function correct(stretch: Stretch, node: string, digest: bigint, sign: 1 | -1 = 1): void {
    const sum = stretch.corrections.get(node) ?? zero()
    add(sum, one(digest), sign === 1 ? -1 : 1)
    stretch.corrections.set(node, sum)
  }

  function check(stretch: Stretch): void {
    const {owners, standby} = stretch
    const witness = standby !== '' && stretch.spans.has(standby) ? standby : undefined
    const died = owners.flatMap((id) =>
      (deaths.get(id) ?? []).filter(({epoch}) => epoch > Math.min(...stretch.epochs)),
    )
    for (const id of [...owners, ...(standby === '' ? [] : [standby])]) {
      if (nodes.includes(id)) continue
      if (stretch.epochs.size === 0) continue
      faults.push({
        ...{kind: 'unknown', node: id, epoch: Math.min(...stretch.epochs), packets: undefined},
        ...timesOf(stretch),
        why: 'there is no report of this node',
      })
    }
    const seen =
      witness === undefined ? undefined : total(stretch, witness, (span) => !span.owner, undefined)
    const ends = witness !== undefined && hasDied(stretch, witness)
    for (const id of owners) {
      if (!nodes.includes(id)) continue
      const death = died.filter(({lost}) => lost === id).at(0)
      if (death !== undefined) {
        checkDead(stretch, id, death, witness, seen)
        continue
      }
      const taken = total(stretch, id, (span) => span.owner, undefined)
      packets += rowsOf(stretch, id, true).reduce((sum, span) => sum + span.packets, 0)
      if (ends) {
        // Until it died it saw what the owner took.
        const times = rowsOf(stretch, witness, false).map(({endMs}) => endMs)
        const last = Math.max(lateMs, ...times) - lateMs
        const later = rowsOf(stretch, id, true).filter(({endMs}) => endMs > last)
        unwitnessed += later.reduce((sum, span) => sum + span.packets, 0)
        compare(stretch, id, witness, false, last)
        continue
      }
      if (seen === undefined) {
        const others = owners.filter((other) => other !== id && stretch.spans.has(other))
        if (others.length === 0) unwitnessed += taken.packets
        else compare(stretch, id, others[0], true)
        continue
      }
      const difference = {...seen}
      add(difference, {...taken, packets: taken.packets}, -1)
      difference.xor = seen.xor ^ taken.xor
      if (!isZero(difference)) compare(stretch, id, witness!, false)
    }
  }

  function hasDied({epochs: of}: Stretch, id: string): boolean {
    return (deaths.get(id) ?? []).some(({epoch}) => epoch > Math.min(...of))
  }

  /** A node that died before anybody wrote what it saw. */
  function checkUnheard(id: string, death: CoveragePlan): void {
    const isKnown = [...stretches.values()].some(
      ({owners, epochs: of}) => owners.includes(id) && [...of].some((epoch) => epoch < death.epoch),
    )
    if (isKnown) return
    const earlier = plans.filter(({epoch}) => epoch < death.epoch)
    const epoch = Math.max(0, ...earlier.map((plan) => plan.epoch))
    const fromMs = Math.max(death.thru, planOf.get(epoch)?.at ?? 0)
    if (epoch === 0 || fromMs >= death.at) return
    faults.push({
      ...{kind: 'missed', node: id, epoch, fromMs, toMs: death.at, packets: undefined},
      why: 'it died, and no node kept its packets',
    })
  }

  function rowsOf(stretch: Stretch, node: string, owner: boolean): CoverageSpan[] {
    return (stretch.spans.get(node) ?? []).filter((span) => span.owner === owner)
  }

  function total(
    stretch: Stretch,
    node: string,
    which: (span: CoverageSpan) => boolean,
    until: number | undefined,
  ): Sum {
    const sum = zero()
    for (const span of stretch.spans.get(node) ?? []) {
      if (which(span) && (until === undefined || span.endMs <= until)) add(sum, span)
    }
    const correction = stretch.corrections.get(node)
    if (correction !== undefined) add(sum, correction)
    return sum
  }

  function timesOf(stretch: Stretch): {fromMs: number; toMs: number} {
    const all = [...stretch.spans.values()].flat()
    if (all.length === 0) return {fromMs: 0, toMs: 0}
    return {
      fromMs: Math.min(...all.map(({startMs}) => startMs)),
      toMs: Math.max(...all.map(({endMs}) => endMs)),
    }
  }

  /** Taken and seen differ: finds the spans in which they do. */
  function compare(
    stretch: Stretch,
    owner: string,
    witness: string,
    byOwner: boolean,
    until = Infinity,
  ): void {
    const ticks = new Map<number, {difference: Sum; endMs: number; epoch: number}>()
    const put = (span: CoverageSpan, sign: 1 | -1): void => {
      if (span.endMs > until) return
      const tick = ticks.get(span.startMs) ?? {
        difference: zero(),
        endMs: span.endMs,
        epoch: span.epoch,
      }
      add(tick.difference, span, sign)
      ticks.set(span.startMs, tick)
    }
    for (const span of rowsOf(stretch, witness, byOwner)) put(span, 1)
    for (const span of rowsOf(stretch, owner, true)) put(span, -1)
    const before = faults.length
    let open: {fromMs: number; toMs: number; epoch: number; difference: Sum} | undefined
    const close = (): void => {
      if (open === undefined) return
      tell(owner, witness, open)
      open = undefined
    }
    for (const [startMs, {difference, endMs, epoch}] of [...ticks].sort((a, b) => a[0] - b[0])) {
      if (isZero(difference)) {
        close()
        continue
      }
      open ??= {fromMs: startMs, toMs: endMs, epoch, difference: zero()}
      add(open.difference, difference)
      open.toMs = endMs
      // Clocks that differ put a packet into neighbouring spans: together they are equal.
      if (isZero(open.difference)) open = undefined
    }
    // At the witness's last span their clocks may differ.
    if (until === Infinity || (open !== undefined && open.toMs < until)) close()
    if (until === Infinity && faults.length === before && witnessMissed === 0) {
      const epoch = Math.min(...stretch.epochs)
      faults.push({
        ...{kind: 'unknown', node: owner, epoch, packets: undefined, ...timesOf(stretch)},
        why: `the packets that ${owner} took and ${witness} saw around a switch differ`,
      })
    }
  }

  function tell(
    owner: string,
    witness: string,
    found: {fromMs: number; toMs: number; epoch: number; difference: Sum},
  ): void {
    const {fromMs, toMs, epoch, difference} = found
    const {packets: n} = difference
    const dropped = (id: string): string => {
      const lists = drops.filter(({node, timeMs}) => node === id && timeMs >= fromMs)
      return lists.length === 0 ? '' : `; its kernel dropped packets`
    }
    if (n > 0) {
      faults.push({
        ...{kind: 'missed', node: owner, epoch, fromMs, toMs, packets: n},
        why: `${witness} saw them${dropped(owner)}`,
      })
    } else if (
      n < 0 &&
      (drops.some(({node}) => node === witness) || isLate(witness, epoch, fromMs))
    ) {
      // The witness itself is known to have lost some, or had the plan late: the owner took more than it saw.
      witnessMissed -= n
    } else if (n < 0) {
      faults.push({
        ...{kind: 'doubled', node: owner, epoch, fromMs, toMs, packets: -n},
        why: `${witness} did not see so many`,
      })
    } else {
      faults.push({
        ...{kind: 'unknown', node: owner, epoch, fromMs, toMs, packets: undefined},
        why: `${witness} saw as many, but not the same`,
      })
    }
  }

  /** Whether the node had this plan only when packets came that it should have seen. */
  function isLate(node: string, epoch: number, timeMs: number): boolean {
    return plans.some(
      (plan) =>
        plan.node === node &&
        plan.epoch === epoch &&
        plan.installedMs > plan.at - plan.guardMs &&
        timeMs < plan.installedMs + lateMs,
    )
  }

  /** An owner that died: what it took until then, and what its standby recovered. */
  function checkDead(
    stretch: Stretch,
    id: string,
    death: CoveragePlan,
    witness: string | undefined,
    seen: Sum | undefined,
  ): void {
    const rows = rowsOf(stretch, id, true)
    const lastRow = Math.max(0, ...rows.map(({endMs}) => endMs))
    const inForce = rows.length > 0 ? rows[rows.length - 1].epoch : Math.min(...stretch.epochs)
    const epoch = Math.max(...[...stretch.epochs].filter((e) => e < death.epoch), 0) || inForce
    if (witness === undefined || seen === undefined) {
      packets += rows.reduce((sum, span) => sum + span.packets, 0)
      unwitnessed += rows.reduce((sum, span) => sum + span.packets, 0)
      const fromMs = Math.max(death.thru, lastRow)
      // The new owner may have taken over what came before the instant, from when it knew.
      const saved = listed
        .filter((row) => row.epoch === 0 && row.lost === id && row.node === stretch.standby)
        .map(({timeMs}) => timeMs)
      const toMs = Math.min(death.at, ...saved)
      if (fromMs < toMs) {
        faults.push({
          ...{kind: 'missed', node: id, epoch, fromMs, toMs, packets: undefined},
          why: 'it died, and no node kept its packets',
        })
      }
      return
    }
    const again = listed
      .filter(
        (row) =>
          row.epoch === 0 &&
          row.lost === id &&
          row.node === witness &&
          row.previousStandby === stretch.standby &&
          idsOf(row.previousOwners).join() === stretch.owners.join(),
      )
      .sort((a, b) => a.timeMs - b.timeMs)
    recovered += again.length
    // The standby may have kept less than since the last word of the dead node: then that one's later rows count.
    const cuts = [...new Set([death.thru, ...rows.map(({endMs}) => endMs)])]
      .filter((cut) => cut >= death.thru)
      .sort((a, b) => a - b)
    let best: {missing: number; cut: number} | undefined
    for (const cut of cuts) {
      const taken = total(stretch, id, (span) => span.owner, cut)
      const usable = again.filter(({timeMs}) => timeMs >= cut - death.guardMs)
      const twice = taken.packets + usable.length - seen.packets
      if (best === undefined || -twice < best.missing) best = {missing: -twice, cut}
      if (twice < 0 || twice > usable.length) continue
      const all = {...taken}
      usable.forEach(({digest}, i) => {
        if (i >= twice) add(all, one(digest))
      })
      if (!fits(all, seen, usable, twice)) continue
      packets += seen.packets
      markedCopies += twice + again.length - usable.length
      const late = rows.filter(({endMs}) => endMs > cut)
      markedCopies += late.reduce((sum, span) => sum + span.packets, 0)
      return
    }
    const missing = best?.missing ?? 0
    packets += Math.min(
      seen.packets,
      rows.reduce((sum, span) => sum + span.packets, 0) + again.length,
    )
    const first = again.at(0)?.timeMs ?? death.at
    faults.push({
      kind: missing > 0 ? 'missed' : 'unknown',
      ...{node: id, epoch, packets: missing > 0 ? missing : undefined},
      fromMs: Math.min(death.thru === 0 ? lastRow : death.thru, first),
      toMs: Math.max(first, Math.min(lastRow, death.at)),
      why:
        missing > 0
          ? `it died, and ${witness} had kept too little to recover them`
          : `it died, and what ${witness} recovered does not fit what was seen`,
    })
  }
}

/**
 * Whether `all` are the packets that were seen. The first `twice` of those that were recovered were thought exported by
 * the dead node; where two of them came in another order there, one stands for another.
 */
function fits(
  all: Sum,
  seen: Sum,
  recovered: readonly {readonly digest: bigint}[],
  twice: number,
): boolean {
  if (all.packets !== seen.packets) return false
  if (all.sum === seen.sum && all.xor === seen.xor) return true
  const off = (all.sum - seen.sum) & WORD
  const later = new Set(recovered.slice(twice).map(({digest}) => digest))
  return recovered.slice(0, twice).some(({digest}) => {
    const other = (digest + off) & WORD
    return later.has(other) && (all.xor ^ digest ^ other) === seen.xor
  })
}
