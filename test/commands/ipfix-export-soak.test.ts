import test from 'ava'
import {readFileSync, readdirSync} from 'node:fs'
import {basename, join} from 'node:path'
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
  const listen = async (port: number): Promise<{keeping: Running; port: number; name: string}> => {
    // Not by its process alone: numbers of processes come again.
    const name = `${kept}.${collectors++}`
    const keeping = start(t, process.execPath, [keeper, String(port), name])
    await keeping.says(/ready \d+/)
    return {keeping, port: Number(/ready (\d+)/.exec(keeping.words())![1]), name: basename(name)}
  }
  let collector = await listen(0)
  const {port} = collector
  const to = `tcp://127.0.0.1:${port}`
  const exporter = (): Running =>
    start(t, bin, ['ipfix-export', '--spill', spool, '--reconnect', '20ms', '--rate', '40k', to])

  // The exporter dies with what a pipe still holds, so that is told how far it has come before it is killed.
  let doubtful = 0
  const sessions = 3
  const share = count / sessions
  let over = false
  let calm = false
  let killingNow = false
  const killing = (async () => {
    while (!over) {
      killingNow = false
      // Longer than what is in doubt lasts: who dies sooner gets the same again and again.
      await delay(1200 + random(800))
      if (calm) continue
      killingNow = true
      collector.keeping.child.kill('SIGKILL')
      await collector.keeping.ended
      // Now and then it is away for longer.
      if (random(4) === 0) await delay(200)
      collector = await listen(port)
    }
  })()
  for (let session = 0; session < sessions; session++) {
    const connections = (): number =>
      readdirSync(place).filter((name) => name.startsWith('kept.')).length
    const connectionsBefore = connections()
    const running = exporter()
    running.child.stdin.write(numberedRecords(share, session * share))
    if (session < sessions - 1) {
      // Until all is taken in; the rest of the time is the next one's.
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
      // What it tells last has to be all that there is to tell: until it is dead, nobody else dies.
      calm = true
      while (killingNow) await delay(20)
      // Connected to the one that lives now, it has accounted for the end of those before.
      const connected = (): boolean =>
        readdirSync(place).some((name) => name.startsWith(`${collector.name}.`))
      while (!connected()) await delay(20)
      // What is read of it may be older: an account that knows of that connection is not.
      const told = (): number => lastOf(running.words(), 'connections')
      while (told() < connections() - connectionsBefore) {
        running.child.kill('SIGUSR1')
        await delay(20)
      }
      running.child.kill('SIGKILL')
      const {stderr} = await running.ended
      calm = false
      doubtful += lastOf(stderr, 'in-doubt')
    } else {
      running.child.stdin.end()
      const {code, stderr} = await running.ended
      t.is(code, 0, stderr)
      doubtful += lastOf(stderr, 'in-doubt')
    }
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
