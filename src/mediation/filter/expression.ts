import type {MessageContext} from '../../record/batch.js'
import type {InformationElement} from '../../record/element.js'
import type {BigRange, RangeSet} from './range-set.js'

/** What a filter asks of a record, before any Template is known. */
export type Expression =
  | {readonly kind: 'constant'; readonly value: boolean}
  | {readonly kind: 'and' | 'or'; readonly of: readonly Expression[]}
  | {readonly kind: 'not'; readonly of: Expression}
  | Test
  | Members

/** One question about one value. A record without the value does not meet it. */
export interface Test {
  readonly kind: 'test'
  /** As it was written. */
  readonly text: string
  /** It is enough that one of these meets the condition. */
  readonly sources: readonly Source[]
  readonly condition: Condition | UntypedCondition
}

/** Of these elements the first that a Template has is read, wherever it stands in it. */
export type Source = readonly InformationElement[]

/** Asks of the records and items of lists (RFC 6313), at any depth, what it would ask of a record. */
export interface Members {
  readonly kind: 'members'
  readonly text: string
  /** `all` needs at least one member. */
  readonly quantifier: 'any' | 'all'
  /** Only lists that lie in fields of this element; undefined: in any field. */
  readonly list: InformationElement | undefined
  readonly of: Expression
}

export type Condition =
  | NumberCondition
  | SignedCondition
  | RealCondition
  | TextCondition
  | OctetsCondition
  | {readonly kind: 'boolean'; readonly value: boolean}
  | {readonly kind: 'exists'}
  | StampCondition
  | FlowTimeCondition
  | RateCondition
  | BetweenCondition
  | MessageCondition
  | {readonly kind: 'family'; readonly version: 4 | 6}
  | {readonly kind: 'options'}
  | {readonly kind: 'never'}

/** Unsigned integers, addresses, MAC addresses, flags, times in seconds or milliseconds. */
export interface NumberCondition {
  readonly kind: 'number'
  readonly set: RangeSet
  /** Applied to the value first, up to 32 bits. */
  readonly mask?: number
  /** What a record without the value has. */
  readonly absent?: number
}

export interface SignedCondition {
  readonly kind: 'signed'
  readonly ranges: readonly BigRange[]
}

export interface RealCondition {
  readonly kind: 'real'
  readonly holds: (value: number) => boolean
}

export interface TextCondition {
  readonly kind: 'text'
  readonly holds: (text: string) => boolean
}

export interface OctetsCondition {
  readonly kind: 'octets'
  readonly holds: (octets: Uint8Array) => boolean
}

/** dateTimeMicroseconds and dateTimeNanoseconds, in units of the element since 1970. */
export interface StampCondition {
  readonly kind: 'stamp'
  readonly ranges: readonly BigRange[]
}

/** When the Flow began or ended, in milliseconds since 1970, however the record says it. */
export interface FlowTimeCondition {
  readonly kind: 'flow-time'
  readonly end: 'first' | 'last'
  readonly set: RangeSet
}

/** Computed of several fields. */
export interface RateCondition {
  readonly kind: 'rate'
  readonly of: 'duration' | 'bps' | 'pps' | 'bpp'
  readonly holds: (value: number) => boolean
}

/** A number that lies between two others of the same record, each the first of these that the Template has. */
export interface BetweenCondition {
  readonly kind: 'between'
  readonly least: Source
  readonly most: Source
}

/** About the Message that the record came in. */
export interface MessageCondition {
  readonly kind: 'message'
  readonly holds: (message: MessageContext) => boolean
}

/** An element whose type only the stream will tell (RFC 5610): the condition is made for the type that comes. */
export interface UntypedCondition {
  readonly kind: 'untyped'
  /** Never holds where the operand does not suit the type or, of octets, the length. */
  readonly of: (element: InformationElement, length: number) => Condition
}

export function not(of: Expression): Expression {
  return {kind: 'not', of}
}

export function any(of: readonly Expression[]): Expression {
  return of.length === 1 ? of[0] : {kind: 'or', of}
}

export function all(of: readonly Expression[]): Expression {
  return of.length === 1 ? of[0] : {kind: 'and', of}
}

/** Every test, those inside lists too. */
export function* testsOf(expression: Expression): Iterable<Test> {
  switch (expression.kind) {
    case 'test':
      yield expression
      break
    case 'not':
    case 'members':
      yield* testsOf(expression.of)
      break
    case 'and':
    case 'or':
      for (const part of expression.of) yield* testsOf(part)
      break
    case 'constant':
      break
  }
}
