import type {Coordinator} from './coordinator.js'
import type {StatusMessage} from './message.js'
import {indexOf, loadsOf, roleOf, GROUP_SLOTS} from './plan.js'
import type {Instant} from './timing.js'

/** What the coordinator tells who asks. */
export function statusOf(
  group: string,
  self: string,
  coordinator: Coordinator,
  now: Instant,
): StatusMessage {
  const plan = coordinator.plan()
  const loads = plan === undefined ? [] : loadsOf(plan)
  return {
    type: 'status',
    group,
    coordinator: self,
    term: plan?.term ?? 0,
    epoch: plan?.epoch ?? 0,
    at: plan?.at ?? 0,
    confirmed: plan?.confirmed ?? false,
    redundancy: plan?.redundancy ?? 0,
    by: plan?.by ?? 'flow',
    seed: plan?.seed ?? 0,
    nodes: coordinator
      .status(now)
      .map(({node, beat, state, packetRate, clockMs, silentMs}) => {
        let standby = 0
        for (let slot = 0; plan !== undefined && slot < GROUP_SLOTS; slot++) {
          if (roleOf(plan, node.id, slot) === 'standby') standby++
        }
        return {
          id: node.id,
          state,
          weight: node.weight,
          slots: plan === undefined ? 0 : (loads[indexOf(plan, node.id)] ?? 0),
          standby,
          ...beat.numbers,
          packetRate: Math.round(packetRate),
          behindMs: Math.max(0, Math.round(beat.clock - beat.thru)),
          clockMs: Math.round(clockMs),
          silentMs: Math.round(silentMs),
          address: node.address ?? '',
        }
      })
      .sort((a, b) => (a.id < b.id ? -1 : 1)),
  }
}
