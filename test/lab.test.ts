import {execFileSync} from 'node:child_process'
import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {needing, root, tools} from './support/needing.js'

const compare = needing(tools('tshark'))

compare('lab.tsv is what tshark counts in lab.pcap', (t) => {
  const said = execFileSync(
    process.execPath,
    [join(root, 'scripts/lab-truth.mjs'), join(root, 'test/fixtures/lab.pcap')],
    {encoding: 'utf8'},
  )
  t.is(said, readFileSync(join(root, 'test/fixtures/lab.tsv'), 'utf8'))
})
