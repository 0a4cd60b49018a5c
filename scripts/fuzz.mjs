// Feeds damaged input to everything that reads: the C++ meter and relay under sanitizers (libFuzzer), the TypeScript meter, both
// against each other (`equal`), the IPFIX decoder, the NDJSON reader and what collect takes (`collect-…`). A campaign goes on where it stopped; each run can be repeated alone.
//
//   npm run fuzz -- [--seconds 300] [--runs N] [--target NAME]… [--seed S] [--ci]
//   npm run fuzz -- --target ipfix --seed 1 --only 12345       one run again
//   npm run fuzz -- --replay                                   what is kept of faults that were found
//   npm run fuzz -- --status
//
// --seconds is shared by the targets, --runs is for each. --ci runs a fixed part from the start and keeps no state.
// What breaks is kept in fuzz-work/failures and, minimal or not, in test/fixtures/crashes, where it is a test.
import {spawn, spawnSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {parseArgs} from 'node:util'
import {Worker} from 'node:worker_threads'
import {datagramNames} from './fuzz/datagrams.mjs'
import {mappedNames} from './fuzz/mapped.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const work = join(root, 'fuzz-work')
const stateFile = join(work, 'state.json')
const names = [
  ...['native', 'relay', 'ipfix', 'ndjson', 'meter', 'equal', 'diameter', 'ipdr', 'snmp', 'tables'],
  ...datagramNames.map((name) => `collect-${name}`),
  ...mappedNames,
]
/** Milliseconds of wall time after which one run counts as hanging. */
const HANG_MS = 20000

const {values: options} = parseArgs({
  options: {
    seconds: {type: 'string'},
    runs: {type: 'string'},
    target: {type: 'string', multiple: true, default: []},
    seed: {type: 'string', default: '1'},
    only: {type: 'string'},
    ci: {type: 'boolean', default: false},
    replay: {type: 'boolean', default: false},
    status: {type: 'boolean', default: false},
  },
})
const seed = Number(options.seed)
const chosen = options.target.length > 0 ? options.target : names
for (const name of chosen) {
  if (!names.includes(name)) {
    console.error(`fuzz: no target ${name}; there are ${names.join(', ')}`)
    process.exit(2)
  }
}

/** Runs done and failures found, by target and seed. */
const state = existsSync(stateFile) ? JSON.parse(readFileSync(stateFile, 'utf8')) : {}
const accountOf = (name) => (state[`${name} ${seed}`] ??= {runs: 0, failures: 0})

function saveState() {
  if (options.ci) return
  mkdirSync(work, {recursive: true})
  writeFileSync(`${stateFile}.tmp`, JSON.stringify(state, undefined, 2))
  renameSync(`${stateFile}.tmp`, stateFile)
}

if (options.status) {
  for (const [name, {runs, failures}] of Object.entries(state)) {
    console.log(`${name}: ${runs} runs, ${failures} failures`)
  }
  process.exit()
}

let found = 0

/** Keeps the input as a test and tells how to run it again. */
function keep(name, octets, words) {
  found++
  console.error(`fuzz: ${words}`)
  if (octets === undefined) return
  const hash = createHash('sha256').update(octets).digest('hex').slice(0, 16)
  for (const folder of [join(work, 'failures', name), join(root, 'test/fixtures/crashes', name)]) {
    mkdirSync(folder, {recursive: true})
    writeFileSync(join(folder, hash), octets)
  }
  console.error(`fuzz: kept as test/fixtures/crashes/${name}/${hash}`)
}

/** Runs `runs` cases of a target from number `from` on, or until the deadline; resolves to the next number. */
function campaign(name, from, runs, deadline) {
  const shared = new SharedArrayBuffer(16)
  const progress = new Float64Array(shared)
  const worker = new Worker(new URL('./fuzz/worker.mjs', import.meta.url), {
    workerData: {target: name, seed, from, runs, shared},
    resourceLimits: {maxOldGenerationSizeMb: 1024},
  })
  let done = from
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      const now = performance.timeOrigin + performance.now()
      if (progress[1] > 0 && now - progress[1] > HANG_MS) {
        const run = progress[0]
        keep(name, undefined, `${name} hangs in run ${run} of seed ${seed}`)
        done = run + 1
        void worker.terminate()
      } else if (Date.now() > deadline) void worker.terminate()
    }, 250)
    worker.on('message', (message) => {
      if (message.failed !== undefined) {
        const words = `${name}, seed ${seed}, run ${message.failed}: ${message.error}`
        keep(name, message.octets, words)
      }
      if (message.done !== undefined) done = message.done
      if (message.leftOut !== undefined) console.log(`fuzz: ${name} left out: ${message.leftOut}`)
      if (message.slow !== undefined) {
        const {ms, run} = message.slow
        console.log(
          `fuzz: ${name}: slowest unit ${ms.toFixed(1)} ms (run ${run}), ` +
            `heap grew by ${(message.grown / 2 ** 20).toFixed(1)} MiB`,
        )
      }
    })
    worker.on('error', (error) => {
      const run = progress[0]
      keep(name, undefined, `${name}, seed ${seed}, run ${run}: the thread died: ${error.stack}`)
      done = Math.max(done, run + 1)
    })
    worker.on('exit', () => {
      clearInterval(timer)
      resolve(done)
    })
  })
}

/** What runs under libFuzzer: its program, and what it is given to begin with. */
const libFuzzers = {
  native: {
    program: 'fuzz-meter',
    inputs: async () => [await nativeSeeds()],
    words: [`-dict=${join(root, 'scripts/fuzz/capture.dict')}`],
  },
  relay: {program: 'fuzz-relay', inputs: async () => [], words: []},
}

/** Builds a program under ASan and UBSan; undefined where it cannot be built. */
function builtFuzzer(name) {
  const program = join(root, 'native/build', libFuzzers[name].program)
  const made = spawnSync('make', ['-s', '-C', join(root, 'native'), '-j2', 'fuzz'], {
    encoding: 'utf8',
  })
  if (made.status === 0 && existsSync(program)) return program
  if (spawnSync('sh', ['-c', 'command -v clang++-14']).status === 0) {
    keep(name, undefined, `make -C native fuzz failed\n${made.stderr}`)
  } else {
    console.log(`fuzz: ${name} left out: no clang++-14`)
  }
  return undefined
}

/**
 * Captures behind the 12 octets with which native/test/fuzz_meter.cc chooses the meter's options; a folder of them. What
 * libFuzzer then makes of the first octets is its own business.
 */
async function nativeSeeds() {
  const {captureSeeds} = await import('./fuzz/targets.mjs')
  const folder = join(work, 'native-seeds')
  mkdirSync(folder, {recursive: true})
  const timeouts = [4 | (5 << 3), 3 | (3 << 3)]
  const heads = [
    [0, 0, 0, ...timeouts, 0, 0, 64, 1, 0, 0, 17],
    [4 | 8, 0, 0, ...timeouts, 0, 0, 64, 1, 0, 0, 6],
    [1 | 8, 0, 0, ...timeouts, 0, 0, 64, 1, 0, 0, 17],
    [2, 0, 0, ...timeouts, 0, 0, 64, 1, 0, 0, 17],
  ]
  for (const [i, octets] of captureSeeds(16384).entries()) {
    const head = Uint8Array.from(heads[i % heads.length])
    for (const [v, one] of [head, Uint8Array.from(heads[0])].entries()) {
      writeFileSync(join(folder, `${i}-${v}`), Buffer.concat([one, octets]))
    }
  }
  return folder
}

/** libFuzzer keeps a corpus of its own, which is what a campaign goes on with. */
async function fuzzCompiled(name, runs, seconds) {
  const program = builtFuzzer(name)
  if (program === undefined) return
  const corpus = join(work, options.ci ? 'corpus-ci' : 'corpus', name)
  const artifacts = join(work, 'artifacts', name)
  mkdirSync(corpus, {recursive: true})
  mkdirSync(artifacts, {recursive: true})
  const {inputs, words} = libFuzzers[name]
  const crashes = join(root, 'test/fixtures/crashes', name)
  const before = new Set(readdirSync(artifacts))
  const account = accountOf(name)
  const start = options.ci ? seed : seed + account.runs
  console.log(`fuzz: ${name}: libFuzzer seed ${start}`)
  const child = spawn(
    program,
    [
      `-seed=${start}`,
      `-max_total_time=${seconds}`,
      ...(Number.isFinite(runs) ? [`-runs=${runs}`] : []),
      '-max_len=16384',
      '-timeout=20',
      '-rss_limit_mb=2048',
      '-print_final_stats=1',
      '-verbosity=0',
      '-print_funcs=0',
      `-artifact_prefix=${artifacts}/`,
      ...words,
      corpus,
      ...(await inputs()),
      ...(existsSync(crashes) ? [crashes] : []),
    ],
    {stdio: ['ignore', 'ignore', 'pipe']},
  )
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (said = (said + text).slice(-200000)))
  const status = await new Promise((resolve) => child.on('close', resolve))
  const executed = Number(/number_of_executed_units:\s*(\d+)/.exec(said)?.[1] ?? 0)
  account.runs += executed
  const news = readdirSync(artifacts).filter((file) => !before.has(file))
  for (const file of news) {
    account.failures++
    keep(name, readFileSync(join(artifacts, file)), `${name}: ${said.slice(-4000)}`)
    mkdirSync(join(work, 'failures', name), {recursive: true})
    copyFileSync(join(artifacts, file), join(work, 'failures', name, file))
  }
  // Somebody ended it: what it did until then counts.
  const interrupted = said.includes('run interrupted')
  if (status !== 0 && news.length === 0 && !interrupted)
    keep(name, undefined, `${name}: exit ${status}\n${said}`)
  console.log(`fuzz: ${name}: ${executed} runs`)
}

/** Reads again, several times each, what once broke a promise; throws if it still does. */
async function replay() {
  const {createRandom} = await import('./fuzz/random.mjs')
  const {targets} = await import('./fuzz/targets.mjs')
  const kept = join(root, 'test/fixtures/crashes')
  let inputs = 0
  for (const name of chosen) {
    const folder = join(kept, name)
    const files = existsSync(folder) ? readdirSync(folder).map((file) => join(folder, file)) : []
    inputs += files.length
    if (files.length === 0) continue
    if (name in libFuzzers) {
      const program = builtFuzzer(name)
      if (program === undefined) continue
      const {status, stderr} = spawnSync(program, files, {encoding: 'utf8'})
      if (status !== 0) keep(name, undefined, stderr)
      continue
    }
    const target = await targets[name]()
    for (const file of files) {
      const octets = new Uint8Array(readFileSync(file))
      try {
        for (let run = 0; run < 64; run++) target.run(createRandom(1, run), octets)
      } catch (error) {
        keep(name, undefined, `${file}: ${error.stack}`)
      }
    }
  }
  console.log(`fuzz: ${inputs} kept inputs, ${found} still break a promise`)
}

if (options.replay) {
  await replay()
} else if (options.only !== undefined) {
  await campaign(chosen[0], Number(options.only), 1, Infinity)
} else {
  const seconds = Number(options.seconds ?? (options.runs === undefined ? 300 : Infinity))
  const runs = Number(options.runs ?? Infinity)
  for (const [i, name] of chosen.entries()) {
    // What one target leaves of its time is the others'.
    const share = Number.isFinite(seconds) ? Math.max(1, Math.floor(seconds / chosen.length)) : 1e6
    if (name in libFuzzers) await fuzzCompiled(name, runs, share)
    else if (name === 'equal' && !existsSync(join(root, 'native/build/darta.node'))) {
      console.log('fuzz: equal left out: the addon is not built')
    } else {
      const account = options.ci ? {runs: 0, failures: 0} : accountOf(name)
      const from = account.runs
      const deadline = Number.isFinite(seconds) ? Date.now() + share * 1000 : Infinity
      const foundBefore = found
      let next = from
      const last = Number.isFinite(runs) ? from + runs : Number.MAX_SAFE_INTEGER
      while (next < last && Date.now() < deadline) {
        const part = Math.min(last - next, 200000)
        const reached = await campaign(name, next, part, deadline)
        account.runs = reached
        saveState()
        if (reached === next) break
        next = reached
      }
      account.failures += found - foundBefore
      if (next > from) {
        console.log(
          `fuzz: ${name}: ${next - from} runs, seed ${seed}, numbers ${from} to ${next - 1}`,
        )
      }
    }
    saveState()
    if (i === chosen.length - 1) console.log(`fuzz: ${found === 0 ? 'nothing' : found} found`)
  }
}
process.exitCode = found === 0 ? 0 : 1
