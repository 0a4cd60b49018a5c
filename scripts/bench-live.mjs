// Live capture against its peers over a veth pair in namespaces of its own. Needs root, iproute2, ethtool and the
// tools of ../shared/bench; `npm run bench -- live [options]` comes here.
//
//   --rates 1000,20000,most       packets a second that are offered; most: what xgen.cc drives, about a million
//   --rows REGEX                  which programs; --list names them
//   --runs 3                      rounds; the programs of a rate run in turns, so that a slow spell meets all of them
//   --seconds 5                   how long packets come
//   --dir bench-data              where live.pcap is, or is made: 1 M whole frames of up to 96 octets, 100,000 Flows
//   --loss                        instead: darta and tcpdump alone, at 100,000, 300,000, 500,000 a second and most
//   --cost                        instead: what a packet costs that is accepted, and one that is rejected, by each backend
//
// CPU is user + sys of the program's processes per million packets that came to the interface: `running` while packets
// come and until nothing is left to do, by the scheduler's own account, and `to the end` with the records of all Flows that
// are written then, and the program's own end. Lost is what came and is not in the program's own count. What the kernel
// does for a packet before any program runs is the sender's time, and shows only in --cost. The status is 1 if darta lost
// packets at a rate at which tcpdump lost none. pktsend sends the frames of live.pcap, which cannot
// everywhere be as fast as it is told; xgen.cc sends 16,384 Flows.
import {execFileSync, spawn, spawnSync} from 'node:child_process'
import {existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import {cpus, release} from 'node:os'
import {join, resolve} from 'node:path'
import {fileURLToPath} from 'node:url'
import {parseArgs} from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
const tools = join(root, '../shared/bench')
const darta = join(root, 'bin/darta')
const {values: options} = parseArgs({
  args: process.argv.slice(2).filter((word) => word !== 'live'),
  options: {
    rates: {type: 'string', default: ''},
    rows: {type: 'string', default: ''},
    runs: {type: 'string', default: '3'},
    seconds: {type: 'string', default: '5'},
    dir: {type: 'string', default: join(root, 'bench-data')},
    json: {type: 'string'},
    list: {type: 'boolean', default: false},
    cost: {type: 'boolean', default: false},
    loss: {type: 'boolean', default: false},
  },
})
const dir = resolve(options.dir)
const out = join(dir, 'out')
const wanted = new RegExp(options.rows || (options.loss ? '^(darta|tcpdump.*)$' : ''))
const rates = (
  options.rates ||
  (options.loss ? '100000,300000,500000,most' : '1000,5000,20000,100000,500000,most')
).split(',')
const seconds = Number(options.seconds)
const [A, B] = [`darta-bench-${process.pid}-a`, `darta-bench-${process.pid}-b`]
const inside = (name, words) => ['ip', ['netns', 'exec', name, ...words]]
const run = (name, ...words) => execFileSync(...inside(name, words), {encoding: 'utf8'})

function fail(message) {
  console.error(`bench: ${message}`)
  process.exit(1)
}

function build() {
  mkdirSync(out, {recursive: true})
  for (const source of ['gen.c', 'measure.c', 'sumflow.c', 'sink.c', 'pktsend.c', 'xgen.cc']) {
    const path = join(tools, source)
    if (!existsSync(path)) fail(`the programs that send are made of ${path}, which is not there`)
    const program = join(dir, source.replace(/\..*/, ''))
    if (existsSync(program)) continue
    execFileSync(source.endsWith('.cc') ? 'g++' : 'cc', ['-O2', '-o', program, path, '-lm'])
  }
  if (existsSync(join(dir, 'live.pcap'))) return
  const recipe = ['pcap', '--packets', '1000000', '--flows', '100000', '--max-len', '96']
  execFileSync(join(dir, 'gen'), [
    ...recipe,
    ...['--out', join(dir, 'live.pcap'), '--truth', join(dir, 'live.json')],
  ])
}

function makeCable() {
  for (const name of [A, B]) execFileSync('ip', ['netns', 'add', name])
  const words = ['link', 'add', 'name', 'out', 'type', 'veth', 'peer', 'name', 'in', 'netns', B]
  execFileSync('ip', ['-n', A, ...words])
  for (const [name, port] of [
    [A, 'out'],
    [B, 'in'],
  ]) {
    run(name, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1')
    run(name, 'ip', 'link', 'set', 'lo', 'up')
    run(name, 'ip', 'link', 'set', port, 'up', 'multicast', 'off', 'arp', 'off')
  }
  // What xgen sends is accepted only where frames are received in polls.
  run(B, 'ethtool', '-K', 'in', 'gro', 'on')
}

function removeCable() {
  for (const name of [A, B]) spawnSync('ip', ['netns', 'del', name])
}

const received = () => {
  const line = run(B, 'cat', '/proc/net/dev')
    .split('\n')
    .find((text) => /^\s*in:/.test(text))
  return Number(line.split(':')[1].trim().split(/\s+/)[1])
}

const kernelLine = (text) => {
  const [, all, lost] = /kernel: (\d+) packets in, \d+ out(?:, lost (\d+))?/.exec(text) ?? []
  return all === undefined ? undefined : Number(all) - Number(lost ?? 0)
}
const ipfix = join(out, 'live.ipfix')
const metered = ['capture', '-i', 'in', '-w', ipfix, '--force']
const flowPackets = (path) => {
  const {stdout} = spawnSync(join(dir, 'sumflow'), [path], {encoding: 'utf8'})
  return stdout ? JSON.parse(stdout).packets : undefined
}
const dartaRow = (name, ...words) => ({
  name,
  command: [darta, ...metered, ...words],
  ready: (text) => text.includes('capturing on'),
  counted: kernelLine,
})
const timeouts = ['tcp', 'udp', 'icmp', 'general', 'tcp.fin', 'tcp.rst'].flatMap((t) => [
  '-t',
  `${t}=60`,
])
const allRows = [
  dartaRow('darta'),
  dartaRow('darta af-xdp', '--backend', 'af-xdp'),
  dartaRow('darta libpcap', '--backend', 'libpcap'),
  {
    name: 'softflowd',
    command: [
      ...['softflowd', '-i', 'in', '-n', '127.0.0.1:9999', '-v', '10', '-d', '-6', '-m', '2000000'],
      ...[
        '-B',
        '67108864',
        ...timeouts,
        '-t',
        'maxlife=300',
        '-p',
        'none',
        '-c',
        join(out, 'sf.ctl'),
      ],
    ],
    sink: join(out, 'softflowd.ipfix'),
    stop: ['softflowctl', '-c', join(out, 'sf.ctl'), 'shutdown'],
    counted: () => flowPackets(join(out, 'softflowd.ipfix')),
  },
  {
    name: 'tcpdump -w /dev/null',
    command: [
      'tcpdump',
      '-i',
      'in',
      '-n',
      '-w',
      '/dev/null',
      '-s',
      '96',
      '-B',
      '65536',
      '-Z',
      'root',
    ],
    ready: (text) => text.includes('listening on'),
    counted: (text) => Number(/(\d+) packets captured/.exec(text)?.[1]),
  },
]

/** CPU seconds so far of the threads of a process and of all processes below it, to the nanosecond. */
function cpuOf(pid) {
  let sum = 0
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const at = `/proc/${pid}/task/${thread}`
      sum += Number(readFileSync(`${at}/schedstat`, 'utf8').split(' ')[0]) / 1e9
      const children = readFileSync(`${at}/children`, 'utf8').split(' ')
      for (const child of children.filter(Boolean)) sum += cpuOf(child)
    }
  } catch {
    // It has ended.
  }
  return sum
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms))

/** The same of the program that `measure` runs. */
const cpuBelow = (pid) =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
    .reduce((sum, child) => sum + cpuOf(child), 0)

/** Waits until a process has nothing left to do. */
async function settled(pid) {
  let before = -1
  for (let quiet = 0, rounds = 0; quiet < 3 && rounds < 60; rounds++) {
    await pause(500)
    const now = cpuBelow(pid)
    quiet = now - before > 0.002 ? 0 : quiet + 1
    before = now
  }
}

/** The first packets of live.pcap, or all of them. */
function firstPackets(packets) {
  const whole = join(dir, 'live.pcap')
  if (packets >= 1e6) return whole
  const path = join(out, `live-${packets}.pcap`)
  if (existsSync(path)) return path
  const octets = readFileSync(whole)
  let at = 24
  for (let i = 0; i < packets; i++) at += 16 + octets.readUInt32LE(at + 8)
  writeFileSync(path, octets.subarray(0, at))
  return path
}

function send(rate) {
  if (rate === 'most') return run(A, join(dir, 'xgen'), 'out', String(seconds), '14')
  const packets = Math.round(Number(rate) * seconds)
  const loops = Math.max(1, Math.round(packets / 1e6))
  const words = ['--if', 'out', '--rate', rate, '--loops', String(loops), firstPackets(packets)]
  return run(A, join(dir, 'pktsend'), ...words)
}

/** Starts a program that captures, and resolves when it does. */
async function start(row) {
  const extra = []
  if (row.sink !== undefined) {
    rmSync(row.sink, {force: true})
    rmSync(join(out, 'sf.ctl'), {force: true})
    extra.push(spawn(...inside(B, [join(dir, 'sink'), '9999', row.sink]), {stdio: 'ignore'}))
    await pause(300)
  }
  const child = spawn(...inside(B, [join(dir, 'measure'), ...row.command]), {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    env: {...process.env, PATH: `${process.env.PATH}:/usr/sbin`},
  })
  const texts = {2: '', 3: ''}
  for (const fd of [2, 3])
    child.stdio[fd].setEncoding('utf8').on('data', (text) => (texts[fd] += text))
  const ended = new Promise((done) => child.on('close', done))
  if (row.ready === undefined) {
    while (run(B, 'cat', '/proc/net/packet').trim().split('\n').length < 2) await pause(100)
  } else {
    for (let i = 0; i < 200 && !row.ready(texts[2]); i++) await pause(50)
  }
  await settled(child.pid)
  return {child, texts, ended, extra}
}

async function stop(row, {child, texts, ended, extra}) {
  if (row.stop === undefined) child.kill('SIGINT')
  else run(B, ...row.stop)
  // Some look at the signal only when a packet comes.
  const nudge = setInterval(() => {
    if (row.stop !== undefined) spawnSync(...inside(A, ['ping', '-c1', '-W1', '192.0.2.1']))
  }, 500)
  await ended
  clearInterval(nudge)
  for (const one of extra) {
    one.kill('SIGTERM')
    await new Promise((done) => one.on('close', done))
  }
  return JSON.parse(texts[3])
}

async function once(row, rate) {
  const running = await start(row)
  const before = received()
  const idle = cpuBelow(running.child.pid)
  const begun = performance.now()
  const said = send(rate)
  const took = (performance.now() - begun) / 1000
  await settled(running.child.pid)
  const offered = received() - before
  const ran = cpuBelow(running.child.pid) - idle
  const {user, sys} = await stop(row, running)
  const sent = Number(/"packets": (\d+)/.exec(said)?.[1] ?? /sent (\d+)/.exec(said)?.[1])
  return {
    rate: offered / took,
    sent,
    offered,
    cpu: (ran / offered) * 1e6,
    toEnd: ((user + sys - idle) / offered) * 1e6,
    lost: offered - (row.counted(running.texts[2]) ?? NaN),
  }
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1]
const cell = (value, digits) => (Number.isFinite(value) ? value.toFixed(digits) : '?')

async function compareRates() {
  const rows = allRows.filter(({name, command}) => {
    if (!wanted.test(name)) return false
    const there =
      spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin command -v ${command[0]}`]).status === 0
    if (!there) console.error(`bench: ${name} left out: it is not installed`)
    return there
  })
  const results = []
  console.log('offered/s   program               CPU s per M           to darta   lost')
  console.log(
    '                                  running   to the end             least, most of the rounds',
  )
  for (const rate of rates) {
    const taken = rows.map(() => [])
    for (let round = 0; round < Number(options.runs); round++) {
      for (const [i, row] of rows.entries()) {
        taken[i].push(await once(row, rate))
      }
    }
    rows.forEach(({name}, i) => {
      const cpu = median(taken[i].map((one) => one.cpu))
      const toEnd = median(taken[i].map((one) => one.toEnd))
      const ratio = median(taken[i].map((one, round) => one.cpu / taken[0][round].cpu))
      const lost = taken[i].map((one) => one.lost)
      const offered = median(taken[i].map((one) => one.rate))
      console.log(
        `${cell(offered, 0).padStart(9)}   ${name.padEnd(20)}  ${cell(cpu, 3).padStart(7)}   ` +
          `${cell(toEnd, 3).padStart(10)}   ${cell(ratio, 2).padStart(8)}   ${Math.min(...lost)}, ${Math.max(...lost)}`,
      )
      results.push({rate, name, cpu, toEnd, ratio, runs: taken[i]})
    })
    const lostBy = (name) =>
      taken[rows.findIndex((one) => one.name === name)]?.map(({lost}) => lost)
    const [ours, witness] = [lostBy('darta'), lostBy('tcpdump -w /dev/null')]
    // In the same round, as what disturbs one is not there for the other.
    if (ours?.some((lost, round) => lost > 0 && witness?.[round] === 0)) {
      console.log(`darta lost packets at ${rate}/s where tcpdump lost none`)
      process.exitCode = 1
    }
  }
  return results
}

/**
 * What a packet costs all who handle it, in CPU time of sender and program: with no capture, with captures that reject it
 * in the kernel, with some that accept and meter it. The sender's own part is in all of them and drops out. Packets that
 * pktsend sends have to be copied for XDP programs on a veth pair; those of xgen come from a driver, as a card's do.
 */
async function compareCosts() {
  const base = ['capture', '-i', 'in', '-w', ipfix, '--force']
  // The slots of one part in 4096 are one: nearly nothing is accepted.
  const share = ['--share', '1/4096']
  const xdp = ['--backend', 'af-xdp']
  const cases = [
    ['no capture'],
    ['rejected by a filter', '-f', 'udp port 9'],
    ['rejected by a share', ...share],
    ['rejected, --mirror-port', ...share, '--mirror-port'],
    ['rejected by af-xdp', ...share, ...xdp],
    ['rejected by af-xdp, --mirror-port', ...share, ...xdp, '--mirror-port'],
    ['accepted and metered'],
    ['accepted by af-xdp', ...xdp],
  ].map(([name, ...words]) => ({
    name,
    row:
      name === 'no capture' ? undefined : {...dartaRow(name), command: [darta, ...base, ...words]},
  }))
  const senders = {
    'sent by pktsend': [join(dir, 'pktsend'), '--if', 'out', '--rate', '0', join(dir, 'live.pcap')],
    'from a driver, by xgen': [join(dir, 'xgen'), 'out', '2', '14'],
  }
  const taken = Object.keys(senders).map(() => cases.map(() => []))
  for (let round = 0; round < Number(options.runs); round++) {
    for (const [i, {row}] of cases.entries()) {
      for (const [k, send] of Object.values(senders).entries()) {
        const running = row && (await start(row))
        const idle = running === undefined ? 0 : cpuBelow(running.child.pid)
        const sender = spawnSync(...inside(A, [join(dir, 'measure'), ...send]), {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'pipe'],
        })
        // Descriptor 3 is not open there: its words come on standard error.
        const told = JSON.parse(sender.stderr.trim().split('\n').at(-1))
        const sent = Number(/(?:"packets": |sent )(\d+)/.exec(sender.stdout)[1])
        if (running !== undefined) await settled(running.child.pid)
        const program = running === undefined ? 0 : cpuBelow(running.child.pid) - idle
        if (running !== undefined) await stop(row, running)
        taken[k][i].push(((told.user + told.sys + program) / sent) * 1e6)
      }
    }
  }
  // Other work of the machine only ever adds to a figure: the least one of the rounds is the nearest.
  const least = (list) => Math.min(...list)
  const results = []
  for (const [k, from] of Object.keys(senders).entries()) {
    console.log(
      `Packets ${from}: CPU s per million, sender and program, least of the rounds; what it is above no capture`,
    )
    cases.forEach(({name}, i) => {
      const extra = least(taken[k][i]) - least(taken[k][0])
      console.log(
        `${name.padEnd(34)}  ${cell(least(taken[k][i]), 3)}  ${cell(extra, 3).padStart(6)}`,
      )
      results.push({from, name, taken: taken[k][i], extra})
    })
    console.log('')
  }
  return results
}

if (options.list) {
  for (const {name} of allRows) console.log(name)
  process.exit()
}
if (process.getuid?.() !== 0) fail('namespaces take root')
if (!existsSync(darta)) fail('bin/darta is not there: npm run build')
build()
const commit = spawnSync('git', ['rev-parse', '--short', 'HEAD'], {cwd: root, encoding: 'utf8'})
console.log(
  `${cpus()[0].model}, ${cpus().length} cores, Linux ${release()}; commit ${commit.stdout.trim()}; ` +
    `median of ${options.runs} rounds\n`,
)
let results
try {
  makeCable()
  results = options.cost ? await compareCosts() : await compareRates()
} finally {
  removeCable()
}
if (options.json) writeFileSync(options.json, JSON.stringify(results, undefined, 2))
