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
/** Packets that came so long after a plan may have been sorted without it. */
const ADOPT_MS = 50
interface SlotClass {
  readonly owners: string
  readonly standby: string
}

const WORD = (1n << 64n) - 1n
const zero = (): Sum => ({packets: 0, sum: 0n, xor: 0n})

function add(to: Sum, what: Sum, sign: 1 | -1 = 1): void {
  to.packets += sign * what.packets
  to.sum = (to.sum + BigInt(sign) * what.sum) & WORD
  to.xor ^= what.xor
}

const one = (digest: bigint): Sum => ({packets: 1, sum: digest, xor: digest})
/** There may be too many rows for the arguments of a call. */
const endOfRows = (rows: readonly CoverageSpan[]): number =>
  rows.reduce((latest, {endMs}) => Math.max(latest, endMs), 0)
const isZero = ({packets, sum, xor}: Sum): boolean => packets === 0 && sum === 0n && xor === 0n
const idsOf = (owners: string): string[] => owners.split(',').filter((id) => id !== '')

/** A packet from the lists around switches that a node took, or saw, beside those of its rows; −1: one less. */
interface Extra {
  readonly timeMs: number
  readonly digest: bigint
  readonly sign: 1 | -1
}

/** All rows of slots with the same owners and standby, between two deaths among these. */
interface Stretch {
  readonly owners: string[]
  readonly standby: string
  readonly epochs: Set<number>
  /** By node. */
  readonly spans: Map<string, CoverageSpan[]>
  /** By node. */
  readonly extras: Map<string, Extra[]>
  /** What the standby recovered of it. */
  readonly recovered: CoverageListed[]
}

interface Side {
  readonly epoch: number
  readonly stretch: Stretch
}

/**
 * Proves from the reports of all nodes that each packet was taken by the nodes that should, or tells what was missed or
 * doubled.
 *
 * The packets of a slot are seen by its owners and its standby. Both sum digests of what they saw; equal sums mean the
 * same packets. Around the instants at which a slot changes hands clocks decide differently, so that packets are listed
 * one by one, and each is put on one side of all instants for all who list it, also where instants lie so close together
 * that nodes list it for different ones. Who does not list it has it in sums. What a standby recovered for a node that died is what that one had not exported: taken packets + recovered ones − those that
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
    const last = endOfRows(spans)
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
        extras: new Map(),
        recovered: [],
      }
      stretches.set(key, stretch)
    }
    stretch.epochs.add(epoch)
    return stretch
  }
  for (const span of spans) {
    const stretch = stretchOf(span.owners, span.standby, span.epoch)
    const list = stretch.spans.get(span.node) ?? []
    list.push(span)
    stretch.spans.set(span.node, list)
  }

  const inForce = [...planOf.values()].sort((a, b) => b.epoch - a.epoch)
  /** Who keeps nothing saw only a part, and is no witness. */
  const keepers = new Set(spans.filter(({owner}) => !owner).map(({node}) => node))
  let markedCopies = 0
  let packets = 0
  correctByLists()

  let recovered = 0
  let unwitnessed = 0
  let witnessMissed = 0
  for (const stretch of stretches.values()) check(stretch)
  for (const [id, list] of deaths) for (const death of list) checkUnheard(id, death)
  const told = faults.map((fault) => (isBlurred(fault) ? blurred(fault) : fault))
  told.sort((a, b) => a.fromMs - b.fromMs || (a.node < b.node ? -1 : 1))
  return {
    ...{nodes, epochs, packets, markedCopies, recovered, unwitnessed, witnessMissed},
    faults: told,
  }

  /**
   * Whether sums differ where a node died while slots changed hands for another reason. What the dead one took of them on
   * which side of the instant it did not live to tell, so that packets may stand on the wrong one.
   */
  function isBlurred({kind, packets: n, fromMs, toMs}: CoverageFault): boolean {
    if (kind === 'unknown' || n === undefined) return false
    return [...deaths.values()].flat().some((death) =>
      [...planOf.values()].some(({epoch, at, guardMs}) => {
        const start = Math.max(fromMs, death.thru - guardMs, at - guardMs)
        const end = Math.min(toMs, death.at + guardMs, at + guardMs)
        return epoch !== death.epoch && epoch !== epochs[0] && start < end
      }),
    )
  }

  function blurred(fault: CoverageFault): CoverageFault {
    const why = `${fault.why}; a node died while slots changed hands, so that ${fault.kind} or not cannot be told`
    return {...fault, kind: 'unknown', why}
  }

  /** Brings what nodes sorted by different clocks to one side of each instant. */
  function correctByLists(): void {
    const slots = new Map<number, CoverageListed[]>()
    for (const row of listed) {
      const rows = slots.get(row.slot)
      if (rows === undefined) slots.set(row.slot, [row])
      else rows.push(row)
    }
    for (const rows of slots.values()) {
      const classes = classesOf(rows)
      const byDigest = new Map<bigint, CoverageListed[]>()
      for (const row of rows.sort((a, b) => a.timeMs - b.timeMs)) {
        const same = byDigest.get(row.digest)
        if (same === undefined) byDigest.set(row.digest, [row])
        else same.push(row)
      }
      for (const same of byDigest.values()) {
        // The same packet may be sent again later.
        let first = 0
        for (let i = 1; i <= same.length; i++) {
          if (i < same.length && same[i].timeMs - same[i - 1].timeMs <= lateMs) continue
          place(same.slice(first, i), classes)
          first = i
        }
      }
    }
  }

  /** Who had a slot in which epoch, as far as lists tell. */
  function classesOf(rows: readonly CoverageListed[]): Map<number, SlotClass> {
    const classes = new Map<number, SlotClass>()
    for (const row of rows) {
      if (row.epoch !== 0 && row.owners !== '') {
        classes.set(row.epoch, {owners: row.owners, standby: row.standby})
      }
    }
    for (const {epoch, previousOwners, previousStandby} of rows) {
      if (epoch === 0 || previousOwners === '' || classes.has(epoch - 1)) continue
      classes.set(epoch - 1, {owners: previousOwners, standby: previousStandby})
    }
    return classes
  }

  /** Rows of one packet, or of equal ones that came close together. */
  function place(rows: readonly CoverageListed[], classes: ReadonlyMap<number, SlotClass>): void {
    const perNode = new Map<string, CoverageListed[]>()
    const saved: CoverageListed[] = []
    for (const row of rows) {
      if (row.epoch === 0) {
        saved.push(row)
        continue
      }
      const own = perNode.get(row.node)
      if (own === undefined) perNode.set(row.node, [row])
      else own.push(row)
    }
    const kept = new Map<string, number>()
    const times = Math.max(0, ...[...perNode.values()].map((own) => own.length))
    const sides: (Stretch | undefined)[] = []
    // For all who list it one clock decides.
    const timeOf = (copy: number): number =>
      [...perNode.values()].find((own) => own.length > copy)![copy].timeMs
    for (const one of saved) {
      // What it kept before it knew of the instant is in its sums; what it lists is where its list says.
      const n = kept.get(one.node) ?? 0
      kept.set(one.node, n + 1)
      const own = perNode.get(one.node)?.[n]
      const side = own === undefined ? stretchOfSaved(one) : sideAt(timeOf(n), classes)?.stretch
      if (own === undefined || n >= sides.length) sides[n] ??= side
      if (side?.owners.includes(one.lost) === true && side.standby === one.node) {
        side.recovered.push(one)
      } else markedCopies++
    }
    for (let copy = 0; copy < times; copy++) {
      const listers = [...perNode].filter(([, own]) => own.length > copy)
      const {timeMs, epoch: listedFor} = listers[0][1][copy]
      const here = sideAt(timeMs, classes)
      const isSaved = copy < sides.length
      const side = isSaved ? sides[copy] : here?.stretch
      const dead = side === undefined ? [] : deadOwners(side)
      const witness = side === undefined ? undefined : witnessOf(side)
      // What its standby had taken anyhow it need not recover.
      const isTaken = listers.some(([node, own]) => node === witness && own[copy].taken)
      if (side !== undefined && !(dead.length > 0 && isTaken)) {
        for (const [node, own] of listers) {
          if (side.owners.includes(node) ? own[copy].taken : node === side.standby) {
            extra(side, node, own[copy], 1)
          }
        }
        if (!isSaved && here !== undefined) moveLate(here, classes, timeMs, rows[0], perNode, copy)
      }
      // What a dead owner took is judged with what was recovered of it.
      const judged = new Set(witness === undefined || isTaken ? [] : dead)
      const living = (side?.owners ?? []).filter((id) => !judged.has(id))
      const due = side === undefined ? 1 : living.length
      const takers = listers.filter(([id, own]) => own[copy].taken && !judged.has(id)).length
      const inSums = living.filter(
        (id) => !dead.includes(id) && (perNode.get(id)?.length ?? 0) <= copy,
      ).length
      const all = takers + inSums
      // Those in sums are counted there.
      packets += Math.min(takers, Math.max(0, due - inSums))
      if (all > due) markedCopies += all - due
      if (all < due && !isSaved && dead.length === 0) {
        faults.push({
          ...{kind: 'missed', node: living.join(','), epoch: listedFor, packets: 1},
          ...{fromMs: timeMs, toMs: timeMs + 1},
          why: `seen by ${listers.map(([id]) => id).join(', ')} when the slot changed hands, taken by ${all}`,
        })
      }
    }
  }

  /** Where a packet of that time belongs. */
  function sideAt(timeMs: number, classes: ReadonlyMap<number, SlotClass>): Side | undefined {
    const epoch = epochAt(timeMs)
    const found = classIn(epoch, classes)
    if (epoch === 0 || found === undefined) return undefined
    return {epoch, stretch: stretchOf(found.owners, found.standby, epoch)}
  }

  function classIn(epoch: number, classes: ReadonlyMap<number, SlotClass>): SlotClass | undefined {
    const exact = classes.get(epoch)
    if (exact !== undefined) return exact
    // Where nothing is listed nothing changed.
    const known = [...classes.keys()].sort((a, b) => a - b)
    const near = known.find((one) => one > epoch) ?? known.at(-1)
    return near === undefined ? undefined : classes.get(near)
  }

  function epochAt(timeMs: number): number {
    return inForce.find(({at}) => at <= timeMs)?.epoch ?? 0
  }

  function stretchOfSaved({
    timeMs,
    lost,
    previousOwners,
    previousStandby,
  }: CoverageListed): Stretch {
    const death = (deaths.get(lost) ?? []).find(({at}) => at > timeMs - lateMs)
    const last = death === undefined ? Infinity : death.epoch - 1
    return stretchOf(previousOwners, previousStandby, Math.min(epochAt(timeMs), last))
  }

  /** Who had the plan only when such packets had come has them in the sums of the epoch before. */
  function moveLate(
    {epoch, stretch}: Side,
    classes: ReadonlyMap<number, SlotClass>,
    timeMs: number,
    row: CoverageListed,
    perNode: ReadonlyMap<string, readonly CoverageListed[]>,
    copy: number,
  ): void {
    for (const id of [...stretch.owners, stretch.standby]) {
      if (id === '' || (perNode.get(id)?.length ?? 0) > copy) continue
      const own = plans.find((plan) => plan.node === id && plan.epoch === epoch)
      if (own === undefined || timeMs > own.installedMs + ADOPT_MS) continue
      const earlier = Math.max(
        0,
        ...plans.filter((plan) => plan.node === id && plan.epoch < epoch).map((p) => p.epoch),
      )
      const before = classIn(earlier, classes)
      if (earlier === 0 || before === undefined) continue
      const from = stretchOf(before.owners, before.standby, earlier)
      const same = stretch.owners.includes(id) === from.owners.includes(id)
      if (from === stretch || !same || (from.standby !== id && !from.owners.includes(id))) continue
      extra(from, id, row, -1)
      extra(stretch, id, row, 1)
    }
  }

  function extra(stretch: Stretch, node: string, row: CoverageListed, sign: 1 | -1): void {
    const {timeMs, digest} = row
    const list = stretch.extras.get(node)
    if (list === undefined) stretch.extras.set(node, [{timeMs, digest, sign}])
    else list.push({timeMs, digest, sign})
  }

  /** The first deaths among its nodes; these end it. */
  function endingOf({owners, standby, epochs: of}: Stretch): CoveragePlan[] {
    const first = Math.min(...of)
    const later = [...owners, standby].flatMap((id) =>
      (deaths.get(id) ?? []).filter(({epoch}) => epoch > first).slice(0, 1),
    )
    const end = Math.min(...later.map(({epoch}) => epoch))
    return later.filter(({epoch}) => epoch === end)
  }

  function deadOwners(stretch: Stretch): string[] {
    const ending = endingOf(stretch).map(({lost}) => lost)
    return ending.filter((id) => stretch.owners.includes(id))
  }

  function witnessOf({standby, spans: of, extras}: Stretch): string | undefined {
    const keeps = keepers.has(standby) && (of.has(standby) || extras.has(standby))
    return keeps ? standby : undefined
  }

  function check(stretch: Stretch): void {
    const {owners, standby} = stretch
    const witness = witnessOf(stretch)
    const died = endingOf(stretch)
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
      witness === undefined
        ? undefined
        : total(stretch, witness, (span) => !span.owner, lastOf(witness))
    const ends = witness !== undefined && died.some(({lost}) => lost === witness)
    for (const id of owners) {
      if (!nodes.includes(id)) continue
      const death = died.filter(({lost}) => lost === id).at(0)
      if (death !== undefined) {
        checkDead(stretch, id, death, witness, seen)
        continue
      }
      const taken = total(stretch, id, (span) => span.owner, undefined)
      packets += rowsOf(stretch, id, true).reduce((sum, span) => sum + span.packets, 0)
      const told = [...(stretch.spans.get(id) ?? []), ...(stretch.spans.get(witness ?? '') ?? [])]
      const isCut = witness !== undefined && Math.min(lastOf(id), lastOf(witness)) < endOfRows(told)
      if (ends || isCut) {
        compareUntilDeath(stretch, id, witness)
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

  /** Until one of them died the witness saw what the owner took. */
  function compareUntilDeath(stretch: Stretch, owner: string, witness: string): void {
    const known = Math.max(lateMs, endOfRows(rowsOf(stretch, witness, false)))
    const last = Math.min(known, lastOf(owner)) - lateMs
    const later = rowsOf(stretch, owner, true).filter(({endMs}) => endMs > last)
    unwitnessed += later.reduce((sum, span) => sum + span.packets, 0)
    compare(stretch, owner, witness, false, last)
  }

  /** A node that died before anybody wrote what it saw: at all, or of the slots that another one that died too kept. */
  function checkUnheard(id: string, death: CoveragePlan): void {
    const earlier = plans.filter((plan) => plan.epoch < death.epoch)
    const epoch = Math.max(0, ...earlier.map((plan) => plan.epoch))
    const fromMs = Math.max(death.thru, planOf.get(epoch)?.at ?? 0)
    if (epoch === 0 || fromMs >= death.at) return
    const missed = (why: string): void => {
      const span = {fromMs, toMs: death.at, packets: undefined}
      faults.push({kind: 'missed', node: id, epoch, ...span, why})
    }
    const known = [...stretches.values()].filter(
      ({owners, epochs: of}) => owners.includes(id) && [...of].some((one) => one < death.epoch),
    )
    if (known.length === 0) return missed('it died, and no node kept its packets')
    for (const [other, list] of deaths) {
      const together = other !== id && list.some((one) => one.epoch === death.epoch)
      if (!together || known.some(({standby}) => standby === other)) continue
      missed(`it died, and only ${other}, which died too, kept its packets`)
    }
  }

  function lastSeen(stretch: Stretch, witness: string): number {
    const extras = stretch.extras.get(witness) ?? []
    return extras.reduce(
      (latest, {timeMs}) => Math.max(latest, timeMs + 1),
      endOfRows(rowsOf(stretch, witness, false)),
    )
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
    for (const {timeMs, digest, sign} of stretch.extras.get(node) ?? []) {
      if (until === undefined || timeMs < until) add(sum, one(digest), sign)
    }
    return sum
  }

  /** The end of what a node has told. */
  function lastOf(id: string): number {
    if (!deaths.has(id)) return Infinity
    return endOfRows(spans.filter(({node}) => node === id))
  }

  function timesOf(stretch: Stretch): {fromMs: number; toMs: number} {
    const all = [...stretch.spans.values()].flat()
    if (all.length === 0) return {fromMs: 0, toMs: 0}
    return {
      fromMs: all.reduce((least, {startMs}) => Math.min(least, startMs), Infinity),
      toMs: endOfRows(all),
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
    const put = (
      span: Sum & Pick<CoverageSpan, 'startMs' | 'endMs' | 'epoch'>,
      sign: 1 | -1,
    ): void => {
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
    const length = stretch.spans.get(witness)?.map(({startMs, endMs}) => endMs - startMs)[0] ?? 100
    const epoch = Math.min(...stretch.epochs)
    for (const [node, side] of [
      [witness, 1],
      [owner, -1],
    ] as const) {
      for (const {timeMs, digest, sign} of stretch.extras.get(node) ?? []) {
        const startMs = timeMs - (timeMs % length)
        const span = {...one(digest), startMs, endMs: startMs + length, epoch: epochAt(timeMs)}
        put(span, side === sign ? 1 : -1)
      }
    }
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
    } else if (n < 0 && (drops.some(({node}) => node === witness) || isLate(witness, found))) {
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

  /** Whether the node had a plan of that time only when packets came that it should have seen. */
  function isLate(
    node: string,
    {epoch, fromMs, toMs}: {readonly epoch: number; readonly fromMs: number; readonly toMs: number},
  ): boolean {
    return plans.some(
      (plan) =>
        plan.node === node &&
        plan.epoch >= epoch &&
        plan.at < toMs &&
        plan.installedMs > plan.at - plan.guardMs &&
        fromMs < plan.installedMs + lateMs,
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
    const lastRow = endOfRows(rows)
    const lastEpoch = rows.length > 0 ? rows[rows.length - 1].epoch : Math.min(...stretch.epochs)
    const epoch = Math.max(...[...stretch.epochs].filter((e) => e < death.epoch), 0) || lastEpoch
    const first = Math.min(...stretch.epochs)
    const begin = planOf.get(first)
    // Around the instant at which it got them those took them, or kept them, that had them before.
    const heldMs = begin === undefined || first === epochs[0] ? 0 : begin.at + begin.guardMs
    const missedAtDeath = (toMs: number, keeper: string): void => {
      const fromMs = Math.max(death.thru, lastRow, heldMs)
      if (fromMs >= toMs) return
      faults.push({
        ...{kind: 'missed', node: id, epoch, fromMs, toMs, packets: undefined},
        why: `it died, and ${keeper} kept its packets`,
      })
    }
    if (witness === undefined || seen === undefined) {
      packets += rows.reduce((sum, span) => sum + span.packets, 0)
      unwitnessed += rows.reduce((sum, span) => sum + span.packets, 0)
      // The new owner may have taken over what came before the instant, from when it knew.
      const saved = listed
        .filter((row) => row.epoch === 0 && row.lost === id && row.node === stretch.standby)
        .map(({timeMs}) => timeMs)
      missedAtDeath(Math.min(death.at, ...saved), 'no node')
      return
    }
    if (endingOf(stretch).some(({lost}) => lost === witness)) {
      // Both died before anybody could take over.
      const last = Math.max(...stretch.epochs)
      const isOver = spans.some((span) => span.node === id && span.epoch > last)
      const endMs = isOver ? endOf(last) : death.at
      missedAtDeath(endMs, `only ${witness}, which died too,`)
      packets += rows.reduce((sum, span) => sum + span.packets, 0)
      compareUntilDeath(stretch, id, witness)
      return
    }
    const all = stretch.recovered.sort((a, b) => a.timeMs - b.timeMs)
    recovered += all.length
    // A standby that died soon, too, has told more of what it recovered than of what it saw.
    const known = lastOf(witness)
    const again = all.filter(({timeMs}) => timeMs < known)
    packets += all.length - again.length
    unwitnessed += all.length - again.length
    // The standby may have kept less than since the last word of the dead node: then that one's later rows count.
    const cuts = [...new Set([death.thru, ...rows.map(({endMs}) => endMs)])]
      .filter((cut) => cut >= death.thru && cut <= Math.max(known, death.thru))
      .sort((a, b) => a - b)
    let best: {missing: number; cut: number} | undefined
    for (const cut of cuts) {
      const taken = total(stretch, id, (span) => span.owner, cut)
      const usable = again.filter(({timeMs}) => timeMs >= cut - death.guardMs)
      // Of what the dead node listed it is known which of these they are.
      const both = new Set<bigint>()
      const digests = new Set(usable.map(({digest}) => digest))
      for (const {timeMs, digest, sign} of stretch.extras.get(id) ?? []) {
        if (timeMs >= cut || sign < 0 || !digests.delete(digest)) continue
        add(taken, one(digest), -1)
        both.add(digest)
      }
      const listedToo = usable.filter(({digest}) => both.has(digest))
      const unknown = usable.filter(({digest}) => !both.has(digest))
      const twice = taken.packets + usable.length - seen.packets
      if (best === undefined || -twice < best.missing) best = {missing: -twice, cut}
      if (twice < 0 || twice > unknown.length) continue
      const whole = {...taken}
      for (const {digest} of listedToo) add(whole, one(digest))
      unknown.forEach(({digest}, i) => {
        if (i >= twice) add(whole, one(digest))
      })
      if (!fits(whole, seen, unknown, twice)) continue
      packets += seen.packets
      markedCopies += listedToo.length + twice + again.length - usable.length
      const late = rows.filter(({endMs}) => endMs > cut)
      markedCopies += late.reduce((sum, span) => sum + span.packets, 0)
      return
    }
    const missing = best?.missing ?? 0
    packets += Math.min(
      seen.packets,
      rows.reduce((sum, span) => sum + span.packets, 0) + again.length,
    )
    const firstSaved = again.at(0)?.timeMs ?? death.at
    const fromMs = Math.min(death.thru === 0 ? lastRow : death.thru, firstSaved)
    // Who did not live or stay to hear of the death took nothing over: what the dead node itself still exported is unknown.
    if (!plans.some((plan) => plan.node === witness && plan.epoch >= death.epoch)) {
      faults.push({
        ...{kind: 'unknown', node: id, epoch, packets: missing > 0 ? missing : undefined},
        ...{fromMs, toMs: Math.max(fromMs, Math.min(death.at, lastSeen(stretch, witness)))},
        why: `it died when ${witness}, which had seen them, was gone: it may have exported them or not`,
      })
      return
    }
    faults.push({
      kind: missing > 0 ? 'missed' : 'unknown',
      ...{node: id, epoch, packets: missing > 0 ? missing : undefined},
      fromMs,
      toMs: Math.max(firstSaved, Math.min(lastRow, death.at)),
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
