import type {FlowKey} from '../../registry/flow-keys.js'
import type {RoutingKey} from '../analysis/app.js'

/**
 * A key by which records can be dealt once for all these applications: records that are equal in what they have in common
 * are equal in none of them alone, but no two that are equal in one of them are parted. Undefined: there is none.
 *
 * A symmetric key has both directions of a pair as one, which a key of one side does not: two of them go together only if
 * they are the same, or have undirected parts in common.
 */
export function sharedKey(keys: readonly RoutingKey[]): RoutingKey | undefined {
  const [first, ...others] = keys
  if (others.every((key) => spelling(key) === spelling(first))) return first
  const free = keys.map(({key, symmetric = 0}) => key.slice(2 * symmetric))
  const parts = free[0].filter((part) =>
    free.slice(1).every((of) => of.some((other) => partName(other) === partName(part))),
  )
  return parts.length === 0 ? undefined : {key: parts}
}

type Part = RoutingKey['key'][number]

function partName(part: Part): string {
  const names = part.elements.map(({name}) => name).join('|')
  return part.bits === undefined ? names : `${names}/${part.bits.join('|')}`
}

function spelling({key, symmetric = 0}: RoutingKey): string {
  return `${symmetric}:${key.map(partName).join()}`
}

/** For people: `sourceIPv4Address|sourceIPv6Address, protocolIdentifier`; pairs of which the order does not matter in braces. */
export function keyText({key, symmetric = 0}: RoutingKey): string {
  const name = (part: Part): string => (part as Partial<FlowKey>).name ?? partName(part)
  const pairs = key
    .slice(0, symmetric)
    .map((part, i) => `{${name(part)}, ${name(key[symmetric + i])}}`)
  return [...pairs, ...key.slice(2 * symmetric).map(name)].join(', ')
}
