import {spawnSync} from 'node:child_process'
import {existsSync, readFileSync, readdirSync} from 'node:fs'
import {join} from 'node:path'
import test from 'ava'
import {needing, root} from './support/needing.js'

const folder = join(root, 'test/fixtures')
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.ndjson'))
  .map((file) => file.slice(0, -'.ndjson'.length))

function darta(...args: string[]): string {
  const {stdout, stderr, status} = spawnSync(join(root, 'bin/darta'), args, {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  if (status !== 0) throw new Error(stderr)
  return stdout
}

const native = needing(
  existsSync(join(root, 'native/build/darta.node')) ? undefined : 'the addon is not built',
)

for (const name of names) {
  const expected = readFileSync(join(folder, `${name}.ndjson`), 'utf8')

  for (const [meter, run] of [
    ['native', native],
    ['typescript', needing()],
  ] as const) {
    run(`the ${meter} meter makes ${name}.ndjson of ${name}.pcap`, (t) => {
      const made = darta('capture', '-r', `${name}.pcap`, '-o', 'ndjson', '--meter', meter)
      t.is(made, expected)
    })
  }

  test(`${name}.ndjson is the same after it was read and written`, (t) => {
    t.is(darta('print', '-r', `${name}.ndjson`, '-o', 'ndjson'), expected)
  })
}

test('every capture of one behaviour has its records beside it', (t) => {
  const captures = readdirSync(folder).filter((file) => file.endsWith('.pcap'))
  t.deepEqual(captures.sort(), [...names, 'lab'].map((name) => `${name}.pcap`).sort())
})
