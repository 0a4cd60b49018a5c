import type {DartaCommand} from '../../cli/base-command.js'
import {
  createCoordinator,
  type Coordinator,
  type GroupSettings,
  type Outgoing,
} from '../../metering/coordination/coordinator.js'
import {statusOf} from '../../metering/coordination/group-status.js'
import type {Message} from '../../metering/coordination/message.js'
import {loadsOf, type Plan} from '../../metering/coordination/plan.js'
import type {Timing} from '../../metering/coordination/timing.js'
import {listenForPeers, type Channel} from './channel.js'
import {now} from './clocks.js'
import {meetAtEngine} from './at-engine.js'
import type {DirectMeeting, EngineMeeting} from './meeting.js'

/** How often the coordinator looks whether somebody is gone, ms. */
const TICK_MS = 50
const SELF = 'coordinator'

/** Coordinates the capture nodes of a group until the command is told to stop. */
export async function coordinate(
  command: DartaCommand,
  url: DirectMeeting,
  settings: GroupSettings,
  timing: Timing,
): Promise<void> {
  const coordinator = createCoordinator({
    id: SELF,
    ...settings,
    timing,
    start: now(),
    note: (text) => command.note(text),
  })
  const channels = new Map<string, Channel>()
  const names = new Map<Channel, string>()
  const tell = tellPlans(command)

  function send(list: readonly Outgoing[]): void {
    for (const {to, message} of list) channels.get(to)?.send(message)
  }

  function receive(message: Message, channel: Channel): void {
    if (message.type === 'ask') {
      channel.send(statusOf(url.name, SELF, coordinator, now()))
      return
    }
    if (message.type === 'beat') {
      channels.set(message.node.id, channel)
      names.set(channel, message.node.id)
    }
    send(coordinator.receive(message, now()))
  }

  const listener = await listenForPeers(
    url.endpoint,
    url.name,
    url.credentials,
    {
      opened: () => {},
      message: receive,
      closed(why, channel) {
        const id = names.get(channel)
        names.delete(channel)
        if (id === undefined) {
          if (why !== '') command.detail(`a connection ended: ${why}`)
          return
        }
        // A node that came back has another connection by then.
        if (channels.get(id) !== channel) return
        channels.delete(id)
        coordinator.broke(id, now())
      },
    },
    (why) => command.note(`a peer is refused: ${why}`),
  )
  command.note(`coordinating group ${url.name} on port ${listener.port}`)
  const timer = setInterval(() => {
    send(coordinator.tick(now()))
    tell(coordinator)
  }, TICK_MS)
  try {
    await stopped(command.stopping)
  } finally {
    clearInterval(timer)
    listener.close()
  }
}

/** Coordinates them at an engine, as long as no other member holds the lease, until the command is told to stop. */
export async function coordinateByEngine(
  command: DartaCommand,
  meeting: EngineMeeting,
  settings: GroupSettings,
  timing: Timing,
): Promise<void> {
  const note = (text: string): void => command.note(text)
  const tell = tellPlans(command)
  let coordinator: Coordinator | undefined
  const registry = meetAtEngine({
    meeting,
    id: SELF,
    note,
    ttlMs: () => timing.ttlMs,
    standIn: (start) => createCoordinator({id: SELF, ...settings, timing, start, note}),
    reached: () => note(`coordinating group ${meeting.name} at ${meeting.place}`),
    outage: () => 'the nodes go on by the plan that they have',
    coordinates: (now) => (coordinator = now),
  })
  const timer = setInterval(() => {
    if (coordinator !== undefined) tell(coordinator)
  }, TICK_MS)
  try {
    await stopped(command.stopping)
  } finally {
    clearInterval(timer)
    await registry.close()
  }
}

/** Says what each new plan is, and when it is in force: all nodes have it, and it has begun by everybody's clock. */
function tellPlans(command: DartaCommand): (coordinator: Coordinator) => void {
  let told = {epoch: 0, inForce: false}
  let restored = 0
  return (coordinator) => {
    const plan = coordinator.plan()
    if (plan === undefined) return
    if (plan.lost.length > 0 && restored !== plan.epoch && coordinator.isRestored()) {
      restored = plan.epoch
      const lost = plan.lost.map(({id}) => id).join(', ')
      command.note(`epoch ${plan.epoch}: what was kept of ${lost} is exported`)
    }
    const inForce = coordinator.isInForce(now())
    if (told.epoch === plan.epoch && told.inForce === inForce) return
    told = {epoch: plan.epoch, inForce}
    command.note(planWords(plan, inForce))
  }
}

/** `epoch 3 from 12:00:00.500Z: a 86, b 85, c 85; lost d`; slots of 256. */
export function planWords(plan: Plan, inForce = false): string {
  const loads = loadsOf(plan)
  const shares = plan.nodes.map(({id}, i) => `${id} ${loads[i]}`).join(', ')
  const lost = plan.lost.map(({id}) => id).join(', ')
  const state = inForce ? 'in force' : `from ${new Date(plan.at).toISOString().slice(11)}`
  return `epoch ${plan.epoch} ${state}: ${shares || 'no nodes'}${lost === '' ? '' : `; lost ${lost}`}`
}

export function stopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), {once: true})
  })
}
