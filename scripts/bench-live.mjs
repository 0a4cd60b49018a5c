// Live capture against its peers over a veth pair in namespaces of its own. Needs root, iproute2, ethtool and the
// tools of ../shared/bench; `npm run bench -- live [options]` comes here.
//
//   --rates 50000,200000,0,xgen   packets a second that are offered; 0 is as fast as pktsend can, xgen what xgen.cc drives
//   --rows REGEX                  which programs; --list names them
//   --runs 3                      rounds; the programs of a rate run in turns, so that a slow spell meets all of them
//   --seconds 4                   how long xgen sends
//   --dir bench-data              where live.pcap is, or is made: 1 M whole frames of up to 96 octets, 100,000 Flows
//   --cost                        instead: what a packet costs that is accepted, and one that is rejected in the kernel
//
// CPU is user + sys of the program's processes from its readiness to its end, per million packets that came to the
// interface; lost is what came and is not in the program's own count. What the kernel does for a packet before any
// program runs is the sender's time, and shows only in --cost.
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
    rates: {type: 'string', default: '20000,100000,300000,0,xgen'},
    rows: {type: 'string', default: ''},
    runs: {type: 'string', default: '3'},
    seconds: {type: 'string', default: '4'},
    dir: {type: 'string', default: join(root, 'bench-data')},
    json: {type: 'string'},
    list: {type: 'boolean', default: false},
    cost: {type: 'boolean', default: false},
  },
})
const dir = resolve(options.dir)
const out = join(dir, 'out')
const wanted = new RegExp(options.rows)
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

/** CPU seconds of a process and all below it. */
function cpuOf(pid) {
  const children = new Map()
  const ticks = new Map()
  for (const name of readdirSync('/proc').filter((text) => /^\d+$/.test(text))) {
    try {
      const fields = readFileSync(`/proc/${name}/stat`, 'utf8').split(') ').at(-1).split(' ')
      const parent = Number(fields[1])
      children.set(parent, [...(children.get(parent) ?? []), Number(name)])
      ticks.set(
        Number(name),
        [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i]), 0),
      )
    } catch {
      // It has ended.
    }
  }
  const sum = (one) =>
    (ticks.get(one) ?? 0) + (children.get(one) ?? []).reduce((total, kid) => total + sum(kid), 0)
  return sum(pid) / 100
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms))

/** Waits until a process has nothing left to do. */
async function settled(pid) {
  let before = -1
  for (let quiet = 0, rounds = 0; quiet < 3 && rounds < 60; rounds++) {
    await pause(500)
    const now = cpuOf(pid)
    quiet = now - before > 0.02 ? 0 : quiet + 1
    before = now
  }
}

function send(rate, loops = 1) {
  if (rate === 'xgen') {
    const words = [join(dir, 'xgen'), 'out', options.seconds, '14']
    return run(A, ...words)
  }
  const words = ['--if', 'out', '--rate', rate, '--loops', String(loops), join(dir, 'live.pcap')]
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
  const idle = cpuOf(running.child.pid)
  const begun = performance.now()
  const said = send(rate)
  const seconds = (performance.now() - begun) / 1000
  await settled(running.child.pid)
  const offered = received() - before
  const {user, sys} = await stop(row, running)
  const sent = Number(/"packets": (\d+)/.exec(said)?.[1] ?? /sent (\d+)/.exec(said)?.[1])
  return {
    rate: offered / seconds,
    sent,
    offered,
    cpu: ((user + sys - idle) / offered) * 1e6,
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
  console.log(
    'offered/s   program               CPU s per M   to darta   lost (least, most of the rounds)',
  )
  for (const rate of options.rates.split(',')) {
    const taken = rows.map(() => [])
    for (let round = 0; round < Number(options.runs); round++) {
      for (const [i, row] of rows.entries()) {
        taken[i].push(await once(row, rate))
      }
    }
    rows.forEach(({name}, i) => {
      const cpu = median(taken[i].map((one) => one.cpu))
      const ratio = median(taken[i].map((one, round) => one.cpu / taken[0][round].cpu))
      const lost = taken[i].map((one) => one.lost)
      const offered = median(taken[i].map((one) => one.rate))
      console.log(
        `${cell(offered, 0).padStart(9)}   ${name.padEnd(20)}  ${cell(cpu, 3).padStart(11)}   ` +
          `${cell(ratio, 2).padStart(8)}   ${Math.min(...lost)}, ${Math.max(...lost)}`,
      )
      results.push({rate, name, cpu, ratio, runs: taken[i]})
    })
  }
  return results
}

/**
 * What a packet costs all who handle it, in CPU time of sender and program: with no capture, with one that rejects it in
 * the kernel, with one that accepts and meters it. The sender's own part is in all three and drops out.
 */
async function compareCosts() {
  const share = ['-i', 'in', '-w', ipfix, '--force']
  const cases = [
    {name: 'no capture'},
    {name: 'rejected by a filter', words: [...share, '-f', 'udp port 9']},
    // The slots of one part in 4096 are one: nearly nothing is accepted.
    {name: 'rejected by a share', words: [...share, '--share', '1/4096']},
    {name: 'accepted and metered', words: share},
  ].map(({name, words}) => ({
    name,
    row: words && {...dartaRow(name), command: [darta, 'capture', ...words]},
    taken: [],
  }))
  for (let round = 0; round < Number(options.runs); round++) {
    for (const {row, taken} of cases) {
      const running = row && (await start(row))
      const idle = running === undefined ? 0 : cpuOf(running.child.pid)
      const pktsend = [join(dir, 'pktsend'), '--if', 'out', '--rate', '0', join(dir, 'live.pcap')]
      const words = [join(dir, 'measure'), ...pktsend]
      const sender = spawnSync(...inside(A, words), {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      // Descriptor 3 is not open there: its words come on standard error.
      const told = JSON.parse(sender.stderr.trim().split('\n').at(-1))
      const sent = Number(/"packets": (\d+)/.exec(sender.stdout)[1])
      if (running !== undefined) await settled(running.child.pid)
      const after = running && (await stop(row, running))
      const program = after === undefined ? 0 : after.user + after.sys - idle
      taken.push(((told.user + told.sys + program) / sent) * 1e6)
    }
  }
  // Other work of the machine only ever adds to a figure: the least one of the rounds is the nearest.
  const least = (list) => Math.min(...list)
  console.log(
    'CPU s per million packets, sender and program: least of the rounds, and what it is above no capture',
  )
  const results = cases.map(({name, taken}) => {
    const extra = least(taken) - least(cases[0].taken)
    console.log(`${name.padEnd(22)}  ${cell(least(taken), 3)}  ${cell(extra, 3)}`)
    return {name, taken, extra}
  })
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
