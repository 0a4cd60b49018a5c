import test, {type ExecutionContext} from 'ava'
import {appendFileSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {NO_PREVIOUS, readUsageLog} from '../../src/commands/user-map/usage-log.js'
import {openUsageLog, type UsageLogOptions} from '../../src/commands/user-map/usage-log-writer.js'
import type {UserTotal} from '../../src/metering/user-account.js'
import {connection} from '../support/connection.js'
import {bin, darta, folder, start} from '../support/darta.js'
import {native} from '../support/native-addon.js'
import {needing} from '../support/needing.js'

const options: UsageLogOptions = {source: 'kmod', began: '1000', timeMs: 2000, reset: false}
const name = (uid: number): string => `u"${uid}`

const total = (uid: number, packets: number): UserTotal => ({
  row: 'user',
  uid,
  ipVersion: 4,
  protocol: 'tcp',
  direction: 'out',
  packets,
  octets: 100 * packets,
})

/** A log of 2 + 3 × `looks` entries. */
function written(t: ExecutionContext, looks = 4): string {
  const path = join(folder(t), 'usage')
  const log = openUsageLog(path, options)
  for (let n = 1; n <= looks; n++) {
    log.append(
      2000 + n,
      [1, 2, 3].map((uid) => total(uid, n * uid)),
      name,
    )
  }
  log.close(9000)
  return path
}

/** What stands at the beginning of each line. */
function offsetsOf(octets: Buffer): number[] {
  const offsets = [0]
  for (let at = octets.indexOf(10); at !== -1; at = octets.indexOf(10, at + 1)) offsets.push(at + 1)
  return offsets.slice(0, -1)
}

const deltas = (path: string): string[] => {
  const lines: string[] = []
  readUsageLog(path, (_entry, _hash, {userName, octetDeltaCount}) => {
    if (typeof userName === 'string') lines.push(`${userName} ${Number(octetDeltaCount)}`)
  })
  return lines
}

test('a usage log is whole from its first entry to its last', (t) => {
  const path = written(t)
  const state = readUsageLog(path)
  t.is(state.entries, 14)
  t.is(state.octets, statSync(path).size)
  t.true(state.closed)
  t.is(state.fault, undefined)
  t.is(state.cut, undefined)
  t.is(state.from, new Date(2000).toISOString())
  t.is(state.to, new Date(9000).toISOString())
  t.is(statSync(path).mode & 0o777, 0o600)
})

test('each octet that is changed breaks the chain at its entry', (t) => {
  const path = written(t, 1)
  const octets = readFileSync(path)
  const offsets = offsetsOf(octets)
  for (let at = 0; at < octets.length; at++) {
    const changed = Buffer.from(octets)
    changed[at] ^= 1
    writeFileSync(path, changed)
    const entry = offsets.findLastIndex((offset) => offset <= at)
    const {fault, cut, entries} = readUsageLog(path)
    t.is(entries, entry, `octet ${at}`)
    // Of the last entry without its line feed it cannot be told whether it was changed.
    if (at === octets.length - 1) t.is(cut?.offset, offsets[entry])
    else t.is(fault?.offset, offsets[entry], `octet ${at}`)
  }
})

test('each cut is seen, and told from damage', (t) => {
  const path = written(t, 1)
  const octets = readFileSync(path)
  const offsets = offsetsOf(octets)
  for (let at = 1; at < octets.length; at++) {
    writeFileSync(path, octets.subarray(0, at))
    const {fault, cut, entries, closed} = readUsageLog(path)
    t.is(fault, undefined)
    t.false(closed)
    const last = offsets.findLastIndex((offset) => offset < at)
    const whole = octets[at - 1] === 10
    t.is(entries, whole ? last + 1 : last)
    t.deepEqual(
      cut && [cut.offset, cut.octets],
      whole ? undefined : [offsets[last], at - offsets[last]],
    )
  }
})

for (const [title, change, entry, reason] of [
  ['taken out', (l: string[]) => l.splice(5, 1), 5, /taken out/],
  ['put in again', (l: string[]) => l.splice(5, 0, l[4]), 5, /again/],
  ['exchanged', (l: string[]) => ([l[5], l[6]] = [l[6], l[5]]), 5, /taken out/],
  ['taken out at the beginning', (l: string[]) => l.shift(), 0, /taken out/],
] as const) {
  test(`entries that were ${title} are named`, (t) => {
    const path = written(t)
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
    change(lines)
    writeFileSync(path, `${lines.join('\n')}\n`)
    const {fault} = readUsageLog(path)
    t.is(fault?.entry, entry)
    t.regex(fault!.reason, reason)
    t.is(fault?.behind, lines.length - entry - 1)
    t.is(fault?.behindWhole, lines.length - entry - 1)
  })
}

test('an entry that was made anew with a hash of its own does not fit those behind it', async (t) => {
  const path = written(t)
  const {entryLine} = await import('../../src/commands/user-map/usage-log.js')
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
  const {_chain, _hash, ...members} = JSON.parse(lines[5]) as {
    _chain: {entry: number; previous: string}
    _hash: string
  } & Record<string, number>
  t.is(typeof _hash, 'string')
  members.octetDeltaCount = 1
  lines[5] = entryLine(5, _chain.previous, Object.entries(members)).line.trimEnd()
  writeFileSync(path, `${lines.join('\n')}\n`)
  t.is(readUsageLog(path).fault?.entry, 6)
  t.regex(readUsageLog(path).fault!.reason, /exchanged/)
})

test('a log goes on after a restart where it ended, and no octet stands in it twice', (t) => {
  const path = join(folder(t), 'usage')
  const first = openUsageLog(path, options)
  first.append(3000, [total(1, 10)], name)
  first.close(3001)
  const second = openUsageLog(path, {...options, timeMs: 4000})
  second.append(4001, [total(1, 12)], name)
  // Nothing came, nothing is written.
  second.append(4002, [total(1, 12)], name)
  second.close(4003)
  // The module was loaded again: its counters began anew.
  const third = openUsageLog(path, {...options, timeMs: 5000, began: '4500'})
  third.append(5001, [total(1, 30)], name)
  third.close(5002)
  const state = readUsageLog(path)
  t.is(state.entries, 9)
  t.is(state.fault, undefined)
  t.deepEqual(deltas(path), ['u"1 1000', 'u"1 200', 'u"1 3000'])
})

test('counters that begin anew at each look are taken as they are', (t) => {
  const path = join(folder(t), 'usage')
  for (let run = 0; run < 2; run++) {
    const log = openUsageLog(path, {...options, reset: true})
    log.append(3000, [total(1, 10)], name)
    log.append(3001, [total(1, 7)], name)
    log.close(3001)
  }
  t.deepEqual(deltas(path), ['u"1 1000', 'u"1 700', 'u"1 1000', 'u"1 700'])
})

test('what a crash left of a last line is taken off, and an entry says so', (t) => {
  const path = written(t)
  const octets = readFileSync(path)
  writeFileSync(path, octets.subarray(0, octets.length - 40))
  const {entries, cut} = readUsageLog(path)
  const log = openUsageLog(path, {...options, timeMs: 10_000})
  log.append(10_001, [total(1, 5)], name)
  log.close(10_002)
  const events: unknown[] = []
  const state = readUsageLog(path, (entry, _hash, members) => {
    if (entry >= entries) events.push(members.event, members.cut)
  })
  t.is(state.fault, undefined)
  t.is(state.cut, undefined)
  t.deepEqual(events.slice(0, 2), ['mended', {octets: cut!.octets, sha256: cut!.hash}])
  t.deepEqual(deltas(path).at(-1), 'u"1 100')
})

test('a broken log is not continued, nor one that somebody else writes to', (t) => {
  const path = written(t)
  const octets = readFileSync(path)
  octets[100] ^= 1
  writeFileSync(path, octets)
  t.throws(() => openUsageLog(path, options), {code: 'DARTA_LEDGER', message: /changed/})
  const both = written(t)
  const one = openUsageLog(both, options)
  const other = openUsageLog(both, options)
  t.throws(() => one.append(3000, [total(1, 99)], name), {
    code: 'DARTA_LEDGER',
    message: /somebody else/,
  })
  other.close(3000)
  t.is(readUsageLog(both).fault, undefined)
})

test('a line without end costs no more memory than others', (t) => {
  const path = written(t)
  const {size} = statSync(path)
  appendFileSync(path, Buffer.alloc(5 << 20, 'x'))
  t.deepEqual(readUsageLog(path).cut?.octets, 5 << 20)
  appendFileSync(path, '\n')
  const {fault, entries} = readUsageLog(path)
  t.is(entries, 14)
  t.is(fault?.offset, size)
})

test('the first entry follows from nothing', (t) => {
  let previous: unknown
  readUsageLog(written(t), (entry, _hash, members) => {
    if (entry === 0) ({previous} = members._chain as {previous: string})
  })
  t.is(previous, NO_PREVIOUS)
})

test('verify names the first broken entry, where it is, and what is cut off', async (t) => {
  const path = written(t)
  const good = await darta(t, ['user-map', 'verify', path])
  t.is(good.code, 0, good.stderr)
  const [, head] = /the last one (\d+:[0-9a-f]{64})$/m.exec(good.stdout.toString())!
  t.is((await darta(t, ['user-map', 'verify', path, '--head', head])).code, 0)
  const octets = readFileSync(path)
  const offsets = offsetsOf(octets)

  writeFileSync(path, octets.subarray(0, offsets[10]))
  const short = await darta(t, ['user-map', 'verify', path])
  t.is(short.code, 0)
  t.regex(short.stdout.toString(), /not closed/)
  const known = await darta(t, ['user-map', 'verify', path, '--head', head])
  t.is(known.code, 1)
  t.regex(known.stderr, /entries 10 to 13 are cut off/)

  writeFileSync(path, octets.subarray(0, offsets[10] + 7))
  const cut = await darta(t, ['user-map', 'verify', path])
  t.is(cut.code, 1)
  t.regex(cut.stderr, new RegExp(`entry 10 is cut off after 7 octets.*octet ${offsets[10]}\\)`))

  octets[offsets[6] + 200] ^= 1
  writeFileSync(path, octets)
  const broken = await darta(t, ['user-map', 'verify', path])
  t.is(broken.code, 1)
  t.regex(
    broken.stderr,
    new RegExp(
      `entry 6: it was changed; 7 lines follow it, 7 of them whole.*octet ${offsets[6]}\\)`,
    ),
  )
})

needing(native)('a log outlives a writer that is killed', async (t) => {
  const path = join(folder(t), 'usage')
  const {close} = await connection(t, 50_000)
  const words = ['user-map', '--source', 'sockets', '-o', 'null', '--interval', '50ms']
  const killed = start(t, bin, [...words, '--ledger', path])
  for (;;) {
    try {
      if (readFileSync(path).includes('dartaAccountRow')) break
    } catch {
      // Not there yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  killed.child.kill('SIGKILL')
  await killed.ended
  const {closed, fault, entries} = readUsageLog(path)
  t.false(closed)
  t.is(fault, undefined)
  const again = await darta(t, [...words, '-c', '2', '--ledger', path])
  t.is(again.code, 0, again.stderr)
  const state = readUsageLog(path)
  t.true(state.closed)
  t.true(state.entries > entries)
  t.regex(again.stderr, new RegExp(`the last one ${state.entries - 1}:${state.head}`))
  close()
})
