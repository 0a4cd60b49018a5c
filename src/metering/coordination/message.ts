import {DartaError} from '../../record/errors.js'
import {
  CHANGED,
  CONTESTED,
  GROUP_SLOTS,
  MAX_NODES,
  MAX_REDUNDANCY,
  NOBODY,
  type LostNode,
  type Plan,
  type PlanNode,
} from './plan.js'

/** What a node measures of itself, for people. */
export interface NodeNumbers {
  /** Packets taken, and octets of them, since the start. */
  readonly packets: number
  readonly octets: number
  /** Packets that the kernel could not keep. */
  readonly drops: number
  /** Packets kept for others now. */
  readonly shadowed: number
}

/** A capture node is there. Sent every beat. */
export interface Beat {
  readonly type: 'beat'
  readonly node: PlanNode
  /** The newest plan that it has put in place. */
  readonly term: number
  readonly epoch: number
  readonly confirmed: boolean
  /** All that it captured before this, ms since 1970, went out. */
  readonly thru: number
  /** Its monotonic clock, which the coordinator's answer repeats. */
  readonly sent: number
  /** Its capture clock, ms since 1970. */
  readonly clock: number
  readonly numbers: NodeNumbers
}

/** A node goes: it takes and keeps packets until the others have what it had, exports all, and says so by its last one. */
export interface Leave {
  readonly type: 'leave'
  readonly id: string
  /** See Beat.thru. */
  readonly thru: number
}

/** The coordinator is there; the answer to a beat. */
export interface Pulse {
  readonly type: 'pulse'
  readonly coordinator: string
  readonly term: number
  readonly epoch: number
  /** `sent` of the last beat that it heard of the node it answers. */
  readonly echo: number
  /** Whether it knows a plan; a coordinator that begins anew is told the plan by the nodes. */
  readonly planned: boolean
  /**
   * How far each node has exported, see Beat.thru: for who may be the next coordinator, and for who leaves and backs them.
   * Nodes that have left are among them until they have exported all.
   */
  readonly thru: readonly LostNode[]
}

export interface PlanMessage {
  readonly type: 'plan'
  readonly plan: Plan
}

/** The coordinator does not let the node in. */
export interface Refusal {
  readonly type: 'refusal'
  readonly id: string
  readonly reason: string
}

/** The first message of each side of a connection. */
export interface Hello {
  readonly type: 'hello'
  readonly group: string
}

/** Somebody wants to know how the group is; the coordinator answers with its status. */
export interface Ask {
  readonly type: 'ask'
}

/** One node, for people. */
export interface NodeLine {
  readonly id: string
  readonly state: string
  readonly weight: number
  /** Owned slots of GROUP_SLOTS, and those kept for others. */
  readonly slots: number
  readonly standby: number
  readonly packets: number
  readonly octets: number
  readonly packetRate: number
  readonly drops: number
  readonly shadowed: number
  /** Ms from its clock's now back to the last packet that it has exported. */
  readonly behindMs: number
  readonly clockMs: number
  readonly silentMs: number
  readonly address: string
}

export interface StatusMessage {
  readonly type: 'status'
  readonly group: string
  readonly coordinator: string
  readonly term: number
  readonly epoch: number
  readonly at: number
  readonly confirmed: boolean
  readonly redundancy: number
  readonly by: string
  readonly seed: number
  readonly nodes: readonly NodeLine[]
}

export type Message = Beat | Leave | Pulse | PlanMessage | Refusal | Hello | Ask | StatusMessage

/** Characters of a message; a plan of MAX_NODES nodes with MAX_REDUNDANCY owners has less. */
export const MAX_MESSAGE_CHARACTERS = 65536

/** A message as JSON, without a line end. */
export function formatMessage(message: Message): string {
  return JSON.stringify(message, (_, value: unknown) =>
    value instanceof Uint8Array ? toBase64(value) : value,
  )
}

/**
 * Reads what `formatMessage` made. What comes from the network is believed in nothing.
 *
 * @throws DartaError DARTA_GROUP_MESSAGE
 */
export function parseMessage(text: string): Message {
  if (text.length > MAX_MESSAGE_CHARACTERS) throw bad(`${text.length} characters`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw bad('no JSON')
  }
  const fields = object(value, 'message')
  switch (fields.type) {
    case 'beat':
      return {
        type: 'beat',
        node: node(fields.node),
        term: whole(fields.term, 'term'),
        epoch: whole(fields.epoch, 'epoch'),
        confirmed: fields.confirmed === true,
        thru: whole(fields.thru, 'thru'),
        sent: number(fields.sent, 'sent'),
        clock: number(fields.clock, 'clock'),
        numbers: numbers(fields.numbers),
      }
    case 'leave':
      return {type: 'leave', id: name(fields.id), thru: whole(fields.thru, 'thru')}
    case 'pulse':
      return {
        type: 'pulse',
        coordinator: name(fields.coordinator),
        term: whole(fields.term, 'term'),
        epoch: whole(fields.epoch, 'epoch'),
        echo: number(fields.echo, 'echo'),
        planned: fields.planned === true,
        thru: list(fields.thru, 'thru').map(reached),
      }
    case 'plan':
      return {type: 'plan', plan: plan(fields.plan)}
    case 'hello':
      return {type: 'hello', group: name(fields.group)}
    case 'ask':
      return {type: 'ask'}
    case 'status':
      return status(fields)
    case 'refusal':
      return {type: 'refusal', id: name(fields.id), reason: text1(fields.reason, 'reason')}
    default:
      throw bad(`type ${JSON.stringify(fields.type)?.slice(0, 40)}`)
  }
}

/** Reads a plan, as JSON.parse gives it. @throws DartaError DARTA_GROUP_MESSAGE */
export function plan(value: unknown): Plan {
  const fields = object(value, 'plan')
  const redundancy = whole(fields.redundancy, 'redundancy')
  if (redundancy < 1 || redundancy > MAX_REDUNDANCY) throw bad(`redundancy ${redundancy}`)
  const nodes = list(fields.nodes, 'nodes').map(node)
  if (nodes.length > MAX_NODES || new Set(nodes.map(({id}) => id)).size < nodes.length) {
    throw bad('nodes that are too many or named alike')
  }
  const places = fromBase64(text1(fields.places, 'places'))
  if (
    places.length !== GROUP_SLOTS * (redundancy + 1) ||
    places.some((place) => place >= nodes.length && place !== NOBODY)
  ) {
    throw bad('places that do not fit')
  }
  const changes = fromBase64(text1(fields.changes, 'changes'))
  if (
    changes.length !== GROUP_SLOTS ||
    changes.some((bits) => (bits & ~(CONTESTED | CHANGED)) !== 0)
  ) {
    throw bad('changes that do not fit')
  }
  const lost = list(fields.lost, 'lost').map(reached)
  return {
    term: whole(fields.term, 'term'),
    epoch: whole(fields.epoch, 'epoch'),
    at: whole(fields.at, 'at'),
    coordinator: name(fields.coordinator),
    redundancy,
    guardMs: whole(fields.guardMs, 'guardMs'),
    ttlMs: whole(fields.ttlMs, 'ttlMs'),
    by: name(fields.by),
    seed: whole(fields.seed, 'seed'),
    nodes,
    places,
    changes,
    lost,
    confirmed: fields.confirmed === true,
  }
}

/** What a node or group may be called. */
export const NAME = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/

function bad(what: string): DartaError {
  return new DartaError('DARTA_GROUP_MESSAGE', `a message of the group has ${what}`)
}

function object(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad(`no ${what}`)
  return value as Record<string, unknown>
}

function list(value: unknown, what: string): unknown[] {
  if (!Array.isArray(value)) throw bad(`no ${what}`)
  return value
}

function number(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw bad(`no ${what}`)
  return value
}

function whole(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw bad(`no ${what}`)
  return value
}

function text1(value: unknown, what: string): string {
  if (typeof value !== 'string') throw bad(`no ${what}`)
  return value
}

function name(value: unknown): string {
  if (typeof value !== 'string' || !NAME.test(value)) throw bad('a name that is none')
  return value
}

function node(value: unknown): PlanNode {
  const {id, weight, address} = object(value, 'node')
  const parts = whole(weight, 'weight')
  if (parts < 1 || parts > 100) throw bad(`weight ${parts}`)
  if (address === undefined) return {id: name(id), weight: parts}
  if (typeof address !== 'string' || !/^[A-Za-z0-9.:[\]-]{1,128}$/.test(address)) {
    throw bad('an address that is none')
  }
  return {id: name(id), weight: parts, address}
}

function reached(value: unknown): LostNode {
  const {id, thru} = object(value, 'thru')
  return {id: name(id), thru: whole(thru, 'thru')}
}

function status(fields: Record<string, unknown>): StatusMessage {
  return {
    type: 'status',
    group: name(fields.group),
    coordinator: name(fields.coordinator),
    term: whole(fields.term, 'term'),
    epoch: whole(fields.epoch, 'epoch'),
    at: whole(fields.at, 'at'),
    confirmed: fields.confirmed === true,
    redundancy: whole(fields.redundancy, 'redundancy'),
    by: name(fields.by),
    seed: whole(fields.seed, 'seed'),
    nodes: list(fields.nodes, 'nodes').map((one) => {
      const line = object(one, 'node')
      const count = (what: string): number => number(line[what], what)
      const {state, address} = line
      return {
        id: name(line.id),
        state: name(state),
        weight: count('weight'),
        slots: count('slots'),
        standby: count('standby'),
        packets: count('packets'),
        octets: count('octets'),
        packetRate: count('packetRate'),
        drops: count('drops'),
        shadowed: count('shadowed'),
        behindMs: count('behindMs'),
        clockMs: count('clockMs'),
        silentMs: count('silentMs'),
        address: address === '' ? '' : node({id: 'x', weight: 1, address}).address!,
      }
    }),
  }
}

function numbers(value: unknown): NodeNumbers {
  const {packets, octets, drops, shadowed} = object(value, 'numbers')
  return {
    packets: whole(packets, 'packets'),
    octets: whole(octets, 'octets'),
    drops: whole(drops, 'drops'),
    shadowed: whole(shadowed, 'shadowed'),
  }
}

function toBase64(octets: Uint8Array): string {
  let text = ''
  for (const octet of octets) text += String.fromCharCode(octet)
  return btoa(text)
}

function fromBase64(text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  } catch {
    throw bad('places that are no base64')
  }
}
