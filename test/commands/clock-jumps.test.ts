/* Commands whose system's clock is set, by an hour or by ten years, forward and back, while they work. */
import {createSocket} from 'node:dgram'
import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout} from 'node:timers/promises'
import type {ExecutionContext} from 'ava'
import {decoded} from '../support/collector.js'
import {connection} from '../support/connection.js'
import {bin, folder, start, type Running} from '../support/darta.js'
import {cable, host, noNamespaces, startAt} from '../support/namespaces.js'
import {native} from '../support/native-addon.js'
import {needing} from '../support/needing.js'
import {numberedRecords} from '../support/numbered.js'
import {noClock, settableClock} from '../support/settable-clock.js'

const HOUR = 3600
const YEARS = 10 * 365 * 86_400

/** Clock ticks, 10 ms each, that a process has used. */
function ticksOf(pid: number): number {
  const words = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return Number(words[11]) + Number(words[12])
}

needing(noClock)(
  'a clock that is set by an hour or ten years, and back, loses no record, ends no file twice and keeps nothing busy',
  async (t) => {
    const place = folder(t)
    const {set, env} = settableClock(t)
    const files = join(place, 'files')
    const words = ['udp://127.0.0.1:0', '-w', join(files, '%Y-%m-%d_%H%M%S.ipfix')]
    const began = Date.now()
    const running = start(t, bin, ['collect', ...words, '-G', '1s', '-S', '', '-v'], {env})
    await running.says(/listening on \S+:\d+\n/)
    const port = Number(/listening on \S+:(\d+)\n/.exec(running.words())![1])
    const socket = createSocket('udp4')
    t.teardown(() => socket.close())

    /** How many files it has said that it wrote. */
    const written = (): number => running.words().split('wrote ').length - 1
    const says = async (count: number): Promise<void> => {
      await running.says(new RegExp(`(?:[^]*?wrote ){${count}}`))
    }
    let sent = 0
    for (const seconds of [0, HOUR, 0, -HOUR, 0, YEARS, 0]) {
      set(seconds)
      for (let n = 0; n < 10; n++) {
        const octets = numberedRecords(10, sent)
        sent += 10
        await new Promise((resolve) => socket.send(octets, port, '127.0.0.1', resolve))
      }
      // It turns over by itself, also after the clock was set back.
      await says(written() + 2)
    }
    const [ticks, from] = [ticksOf(running.child.pid!), performance.now()]
    await says(written() + 2)
    const perSecond = (ticksOf(running.child.pid!) - ticks) / ((performance.now() - from) / 1000)
    t.true(perSecond < 20, `${perSecond.toFixed(1)} ticks of 10 ms in a second without records`)
    running.child.kill('SIGTERM')
    const {code, stderr} = await running.ended
    t.is(code, 0, stderr)

    const names = readdirSync(files)
    const told = [...stderr.matchAll(/wrote (\S+)/g)].map(([, name]) => name)
    t.is(new Set(told).size, told.length, 'each is ended once')
    t.is(names.length, told.length)
    const ids: number[] = []
    const offsets = new Map<number, number>()
    for (const name of names) {
      const records = decoded(readFileSync(join(files, name))).records.filter((r) => 'flowId' in r)
      ids.push(...records.map(({flowId}) => Number(flowId)))
      const [date, time] = name.split('.')[0].split('_')
      const at = Date.parse(`${date}T${time.replace(/(..)(..)(..)/, '$1:$2:$3')}Z`)
      const offset = Math.round((at - began) / (HOUR * 1000))
      offsets.set(offset, (offsets.get(offset) ?? 0) + records.length)
    }
    t.deepEqual(
      ids.sort((a, b) => a - b),
      Array.from({length: sent}, (_, n) => n),
    )
    // What came lies in files of the time that the clock showed.
    t.deepEqual(
      [...offsets].filter(([, n]) => n > 0).sort(([a], [b]) => a - b),
      [
        [-1, 100],
        [0, 400],
        [1, 100],
        [YEARS / HOUR, 100],
      ],
    )
  },
)

/** Stops a process, all its threads, until it gets SIGCONT. */
async function stop({child}: Running): Promise<void> {
  const tasks = `/proc/${child.pid!}/task`
  child.kill('SIGSTOP')
  const isStopped = (id: string): boolean =>
    /\) [Tt] /.test(readFileSync(`${tasks}/${id}/stat`, 'utf8'))
  while (!readdirSync(tasks).every(isStopped)) await setTimeout(1)
}

/** Octets that wait in the kernel for the socket of this port. */
function waitingOctets(port: number): number {
  const mark = `:${port.toString(16).toUpperCase().padStart(4, '0')} `
  const line = readFileSync('/proc/net/udp', 'utf8')
    .split('\n')
    .find((one) => one.includes(mark))
  return parseInt(/ [0-9A-F]{8}:([0-9A-F]{8}) /.exec(line ?? '')![1], 16)
}

/** What a block's datagrams can come later than its first one: 32 bits of milliseconds. */
const MOST_AFTER_MS = 2 ** 32 - 1
const ROUNDS = 9

needing(noClock, native)(
  'what comes after a clock was set ahead by years has the time at which it came',
  async (t) => {
    const {stand, env} = settableClock(t)
    const began = Date.UTC(2026, 0, 1)
    stand(began)
    const words = ['udp://127.0.0.1:0', '-o', 'ndjson', '--no-losses']
    const running = start(t, bin, ['collect', ...words], {env})
    const times = new Map<number, number>()
    let rest = ''
    let came = 0
    running.child.stdout.on('data', (octets: Buffer) => {
      const lines = (rest + octets.toString()).split('\n')
      rest = lines.pop()!
      for (const line of lines) {
        const record = JSON.parse(line) as Record<string, string | number>
        if (record.flowId === undefined) continue
        times.set(Number(record.flowId), Date.parse(String(record.collectionTimeMilliseconds)))
      }
      came += octets.length
    })
    const comes = async (flowId: number): Promise<void> => {
      while (!times.has(flowId)) await running.gives(came + 1)
    }
    await running.says(/listening on \S+:\d+\n/)
    const port = Number(/listening on \S+:(\d+)\n/.exec(running.words())![1])
    const socket = createSocket('udp4')
    t.teardown(() => socket.close())
    let sent = 0
    const send = async (): Promise<number> => {
      const octets = numberedRecords(1, sent)
      await new Promise((resolve) => socket.send(octets, port, '127.0.0.1', resolve))
      return sent++
    }
    let now = began
    let cut = 0
    for (let round = 0; round < ROUNDS; round++) {
      // Once a block was handed over, and the clock stands, the next one waits for what comes.
      const first = await send()
      while (waitingOctets(port) > 0) await setTimeout(5)
      stand((now += 1000))
      await comes(first)
      const held = await send()
      while (waitingOctets(port) > 0) await setTimeout(5)
      // The receiver must not look between the clock and the datagram.
      await stop(running)
      const before = now
      stand((now += 365 * 86_400_000))
      const late = await send()
      running.child.kill('SIGCONT')
      await comes(held)
      stand((now += 1000))
      await comes(late)
      t.is(times.get(held), before)
      // Where it had looked at the clock and not at the socket yet, which is seldom, the time is as late as it can be.
      if (times.get(late) === before + MOST_AFTER_MS) cut++
      else t.is(times.get(late), now - 1000)
    }
    t.true(cut < ROUNDS / 2, `${cut} of ${ROUNDS}`)
    running.child.kill('SIGTERM')
    const {code, stderr} = await running.ended
    t.is(code, 0, stderr)
  },
)

needing(noClock, native)(
  'rates of users are those of the time that passed, whatever the clock is set to',
  async (t) => {
    const {set, env} = settableClock(t)
    const words = ['--source', 'sockets', '-o', 'table', '--plain', '-n', '--interval', '100ms']
    const running = start(t, bin, ['user-map', ...words], {env})
    const uid = String(process.getuid!())
    /** Octets that this user has received, and bits a second, of each look. */
    const looks: {octets: number; rate: number}[] = []
    let rest = ''
    let came = 0
    running.child.stdout.on('data', (octets: Buffer) => {
      const tables = (rest + octets.toString()).split(/^user /m)
      rest = tables.pop()!
      for (const table of tables.filter((one) => one !== '')) {
        const line = table.split('\n').find((one) => one.startsWith(`${uid} `))
        const [, , rate, , sum] = line?.trim().split(/ +/).map(Number) ?? [0, 0, 0, 0, 0]
        looks.push({octets: sum, rate})
      }
      came += octets.length
    })
    const comes = async (octets: number): Promise<void> => {
      while ((looks.at(-1)?.octets ?? -1) < octets) await running.gives(came + 1)
    }
    const {send} = await connection(t, 0)
    await comes(0)
    for (const ahead of [YEARS, 0, -HOUR]) {
      const {octets} = looks.at(-1)!
      // It looks at none of what follows, or at all.
      await stop(running)
      set(ahead)
      await send(SENT)
      running.child.kill('SIGCONT')
      await comes(octets + SENT)
    }
    running.child.kill('SIGTERM')
    const {code, stderr} = await running.ended
    t.is(code, 0, stderr)
    const grown = looks.filter(({octets}, i) => i > 0 && octets - looks[i - 1].octets >= SENT)
    t.true(grown.length > 0)
    for (const {rate} of grown) t.true(rate > 1000, JSON.stringify(looks))
  },
)

/** Octets that are more than a few bits a second for as long as anyone waits. */
const SENT = 1_000_000

/** Sends a datagram for each octet that it reads. */
const sender = `
  const socket = require('node:dgram').createSocket('udp4')
  process.stdin.on('data', (octets) => {
    for (const _ of octets) socket.send('x', 9, '192.0.2.1')
  })`

/** Datagrams that come together, of one Flow. */
const BURST = 5

for (const backend of ['tpacket', 'af-xdp'] as const) {
  needing(
    noClock,
    noNamespaces,
    native,
  )(
    `when a clock that was ahead is set back, a capture by ${backend} makes no Flow of each packet until that time comes`,
    (t) => setWhileCapturing(t, backend),
  )
}

async function setWhileCapturing(
  t: ExecutionContext,
  backend: 'tpacket' | 'af-xdp',
): Promise<void> {
  const {set, env} = settableClock(t)
  t.timeout(120_000, 'records of a burst do not come')
  const [near, far] = [host(t), host(t)]
  cable(near, 'near', far, 'far')
  far.run('ip', 'address', 'add', '192.0.2.2/24', 'dev', 'far')
  const words = ['-i', 'near', '-o', 'ndjson', '--idle-timeout', '200ms', '-f', 'udp']
  const running = startAt(t, near, [bin, 'capture', ...words, '--backend', backend], {env})
  const flows: Record<string, number | string>[] = []
  let rest = ''
  let look = (): void => {}
  running.child.stdout.on('data', (octets: Buffer) => {
    const lines = (rest + octets.toString()).split('\n')
    rest = lines.pop()!
    const records = lines.map((line) => JSON.parse(line) as (typeof flows)[number])
    flows.push(...records.filter((record) => 'packetDeltaCount' in record))
    look()
  })
  await running.says(/capturing on/)
  const sending = startAt(t, far, [process.execPath, '-e', sender])
  let sent = 0
  const packets = (): number => {
    return flows.reduce((sum, flow) => sum + Number(flow.packetDeltaCount), 0)
  }
  /** Sends a burst and waits for its records; gives how many there are. */
  async function burst(): Promise<number> {
    const before = flows.length
    sending.child.stdin.write('.'.repeat(BURST))
    sent += BURST
    while (packets() < sent) await new Promise<void>((resolve) => (look = resolve))
    return flows.length - before
  }
  /** Hours by which the last Flow's time is ahead of ours. */
  const hoursAhead = (): number => {
    const ms = Date.parse(String(flows.at(-1)!.flowEndMilliseconds)) - Date.now()
    return Math.round(ms / (HOUR * 1000))
  }
  t.is(await burst(), 1)
  for (const ahead of [YEARS, -HOUR]) {
    set(ahead)
    // Sockets of af-xdp have their times of the host's clock as it is.
    if (backend === 'af-xdp')
      do await burst()
      while (hoursAhead() !== ahead / HOUR)
    // The kernel's times stay: when the meter's clock goes by the host's, packets are long behind it.
    else if (ahead > 0) while ((await burst()) === 1);
    else await burst()
    set(0)
    let tries = 0
    while ((await burst()) > 1 || hoursAhead() !== 0) {
      if (++tries === 10) throw new Error('there is a Flow for each packet')
    }
  }
  running.child.kill('SIGTERM')
  const {code, stderr} = await running.ended
  t.is(code, 0, stderr)
  t.is(packets(), sent)
  for (const {flowStartMilliseconds: start, flowEndMilliseconds: end} of flows) {
    t.true(Date.parse(String(end)) >= Date.parse(String(start)), `from ${start} to ${end}`)
  }
}
