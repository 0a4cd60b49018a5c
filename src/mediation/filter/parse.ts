import {isList, type InformationElement} from '../../record/element.js'
import {ie} from '../../registry/elements.js'
import {allElements, elementByName} from '../../registry/lookup.js'
import {protocolNumber} from '../../registry/protocols.js'
import {elementCondition, type Comparison, type Item, type Operator} from './conditions.js'
import {all, any, not, type Condition, type Expression, type Test} from './expression.js'
import type {FilterContext} from './operands.js'
import {primitive} from './primitives.js'
import {syntaxError, tokensOf, type FilterText, type Token} from './tokens.js'
import {vocabulary} from './words.js'

/** How deep brackets may be nested, so that no text runs out of stack. */
const MAX_DEPTH = 200
/** How many files may include each other. */
const MAX_INCLUDES = 16

const operators: Readonly<Record<string, Operator>> = {
  '=': '=',
  '==': '=',
  eq: '=',
  '!=': '!=',
  ne: '!=',
  '<': '<',
  lt: '<',
  '>': '>',
  gt: '>',
  '<=': '<=',
  le: '<=',
  '>=': '>=',
  ge: '>=',
  in: 'in',
  '~': '~',
  matches: '~',
  '!~': '!~',
  contains: 'contains',
}

/** Protocols that may stand without `proto` before them, as in tcpdump. */
const bareProtocols = 'tcp udp icmp icmp6 igmp esp ah gre sctp ospf pim vrrp'.split(' ')

/** The tokens of a filter as a reader of primitives sees them. */
export interface Reader {
  readonly context: FilterContext
  /** The next token. */
  readonly next: Token
  /** The one behind it. */
  readonly after: Token
  /** Whether what is read stands behind an odd number of `not`. */
  readonly negated: boolean
  /** Whether the next token is this word, in any case, and not quoted; it is taken then. */
  accept(...words: string[]): string | undefined
  take(): Token
  /** Operator and items behind a word; without an operator it is `=`. */
  comparison(what: string): Comparison
  /** A test of these sources. */
  test(start: Token, sources: Test['sources'], condition: Test['condition']): Test
  unknown(token: Token): Error
}

/**
 * Reads a filter: `proto tcp and dst port 443 and net 10.0.0.0/8`. An empty one passes everything.
 *
 * @throws DartaError DARTA_FILTER_SYNTAX with the column and a caret; DARTA_FILE_READ, DARTA_PERMISSION of files that it names
 */
export function parseFilter(source: FilterText, context: FilterContext): Expression {
  let includes = 0
  let tokens = expand(tokensOf(source))
  let at = 0
  let depth = 0
  let negated = false
  const macros = new Map<string, Expression>()

  /** Puts the tokens of included files in the place of `@include FILE`. */
  function expand(list: Token[]): Token[] {
    const out: Token[] = []
    for (let i = 0; i < list.length; i++) {
      const token = list[i]
      if (token.kind !== 'word' || token.text.toLowerCase() !== '@include') {
        out.push(token)
        continue
      }
      const name = list[++i]
      if (name.kind !== 'word' && name.kind !== 'string') {
        throw syntaxError(name, '@include needs the name of a file')
      }
      if (++includes > MAX_INCLUDES) throw syntaxError(token, 'too many files include each other')
      const text = new TextDecoder().decode(context.readFile(name.text))
      out.push(...expand(tokensOf({name: name.text, text})).slice(0, -1))
    }
    return out
  }

  const word = (token: Token): string =>
    token.kind === 'word' ? token.text.toLowerCase() : token.kind === 'symbol' ? token.text : ''

  const reader: Reader = {
    context,
    get negated() {
      return negated
    },
    get next() {
      return tokens[at]
    },
    get after() {
      return tokens[Math.min(at + 1, tokens.length - 1)]
    },
    accept(...words) {
      const found = word(tokens[at])
      if (found === '' || !words.includes(found)) return undefined
      at++
      return found
    },
    take() {
      const token = tokens[at]
      if (token.kind !== 'end') at++
      return token
    },
    comparison,
    test: (start, sources, condition) => ({
      kind: 'test',
      text: textFrom(start),
      sources,
      condition,
    }),
    unknown,
  }

  function unknown(token: Token): Error {
    if (token.kind === 'end') return syntaxError(token, 'the filter ends where a test is expected')
    if (token.kind === 'symbol') return syntaxError(token, `'${token.text}' has no place here`)
    const names = [...vocabulary, ...macros.keys(), ...allElements().map(({name}) => name)]
    const near = context.suggest(token.text, names)
    const hint = near.length > 0 ? `; did you mean ${near.join(', ')}?` : ''
    return syntaxError(token, `nothing is named '${token.text}'${hint}`)
  }

  function textFrom(start: Token): string {
    const last = tokens[Math.max(0, at - 1)]
    if (last.source !== start.source) return start.text
    return start.source.text.slice(start.start, last.end)
  }

  function comparison(what: string): Comparison {
    let mask: number | undefined
    const first = tokens[at]
    if (reader.accept('&') !== undefined) {
      const token = reader.take()
      mask = Number(token.text)
      if (!/^(?:0x[0-9a-f]{1,8}|\d{1,10})$/i.test(token.text) || mask > 0xffffffff) {
        throw syntaxError(token, 'a mask is a number up to 0xffffffff')
      }
    }
    const operatorToken = tokens[at]
    const found = word(operatorToken)
    const explicit = Object.hasOwn(operators, found)
    if (explicit) at++
    else if (mask !== undefined) {
      // `flags & 0x12` alone: any of the bits.
      const zero: Item = {text: '0', quoted: false, token: first}
      return {operator: '!=', explicit, operatorToken: first, items: [zero], mask}
    }
    const operator = explicit ? operators[found] : '='
    const items = readItems(operator, what)
    return {operator, explicit, operatorToken, items, ...(mask !== undefined && {mask})}
  }

  function readItems(operator: Operator, what: string): Item[] {
    const items: Item[] = []
    const one = (): void => {
      const token = tokens[at]
      const usable = token.kind === 'word' || token.kind === 'string' || token.kind === 'regex'
      if (!usable) throw syntaxError(token, `a value is missing: ${what} …`)
      at++
      items.push({text: token.text, quoted: token.kind === 'string', token})
    }
    const open = tokens[at]
    if (operator === 'in' && reader.accept('[') !== undefined) {
      while (reader.accept(']') === undefined) {
        if (tokens[at].kind === 'end') throw syntaxError(open, 'this [ is not closed')
        if (reader.accept(',') === undefined) one()
      }
      if (items.length === 0) throw syntaxError(open, 'the list is empty')
      return items
    }
    one()
    while (operator === 'in' && reader.accept(',') !== undefined) one()
    return items
  }

  function alternatives(): Expression {
    const of = [conjunction()]
    while (reader.accept('or', '||') !== undefined) of.push(conjunction())
    return any(of)
  }

  function conjunction(): Expression {
    const of = [factor()]
    while (reader.accept('and', '&&') !== undefined) of.push(factor())
    return all(of)
  }

  function factor(): Expression {
    if (++depth > MAX_DEPTH) throw syntaxError(tokens[at], 'nested too deeply')
    try {
      if (reader.accept('not', '!') !== undefined) {
        negated = !negated
        const of = factor()
        negated = !negated
        return not(of)
      }
      const open = tokens[at]
      if (reader.accept('(') !== undefined) return bracketed(open)
      return leaf()
    } finally {
      depth--
    }
  }

  function bracketed(open: Token): Expression {
    const inner = alternatives()
    if (reader.accept(')') !== undefined) return inner
    if (tokens[at].kind === 'end') throw syntaxError(open, 'this ( is not closed')
    throw syntaxError(tokens[at], `expected and, or, or a closing bracket`)
  }

  function leaf(): Expression {
    const start = tokens[at]
    if (start.kind === 'word') {
      const macro = macros.get(start.text)
      if (macro !== undefined) {
        at++
        return macro
      }
      const members = membersOf(start)
      if (members !== undefined) return members
      if (reader.accept('any') !== undefined) return {kind: 'constant', value: true}
      if (reader.accept('exists') !== undefined) return existence(start)
      if (reader.accept('pen') !== undefined) return numbered(start)
      const protocol = reader.accept(...bareProtocols)
      if (protocol !== undefined) return protocolTest(start, protocol)
      const known = primitive(reader, start)
      if (known !== undefined) return known
    }
    if (start.kind !== 'word' && start.kind !== 'string') throw unknown(start)
    const element = elementByName(start.text)
    if (element === undefined) throw unknown(start)
    at++
    return elementTest(start, element)
  }

  function elementTest(start: Token, element: InformationElement): Expression {
    const {next} = reader
    const compared = Object.hasOwn(operators, word(next)) || word(next) === '&'
    const valued = next.kind === 'string' || (next.kind === 'word' && !isJoint(next))
    if (!compared && !valued) {
      throw syntaxError(
        start,
        `${element.name} is compared with nothing; exists(${element.name}) asks whether it is there`,
      )
    }
    const condition = elementCondition(element, comparison(element.name), context)
    return reader.test(start, [[element]], condition)
  }

  function isJoint(token: Token): boolean {
    return ['and', 'or', 'not', 'let'].includes(word(token))
  }

  /** `any(…)`, `all(…)`, `any(subTemplateList: …)` */
  function membersOf(start: Token): Expression | undefined {
    const quantifier = word(start)
    if ((quantifier !== 'any' && quantifier !== 'all') || word(reader.after) !== '(') {
      return undefined
    }
    at += 2
    let list: InformationElement | undefined
    if (word(reader.after) === ':') {
      const token = reader.take()
      list = elementByName(token.text)
      if (list === undefined) throw unknown(token)
      if (!isList(list.type) && list.status !== 'unknown') {
        throw syntaxError(token, `${list.name} is ${list.type}, not a list`)
      }
      at++
    }
    const open = tokens[at - 1]
    const of = bracketed(open)
    return {kind: 'members', text: textFrom(start), quantifier, list, of}
  }

  function existence(start: Token): Expression {
    const bracket = reader.accept('(') !== undefined
    const token = reader.take()
    const element =
      token.kind === 'word' || token.kind === 'string' ? elementByName(token.text) : undefined
    if (element === undefined) throw unknown(token)
    if (bracket && reader.accept(')') === undefined) {
      throw syntaxError(reader.next, 'expected a closing bracket')
    }
    return reader.test(start, [[element]], {kind: 'exists'})
  }

  /** `pen 35632 id 80 > 5` */
  function numbered(start: Token): Expression {
    const pen = reader.take()
    if (reader.accept('id') === undefined) {
      throw syntaxError(reader.next, 'expected id: pen NUMBER id NUMBER')
    }
    const id = reader.take()
    const element = elementByName(`${pen.text}/${id.text}`)
    if (element === undefined) {
      throw syntaxError({...pen, end: id.end}, 'no element can have these numbers')
    }
    return elementTest(start, element)
  }

  /** `tcp`, and as in tcpdump `tcp port 80`. */
  function protocolTest(start: Token, name: string): Expression {
    const numbers = name === 'icmp' ? [1] : [protocolNumber(name)!]
    const condition = elementCondition(
      ie.protocolIdentifier,
      {
        operator: 'in',
        explicit: true,
        operatorToken: start,
        items: numbers.map((n) => ({text: String(n), quoted: false, token: start})),
      },
      context,
    )
    const test = reader.test(start, [[ie.protocolIdentifier, ie.nextHeaderIPv6]], condition)
    const goesOn = ['src', 'dst', 'source', 'destination', 'either', 'port', 'portrange', 'host']
    if (!goesOn.includes(word(reader.next))) return test
    return all([test, leaf()])
  }

  function definition(): boolean {
    if (reader.accept('let') === undefined) return false
    const name = reader.take()
    if (name.kind !== 'word' || !/^[a-z_][\w-]*$/i.test(name.text)) {
      throw syntaxError(name, 'let needs a name: let web = port in [80 443]')
    }
    if (vocabulary.includes(name.text) || elementByName(name.text) !== undefined) {
      throw syntaxError(name, `'${name.text}' has a meaning already`)
    }
    if (reader.accept('=') === undefined) throw syntaxError(reader.next, "expected '='")
    macros.set(name.text, alternatives())
    while (reader.accept(';') !== undefined);
    return true
  }

  while (definition());
  if (tokens[at].kind === 'end') return {kind: 'constant', value: true}
  const expression = alternatives()
  while (reader.accept(';') !== undefined);
  const rest = tokens[at]
  if (rest.kind === 'end') {
    tokens = []
    return expression
  }
  if (rest.kind === 'symbol') throw syntaxError(rest, `'${rest.text}' has no place here`)
  throw syntaxError(rest, "expected and, or, or the filter's end")
}

export type {Condition}
