import test from 'ava'
import {Destination, type Surroundings} from '../../src/commands/ipfix-export/destination.js'
import {createGate} from '../../src/commands/ipfix-export/gate.js'
import {createMemoryLog} from '../../src/commands/ipfix-export/message-log.js'
import {createPace, createTimeline} from '../../src/commands/ipfix-export/pacing.js'
import {ipfixWire} from '../../src/commands/ipfix-export/wire.js'
import {StageLedger} from '../../src/record/ledger.js'
import {numberedRecords} from '../support/numbered.js'

/** A Collector that takes what it is sent and goes away. */
class Gone extends Destination {
  async run(): Promise<void> {
    const slice = (await this.next())!
    const to = slice.octets.length
    this.inFlight.add({slice, from: 0, to, at: 0, state: undefined})
    this.sent(slice, this.wire.encode(slice))
    await this.rewind()
  }
  hurry(): void {}
  settle(): void {}
  release(): void {}
}

test('what has to be sent again is not forgotten while it is counted', async (t) => {
  const log = createMemoryLog()
  await log.append([numberedRecords(1000)])
  const seen: number[] = []
  const around: Surroundings = {
    log: {
      ...log,
      start: log.start,
      end: log.end,
      octets: log.octets,
      async count(from, to) {
        // As a disk does, it takes its time, in which others ask.
        await new Promise((resolve) => setImmediate(resolve))
        seen.push(destination.safe)
        return log.count(from, to)
      },
    },
    gate: createGate(),
    timeline: createTimeline(),
    replay: undefined,
    lingerMs: 0,
    keeps: true,
    reportMs: 0,
    ended: () => true,
    signal: new AbortController().signal,
    note() {},
    checkpoint() {},
  }
  const account = new StageLedger('to nobody', 'records')
  const wire = ipfixWire({table: log.table, maxOctets: () => 65535, repeat: false, now: () => 0})
  const pace = createPace(undefined, 1 << 20)
  const destination = new Gone('nobody', account, around, wire, pace, 0)
  await destination.run()
  t.deepEqual(seen, [0])
  t.is(destination.safe, 0)
  t.is(account.noted.get('in-doubt'), 1000)
})
