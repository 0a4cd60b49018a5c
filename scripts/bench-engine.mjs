// The engine's path, publisher, NATS server with streams on disk (or kcat's mock of Kafka, in memory) and one Processing Unit in
// processes of their own:
// `npm run bench -- engine [options]` comes here.
//
//   --file FILE          IPFIX Messages that are published; bench-data/1m.ipfix unless told otherwise
//   --app 'APP FLAGS'    the unit's application; protocols
//   --engine nats        or kafka: three brokers in one process, of four partitions, which keep 5 MiB of each
//   --servers 1,3        one NATS server, and three on this machine that keep everything three times
//   --parts 16
//   --runs 3
//
// Seconds of processor time (user + sys) per million records of each process, start and end included, the least of all runs; records a
// second from the first that was published to the last that was analysed. What the application itself takes in the unit is shown by
// the same file and application without an engine.
import {spawn, spawnSync} from 'node:child_process'
import {existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:net'
import {homedir, tmpdir} from 'node:os'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {parseArgs} from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
const darta = join(root, 'bin/darta')
const {values: options} = parseArgs({
  args: process.argv.slice(2).filter((word) => word !== 'engine'),
  options: {
    file: {type: 'string', default: join(root, 'bench-data/1m.ipfix')},
    app: {type: 'string', default: 'protocols'},
    engine: {type: 'string', default: 'nats'},
    servers: {type: 'string', default: '1,3'},
    parts: {type: 'string', default: '16'},
    runs: {type: 'string', default: '3'},
  },
})

function fail(message) {
  console.error(`bench: ${message}`)
  process.exit(1)
}
if (!existsSync(options.file))
  fail(`no ${options.file}; npm run bench makes it, or --file names one`)

const cache =
  process.env.DARTA_NATS_CACHE ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'darta-nats')
const kept = join(cache, 'nats-server')
const server = existsSync(kept) ? kept : 'nats-server'
const PATH = `${process.env.PATH}:/usr/sbin`
const engines = {
  nats: {
    ...{program: server, question: '--version', version: /v[\d.]+/, packaged: 'nats-server'},
    ...{start: startServers, counts: options.servers.split(',').map(Number)},
  },
  kafka: {
    ...{program: 'kcat', question: '-V', version: /librdkafka [\d.]+/, packaged: 'kcat'},
    // More would be lost before it is read: a publisher waits, and its records a second say nothing.
    ...{start: startMock, counts: [0], flags: ['--engine-size', '18M']},
  },
}
const engine = engines[options.engine] ?? fail(`no engine ${options.engine}`)
const [version] =
  engine.version.exec(
    spawnSync(engine.program, [engine.question], {env: {PATH}, encoding: 'utf8'}).stdout ?? '',
  ) ?? []
if (version === undefined) fail(`no ${engine.packaged} (Debian package ${engine.packaged})`)

async function freePort() {
  const probe = createServer()
  await new Promise((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const {port} = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  return port
}

/** Runs a command and gives its own seconds: user and sys, and how long it took. */
function timed(words, input = 'ignore') {
  const child = spawn(
    'bash',
    ['--norc', '-c', 'TIMEFORMAT="cpu %U %S %R"; time "$@"', '-', darta, ...words],
    {stdio: [input, 'ignore', 'pipe']},
  )
  let said = ''
  child.stderr.on('data', (chunk) => (said += chunk))
  return new Promise((resolve) => {
    child.on('close', (code) => {
      if (code !== 0) fail(`darta ${words.join(' ')}: ${said}`)
      const [, user, system, wall] = /cpu ([\d.]+) ([\d.]+) ([\d.]+)/.exec(said)
      resolve({cpu: Number(user) + Number(system), wall: Number(wall), said})
    })
  })
}

/** Seconds that a process has had, by the kernel's account in hundredths. */
function cpuOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

async function startServers(count, folder) {
  const ports = []
  for (let i = 0; i < count; i++) ports.push([await freePort(), await freePort()])
  const routes = ports.map(([, port]) => `nats://127.0.0.1:${port}`).join(', ')
  const running = ports.map(([port, other], i) => {
    const store = join(folder, `n${i}`)
    mkdirSync(store)
    const cluster =
      count === 1
        ? ''
        : `cluster { name: bench, listen: "127.0.0.1:${other}", routes: [${routes}] }\n`
    writeFileSync(
      `${store}.conf`,
      `server_name: n${i}\nlisten: "127.0.0.1:${port}"\njetstream { store_dir: "${store}" }\n${cluster}`,
    )
    return spawn(server, ['-c', `${store}.conf`], {stdio: 'ignore', env: {...process.env, PATH}})
  })
  return {url: `nats://${ports.map(([port]) => `127.0.0.1:${port}`).join(',')}`, running}
}

async function startMock() {
  const words = ['-b', 'none', '-X', 'test.mock.num.brokers=3', '-P', '-t', 'none']
  const mock = spawn(engine.program, words, {stdio: ['pipe', 'ignore', 'pipe']})
  let said = ''
  return new Promise((resolve) => {
    mock.stderr.on('data', (chunk) => {
      const [, brokers] = /replaced with (\S+)\n/.exec((said += chunk)) ?? []
      if (brokers !== undefined) resolve({url: `kafka://${brokers}`, running: [mock]})
    })
    mock.on('close', () => fail(said))
  })
}

async function round(count) {
  const folder = mkdtempSync(join(tmpdir(), 'darta-bench-'))
  const {url, running} = await engine.start(count, folder)
  const end = () => {
    for (const child of running) child.removeAllListeners('close').kill('SIGKILL')
    rmSync(folder, {recursive: true, force: true})
  }
  process.once('exit', end)
  try {
    // Until the servers are there, and have agreed.
    const probe = ['route', '-q', '--engine', url, '--status']
    while (spawnSync(darta, probe, {stdio: 'ignore'}).status !== 0);
    const route = [
      ...['route', '--app', options.app, '--engine', url, '--parts', options.parts],
      ...(engine.flags ?? []),
    ]
    // An empty input declares the application, so that the unit is there first.
    const declared = spawn(darta, route, {stdio: ['pipe', 'ignore', 'inherit']})
    declared.once('exit', (code) => {
      if (code !== 0) fail(`darta ${route.join(' ')}: status ${code}`)
    })
    while (spawnSync(darta, probe, {encoding: 'utf8'}).stdout === '') {
      // Its end is heard of in between.
      await new Promise((resolve) => setImmediate(resolve))
    }
    const before = running.map(({pid}) => cpuOf(pid))
    const unit = timed(['analyze', options.app.split(' ')[0], '--engine', url])
    const began = Date.now()
    const publisher = await timed([...route, '-r', options.file])
    declared.stdin.end()
    const {cpu, said} = await unit
    const wall = (Date.now() - began) / 1000
    const servers = running.map(({pid}, i) => cpuOf(pid) - before[i]).reduce((a, b) => a + b)
    const {counters} = JSON.parse(spawnSync(darta, probe, {encoding: 'utf8'}).stdout)
    const [, records] = /(\d+) records in/.exec(/route .*/.exec(publisher.said)[0])
    if (counters.analysed !== Number(records)) fail(`${counters.analysed} of ${records} analysed`)
    return {records: Number(records), wall, servers, publisher: publisher.cpu, unit: cpu, said}
  } finally {
    end()
    process.off('exit', end)
  }
}

const row = (name, words) => console.log(`${name.padEnd(44)}${words}`)
console.log(
  `${engine.packaged} ${version}, ${options.parts} parts, app ${options.app}, ${options.file}`,
)
const rowNames = {0: 'three brokers of the mock, in memory', 1: 'one server, streams on disk'}
row('', 'krec/s   server(s)  publisher  unit   CPU s per million records')
for (const count of engine.counts) {
  const rounds = []
  for (let i = 0; i < Number(options.runs); i++) rounds.push(await round(count))
  const million = rounds[0].records / 1e6
  const least = (what) => (Math.min(...rounds.map((one) => one[what])) / million).toFixed(2)
  const most = Math.max(...rounds.map(({records, wall}) => records / wall / 1000)).toFixed(0)
  row(
    rowNames[count] ?? `${count} servers, each with a copy on disk`,
    `${most.padEnd(9)}${least('servers').padEnd(11)}${least('publisher').padEnd(11)}${least('unit')}`,
  )
}
const local = []
for (let i = 0; i < Number(options.runs); i++) {
  local.push(await timed(['analyze', ...options.app.split(' '), '-q', '-r', options.file]))
}
row(
  'the application without an engine',
  `${''.padEnd(31)}${Math.min(...local.map(({cpu}) => cpu)).toFixed(2)} s in all`,
)
