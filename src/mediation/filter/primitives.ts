import {ie} from '../../registry/elements.js'
import {elementByName} from '../../registry/lookup.js'
import {
  addressRanges,
  elementCondition,
  macRanges,
  numberRanges,
  octetsTest,
  readFlags,
  realTest,
  textTest,
  timeRanges,
  type Comparison,
  type Item,
} from './conditions.js'
import {
  all,
  any,
  not,
  type Condition,
  type Expression,
  type NumberCondition,
  type Source,
} from './expression.js'
import {
  addAddress,
  addMasked,
  createAddressSet,
  readDuration,
  readRange,
  readReal,
  readWhole,
} from './operands.js'
import type {Reader} from './parse.js'
import {has1, has2, has4, rangeSet, type BigRange, type RangeSet} from './range-set.js'
import {syntaxError, type Token} from './tokens.js'
import {
  addressWords,
  counterWords,
  countries,
  deniedReasons,
  eventNames,
  forwardingNames,
  macSources,
  numberWords,
  refusals,
  sidedNumbers,
  singleAddresses,
  type Side,
  type Sides,
} from './words.js'

/** What stands before a noun. */
interface Qualifiers {
  side: Side | undefined
  way: 'in' | 'out' | 'prev' | 'next' | 'bgpnext' | 'router' | undefined
}

/** Reads one primitive of the dialect that nfdump and tcpdump share; undefined: the next word begins none. */
export function primitive(reader: Reader, start: Token): Expression | undefined {
  const {context} = reader
  const qualifiers = readQualifiers(reader)
  const {side, way} = qualifiers
  const qualified = side !== undefined || way !== undefined
  const word = reader.next.kind === 'word' ? reader.next.text.toLowerCase() : ''
  const noun = word === 'nport' ? 'xport' : word

  if (way === 'router' || noun === 'exporter') {
    reader.accept('exporter', 'ip')
    return exporterTest(reader, start)
  }
  if ((way === 'next' || way === 'bgpnext') && reader.accept('ip', 'host') !== undefined) {
    const {v4, v6} = addressRanges(reader.comparison(`${way} ip`), context)
    const [four, six] = singleAddresses[way]
    return any([reader.test(start, [four], v4), reader.test(start, [six], v6)])
  }
  if ((way === 'prev' || way === 'next') && reader.accept('as') !== undefined) {
    const element = way === 'prev' ? ie.bgpPrevAdjacentAsNumber : ie.bgpNextAdjacentAsNumber
    const condition = elementCondition(element, reader.comparison(`${way} as`), context)
    return reader.test(start, [[element]], condition)
  }
  if (Object.hasOwn(addressWords, noun)) {
    reader.take()
    return addressTest(reader, start, noun, side)
  }
  if (Object.hasOwn(sidedNumbers, noun)) {
    reader.take()
    if (noun === 'port' && word === 'port' && reader.after.text.toLowerCase() === 'pblock') {
      if (reader.accept('in') !== undefined) return portBlockTest(reader, start, side ?? 'either')
    }
    const both = sidedNumbers[noun]
    const condition = elementCondition(both.src[0], reader.comparison(noun), context)
    const of = side ?? (way === 'in' ? 'src' : way === 'out' ? 'dst' : 'either')
    return sidedTest(reader, start, both, of, condition as Condition)
  }
  if (Object.hasOwn(counterWords, noun)) {
    reader.take()
    const source = counterWords[noun][way === 'out' ? 'out' : 'in']
    const condition = elementCondition(source[0], reader.comparison(noun), context)
    return reader.test(start, [source], condition)
  }
  switch (noun) {
    case 'portrange': {
      reader.take()
      const ranges = reader.comparison('portrange')
      const condition = elementCondition(sidedNumbers.port.src[0], ranges, context)
      return sidedTest(reader, start, sidedNumbers.port, side ?? 'either', condition as Condition)
    }
    case 'mac':
      reader.take()
      return macTest(reader, start, qualifiers)
    case 'geo':
      reader.take()
      return sidedTest(reader, start, countries, side ?? 'either', countryTest(reader))
    case 'src':
    case 'dst':
      throw syntaxError(reader.next, `'${word}' has no place here`)
    case 'tos': {
      reader.take()
      const source: Source = side === 'dst' ? [ie.postIpClassOfService] : numberWords.tos
      const condition = elementCondition(source[0], reader.comparison('tos'), context)
      return reader.test(start, [source], condition)
    }
  }
  if (qualified) {
    if (side !== undefined && isAddress(reader.next))
      return addressTest(reader, start, 'host', side)
    if (way === 'in' || way === 'out') {
      const list = reader.accept('acl', 'ace', 'xace')
      if (list !== undefined) return accessListTest(reader, start, way, list)
      const pair = reader.accept('interface')
      if (pair !== undefined) {
        const condition = elementCondition(
          ie.ingressInterface,
          reader.comparison('interface'),
          context,
        )
        return sidedTest(
          reader,
          start,
          sidedNumbers.if,
          way === 'in' ? 'src' : 'dst',
          condition as Condition,
        )
      }
    }
    throw reader.unknown(reader.next)
  }
  return unqualified(reader, start, noun)
}

function isAddress({kind, text}: Token): boolean {
  return kind === 'word' && (text.startsWith('@') || addAddress(createAddressSet(), text))
}

function readQualifiers(reader: Reader): Qualifiers {
  const found: Qualifiers = {side: undefined, way: undefined}
  for (;;) {
    // `next`, `prev` … are qualifiers only before what they qualify; nothing else begins so.
    const word = reader.accept(
      ...['src', 'source', 'dst', 'destination', 'either', 'in', 'ingress', 'out', 'egress'],
      ...['prev', 'previous', 'next', 'bgpnext', 'router'],
    )
    switch (word) {
      case undefined:
        return found
      case 'src':
      case 'source':
      case 'dst':
      case 'destination': {
        const joint = reader.next.text.toLowerCase()
        const other = reader.after.text.toLowerCase()
        const twin = word.startsWith('s') ? ['dst', 'destination'] : ['src', 'source']
        found.side = word.startsWith('s') ? 'src' : 'dst'
        if ((joint === 'and' || joint === 'or') && twin.includes(other)) {
          // `src and dst port 53`; in `src 10.0.0.1 and dst port 53` an address stands between.
          reader.take()
          reader.take()
          found.side = joint === 'and' ? 'both' : 'either'
        }
        break
      }
      case 'either':
        found.side = 'either'
        break
      case 'in':
      case 'ingress':
        found.way = 'in'
        break
      case 'out':
      case 'egress':
        found.way = 'out'
        break
      case 'previous':
        found.way = 'prev'
        break
      default:
        found.way = word as Qualifiers['way']
    }
  }
}

function sidedTest(
  reader: Reader,
  start: Token,
  {src, dst}: Sides,
  side: Side,
  condition: Condition,
): Expression {
  const source = src.length > 0 ? [src] : []
  const destination = dst.length > 0 ? [dst] : []
  switch (side) {
    case 'src':
      return reader.test(start, source, condition)
    case 'dst':
      return reader.test(start, destination, condition)
    case 'either':
      return reader.test(start, [...source, ...destination], condition)
    case 'both':
      return all([
        reader.test(start, source, condition),
        reader.test(start, destination, condition),
      ])
  }
}

/** Countries, as enrich puts them in: two letters, in any case. */
function countryTest(reader: Reader): Condition {
  const comparison = reader.comparison('geo')
  for (const {text, token} of comparison.items) {
    if (/^(?:[a-z]{2}|@.*)$/i.test(text)) continue
    throw syntaxError(token, `'${text}' is no country of ISO 3166-1: two letters, like CH`)
  }
  const items = comparison.items.map((item) =>
    item.text.startsWith('@') ? item : {...item, text: item.text.toUpperCase()},
  )
  const holds = textTest({...comparison, items}, reader.context, 'geo')
  // Neither does a record that has no country meet `geo != CH`.
  return {kind: 'text', holds: (text) => text !== '' && holds(text)}
}

/** `host 10.0.0.1`, `net 10.0.0.0/8`, `net 10.0.0.0 mask 255.0.0.0`, `src ip in [ … ]` */
function addressTest(
  reader: Reader,
  start: Token,
  noun: string,
  side: Side = 'either',
): Expression {
  const comparison = reader.comparison(noun)
  const add =
    noun === 'net' || noun === 'xnet'
      ? addNetwork(reader, comparison)
      : (set: ReturnType<typeof createAddressSet>, {text}: Item) => addAddress(set, text)
  const {v4, v6, versions} = addressRanges(comparison, reader.context, add)
  const word = addressWords[noun]
  const tests: Expression[] = []
  if (versions.has(4)) tests.push(sidedTest(reader, start, word.v4, side, v4))
  if (versions.has(6)) tests.push(sidedTest(reader, start, word.v6, side, v6))
  // A file may be empty.
  return tests.length === 0 ? {kind: 'constant', value: false} : any(tests)
}

function addNetwork(reader: Reader, comparison: Comparison) {
  let mask: string | undefined
  if (comparison.operator === '=' && comparison.items.length === 1) {
    const word = reader.accept('mask', 'netmask')
    const {next} = reader
    if (word !== undefined || (next.kind === 'word' && /^\d+\.\d+\.\d+\.\d+$/.test(next.text))) {
      mask = reader.take().text
    }
  }
  return (set: ReturnType<typeof createAddressSet>, {text}: Item): boolean => {
    if (mask !== undefined) return addMasked(set, text, mask)
    // `net 192.168` is the network of these octets, as in tcpdump.
    const parts = /^\d{1,3}(?:\.\d{1,3}){0,2}$/.test(text) ? text.split('.').length : 0
    return addAddress(set, parts === 0 ? text : `${text}/${8 * parts}`)
  }
}

/** Where it goes in and out and from and to, as NetFlow 9 has it; without any of these words every address counts. */
function macTest(reader: Reader, start: Token, {side, way}: Qualifiers): Expression {
  const set = macRanges(reader.comparison('mac'), reader.context)
  const ways = way === 'in' || way === 'out' ? [way] : (['in', 'out'] as const)
  const sides = side === 'src' || side === 'dst' ? [side] : (['src', 'dst'] as const)
  const sources = ways.flatMap((w) => sides.map((s) => macSources[w][s]))
  return reader.test(start, sources, {kind: 'number', set})
}

function unqualified(reader: Reader, start: Token, noun: string): Expression | undefined {
  const {context} = reader
  const number = (source: Source, extra: Partial<NumberCondition> = {}): Expression => {
    const condition = elementCondition(source[0], reader.comparison(noun), context)
    return reader.test(start, [source], {...(condition as NumberCondition), ...extra})
  }
  if (Object.hasOwn(numberWords, noun)) {
    reader.take()
    return number(numberWords[noun])
  }
  switch (noun) {
    case 'ipv4':
    case 'inet':
    case 'ipv6':
    case 'inet6':
      reader.take()
      return reader.test(start, [], {kind: 'family', version: noun.endsWith('6') ? 6 : 4})
    case 'options':
      reader.take()
      return reader.test(start, [], {kind: 'options'})
    case 'proto':
      reader.take()
      return number([ie.protocolIdentifier, ie.nextHeaderIPv6])
    case 'flags':
      reader.take()
      return flagsTest(reader, start)
    case 'flow':
    case 'flows':
      reader.take()
      // A record that does not say stands for one Flow.
      return number([ie.deltaFlowCount], {absent: 1})
    case 'dscp':
    case 'ecn': {
      reader.take()
      const most = noun === 'dscp' ? 63n : 3n
      const ranges = plainRanges(reader, noun, most)
      // The upper six bits of the octet, RFC 2474; the lower two, RFC 3168.
      const set =
        noun === 'dscp'
          ? rangeSet(
              2,
              ranges.map(([low, high]): BigRange => [4n * low, 4n * high + 3n]),
            )
          : rangeSet(2, ranges)
      const condition: Condition =
        noun === 'dscp' ? {kind: 'number', set} : {kind: 'number', set, mask: 3}
      return reader.test(start, [[ie.ipClassOfService]], condition)
    }
    case 'icmp-type':
    case 'icmp-code':
      reader.take()
      return icmpTest(reader, start, noun)
    case 'duration':
    case 'bps':
    case 'pps':
    case 'bpp': {
      reader.take()
      const read =
        noun === 'duration'
          ? (text: string): number | undefined => {
              const ns = readDuration(text)
              return ns === undefined ? readReal(text) : Number(ns) / 1e6
            }
          : readReal
      const holds = realTest(reader.comparison(noun), context, noun, read)
      return reader.test(start, [], {kind: 'rate', of: noun, holds})
    }
    case 'first':
    case 'last': {
      reader.take()
      reader.accept('seen')
      const set = rangeSet(2, timeRanges(reader.comparison(`${noun} seen`), context))
      return reader.test(start, [], {kind: 'flow-time', end: noun, set})
    }
    case 'odid':
      reader.take()
      return domainTest(reader, start)
    case 'observation':
      return observationTest(reader, start)
    case 'ident': {
      reader.take()
      const holds = textTest(reader.comparison('ident'), context, 'ident')
      return reader.test(start, [], {
        kind: 'message',
        holds: ({exporter}) => exporter !== undefined && holds(exporter),
      })
    }
    case 'user':
      reader.take()
      return number([ie.userName])
    case 'uid':
      reader.take()
      return number([ie.dartaUserId])
    case 'dir':
    case 'flowdir':
      reader.take()
      return named(reader, start, [ie.flowDirection], {ingress: 0, egress: 1})
    case 'nat':
    case 'asa': {
      reader.take()
      if (noun === 'asa' && reader.accept('xevent') !== undefined)
        return extendedEvent(reader, start)
      if (reader.accept('event') === undefined) throw syntaxError(reader.next, 'expected event')
      if (noun === 'asa' && reader.accept('denied') !== undefined) return deniedTest(reader, start)
      const source = noun === 'nat' ? [ie.natEvent] : [ie.firewallEvent]
      return named(reader, start, source, eventNames[noun])
    }
    case 'fwdstat':
      reader.take()
      return named(reader, start, [ie.forwardingStatus], forwardingNames)
    case 'pblock': {
      reader.take()
      const part = reader.accept('start', 'end', 'step', 'size')
      if (part === undefined) throw syntaxError(reader.next, 'expected start, end, step or size')
      const element = {
        start: ie.portRangeStart,
        end: ie.portRangeEnd,
        step: ie.portRangeStepSize,
        size: ie.portRangeNumPorts,
      }[part]!
      return number([element])
    }
    case 'mpls':
      return mplsTest(reader, start)
    case 'payload':
      return payloadTest(reader, start)
    default:
      if (Object.hasOwn(refusals, noun))
        throw syntaxError(reader.next, `${noun}: ${refusals[noun]}`)
      return undefined
  }
}

/** Numbers from 0 to `most` behind a word. */
function plainRanges(reader: Reader, what: string, most: bigint): BigRange[] {
  return numberRanges(reader.comparison(what), reader.context, what, most, ({text}) =>
    readRange(text, readWhole),
  )
}

/** Numbers that have names. */
function named(
  reader: Reader,
  start: Token,
  source: Source,
  names: Readonly<Record<string, number>>,
): Expression {
  const what = [...Object.keys(names)].join(', ')
  const read = (text: string): bigint | undefined => {
    const name = text.toLowerCase()
    return Object.hasOwn(names, name) ? BigInt(names[name]) : readWhole(text)
  }
  const comparison = reader.comparison(what)
  const ranges = numberRanges(comparison, reader.context, what, 255n, ({text}) =>
    readRange(text, read),
  )
  return reader.test(start, [source], {kind: 'number', set: rangeSet(2, ranges)})
}

/**
 * `flags SA`: both are set, whatever else is; behind `not`: neither is, as nfdump has it. `flags = SA` and `flags 18`: these and
 * no others. `flags S/SA`: S of S and A.
 */
function flagsTest(reader: Reader, start: Token): Expression {
  const comparison = reader.comparison('flags')
  const {operator, explicit, mask: written} = comparison
  const source: Source = [ie.tcpControlBits]
  if (written !== undefined || operator !== '=') {
    const condition = elementCondition(ie.tcpControlBits, comparison, reader.context)
    return reader.test(start, [source], condition)
  }
  const [item] = comparison.items
  const [set, of] = item.text.split('/')
  const bits = readFlags(set)
  const among = of === undefined ? undefined : readFlags(of)
  if (bits === undefined || (of !== undefined && among === undefined)) {
    throw syntaxError(item.token, 'flags are letters of FSRPAUEC, X for the first six, or a number')
  }
  const exact = explicit || /^\d/.test(set)
  // The three bits above are the reserved ones and the ECN nonce, which no letter stands for.
  const mask = among ?? (exact ? 0xff : bits)
  const value = BigInt(bits & mask)
  const ranges: BigRange[] =
    (bits & ~mask) !== 0
      ? []
      : reader.negated && among === undefined && !exact
        ? [[1n, BigInt(mask)]]
        : [[value, value]]
  return reader.test(start, [source], {kind: 'number', set: rangeSet(2, ranges), mask})
}

/** Type and code are in elements of their own, or together in one, or where NetFlow puts them, in the destination port. */
function icmpTest(reader: Reader, start: Token, noun: 'icmp-type' | 'icmp-code'): Expression {
  const isType = noun === 'icmp-type'
  const ranges = plainRanges(reader, noun, 255n)
  const own: Condition = {kind: 'number', set: rangeSet(2, ranges)}
  const joined: Condition = isType
    ? {
        kind: 'number',
        set: rangeSet(
          2,
          ranges.map(([low, high]): BigRange => [256n * low, 256n * high + 255n]),
        ),
      }
    : {...own, mask: 255}
  const single: Source[] = isType
    ? [[ie.icmpTypeIPv4], [ie.icmpTypeIPv6]]
    : [[ie.icmpCodeIPv4], [ie.icmpCodeIPv6]]
  const pair: Source[] = [[ie.icmpTypeCodeIPv4], [ie.icmpTypeCodeIPv6]]
  const protocol: Condition = {
    kind: 'number',
    set: rangeSet(2, [
      [1n, 1n],
      [58n, 58n],
    ]),
  }
  return all([
    reader.test(start, [[ie.protocolIdentifier, ie.nextHeaderIPv6]], protocol),
    any([
      reader.test(start, single, own),
      reader.test(start, pair, joined),
      all([
        not(reader.test(start, [...single, ...pair], {kind: 'exists'})),
        reader.test(start, [sidedNumbers.port.dst], joined),
      ]),
    ]),
  ])
}

/** The domain that the record names, else that of its Message. */
function domainTest(reader: Reader, start: Token): Expression {
  const set = rangeSet(1, plainRanges(reader, 'odid', 2n ** 32n - 1n))
  const source: Source = [ie.observationDomainId]
  return any([
    reader.test(start, [source], {kind: 'number', set}),
    all([
      not(reader.test(start, [source], {kind: 'exists'})),
      reader.test(start, [], {
        kind: 'message',
        holds: ({observationDomainId}) => has1(set, observationDomainId),
      }),
    ]),
  ])
}

function observationTest(reader: Reader, start: Token): Expression {
  reader.take()
  const what = reader.accept('domain', 'point')
  if (what === undefined || reader.accept('id') === undefined) {
    throw syntaxError(reader.next, 'expected observation domain id, or observation point id')
  }
  if (what === 'domain') return domainTest(reader, start)
  const comparison = reader.comparison('observation point id')
  const condition = elementCondition(ie.observationPointId, comparison, reader.context)
  return reader.test(start, [[ie.observationPointId]], condition)
}

/** The exporter that the record names, else the one that its Message came from. */
function exporterTest(reader: Reader, start: Token): Expression {
  const {v4, v6} = addressRanges(reader.comparison('exporter'), reader.context)
  const sources: [Source, Source] = [[ie.exporterIPv4Address], [ie.exporterIPv6Address]]
  const known = new Map<string, boolean>()
  const holds = (text: string): boolean => {
    const set = createAddressSet()
    if (!addAddress(set, text.replace(/^\[(.*)\]:\d+$|^([^:]+):\d+$/, '$1$2'))) return false
    const [four, six] = [set.v4.build(), set.v6.build()]
    return four.count > 0 ? has1(setOf(v4), four.low[0]) : has4(setOf(v6), six.low.subarray(0, 4))
  }
  return any([
    reader.test(start, [sources[0]], v4),
    reader.test(start, [sources[1]], v6),
    all([
      not(reader.test(start, sources, {kind: 'exists'})),
      reader.test(start, [], {
        kind: 'message',
        holds: ({exporter = ''}) => {
          let result = known.get(exporter)
          if (result === undefined) {
            result = holds(exporter)
            if (known.size > 4096) known.clear()
            known.set(exporter, result)
          }
          return result
        },
      }),
    ]),
  ])
}

function setOf(condition: Condition): RangeSet {
  return (condition as NumberCondition).set
}

/** Cisco's field of an extended event, as NetFlow 9 has it. */
const xevent = elementByName('9/234')!

function extendedEvent(reader: Reader, start: Token): Expression {
  const set = rangeSet(2, plainRanges(reader, 'xevent', 65535n))
  return reader.test(start, [[xevent]], {
    kind: 'octets',
    holds: (octets) => has2(set, 0, numberOf(octets)),
  })
}

/** `asa event denied nosyn`: denied, and why. */
function deniedTest(reader: Reader, start: Token): Expression {
  const token = reader.take()
  const reason = token.text.toLowerCase()
  if (!Object.hasOwn(deniedReasons, reason)) {
    throw syntaxError(token, `expected ${Object.keys(deniedReasons).join(', ')}`)
  }
  const denied: Condition = {kind: 'number', set: rangeSet(2, [[3n, 3n]])}
  return all([
    reader.test(start, [[ie.firewallEvent]], denied),
    reader.test(start, [[xevent]], {
      kind: 'octets',
      holds: (octets) => numberOf(octets) === deniedReasons[reason],
    }),
  ])
}

/** Cisco's fields of access lists: the numbers of list, entry and extended entry, four octets each. */
const accessLists = {in: elementByName('9/232')!, out: elementByName('9/233')!}

function accessListTest(reader: Reader, start: Token, way: 'in' | 'out', list: string): Expression {
  const set = rangeSet(2, plainRanges(reader, list, 0xffffffffn))
  const at = {acl: 0, ace: 4, xace: 8}[list]!
  return reader.test(start, [[accessLists[way]]], {
    kind: 'octets',
    holds: (octets) =>
      octets.length >= at + 4 && has2(set, 0, numberOf(octets.subarray(at, at + 4))),
  })
}

/** An unsigned number of up to six octets. */
function numberOf(octets: Uint8Array): number {
  return octets.reduce((value, octet) => value * 256 + octet, 0)
}

/** `port in pblock`: between the ports of the block that the record names. */
function portBlockTest(reader: Reader, start: Token, side: Side): Expression {
  reader.take()
  const condition: Condition = {
    kind: 'between',
    least: [ie.portRangeStart],
    most: [ie.portRangeEnd],
  }
  return sidedTest(reader, start, sidedNumbers.port, side, condition)
}

/** An entry of the label stack: label, traffic class, bottom of stack. RFC 3032 section 2.1. */
function mplsTest(reader: Reader, start: Token): Expression {
  reader.take()
  const part = reader.take()
  const word = part.text.toLowerCase()
  if (word === 'eos' || word === 'any') return labelOfAny(reader, start, word)
  const match = /^(label|exp)(\d{1,2})$/.exec(word)
  const depth = Number(match?.[2] ?? 0)
  const element =
    depth === 1 ? ie.mplsTopLabelStackSection : elementByName(`mplsLabelStackSection${depth}`)
  if (match === null || element === undefined) {
    throw syntaxError(part, 'expected label1 to label10, exp1 to exp10, any or eos')
  }
  const isLabel = match[1] === 'label'
  const ranges = plainRanges(reader, part.text, isLabel ? 2n ** 20n - 1n : 7n)
  const shift = isLabel ? 16n : 2n
  const set = rangeSet(
    2,
    ranges.map(([low, high]): BigRange => [low * shift, high * shift + shift - 1n]),
  )
  return reader.test(start, [[element]], {
    kind: 'number',
    set,
    ...(!isLabel && {mask: 0x0f}),
  })
}

/** `mpls any`: one of the labels; `mpls eos`: the one at the bottom of the stack, whose last bit says so. */
function labelOfAny(reader: Reader, start: Token, which: 'any' | 'eos'): Expression {
  const ranges = plainRanges(reader, `mpls ${which}`, 2n ** 20n - 1n)
  const label: Condition = {
    kind: 'number',
    set: rangeSet(
      2,
      ranges.map(([low, high]): BigRange => [16n * low, 16n * high + 15n]),
    ),
  }
  const bottom: Condition = {kind: 'number', set: rangeSet(2, [[1n, 1n]]), mask: 1}
  const entries = Array.from({length: 10}, (_, i) =>
    i === 0 ? ie.mplsTopLabelStackSection : elementByName(`mplsLabelStackSection${i + 1}`)!,
  )
  if (which === 'any')
    return reader.test(
      start,
      entries.map((element) => [element]),
      label,
    )
  return any(
    entries.map((element) =>
      all([reader.test(start, [[element]], bottom), reader.test(start, [[element]], label)]),
    ),
  )
}

function payloadTest(reader: Reader, start: Token): Expression {
  reader.take()
  if (reader.next.text.toLowerCase() === 'ja3') {
    throw syntaxError(reader.next, 'ja3: no hash is made of payload; payload regex looks into it')
  }
  const word = reader.accept('content', 'regex')
  if (word === undefined) throw syntaxError(reader.next, 'expected content or regex')
  const token = reader.take()
  const flags = word === 'regex' && /^[ims]+$/.test(reader.next.text) ? reader.take().text : ''
  if (token.kind !== 'string') throw syntaxError(token, 'expected text in quotes')
  const regex: Token = {...token, kind: 'regex', text: `${token.text}/${flags}`}
  const item: Item =
    word === 'regex'
      ? {text: regex.text, quoted: false, token: regex}
      : {text: token.text, quoted: true, token}
  const comparison: Comparison = {
    operator: word === 'regex' ? '~' : 'contains',
    explicit: true,
    operatorToken: token,
    items: [item],
  }
  const holds = octetsTest(comparison, reader.context, 'payload')
  const sections = [ie.ipPayloadPacketSection, ie.dataLinkFrameSection, ie.ipHeaderPacketSection]
  return reader.test(
    start,
    sections.map((element) => [element]),
    {kind: 'octets', holds},
  )
}
