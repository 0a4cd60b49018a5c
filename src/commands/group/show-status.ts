import {setTimeout as sleep} from 'node:timers/promises'
import type {DartaCommand} from '../../cli/base-command.js'
import {isTerminal} from '../../cli/terminal.js'
import {textTable} from '../../cli/text-table.js'
import type {StatusMessage} from '../../metering/coordination/message.js'
import {GROUP_SLOTS} from '../../metering/coordination/plan.js'
import {DartaError} from '../../record/errors.js'
import {connectToPeer} from './channel.js'
import {groupBucket, messagesOf} from './at-engine.js'
import type {DirectMeeting, EngineMeeting, Meeting} from './meeting.js'

const RENEW_MS = 1000
const ANSWER_MS = 5000
const LOOK_MS = 100

/** Shows how a group is; on a terminal again and again until the command is told to stop. */
export async function showStatus(
  command: DartaCommand,
  meeting: Meeting,
  format: 'table' | 'json',
): Promise<void> {
  const live = format === 'table' && isTerminal(1)
  for (;;) {
    const status = await (meeting.kind === 'engine' ? readStatus(meeting) : ask(meeting))
    const text = format === 'json' ? `${JSON.stringify(status)}\n` : statusText(status)
    // Home, and clear what was there.
    command.print(live ? `\x1b[H\x1b[J${text}` : text)
    if (!live || command.stopping.aborted) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, RENEW_MS)
      command.stopping.addEventListener(
        'abort',
        () => {
          clearTimeout(timer)
          resolve()
        },
        {once: true},
      )
    })
    if (command.stopping.aborted) return
  }
}

/** @throws DartaError DARTA_GROUP */
function ask({endpoint, name, credentials}: DirectMeeting): Promise<StatusMessage> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      reject(new DartaError('DARTA_GROUP', `${endpoint.name} tells no status: ${why}`))
    }
    const timer = setTimeout(() => {
      connection.close()
      fail(`no answer within ${ANSWER_MS} ms`)
    }, ANSWER_MS)
    const connection = connectToPeer(endpoint, name, credentials, {
      opened: (channel) => channel.send({type: 'ask'}),
      message(message, channel) {
        if (message.type !== 'status') return
        clearTimeout(timer)
        channel.close()
        resolve(message)
      },
      closed(why) {
        clearTimeout(timer)
        fail(why === '' ? 'the connection was closed; it may not be the coordinator' : why)
      },
    })
  })
}

/** Waits for what the coordinator writes next: what stands there may be of one that is gone. @throws DartaError DARTA_GROUP, DARTA_ENGINE */
async function readStatus({name, place, open}: EngineMeeting): Promise<StatusMessage> {
  const engine = await open()
  try {
    const bucket = groupBucket(name)
    const first = await engine.get(bucket, 'status')
    const until = performance.now() + ANSWER_MS
    while (performance.now() < until) {
      const stored = await engine.get(bucket, 'status')
      const status = messagesOf(stored).find((message) => message.type === 'status')
      if (status !== undefined && stored?.revision !== first?.revision) return status
      await sleep(LOOK_MS)
    }
    throw new DartaError('DARTA_GROUP', `${place}: nobody coordinates the group ${name} there`)
  } finally {
    await engine.close()
  }
}

export function statusText(status: StatusMessage): string {
  const {group, coordinator, epoch, at, confirmed, redundancy, nodes} = status
  const since = epoch === 0 ? '' : ` since ${new Date(at).toISOString()}`
  const state = epoch === 0 || confirmed ? '' : ', not all nodes have it yet'
  const slots = nodes.reduce((sum, node) => sum + node.slots, 0)
  const head =
    `group ${group}, coordinated by ${coordinator}: epoch ${epoch}${since}${state}; ` +
    `each packet at ${redundancy} of ${nodes.length} nodes\n`
  const rows = nodes.map((node) => [
    node.id,
    node.state,
    `${((node.slots * 100) / GROUP_SLOTS).toFixed(1)} %`,
    String(node.standby),
    String(node.packets),
    String(node.packetRate),
    String(node.drops),
    String(node.shadowed),
    String(node.behindMs),
    String(node.clockMs),
  ])
  const titles = [
    ...['node', 'state', 'share', 'standby', 'packets', 'packets/s'],
    ...['drops', 'kept', 'behind ms', 'clock ms'],
  ]
  const open = GROUP_SLOTS * redundancy - slots
  const tail = open > 0 && epoch > 0 ? `${open} slots are nobody's\n` : ''
  const right = titles.map((_, i) => (i < 2 ? 'left' : 'right'))
  return head + textTable(titles, rows, right) + tail
}
