import * as Flags from '@oclif/core/flags'
import {DartaCommand} from '../cli/base-command.js'
import * as common from '../cli/flags.js'
import {inputNames} from '../cli/record-input.js'
import {openOctetSink} from '../cli/record-output.js'
import {parsePrefixLengths} from '../cli/values.js'
import {openInput} from '../io/open-input.js'
import {spokenName} from '../io/errors.js'
import {
  contains,
  differenceOf,
  intersectionOf,
  isOfNumbers,
  linesOf,
  networksOf,
  readValueSet,
  sizeOf,
  unionOf,
  type ValueSet,
} from '../mediation/sets/value-set.js'
import {DartaError} from '../record/errors.js'
import {openSelected} from './filter/open-selected.js'
import {setKey, valuesOfRecords} from './set/values-of-records.js'

/** Values of a set that are written one by one at most. */
const MOST_VALUES = 2n ** 32n
const CHUNK_CHARACTERS = 65536

const files = (summary: string) =>
  Flags.string({multiple: true, multipleNonGreedy: true, helpValue: 'FILE', summary})

/** A set that was read and where from. */
interface Named {
  readonly name: string
  readonly set: ValueSet
}

export default class Set extends DartaCommand {
  static override summary = 'Make sets of addresses or numbers for filters, and reckon with them.'
  static override description =
    'A set is a text file with an address, prefix, range or number on each line, and is what filters take behind @. ' +
    'Sets come of files, which are joined, or with --of of records; then --intersect, --subtract and --networks change what ' +
    'came. What goes out is in order and has nothing twice, so that diff(1) and comm(1) can compare it.'
  static override examples = [
    "<%= config.bin %> set --of srcip -r lan.ipfix -w talkers.set 'proto tcp and dst port 22'",
    '<%= config.bin %> set --of dstip -r lan.ipfix --subtract known.set --networks 24,48',
    '<%= config.bin %> set blocked.txt more.txt --subtract ours.txt -w blocked.set',
    '<%= config.bin %> set talkers.set --contains 192.0.2.1 && echo seen',
    "<%= config.bin %> filter -r lan.ipfix 'src ip in @blocked.set'",
  ]
  static override args = {
    words: common.expression('Files of sets, - for standard input; with --of, an expression.'),
  }
  static override flags = {
    ...common.recordInput,
    write: common.write,
    force: common.force,
    compress: common.compress,
    ...common.recordFilter,
    of: Flags.string({
      helpValue: 'KEY',
      summary:
        'Take what records have of this: srcip, ip, dst4/24, dstport, srcas … as aggregate -A has it.',
    }),
    intersect: files('Keep only what is in FILE too. May be repeated.'),
    subtract: files('Take out what is in FILE. May be repeated.'),
    networks: Flags.string({
      helpValue: 'V4[,V6]',
      summary:
        'The networks of so many leading bits that the addresses are in; V6 64 unless given.',
    }),
    output: Flags.option({options: ['prefixes', 'ranges', 'values'] as const})({
      char: 'o',
      helpValue: 'prefixes|ranges|values',
      default: 'prefixes',
      summary: 'How the set is spelt; values is each address or number on a line of its own.',
    }),
    count: Flags.boolean({
      exclusive: ['contains', 'write'],
      summary: 'Write only how many addresses or numbers there are.',
    }),
    contains: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'VALUE',
      exclusive: ['write'],
      summary:
        'Write nothing; status 0 if all of VALUE, like 192.0.2.1 or 10.0.0.0/8, is in the set, 1 if not, 2 in trouble.',
    }),
    'max-memory': {
      ...common.maxMemory,
      dependsOn: ['of'],
      summary: 'Most memory while records are read; what does not fit goes to disk.',
    },
  }

  #asks = false

  /** As of grep(1): 1 says that something is not in the set. */
  protected override exitCodeFor(error: DartaError): number {
    const code = super.exitCodeFor(error)
    return this.#asks && code === 1 ? 2 : code
  }

  protected async execute(): Promise<void> {
    const {flags, raw} = await this.parse(Set)
    this.#asks = flags.contains !== undefined
    const words = this.operands(raw)
    const bits =
      flags.networks === undefined
        ? undefined
        : parsePrefixLengths('--networks', flags.networks, 64)
    const asked = (flags.contains ?? []).map((text) => ({
      name: `--contains ${text}`,
      set: readValueSet(new TextEncoder().encode(text), '--contains'),
    }))
    const others = [
      ...(await this.#readFiles(flags.intersect ?? [])),
      ...(await this.#readFiles(flags.subtract ?? [])),
    ]
    const base =
      flags.of === undefined ? await this.#joined(flags, words) : await this.#of(flags, words)
    alike([...base, ...others, ...asked])
    let set = unionOf(base.map((one) => one.set))
    for (const [i, other] of others.entries()) {
      const both = i < (flags.intersect ?? []).length
      set = both ? intersectionOf(set, other.set) : differenceOf(set, other.set)
    }
    if (bits !== undefined) set = networksOf(set, ...bits)
    if (flags.count) return this.print(`${sizeOf(set)}\n`)
    if (flags.contains !== undefined) {
      return this.answer(asked.every((one) => contains(set, one.set)) ? 0 : 1)
    }
    if (flags.output === 'values' && sizeOf(set) > MOST_VALUES) {
      throw new DartaError('DARTA_USAGE', `-o values: these are ${sizeOf(set)}, more than 2^32`)
    }
    await this.#write(linesOf(set, flags.output), flags)
  }

  async #joined(
    flags: Parameters<typeof openSelected>[1],
    words: readonly string[],
  ): Promise<Named[]> {
    const {filter, 'filter-file': file, 'time-range': range, 'input-format': format} = flags
    if ((filter ?? file ?? range ?? format) !== undefined) {
      throw new DartaError(
        'DARTA_USAGE',
        'filters are about records: --of says what to take of them',
      )
    }
    return this.#readFiles(await inputNames([...(flags.read ?? []), ...words]))
  }

  async #of(
    flags: Parameters<typeof openSelected>[1] & {
      readonly of?: string
      readonly 'max-memory'?: number
    },
    words: readonly string[],
  ): Promise<Named[]> {
    const {of = ''} = flags
    const key = setKey(of)
    const source = await openSelected(this, flags, words, {anyOrder: true})
    const openAccount = () => this.ledger.stage('set', 'records')
    const set = await valuesOfRecords(source, key, flags['max-memory'] ?? 0, openAccount, (times) =>
      this.detail(`values went to disk ${times} times`),
    )
    return [{name: `--of ${of}`, set}]
  }

  async #readFiles(names: readonly string[]): Promise<Named[]> {
    const sets: Named[] = []
    for (const name of names) {
      const input = await openInput(name, this)
      const chunks: Uint8Array[] = []
      try {
        for await (const chunk of input.octets) chunks.push(chunk.slice())
      } finally {
        await input.close()
      }
      const spoken = spokenName(name, 'standard input')
      sets.push({name: spoken, set: readValueSet(Buffer.concat(chunks), spoken)})
    }
    return sets
  }

  async #write(
    lines: Iterable<string>,
    {write, force, compress}: Parameters<typeof openOctetSink>[1],
  ): Promise<void> {
    const sink = await openOctetSink(this, {write, force, compress}, 'a set', false)
    try {
      let text = ''
      for (const line of lines) {
        text += `${line}\n`
        if (text.length < CHUNK_CHARACTERS) continue
        await sink.write([Buffer.from(text)])
        text = ''
        if (this.signal.aborted) break
      }
      if (text !== '') await sink.write([Buffer.from(text)])
      await sink.end()
    } catch (error) {
      await sink.abort()
      throw error
    }
  }
}

/** @throws DartaError DARTA_USAGE where one set is of addresses and another of numbers */
function alike(sets: readonly Named[]): void {
  const numbers = sets.find(({set}) => isOfNumbers(set) === true)
  const addresses = sets.find(({set}) => isOfNumbers(set) === false)
  if (numbers === undefined || addresses === undefined) return
  throw new DartaError(
    'DARTA_USAGE',
    `${numbers.name} is a set of numbers, ${addresses.name} one of addresses`,
  )
}
