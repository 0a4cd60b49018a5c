import * as Flags from '@oclif/core/flags'

/** Of `analyze` without an application of its own: a program takes its place. */
export const execFlags = {
  exec: Flags.string({
    helpValue: 'CMD',
    summary:
      'Instead of an application: start CMD, which reads records on standard input; what it writes are the results.',
  }),
  feed: Flags.string({
    helpValue: 'FORMAT',
    dependsOn: ['exec'],
    summary: 'What CMD reads: ipfix unless said otherwise, ndjson, csv, fmt:… as of -o.',
  }),
  key: Flags.string({
    helpValue: 'KEY[,KEY...]',
    dependsOn: ['exec'],
    summary:
      'CMD needs all records together that are equal in these: srcip, dstport, src4/24, any element by its name.',
  }),
  symmetric: Flags.boolean({
    dependsOn: ['key'],
    summary: 'The first half of --key is one side, the second the other: both directions together.',
  }),
}
