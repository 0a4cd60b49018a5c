import {DartaError} from '../../record/errors.js'
import {
  columnNumber,
  columnOrder,
  computedOrder,
  type GroupOrder,
} from '../../record/group-selection.js'
import type {InformationElement} from '../../record/element.js'
import {ie} from '../../registry/elements.js'
import {flowKey, type FlowKey} from '../../registry/flow-keys.js'
import {END, FLOWS, OCTETS, PACKETS, START} from './flow-sums.js'

/** One question: which groups are greatest, by what. */
export interface Statistic {
  /** `srcip,dstport/octets`, in one spelling. */
  readonly name: string
  readonly key: readonly FlowKey[]
  readonly order: Order
}

export interface Order {
  readonly name: string
  readonly by: GroupOrder
  /** A rate or mean, which is no column: what carries it in results, and its value. */
  readonly computed?: {
    readonly element: InformationElement
    readonly title: string
    readonly value: (words: Uint32Array, at: number) => number
  }
}

/** Seconds between the first and the last packet. */
function seconds(words: Uint32Array, at: number): number {
  const ms = columnNumber(words, at, END) - columnNumber(words, at, START)
  return ms > 0 ? ms / 1000 : 0
}

/** A group that did not last has no rate: it comes last, as in nfdump. */
function perSecond(column: number, factor: number) {
  return (words: Uint32Array, at: number): number => {
    const time = seconds(words, at)
    return time === 0 ? 0 : (factor * columnNumber(words, at, column)) / time
  }
}

function meanOctets(words: Uint32Array, at: number): number {
  const packets = columnNumber(words, at, PACKETS)
  return packets === 0 ? 0 : columnNumber(words, at, OCTETS) / packets
}

const columns: Readonly<Record<string, number>> = {
  octets: OCTETS,
  packets: PACKETS,
  flows: FLOWS,
}
const computed: Readonly<Record<string, NonNullable<Order['computed']>>> = {
  bps: {element: ie.dartaBitRate, title: 'bit/s', value: perSecond(OCTETS, 8)},
  pps: {element: ie.dartaPacketRate, title: 'packets/s', value: perSecond(PACKETS, 1)},
  bpp: {element: ie.dartaMeanPacketOctets, title: 'octets/packet', value: meanOctets},
}
/** What nfdump calls a record: what `-a` groups by. */
export const FIVE_TUPLE = 'proto,srcip,srcport,dstip,dstport'
/** What else people call them. */
const otherNames: Readonly<Record<string, string>> = {
  ...{bytes: 'octets', records: 'flows'},
  // Of the way in, as nfdump has them; that of the way out is a record of its own here.
  ...{ibyte: 'octets', ipkg: 'packets', ibps: 'bps', ipps: 'pps', ibpp: 'bpp'},
}

/** Names of orders, for the help. */
export const orderNames = [...Object.keys(columns), ...Object.keys(computed)]

/**
 * Reads `KEY[,KEY…][:p]/ORDER[,ORDER…]`, one statistic for each order. `:p` puts the protocol in front of the key; an order
 * ends in `:a` for least first. Without an order it is octets. nfdump's way of writing several orders
 * (`srcip/flows/bytes`) is understood too.
 *
 * @throws DartaError DARTA_USAGE
 */
export function parseStatistic(text: string): Statistic[] {
  // The slash of a prefix (src4/24) is part of the key.
  const [keyText, ...orderTexts] = text
    .replace(/([46])\/(\d{1,3})(?=[,/:]|$)/g, '$1\0$2')
    .split('/')
  const withProtocol = keyText.endsWith(':p')
  const whole = withProtocol ? keyText.slice(0, -2) : keyText
  const names = (whole === 'record' ? FIVE_TUPLE : whole)
    .split(',')
    .map((name) => name.replace('\0', '/').trim())
  if (withProtocol && !names.includes('proto')) names.unshift('proto')
  if (names.includes('')) throw new DartaError('DARTA_USAGE', `'${text}' has an empty key`)
  const key = names.map((name) => flowKey(name))
  const orders = orderTexts.length === 0 ? ['octets'] : orderTexts.join(',').split(',')
  return orders.map((order) => {
    const made = parseOrder(order.trim(), text)
    return {name: `${names.join(',')}/${made.name}`, key, order: made}
  })
}

function parseOrder(text: string, whole: string): Order {
  const [, word, direction] = /^([^:]*)(:[ad])?$/.exec(text) ?? []
  const name = otherNames[word] ?? word ?? ''
  const ascending = direction === ':a'
  const suffix = ascending ? ':a' : ''
  if (Object.hasOwn(columns, name)) {
    return {name: name + suffix, by: columnOrder(columns[name], ascending)}
  }
  if (Object.hasOwn(computed, name)) {
    const how = computed[name]
    return {name: name + suffix, by: computedOrder(how.value, ascending), computed: how}
  }
  throw new DartaError(
    'DARTA_USAGE',
    `'${whole}': no order '${text}'; one of ${orderNames.join(', ')}, with :a for least first`,
  )
}
