// Packets captured by 1..4 nodes with equal shares, and by one libpcap application, over the load offered to all of them.
//
//   npm run bench -- dicap [--rates 100000,200000,max] [--seconds 2] [--json FILE]
//
// Measured as far as this machine drives packets (../shared/bench through a veth pair in network namespaces): the
// nodes of a division are machines of their own, so each runs alone at the same load, and what they captured is summed.
// Beyond that the model of `darta doctor --capacity` is printed, with its parameters measured here, and labelled.
import {execFileSync, spawn, spawnSync} from 'node:child_process'
import {existsSync, mkdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {cpus, loadavg, release} from 'node:os'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const darta = join(root, 'bin/darta')
const MOST_NODES = 4
const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], {encoding: 'utf8'}))

const [sender, node] = [`bench-a-${process.pid}`, `bench-b-${process.pid}`]
const ip = (...words) => execFileSync('ip', words, {stdio: ['ignore', 'ignore', 'inherit']})
const have = (program) =>
  spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin command -v ${program}`]).status === 0

/** Compiles one of ../shared/bench; a compiled one that is newer stays. */
function build(dir, file, ...compiler) {
  const source = join(root, '../shared/bench', file)
  if (!existsSync(source)) throw new Error(`packets are made by ${source}, which is not there`)
  mkdirSync(dir, {recursive: true})
  const program = join(dir, file.replace(/\.\w+$/, ''))
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs) {
    execFileSync(compiler[0], [...compiler.slice(1), '-o', program, source], {stdio: 'inherit'})
  }
  return program
}

/** What sends at a rate, packets a second, or as fast as it can: the words, and how they tell what was sent. */
function generators(dir) {
  const frames = join(dir, 'small.pcap')
  const packets = 200_000
  if (!existsSync(frames)) {
    const gen = build(dir, 'gen.c', 'cc', '-O2', '-lm')
    execFileSync(
      gen,
      ['pcap', '--packets', packets, '--flows', 20_000, '--out', frames].map(String),
      {
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    )
  }
  const pktsend = build(dir, 'pktsend.c', 'cc', '-O2')
  const xgen = build(dir, 'xgen.cc', 'g++', '-std=c++20', '-O2', '-w')
  return {
    at(rate, seconds) {
      const loops = Math.max(1, Math.round((rate * seconds) / packets))
      return {
        words: [pktsend, '--if', 'out', '--rate', String(rate), '--loops', String(loops), frames],
        read(text) {
          const {packets: sent, secs} = JSON.parse(text)
          return {sent, rate: sent / secs}
        },
      }
    },
    most(seconds) {
      return {
        words: [xgen, 'out', String(seconds), '12'],
        read(text) {
          const [, sent, took] = /sent (\d+) in ([\d.]+) s/.exec(text)
          return {sent: Number(sent), rate: sent / took}
        },
      }
    },
  }
}

function makeLink() {
  for (const name of [sender, node]) ip('netns', 'add', name)
  ip('-n', sender, 'link', 'add', 'out', 'type', 'veth', 'peer', 'name', 'in', 'netns', node)
  for (const [name, port] of [
    [sender, 'out'],
    [node, 'in'],
  ]) {
    const set = 'net.ipv6.conf.all.disable_ipv6=1'
    ip('netns', 'exec', name, 'sysctl', '-qw', set)
    ip('-n', name, 'link', 'set', port, 'up', 'arp', 'off')
  }
  ip('-n', node, 'link', 'set', 'lo', 'up')
  // The generator's frames are taken by a peer with NAPI only.
  ip('netns', 'exec', node, 'ethtool', '-K', 'in', 'gro', 'on')
}

function removeLink() {
  for (const name of [sender, node]) spawnSync('ip', ['netns', 'del', name], {stdio: 'ignore'})
}

/** Processor seconds of a process so far. */
function cpuOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Packets that have come to the node's interface: a generator may be faster than the pair between them. */
const received = () => {
  const text = execFileSync('ip', ['netns', 'exec', node, 'cat', '/proc/net/dev'], {
    encoding: 'utf8',
  })
  const line = text.split('\n').find((one) => /^\s*in:/.test(one))
  return Number(line.split(':')[1].trim().split(/\s+/)[1])
}

/** Runs what captures while packets come. Gives packets that came and were captured, and processor seconds of the process. */
async function capture(load, {words, ready, captured, ask}) {
  const child = spawn('ip', ['netns', 'exec', node, ...words], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {...process.env, PATH: `${process.env.PATH}:/usr/sbin`},
  })
  let text = ''
  const ended = new Promise((done) => child.on('close', done))
  await new Promise((done) => {
    child.stderr.setEncoding('utf8').on('data', (more) => {
      text += more
      if (ready.test(text)) done()
    })
    void ended.then(done)
  })
  if (child.exitCode !== null) throw new Error(`${words.join(' ')} ended: ${text}`)
  const before = cpuOf(child.pid)
  const earlier = received()
  const {stdout, stderr, status} = spawnSync('ip', ['netns', 'exec', sender, ...load.words], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`the generator failed: ${stderr}`)
  const {sent, rate} = load.read(stdout)
  const came = received() - earlier
  // The last blocks are handed over when their time is up.
  await new Promise((done) => setTimeout(done, 1200))
  const cpu = cpuOf(child.pid) - before
  if (ask) {
    const path = `${process.env.PATH}:/usr/sbin`
    text += spawnSync(ask[0], ask.slice(1), {encoding: 'utf8', env: {PATH: path}}).stdout
  }
  child.kill('SIGINT')
  await ended
  const found = captured.exec(text)
  if (found === null) throw new Error(`${words.join(' ')} said: ${text}`)
  return {came, captured: Number(found[1]), cpu, rate: (rate * came) / sent}
}

const share = (i, n, ...words) => ({
  words: [
    ...[darta, 'capture', '-i', 'in', '-o', 'null'],
    ...(n > 1 ? ['--share', `${i}/${n}`] : []),
    ...words,
  ],
  ready: /capturing on/,
  captured: /meter: (\d+) packets in/,
})
/** What one machine could run instead, by libpcap. */
const applications = {
  tcpdump: {
    words: ['tcpdump', '-i', 'in', '-n', '-w', '/dev/null', '-Z', 'root'],
    ready: /listening on/,
    captured: /(\d+) packets captured/,
  },
  softflowd: {
    words: ['softflowd', '-i', 'in', '-d', '-n', '127.0.0.1:9995', '-m', '2000000'].concat([
      '-c',
      `/tmp/bench-${process.pid}.ctl`,
      '-p',
      `/tmp/bench-${process.pid}.pid`,
    ]),
    ready: /starting data collection/,
    // It says so only when asked.
    ask: ['softflowctl', '-c', `/tmp/bench-${process.pid}.ctl`, 'statistics'],
    captured: /Packets processed: (\d+)/,
  },
}

const millions = (n) => `${(n / 1e6).toFixed(3)} M`

function table(rows) {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)))
  for (const row of rows) console.log(row.map((cell, i) => cell.padStart(widths[i])).join('  '))
}

export async function run({dir, rates, seconds, json}) {
  for (const program of ['ip', 'ethtool', 'cc', 'g++', 'tcpdump']) {
    if (!have(program)) throw new Error(`${program} is not installed`)
  }
  const generator = generators(dir)
  const git = (...words) => spawnSync('git', words, {cwd: root, encoding: 'utf8'}).stdout.trim()
  const machine = {
    cpu: cpus()[0].model,
    cores: cpus().length,
    kernel: release(),
    darta: execFileSync(darta, ['--version'], {encoding: 'utf8'}).trim(),
    commit:
      git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') ? ' (changed)' : ''),
    load: loadavg()[0],
  }
  console.log(
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, load ${machine.load.toFixed(1)} of others\n` +
      `${machine.darta}; commit ${machine.commit}; ${seconds} s a run; 20,000 Flows, at the greatest load 4096\n`,
  )
  const measured = []
  const others = Object.keys(applications).filter(have)
  const spent = Object.fromEntries([...others, 'darta'].map((name) => [name, {cpu: 0, packets: 0}]))
  const add = (name, {cpu, captured}) => {
    spent[name].cpu += cpu
    spent[name].packets += captured
  }
  removeLink()
  makeLink()
  try {
    for (const rate of rates) {
      const load = rate === 'max' ? generator.most(seconds) : generator.at(Number(rate), seconds)
      const one = (program) => capture(load, program)
      const row = {asked: rate, offered: [], applications: [], nodes: []}
      for (const name of others) {
        const found = await one(applications[name])
        add(name, found)
        row.offered.push(found.rate)
        row.applications.push(found.captured / found.came)
      }
      const nodes = async (n, ...words) => {
        let part = 0
        for (let i = 1; i <= n; i++) {
          const found = await one(share(i, n, ...words))
          part += found.captured / found.came
          row.offered.push(found.rate)
          if (n === 1) add('darta', found)
        }
        row.nodes.push(part)
      }
      for (let n = 1; n <= MOST_NODES; n++) await nodes(n)
      await nodes(MOST_NODES, '--mirror-port')
      measured.push(row)
    }
  } finally {
    removeLink()
  }
  const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length
  const counts = Array.from({length: MOST_NODES}, (_, i) => i + 1)
  const names = counts.map((n) => `${n} node${n > 1 ? 's' : ''}`)
  console.log('Measured, packets a second captured together:')
  table([
    ['offered', ...others, ...names, 'with --mirror-port'],
    ...measured.map(({offered, applications: apart, nodes}) => {
      const load = mean(offered)
      return [load, ...[...apart, ...nodes].map((part) => part * load)].map(millions)
    }),
  ])
  const ns = ({cpu, packets}) => Math.max(1, Math.round((cpu / packets) * 1e9))
  const costs = Object.entries(spent).map(([name, sums]) => `${name} ${ns(sums)} ns`)
  console.log(`\nProcessor time of the process a packet: ${costs.join(', ')}; darta meters\n`)
  const answers = {}
  for (const [name, cost] of Object.entries({
    ...Object.fromEntries(others.map((other) => [other, ns(spent[other])])),
    'an application of 3 µs': 3000,
  })) {
    for (const [cores, how] of [
      [1, ''],
      [2, ''],
      [1, '--mirror-port'],
      [2, '--mirror-port'],
    ]) {
      const words = [
        ...['doctor', '--capacity', '--cores', String(cores)],
        ...['--application-cost', String(cost), ...(how === '' ? [] : [how])],
      ]
      const answer = JSON.parse(execFileSync(darta, [...words, '-o', 'ndjson'], {encoding: 'utf8'}))
      answers[`${name}, ${cores}${how && `, ${how}`}`] = answer
      const {costs: parameters, gain, loads} = answer
      if (cores === 2 && name === others[0]) {
        console.log(
          `Modelled beyond (darta-doctor(1) has the formula), kernel and process on a processor each${how && `, ${how}`}:`,
        )
        table([
          ['offered', name, ...names],
          ...loads
            .filter(({offered}) => offered >= 5e5)
            .map(({offered, byOne, captured}) => [offered, byOne, ...captured].map(millions)),
        ])
        const list = Object.entries(parameters).map(
          ([what, value]) => `${what} ${value?.toFixed(0) ?? 'unknown'}`,
        )
        console.log(`parameters measured now, ns a packet: ${list.join(', ')}\n`)
      }
      const said =
        gain.offered === undefined
          ? `never 10 times; ${gain.most.toFixed(1)} times at most, at ${millions(gain.mostAt)}`
          : `10 times from ${millions(gain.offered)} packets/s on`
      console.log(
        `modelled: four nodes${how && ` ${how}`} to one machine with ${name} (${cost} ns), ${cores} core${cores > 1 ? 's' : ''}: ${said}`,
      )
    }
  }
  if (json) writeFileSync(json, JSON.stringify({machine, measured, spent, answers}, undefined, 2))
}
