import {OR} from '../../record/group-kernel.js'
import type {GroupSpec, KeyShape} from '../../record/group-spec.js'
import {createRowTable, type RowTable} from '../../record/row-table.js'
import {ie} from '../../registry/elements.js'
import {flowKey} from '../../registry/flow-keys.js'
import type {Analysis} from './app.js'
import {createObservers, observerParts, type Observers} from './findings.js'
import {columnsFrom, flowColumns, flowKinds} from './flow-sums.js'
import {createSpans, eachBlock} from './group-rows.js'
import type {TableSet} from './table-set.js'

/** What applications need that look at conversations: both directions of one come to the same Processing Unit. */
export const conversationNeeds: Omit<Analysis, 'createState'> = {
  needs: [
    [ie.sourceIPv4Address, ie.sourceIPv6Address],
    [ie.destinationIPv4Address, ie.destinationIPv6Address],
    [ie.protocolIdentifier],
  ],
  uses: flowColumns.flatMap(({elements}) => elements),
  routingKey: {
    key: [flowKey('srcip'), flowKey('dstip'), flowKey('proto')],
    symmetric: 1,
  },
  splittable: true,
}

/**
 * Sums of one direction as one observation point saw it; the constants are the places of the key's parts. The lesser end is the
 * first one, and the way says whether records went from it or to it, so that both directions lie beside each other.
 */
export const directionSpec: GroupSpec = {
  key: [
    flowKey('srcip'),
    {...flowKey('srcport'), optional: true},
    flowKey('dstip'),
    {...flowKey('dstport'), optional: true},
    flowKey('proto'),
    ...observerParts,
  ],
  symmetric: 2,
  directed: true,
  columns: flowColumns,
}
export const LESSER = 0
export const GREATER = 2
export const PROTOCOL = 4
/** The first of `observerParts`. */
export const OBSERVER = 5

/** Conversations whose ends have addresses of these lengths. */
export interface Conversations {
  /** Octets of the addresses of the lesser and of the greater end. */
  readonly octets: readonly [number, number]
  /**
   * Key: the lesser end and the greater one, each an address and a port (2 octets; 0: not known), then the protocol. Columns:
   * those of `flowColumns`, then bits, one for each observer that saw the way from the lesser end, then those that saw the way back.
   */
  readonly rows: RowTable
}

export interface AllConversations {
  readonly classes: readonly Conversations[]
  /** Words of the bits of one way. */
  readonly observerWords: number
  readonly observers: Observers
}

/** Observers in one column: a constant has 31 bits. */
const BITS = 31

/**
 * Both directions of each conversation together, of tables of `directionSpec`. The caller closes the rows.
 *
 * @param always also where one observer saw all, who can have missed nothing; else these conversations are only counted: they
 * have no columns
 */
export function conversationsOf(tables: TableSet, always: boolean): AllConversations {
  const observers = createObservers()
  for (const domain of tables.names()) {
    eachBlock(tables.of(domain)[0], ({shape, rows, rowOctets}) => {
      const step = seesOne(shape) ? rows.length : rowOctets
      for (let at = 0; at < rows.length; at += step) {
        observers.numberOf(domain, shape, OBSERVER, rows, at)
      }
    })
  }
  const counted = !always && observers.names.length < 2
  const columns = Math.max(1, Math.ceil(observers.names.length / BITS))
  const classes = new Map<string, Conversations>()
  const programs = new Map<KeyShape, (number | undefined)[]>()

  function classOf({fields}: KeyShape): Conversations {
    const octets = [fields[LESSER].length, fields[GREATER].length] as const
    let found = classes.get(octets.join())
    if (found === undefined) {
      const ways = Array.from({length: 2 * columns}, () => OR)
      const rows = createRowTable(octets[0] + octets[1] + 5, counted ? [] : [...flowKinds, ...ways])
      found = {octets, rows}
      classes.set(octets.join(), found)
    }
    return found
  }

  function makeProgram(
    shape: KeyShape,
    rowOctets: number,
    columnsAt: number,
    observer: number,
    way: number,
  ): number {
    const {octets, rows} = classOf(shape)
    const [a, b] = octets
    const from = (part: number): readonly [number, number] => [
      shape.fields[part].offset,
      shape.fields[part].length,
    ]
    const bits = Array.from({length: 2 * columns}, (_, c) => {
      const own = c === way * columns + Math.floor(observer / BITS)
      return {constant: own ? 2 ** (observer % BITS) : 0}
    })
    return rows.program({
      rowOctets,
      moves: [
        [...from(LESSER), 0],
        [...from(LESSER + 1), a],
        [...from(GREATER), a + 2],
        [...from(GREATER + 1), a + 2 + b],
        [...from(PROTOCOL), a + b + 4],
      ],
      columns: counted ? [] : [...columnsFrom(columnsAt), ...bits],
    })
  }

  /** By observer and way. */
  function programsOf(shape: KeyShape): (number | undefined)[] {
    let of = programs.get(shape)
    if (of === undefined) programs.set(shape, (of = []))
    return of
  }

  const spans = createSpans()
  for (const domain of tables.names()) {
    eachBlock(tables.of(domain)[0], ({shape, rows, rowOctets, columnsAt}) => {
      const of = programsOf(shape)
      const {wayAt} = shape
      const one = seesOne(shape)
      let observer = observers.numberOf(domain, shape, OBSERVER, rows, 0)
      for (let at = 0; at < rows.length; at += rowOctets) {
        if (!one) observer = observers.numberOf(domain, shape, OBSERVER, rows, at)
        const name = 2 * observer + rows[at + wayAt]
        let program = of[name]
        if (program === undefined) {
          program = makeProgram(shape, rowOctets, columnsAt, observer, name & 1)
          of[name] = program
        }
        spans.add(at, rowOctets, program)
      }
      spans.take((list, count) => classOf(shape).rows.addFrom(rows, list, count))
    })
  }
  return {
    classes: [...classes.values()].sort(
      (x, y) => x.octets[0] - y.octets[0] || x.octets[1] - y.octets[1],
    ),
    observerWords: 2 * columns,
    observers,
  }
}

/** Whether all rows of a shape have one observer: those that name none. */
export function seesOne({fields}: KeyShape): boolean {
  return fields[OBSERVER].length + fields[OBSERVER + 1].length === 0
}

/** Names of the observers whose bits are in the columns of one way, which begin at word `at`, in their order. */
export function observersAt(words: Uint32Array, at: number, names: readonly string[]): string[] {
  return names.filter((_, i) => (words[at + 2 * Math.floor(i / BITS)] >>> (i % BITS)) & 1).sort()
}
