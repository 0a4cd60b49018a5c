import {DartaError} from '../record/errors.js'
import type {Decoder, Format} from '../record/format.js'
import {readMapping} from './map/mapping.js'
import {createTaker} from './map/taker.js'

/** What a field holds; null: nothing. */
export type PluginValue = string | number | bigint | boolean | Uint8Array | null

/** What a plugin tells of input that is no record. */
export interface PluginAccount {
  /** Damaged: a reason in a word or two with hyphens, and the octet of the input where it begins. */
  lose(reason: string, offset?: number): void
  /** Left out on purpose. */
  skip(reason: string): void
}

/** Reads one input. */
export interface PluginReader {
  /** Takes the next octets, cut anywhere; gives the records that are complete, each as its fields. */
  push(octets: Uint8Array): Iterable<Readonly<Record<string, PluginValue>>>
  /** The input has ended: what is complete now. */
  end?(): Iterable<Readonly<Record<string, PluginValue>>>
}

/** Default export of a file that `plugin:FILE` names. */
export interface InputPlugin {
  /** What becomes of each field, as `fields` of a mapping has it. */
  readonly fields: object
  /** Enterprise of elements for fields without one; default: darta's. */
  readonly enterprise?: number
  open(account: PluginAccount): PluginReader
}

export default {
  summary: 'a format that a program reads, as plugin:FILE.js',
  binary: false,
  argumentIsModule: true,
  decoder({argument = '', module, ledger, source}): Decoder {
    if (!isPlugin(module)) {
      throw new DartaError(
        'DARTA_USAGE',
        `plugin: ${argument || 'FILE'} has no plugin as its default export: {fields, open}`,
      )
    }
    const {fields, enterprise} = module
    const mapping = readMapping(JSON.stringify({format: 'jsonl', fields, enterprise}), argument)
    const account = ledger.stage('plugin', 'records')
    const taker = createTaker(mapping, {ledger, source}, 'plugin')
    let offset = 0

    /** The plugin is somebody's program: its faults are not darta's. */
    function asked<T>(ask: () => T): T {
      try {
        return ask()
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error)
        throw new DartaError('DARTA_PLUGIN', `${argument}: ${why}`, offset, error)
      }
    }

    function take(records: () => Iterable<Readonly<Record<string, PluginValue>>>): void {
      for (const record of asked(() => [...records()])) {
        account.in++
        const pairs = Object.entries(record).map(
          ([field, value]) =>
            [field, value instanceof Uint8Array ? value : String(value ?? '')] as const,
        )
        if (taker.add(pairs, offset)) account.out++
        else account.lose('no-field', 1, offset)
      }
    }

    const reader = asked(() =>
      module.open({
        lose(reason, at) {
          account.in++
          account.lose(wordOf(reason), 1, at)
        },
        skip(reason) {
          account.in++
          account.skip(wordOf(reason))
        },
      }),
    )
    return {
      push(octets) {
        const first = offset
        take(() => reader.push(octets))
        offset += octets.length
        return taker.take(first)
      },
      end() {
        take(() => reader.end?.() ?? [])
        return taker.take(offset)
      },
    }
  },
} satisfies Format

function isPlugin(value: unknown): value is InputPlugin {
  if (typeof value !== 'object' || value === null) return false
  const {fields, open} = value as Partial<InputPlugin>
  return typeof fields === 'object' && fields !== null && typeof open === 'function'
}

/** Reasons stand in accounts, among others. */
function wordOf(reason: string): string {
  return reason.toLowerCase().replace(/[^a-z0-9]+/g, '-') || 'damaged'
}
