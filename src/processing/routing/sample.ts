import {fieldSpan, type RecordBatch} from '../../record/batch.js'
import type {InformationElement} from '../../record/element.js'
import {fieldIndex, type Template} from '../../record/template.js'
import {hexText} from '../../record/value.js'
import {flowKey} from '../../registry/flow-keys.js'
import {ie} from '../../registry/lookup.js'
import type {RoutingKey} from '../analysis/app.js'
import {createRoutingKeyReader} from '../analysis/routing-key.js'
import {createDealer} from './dealer.js'
import {jainIndex, type WeightedUnit} from './rendezvous.js'
import {createUniflows, isDirected} from './uniflows.js'

/** What a sample of records says of a key before anything is deployed. */
export interface SampleReport {
  readonly records: number
  readonly withoutKey: number
  readonly keys: number
  /** The key with most records: its text as octets and their number. */
  readonly heaviest: {readonly key: Uint8Array; readonly records: number} | undefined
  readonly loads: readonly number[]
  /** Greatest load in relation to the unit's fair share. */
  readonly skew: number
  readonly jain: number
  /** The same with hot keys split; undefined where the application does not allow it. */
  readonly split: {readonly skew: number; readonly jain: number} | undefined
  /** Conversations of which both directions were seen, and those whose directions are in different units. */
  readonly conversations: number
  readonly partedConversations: number
  /** Pairs of hosts and protocol with later fragments, and those parted from the rest of theirs. */
  readonly fragmented: number
  readonly partedFragments: number
  /** Records that say that an address was translated. */
  readonly translated: number
}

/** Keys that are told apart at most: beyond, `keys` is a lower bound. */
const MOST_KEYS = 1 << 20

const NAT: readonly InformationElement[] = [
  ie.postNATSourceIPv4Address,
  ie.postNATDestinationIPv4Address,
  ie.postNAPTSourceTransportPort,
  ie.postNAPTDestinationTransportPort,
]

const conversationKey: RoutingKey = {
  key: ['srcip', 'srcport', 'dstip', 'dstport', 'proto'].map(flowKey),
  symmetric: 2,
}
const hostsKey: RoutingKey = {key: ['srcip', 'dstip', 'proto'].map(flowKey), symmetric: 1}

interface Seen {
  readonly unit: number
  readonly forward: string
  both: boolean
  parted: boolean
}

/** Looks at records as `route` would deal them. */
export function createSample(
  units: readonly WeightedUnit[],
  key: RoutingKey | undefined,
  seed: number,
  splittable: boolean,
): {add(batch: RecordBatch): void; report(): SampleReport} {
  const dealer = createDealer(units, {key, seed, splitHot: false})
  const splitting = splittable ? createDealer(units, {key, seed, splitHot: true}) : undefined
  const uniflows = key !== undefined && isDirected(key) ? createUniflows() : undefined
  const readConversation = createRoutingKeyReader(conversationKey)
  const readHosts = createRoutingKeyReader(hostsKey)
  const counts = new Map<string, {key: Uint8Array; records: number}>()
  const conversations = new Map<string, Seen>()
  const hosts = new Map<
    string,
    {unit: number; fragments: boolean; whole: boolean; parted: boolean}
  >()
  const loads = units.map(() => 0)
  const splitLoads = units.map(() => 0)
  let records = 0
  let withoutKey = 0
  let translated = 0

  function look(batch: RecordBatch): void {
    const {template} = batch
    const ports = firstField(template, 'srcport')
    const protocol = fieldIndex(template, ie.protocolIdentifier)
    const source = firstField(template, 'srcip')
    if (NAT.some((element) => fieldIndex(template, element) >= 0)) translated += batch.count
    for (let i = 0; i < batch.count; i++) {
      records++
      const explained = dealer.explain(batch, i)
      if (explained === undefined) {
        withoutKey++
        continue
      }
      const unit = explained.unit ?? records % units.length
      loads[unit]++
      const name = hexText(explained.key)
      const known = counts.get(name)
      if (known !== undefined) known.records++
      else if (counts.size < MOST_KEYS) counts.set(name, {key: explained.key, records: 1})
      const talk = readConversation(batch, i)
      if (talk !== undefined && source >= 0)
        conversation(hexText(talk), octets(batch, i, source), unit)
      const pair = ports >= 0 && protocol >= 0 ? readHosts(batch, i) : undefined
      if (pair !== undefined && isPortProtocol(octets(batch, i, protocol))) {
        fragment(hexText(pair), /^0*$/.test(octets(batch, i, ports)), unit)
      }
    }
  }

  function conversation(name: string, forward: string, unit: number): void {
    const known = conversations.get(name)
    if (known === undefined) {
      if (conversations.size < MOST_KEYS) {
        conversations.set(name, {unit, forward, both: false, parted: false})
      }
      return
    }
    if (known.forward !== forward) known.both = true
    if (known.unit !== unit) known.parted = true
  }

  function fragment(name: string, later: boolean, unit: number): void {
    let known = hosts.get(name)
    if (known === undefined) {
      if (hosts.size >= MOST_KEYS) return
      known = {unit, fragments: false, whole: false, parted: false}
      hosts.set(name, known)
    }
    if (later) known.fragments = true
    else known.whole = true
    if (known.unit !== unit) known.parted = true
  }

  return {
    add(batch) {
      const own = uniflows === undefined ? [batch] : uniflows(batch)
      for (const part of own) look(part)
      splitting?.deal(own).counts.forEach((n, i) => (splitLoads[i] += n))
    },
    report() {
      const weights = units.map(({weight}) => weight)
      const skewOf = (of: readonly number[]): number => {
        const sum = of.reduce((a, b) => a + b, 0)
        const all = weights.reduce((a, b) => a + b, 0)
        return sum === 0 ? 1 : Math.max(...of.map((n, i) => (n * all) / (sum * weights[i])))
      }
      const both = [...conversations.values()].filter((seen) => seen.both)
      const mixed = [...hosts.values()].filter((seen) => seen.fragments && seen.whole)
      let heaviest: SampleReport['heaviest']
      for (const one of counts.values()) {
        if (one.records > (heaviest?.records ?? 0)) heaviest = one
      }
      return {
        records,
        withoutKey,
        keys: counts.size,
        heaviest,
        loads,
        skew: skewOf(loads),
        jain: jainIndex(loads, weights),
        split: splitting && {skew: skewOf(splitLoads), jain: jainIndex(splitLoads, weights)},
        conversations: both.length,
        partedConversations: both.filter(({parted}) => parted).length,
        fragmented: mixed.length,
        partedFragments: mixed.filter(({parted}) => parted).length,
        translated,
      }
    },
  }
}

function octets(batch: RecordBatch, index: number, field: number): string {
  const {start, length} = fieldSpan(batch, index, field)
  return hexText(batch.octets.subarray(start, start + length))
}

function firstField(template: Template, names: string): number {
  const [element] = flowKey(names).elements.filter((e) => fieldIndex(template, e) >= 0)
  return element === undefined ? -1 : fieldIndex(template, element)
}

/** TCP, UDP, DCCP, SCTP, UDP-Lite: whose packets have ports unless they are later fragments. */
function isPortProtocol(protocol: string): boolean {
  return [6, 17, 33, 132, 136].includes(parseInt(protocol, 16))
}
