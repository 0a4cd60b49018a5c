import type {MessageContext, RecordBatch} from '../../record/batch.js'
import type {InformationElement} from '../../record/element.js'
import type {GroupSpec} from '../../record/group-spec.js'
import type {Toolbox} from './toolbox.js'

/**
 * A traffic analysis application: the default export of a file in apps/, or of any module that a user names
 * (`darta analyze ./my-app.js`). The file name is the application's name.
 *
 * It runs in Processing Units: one in a process, or many that were each given a share of the records. Its results may
 * never depend on how many there are or on who got which record. So its state is a commutative monoid:
 *
 * - `add` takes records in any order, in batches of any size;
 * - `merge` takes what another state of the same options has seen, and is associative and commutative;
 * - merging the snapshots of parts gives the results of the whole; a new state that merges a snapshot is a copy.
 *
 * test/compliance/apps.test.ts holds every file in apps/ against these rules on random splits.
 */
export interface AnalysisApp<Options extends AppOptions = AppOptions> {
  /** One line for --list, without a period's worth of detail. */
  readonly summary: string
  /** What can be asked: each becomes a flag of the command, the property's name in kebab-case. */
  readonly options: Options
  /** @throws DartaError DARTA_USAGE the options make no sense together */
  readonly prepare: (options: OptionValues<Options>, tools: Toolbox) => Analysis
}

/** An application with its options: what it needs and how its records may be shared among units. */
export interface Analysis {
  /**
   * Of each group a record has at least one element, or it is not applicable: it is counted and never reaches
   * the state. Records of Options Templates never do.
   */
  readonly needs: readonly (readonly InformationElement[])[]
  /** What else is read where it is there: a router may leave out all other elements. */
  readonly uses: readonly InformationElement[]
  /**
   * A router gives records that are equal in this key to the same unit; undefined: to any unit. What the
   * key says of a record is its first direction only: a router makes two records of a Biflow (RFC 5103) first.
   */
  readonly routingKey: RoutingKey | undefined
  /** The records of one key that is too heavy for a unit may be shared by several. */
  readonly splittable: boolean
  createState(limits: StateLimits): AnalysisState
}

/** Parts as in a group's key; `symmetric`: both directions of a conversation are one key. */
export type RoutingKey = Pick<GroupSpec, 'key' | 'symmetric'>

export interface StateLimits {
  /** Octets that a state may take; 0: no limit. */
  readonly maxOctets: number
}

/** What one unit knows of one time window. */
export interface AnalysisState {
  /**
   * Takes records whose Templates have what the application needs; returns how many counted. The others turned out not to
   * have a usable value.
   *
   * @throws DartaError DARTA_MEMORY_LIMIT past the limit
   */
  add(batches: readonly RecordBatch[]): number
  /**
   * Work that takes its time, as of another process, before the results are there. Who runs the state awaits it when no more
   * records come, before snapshot(true) and results. @throws DartaError DARTA_CHILD
   */
  finish?(): Promise<void>
  /** Adds what another state has seen. @throws DartaError DARTA_VALUE not a snapshot of such a state; DARTA_MEMORY_LIMIT */
  merge(snapshot: Uint8Array): void
  /**
   * All it knows as octets. `complete`: no other unit has records of the same routing keys, so that
   * what cannot be among the results any more may be left out.
   */
  snapshot(complete: boolean): Uint8Array
  /** Results as records of real elements, in an order that hangs on the data alone. The state stays as it is. */
  results(message: MessageContext): Iterable<RecordBatch>
  /** The same for people: lines of text. Without it the records are shown as a plain table. */
  table?(style: TableStyle): string
  /**
   * What the results lack, by reason: `sum-limit`, additions to sums that stand at 2^64 − 1. It is told with the
   * results and counts for --strict-loss.
   */
  missing?(): Iterable<readonly [reason: string, count: number]>
  /** Octets in use, about. */
  memoryOctets(): number
  /** Frees memory at once. */
  close(): void
}

export interface TableStyle {
  /** How large numbers are scaled: not, by 1000, by 1024. */
  readonly units: 'none' | 'si' | 'iec'
  /** Names of protocols and services instead of numbers. */
  readonly names: boolean
}

/** Options by name, camelCase. */
export type AppOptions = Readonly<Record<string, AppOption>>

export type AppOption = FlagOption | NumberOption | TextOption | TextsOption | FileOption

interface AnyOption {
  /** One sentence for the help. */
  readonly summary: string
  /** One letter, where the flag has a short form. */
  readonly char?: string
}

export interface FlagOption extends AnyOption {
  readonly kind: 'flag'
}

/** A whole number. */
export interface NumberOption extends AnyOption {
  readonly kind: 'number'
  readonly min: number
  readonly max: number
  readonly default: number
}

export interface TextOption extends AnyOption {
  readonly kind: 'text'
  /** What the help shows for the value: `KEY`. */
  readonly value: string
  /** If the value has to be one of these. */
  readonly choices?: readonly string[]
  readonly default: string
}

/** May be given several times; the default is used when it is not given at all. */
export interface TextsOption extends AnyOption {
  readonly kind: 'texts'
  readonly value: string
  readonly default: readonly string[]
}

/** A file, of which the application is given the text. */
export interface FileOption extends AnyOption {
  readonly kind: 'file'
  readonly value: string
  /** The text where no file is named. */
  readonly default: string
}

export type OptionValues<Options extends AppOptions> = {
  readonly [Name in keyof Options]: OptionValue<Options[Name]>
}

type OptionValue<O extends AppOption> = O extends FlagOption
  ? boolean
  : O extends NumberOption
    ? number
    : O extends TextsOption
      ? readonly string[]
      : string

/** Says of an application what its options' values are, so that `prepare` is typed. */
export function defineApp<const Options extends AppOptions>(
  app: AnalysisApp<Options>,
): AnalysisApp<Options> {
  return app
}

/** Values of all options that were not given. */
export function defaultOptions<Options extends AppOptions>(
  app: AnalysisApp<Options>,
): OptionValues<Options> {
  const values: Record<string, unknown> = {}
  for (const [name, option] of Object.entries(app.options)) {
    values[name] = option.kind === 'flag' ? false : option.default
  }
  return values as OptionValues<Options>
}
