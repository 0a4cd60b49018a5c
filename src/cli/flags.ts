import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {
  parseCompression,
  parseCount,
  parseDuration,
  parsePositive,
  parseSize,
  parseTimeouts,
  parseTimeRange,
  parseTimeStyle,
  type Compression,
  type Timeouts,
  type TimeRange,
  type TimeStyle,
} from './values.js'

/*
 * Flags that mean the same in every command. A command picks those it needs,
 * `static flags = {read, write, output}`, and may say more about one: `{...count, summary: '…'}`.
 */

/** `-r`: an array, or undefined; `-` is standard input. */
export const read = Flags.string({
  char: 'r',
  multiple: true,
  multipleNonGreedy: true,
  helpValue: 'FILE',
  summary:
    'Read FILE, the files below it if it is a directory, or standard input for -, the default. May be repeated.',
})

export const inputFormat = Flags.string({
  helpValue: 'FORMAT',
  summary: 'Take the input to be of this format instead of looking at how it begins.',
})

export const by = Flags.string({
  helpValue: 'SELECTOR',
  default: 'flow',
  summary: 'What decides the part: flow, hosts, src, dst, ports, or packets for each in its turn.',
})

export const write = Flags.string({
  char: 'w',
  helpValue: 'FILE',
  summary: 'Write FILE, which appears when it is whole; - is standard output, the default.',
})

export const output = Flags.string({
  char: 'o',
  helpValue: 'FORMAT',
  summary: 'Output format; without it table on a terminal, else ipfix or what DARTA_FORMAT says.',
})

export const force = Flags.boolean({
  summary: 'Replace an output file that exists.',
})

export const compress = Flags.custom<Compression>({
  parse: async (input) => parseCompression(input),
})({
  char: 'z',
  helpValue: 'CODEC[:LEVEL]',
  summary: 'Compress the output: gzip, bzip2, zstd, lz4 or none. Input is recognised by itself.',
})

export const lineBuffered = Flags.boolean({
  char: 'l',
  summary: 'Write each record at once instead of when a block is full or 200 ms have passed.',
})

/** Count the occurrences with `this.occurrences(raw, 'numeric')`: 2 for -nn. */
export const numeric = Flags.boolean({
  char: 'n',
  summary: 'No names for addresses; -nn: none for ports and protocols either.',
})

export const top = Flags.custom<number>({parse: async (input) => parsePositive(input)})({
  char: 'k',
  helpValue: 'N',
  summary: 'How many rows.',
})

export const count = Flags.custom<number>({parse: async (input) => parsePositive(input)})({
  char: 'c',
  helpValue: 'N',
  summary: 'Stop after N records.',
})

export const plain = Flags.boolean({
  char: 'N',
  summary: 'Plain digits, the same as --units none.',
})

export const units = Flags.option({
  options: ['none', 'si', 'iec'] as const,
})({
  helpValue: 'none|si|iec',
  summary: 'How large numbers are scaled in tables: not, by 1000, by 1024.',
})

export const order = Flags.string({
  char: 'O',
  helpValue: 'ORDER',
  summary: 'Sort by this.',
})

export const time = Flags.custom<TimeStyle>({parse: async (input) => parseTimeStyle(input)})({
  helpValue: 'STYLE',
  summary:
    'Write times as rfc3339 (UTC, default), epoch, epoch-ms, local, relative, strftime:PATTERN.',
})

export const timeRange = Flags.custom<TimeRange>({parse: async (input) => parseTimeRange(input)})({
  char: 't',
  helpValue: 'RANGE',
  summary: 'Time window: A..B, A-B, A+2h, -10m, 2026/08/*.',
})

export const timeouts = Flags.custom<Timeouts>({parse: async (input) => parseTimeouts(input)})({
  char: 'T',
  helpValue: 'ACTIVE,IDLE',
  summary: 'Active and idle timeout of Flows; 300,60 (seconds) unless said otherwise.',
})

export const activeTimeout = Flags.custom<number>({parse: async (input) => parseDuration(input)})({
  helpValue: 'DURATION',
  summary: 'End a Flow that lasts longer; 300 s unless said otherwise.',
})

export const idleTimeout = Flags.custom<number>({parse: async (input) => parseDuration(input)})({
  helpValue: 'DURATION',
  summary: 'End a Flow that is silent for longer; 60 s unless said otherwise.',
})

export const maxMemory = Flags.custom<number>({parse: async (input) => parseSize(input)})({
  helpValue: 'SIZE',
  summary: 'Most memory for tables, like 512Mi.',
})

export const maxFlows = Flags.custom<number>({parse: async (input) => parseCount(input)})({
  helpValue: 'N',
  summary: 'Most Flows at once.',
})

export const onFull = Flags.option({options: ['evict', 'drop', 'fail'] as const})({
  helpValue: 'evict|drop|fail',
  summary:
    'When a limit is reached: end the Flow that is due first, do not meter new ones, or fail.',
})

/** Of records; `capture -f` is about packets and its own. */
export const filter = Flags.string({
  char: 'f',
  helpValue: 'EXPR',
  summary: 'Only records that match; see darta-filter(1) for the language.',
})

export const filterFile = Flags.string({
  char: 'F',
  helpValue: 'FILE',
  summary: 'Only records that match the expression in FILE.',
})

/*
 * Flags that stand together in every command that has them. To say more of one, name it again behind.
 */

/** `BaseCommand.parse` puts the names behind those of -r. */
export const xargs = Flags.boolean({
  summary:
    'Read the files that standard input names, one a line or as of find -print0, after those of -r.',
})

/** `BaseCommand.parse` puts the files behind those of -r. */
export const readRange = Flags.string({
  char: 'R',
  multiple: true,
  multipleNonGreedy: true,
  helpValue: 'RANGE',
  summary:
    'Read the files DIR/FIRST:LAST of a directory in the order of their names, or DIR/FIRST and all that follow, after those of -r.',
})

/** Which records are read. */
export const recordInput = {read, 'read-range': readRange, xargs, 'input-format': inputFormat}

/** Where and how records are written. */
export const recordOutput = {write, output, force, compress}

/** Words of an expression, as one argument. */
export const expression = (description: string) =>
  Args.string({ignoreStdin: true, multiple: true, description})

/** Which of the records that are read count. */
export const recordFilter = {filter, 'filter-file': filterFile, 'time-range': timeRange}

/** How values look in formats for people; `presentationOf` gives them to the encoder. */
export const presentation = {
  numeric,
  plain,
  units,
  time,
  bigint: Flags.option({options: ['number', 'string'] as const})({
    helpValue: 'number|string',
    summary: 'How NDJSON writes integers beyond 2^53: as numbers with all digits, or as strings.',
  }),
}

export const rate = Flags.custom<number>({parse: async (input) => parsePositive(input)})({
  helpValue: 'N',
  summary: 'Send at most N records a second.',
})

/** Milliseconds; 0: never. */
export const templateRefresh = Flags.custom<number>({
  parse: async (input) => parseDuration(input),
})({
  helpValue: 'DURATION',
  default: 600_000,
  defaultHelp: async () => '10m',
  summary:
    'Send all Templates again after this time where nothing tells whether they arrived; 0: never.',
})
