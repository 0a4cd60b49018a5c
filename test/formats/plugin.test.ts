import test from 'ava'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {darta, folder} from '../support/darta.js'
import {root} from '../support/needing.js'

const example = join(root, 'examples/blocks-plugin.js')
/** Two blocks, of two entries and one, and the beginning of a third. */
const blocks = Buffer.concat([
  Buffer.from([2, 192, 0, 2, 1, 0, 0, 1, 0, 192, 0, 2, 2, 0, 0, 0, 7]),
  Buffer.from([1, 198, 51, 100, 3, 255, 255, 255, 255]),
  Buffer.from([3, 1, 2]),
])

test('a plugin reads a format that no mapping describes, and what it cannot read is counted with its octet', async (t) => {
  const args = ['print', '--input-format', `plugin:${example}`, '-o', 'ndjson']
  const {code, stdout, stderr} = await darta(t, args, blocks)
  t.is(code, 0, stderr)
  const records = stdout
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .map(({sourceIPv4Address, octetDeltaCount}) => [sourceIPv4Address, octetDeltaCount])
  t.deepEqual(records, [
    ['192.0.2.1', 256],
    ['192.0.2.2', 7],
    ['198.51.100.3', 4294967295],
  ])
  t.regex(stderr, /plugin: 4 records in, 3 out, lost 1 \(cut-off 1 from octet 26\)/)
})

for (const [what, text, words, expected] of [
  ['is none', 'export default 7', /no plugin as its default export/, 2],
  ['does not parse', 'export default {', /cannot be loaded/, 2],
  [
    'names an element that does not exist',
    'export default {fields: {a: "noSuch"}, open: () => ({push: () => []})}',
    /noSuch/,
    2,
  ],
  [
    'throws',
    'export default {fields: {}, open: () => ({push() { throw new Error("seventh field") }})}',
    /seventh field \(DARTA_PLUGIN, octet 0\)/,
    1,
  ],
] as const) {
  test(`a plugin that ${what} is told as such`, async (t) => {
    const path = join(folder(t), 'plugin.mjs')
    writeFileSync(path, text)
    const {code, stderr} = await darta(t, ['print', '--input-format', `plugin:${path}`], blocks)
    t.is(code, expected, stderr)
    t.regex(stderr, words)
    t.notRegex(stderr, /DARTA_INTERNAL/)
  })
}
