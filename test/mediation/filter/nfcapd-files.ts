import type {ExecutionContext} from 'ava'
import {spawnSync} from 'node:child_process'
import {mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {createEncoder} from '../../../src/ipfix/encoder.js'
import type {RecordBatch} from '../../../src/record/batch.js'
import {Ledger} from '../../../src/record/ledger.js'
import {folder} from '../../support/darta.js'
import {superuser, tools} from '../../support/needing.js'

/** What tests with `nfcapdFiles` need. */
export const nfcapd = [superuser(), tools('unshare', 'ip', 'nfcapd', 'nfdump', 'stdbuf')]

/** The flows as a file of IPFIX, and in a folder as nfcapd keeps what was sent to it. */
export function nfcapdFiles(
  t: ExecutionContext,
  batches: readonly RecordBatch[],
): {file: string; flows: string} {
  const place = folder(t)
  const file = join(place, 'flows.ipfix')
  const flows = join(place, 'flows')
  mkdirSync(flows)
  const encoder = createEncoder({
    ledger: new Ledger(),
    maxMessageOctets: 1400,
    messagePerArray: true,
  })
  const counts: number[] = []
  const messages: Uint8Array[] = []
  for (const batch of batches) {
    const out = [...encoder.push([batch]), ...encoder.flush()]
    messages.push(...out)
    // A batch of seven fits one Message.
    counts.push(...out.map(() => batch.count))
  }
  writeFileSync(file, Buffer.concat(messages))
  const program = fileURLToPath(new URL('../../ipfix/nfcapd-run.js', import.meta.url))
  const inside = ['-n', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', process.execPath]
  const made = spawnSync('unshare', [...inside, program, file, flows, counts.join()], {
    encoding: 'utf8',
  })
  t.is(made.stderr, '')
  return {file, flows}
}
