import test from 'ava'
import {spawn} from 'node:child_process'
import {readerOf, numberReader} from '../../../src/record/readers.js'
import type {RecordBatch} from '../../../src/record/batch.js'
import {ie} from '../../../src/registry/elements.js'
import {needing} from '../../support/needing.js'
import {filtered, parse, ways} from './filtering.js'
import {nfdumpFlows, nfdumpRareFlows} from './flows.js'
import {nfcapd, nfcapdFiles} from './nfcapd-files.js'
import {nfdumpExpressions, nfdumpRareExpressions} from './nfdump-expressions.js'

const COUNT = 2400

/** Names of the flows of batches: the milliseconds in which they began. */
function names(batches: readonly RecordBatch[]): number[] {
  return batches
    .flatMap((batch) => {
      const read = readerOf(batch.template, ie.flowStartMilliseconds, numberReader)!
      return Array.from({length: batch.count}, (_, i) => read(batch, i))
    })
    .sort((a, b) => a - b)
}

async function nfdump(path: string, expression: string): Promise<number[]> {
  const child = spawn('nfdump', ['-R', path, '-q', '-6', '-o', 'fmt:%tsr', expression], {
    env: {...process.env, TZ: 'UTC'},
  })
  let text = ''
  let words = ''
  child.stdout.setEncoding('utf8').on('data', (more: string) => (text += more))
  child.stderr.setEncoding('utf8').on('data', (more: string) => (words += more))
  const code = await new Promise((resolve) => child.on('close', resolve))
  if (code !== 0) throw new Error(`nfdump ${expression}: ${words}${text}`)
  return text
    .split('\n')
    .filter((line) => /^\s*\d+\.\d+\s*$/.test(line))
    .map((line) => Math.round(Number(line) * 1000))
    .sort((a, b) => a - b)
}

const kinds = [
  {kind: 'usual flows', expressions: nfdumpExpressions, flows: nfdumpFlows},
  {
    kind: 'flows with labels and translations',
    expressions: nfdumpRareExpressions,
    flows: nfdumpRareFlows,
  },
]

for (const {kind, expressions, flows} of kinds) {
  needing(...nfcapd)(
    `of ${expressions.length} expressions each passes the ${kind} that nfdump passes`,
    async (t) => {
      const batches = flows(COUNT)
      const {flows: flowFolder} = nfcapdFiles(t, batches)
      t.deepEqual(await nfdump(flowFolder, 'any'), names(batches))
      let someButNotAll = 0
      for (const expression of expressions) {
        const theirs = await nfdump(flowFolder, expression)
        if (theirs.length > 0 && theirs.length < COUNT) someButNotAll++
        for (const native of ways) {
          const {passed, tested} = filtered(parse(expression), batches, native)
          t.is(tested, COUNT)
          const ours = names(passed)
          if (ours.length !== theirs.length || ours.some((name, i) => name !== theirs[i])) {
            t.fail(`${expression}: ${ours.length} here (native ${native}), ${theirs.length} there`)
          }
        }
      }
      // Expressions that all or no flows match would show nothing.
      t.true(someButNotAll > 0.9 * expressions.length, `${someButNotAll}`)
    },
  )
}

test('every expression of nfdump passes the same records with the addon and without', (t) => {
  const batches = nfdumpFlows(1000)
  for (const expression of nfdumpExpressions) {
    const [plain, native] = ways.map((way) =>
      names(filtered(parse(expression), batches, way).passed),
    )
    if (native !== undefined) t.deepEqual(native, plain, expression)
    else t.true(plain.length >= 0)
  }
})
