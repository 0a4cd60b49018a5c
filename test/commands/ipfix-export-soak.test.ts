import test from 'ava'
import {readFileSync, readdirSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as delay} from 'node:timers/promises'
import {createRandom} from '../support/random.js'
import {decoded} from '../support/collector.js'
import {bin, folder, start, type Running} from '../support/darta.js'
import {numberedRecords} from '../support/numbered.js'
import {root} from '../support/needing.js'

/** Of sending, at 33,000 records a second; DARTA_SOAK_SECONDS makes it longer. */
const seconds = Number(process.env.DARTA_SOAK_SECONDS ?? 4)
const count = 33_000 * seconds

test('a soak with a Collector killed at random, and twice the exporter, loses no record and doubles no more than it says', async (t) => {
  const place = folder(t)
  const kept = join(place, 'kept')
  const spool = join(place, 'spool')
  const keeper = join(root, 'build/test/support/keep-stream.js')
  const random = createRandom(20261125)
  let collectors = 0
  const listen = async (port: number): Promise<{keeping: Running; port: number}> => {
    // Not by its process alone: numbers of processes come again.
    const keeping = start(t, process.execPath, [keeper, String(port), `${kept}.${collectors++}`])
    await keeping.says(/ready \d+/)
    return {keeping, port: Number(/ready (\d+)/.exec(keeping.words())![1])}
  }
  let collector = await listen(0)
  const {port} = collector
  const to = `tcp://127.0.0.1:${port}`
  const exporter = (): Running =>
    start(t, bin, ['ipfix-export', '--spill', spool, '--reconnect', '20ms', '--rate', '40k', to])

  let over = false
  const killing = (async () => {
    while (!over) {
      // Longer than what is in doubt lasts: who dies sooner gets the same again and again.
      await delay(1200 + random(800))
      collector.keeping.child.kill('SIGKILL')
      await collector.keeping.ended
      // Now and then it is away for longer.
      if (random(4) === 0) await delay(200)
      collector = await listen(port)
    }
  })()
  const sessions = 3
  const share = count / sessions
  for (let session = 0; session < sessions - 1; session++) {
    const running = exporter()
    running.child.stdin.write(numberedRecords(share, session * share))
    // Until all is taken in, since what a pipe still holds dies with it; the rest of the time is the next one's.
    const held = (): boolean => {
      const before = /: (\d+) records from before go first/.exec(running.words())
      return running
        .words()
        .includes(`: to ${to}: ${share + Number(before?.[1] ?? 0)} records in, `)
    }
    while (!held()) {
      await delay(50)
      running.child.kill('SIGUSR1')
    }
    await delay(random(1000))
    running.child.kill('SIGKILL')
    await running.ended
  }
  // The last one tells what those that were killed could not tell any more. Who is away for too long gets the rest from
  // one more.
  let doubtful = 0
  for (let rest = numberedRecords(share, (sessions - 1) * share); ; rest = new Uint8Array(0)) {
    const running = exporter()
    running.child.stdin.end(rest)
    const {code, stderr} = await running.ended
    t.is(code, 0, stderr)
    doubtful += lastOf(stderr, 'in-doubt')
    if (!/\d+ records are kept/.test(stderr)) break
  }
  over = true
  await killing
  const seen = new Uint8Array(count)
  let got = 0
  for (const name of readdirSync(place).filter((file) => file.startsWith('kept.'))) {
    for (const {flowId} of decoded(readFileSync(join(place, name))).records) {
      seen[flowId as number] = 1
      got++
    }
  }
  t.is(
    seen.reduce((n, one) => n + one, 0),
    count,
  )
  t.log(`${count} records, ${got - count} doubled, ${doubtful} in doubt`)
  t.true(got - count <= doubtful, `${got - count} doubled, ${doubtful} in doubt`)
})

/** What the last whole line of the account says of this. */
function lastOf(words: string, reason: string): number {
  const lines = words.split('\n').slice(0, -1)
  const line = lines.findLast((one) => one.includes(': to tcp:')) ?? ''
  return Number(new RegExp(`${reason} (\\d+)`).exec(line)?.[1] ?? 0)
}
