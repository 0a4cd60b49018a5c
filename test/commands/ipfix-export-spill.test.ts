import test from 'ava'
import {join} from 'node:path'
import {openSpilledLog, wholeMessages} from '../../src/commands/ipfix-export/spilled-log.js'
import {openSpillFolder} from '../../src/io/spill-folder.js'
import {folder} from '../support/darta.js'
import {numberedRecords} from '../support/numbered.js'

test('what is counted is all there, though what lies before it is forgotten meanwhile', async (t) => {
  const full = {told() {}, stopping: new AbortController().signal}
  const spill = await openSpillFolder(join(folder(t), 'spool'), wholeMessages, full)
  const log = await openSpilledLog(spill, () => {})
  const ends: number[] = []
  for (let part = 0; part < 20; part++) {
    await log.append([numberedRecords(100, part * 100)])
    ends.push(log.end)
  }
  // From within the eleventh on: where Messages begin there has to be read.
  const begin = await log.boundary(ends[9] + 1)
  const all = await log.count(begin, log.end)
  t.true(all > 900 && all < 1000, String(all))
  const counting = log.count(begin, log.end)
  await log.trim(begin)
  t.is(await counting, all)
  await log.close()
})
