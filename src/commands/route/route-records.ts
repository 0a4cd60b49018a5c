import type {DartaCommand} from '../../cli/base-command.js'
import type {RecordBatch, RecordStream} from '../../record/batch.js'
import {DartaError} from '../../record/errors.js'
import type {StageLedger} from '../../record/ledger.js'
import {fieldIndex, type Template} from '../../record/template.js'
import type {Analysis} from '../../processing/analysis/app.js'
import type {Dealer} from '../../processing/routing/dealer.js'
import type {WeightedUnit} from '../../processing/routing/rendezvous.js'
import type {Lane} from './lane.js'

/** Units that records are dealt to by one key. */
export interface UnitGroup {
  /** Each application's needs: a record that serves none of them goes nowhere. */
  readonly needs: readonly Analysis['needs'][]
  readonly dealer: Dealer
  /** Where the key says which way a record went, and a Biflow has to become two. */
  readonly uniflows: ((batch: RecordBatch) => readonly RecordBatch[]) | undefined
  /** As the dealer has them; weights change when units go. */
  units: WeightedUnit[]
  readonly lanes: readonly Lane[]
  readonly account: StageLedger
}

/**
 * Gives each record once to the unit of each group that its key says. Options Records concern all: every unit gets them.
 * A unit that goes away leaves its keys to the others; what it was being given is lost, and counted.
 */
export async function routeRecords(
  command: DartaCommand,
  source: RecordStream,
  groups: readonly UnitGroup[],
): Promise<void> {
  const lanes = groups.flatMap((group) => group.lanes)
  const serves = new Map<UnitGroup, WeakMap<Template, boolean>>()
  for (const group of groups) serves.set(group, new WeakMap())

  function isServed(group: UnitGroup, template: Template): boolean {
    const known = serves.get(group)!
    let served = known.get(template)
    if (served === undefined) {
      served = group.needs.some((needs) =>
        needs.every((elements) => elements.some((e) => fieldIndex(template, e) >= 0)),
      )
      known.set(template, served)
    }
    return served
  }

  function deal(group: UnitGroup, batches: readonly RecordBatch[]): void {
    const {account} = group
    let own: RecordBatch[] = []
    for (const batch of batches) {
      account.in += batch.count
      if (batch.template.scopeCount > 0) {
        account.skip('options-to-all', batch.count)
        for (const lane of group.lanes) lane.add([batch], 0)
      } else if (isServed(group, batch.template)) own.push(batch)
      else account.skip('not-applicable', batch.count)
    }
    if (group.uniflows !== undefined) own = own.flatMap((batch) => inOneDirection(group, batch))
    const dealt = group.dealer.deal(own)
    for (const [i, lane] of group.lanes.entries()) lane.add(dealt.batches[i], dealt.counts[i])
    if (dealt.homeless > 0) {
      const left = group.units.some(({weight}) => weight > 0)
      if (left) account.skip('no-key', dealt.homeless)
      else account.lose('no-unit', dealt.homeless)
    }
  }

  function inOneDirection(group: UnitGroup, batch: RecordBatch): readonly RecordBatch[] {
    const made = group.uniflows!(batch)
    if (made.length > 1 || made[0] !== batch) {
      const records = made.reduce((n, {count}) => n + count, 0)
      group.account.in += records - batch.count
      group.account.note('of-biflows', records - batch.count)
    }
    return made
  }

  /** Keys of units that have gone become the others'. */
  function bury(group: UnitGroup): void {
    let moved = false
    group.units = group.units.map((unit, i) => {
      if (unit.weight === 0 || !group.lanes[i].gone) return unit
      moved = true
      return {...unit, weight: 0}
    })
    if (moved) group.dealer.setUnits(group.units)
  }

  for await (const batches of source) {
    for (const group of groups) deal(group, batches)
    await Promise.all(lanes.map((lane) => lane.move(command.live)))
    groups.forEach(bury)
    if (groups.every(({units}) => units.every(({weight}) => weight === 0))) {
      throw new DartaError('DARTA_CHILD', 'all units have gone: nobody takes records')
    }
    if (command.stopping.aborted) break
  }
  await Promise.all(lanes.map((lane) => lane.end()))
}
