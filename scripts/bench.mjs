// Runs darta and its peers in turns on the same inputs and prints one table.
//
//   npm run bench -- [--dir bench-data] [--rows REGEX] [--runs 5] [--scale 1] [--json FILE] [--list]
//   npm run bench -- dicap     packets captured by several nodes, see bench-dicap.mjs
//   npm run bench -- live      live capture against its peers, see bench-live.mjs
//   npm run bench -- engine    publisher, NATS servers and unit, see bench-engine.mjs
//
// Figures are CPU seconds, user + sys of all processes of a command, the median of the runs; a ratio is the median
// of the ratios to darta in the same round, so that a slow spell of the machine meets both. A row whose answer is not
// the one that the generator knows is marked WRONG, and darta's own then fail the run. --scale 0.1 makes small inputs.
import {execFileSync, spawn, spawnSync} from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {cpus, release, totalmem} from 'node:os'
import {join, resolve} from 'node:path'
import {fileURLToPath} from 'node:url'
import {parseArgs} from 'node:util'

if (process.argv[2] === 'engine') {
  await import('./bench-engine.mjs')
  process.exit()
}
if (process.argv[2] === 'live') {
  await import('./bench-live.mjs')
  process.exit()
}

const root = fileURLToPath(new URL('..', import.meta.url))
const tools = join(root, '../shared/bench')
const darta = join(root, 'bin/darta')
const {values: options, positionals} = parseArgs({
  allowPositionals: true,
  options: {
    rates: {type: 'string', default: '100000,250000,500000,max'},
    seconds: {type: 'string', default: '2'},
    dir: {type: 'string', default: join(root, 'bench-data')},
    rows: {type: 'string', default: ''},
    runs: {type: 'string', default: '5'},
    scale: {type: 'string', default: '1'},
    json: {type: 'string'},
    list: {type: 'boolean', default: false},
  },
})
const dir = resolve(options.dir)
const out = join(dir, 'out')
const runs = Number(options.runs)
const scale = Number(options.scale)
const wanted = new RegExp(options.rows)

if (positionals[0] === 'dicap') {
  const {run} = await import('./bench-dicap.mjs')
  const rates = options.rates.split(',')
  await run({dir, rates, seconds: Number(options.seconds), json: options.json})
  process.exit()
}

function fail(message) {
  console.error(`bench: ${message}`)
  process.exit(1)
}

const data = (name) => join(dir, name)
const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`
const sh = (command) => spawnSync('sh', ['-c', command], {encoding: 'utf8', maxBuffer: 1 << 28})
const have = (program) => sh(`PATH=$PATH:/usr/sbin command -v ${program}`).status === 0
const truth = (name) => JSON.parse(readFileSync(data(name), 'utf8'))

/** The generator, the meter of CPU time and the other small programs, compiled once. */
function buildTools() {
  if (!existsSync(join(tools, 'gen.c'))) {
    fail(`the inputs are made by ${tools}/gen.c, which is not there; --list shows the rows`)
  }
  mkdirSync(out, {recursive: true})
  for (const name of ['gen', 'measure', 'sumflow', 'sink', 'replay']) {
    const source = join(tools, `${name}.c`)
    const program = data(name)
    if (existsSync(program) && statSync(program).mtimeMs >= statSync(source).mtimeMs) continue
    execFileSync('cc', ['-O2', '-o', program, source, '-lm'], {stdio: 'inherit'})
  }
}

const recipes = {
  'small.pcap': ['pcap', '--packets', 200e3, '--flows', 20e3, '--truth', 'small.json'],
  'big.pcap': ['pcap', '--packets', 10e6, '--flows', 1e6, '--truth', 'big.json'],
  '1m.ipfix': ['ipfix', '--records', 1e6, '--truth', '1m.ipfix.json'],
  '10m.v9': ['v9', '--records', 10e6, '--truth', '10m.v9.json'],
  '10m.v5': ['v5', '--records', 10e6, '--truth', '10m.v5.json'],
  '10m.ipfix': ['ipfix', '--records', 10e6, '--truth', '10m.ipfix.json'],
}

function makeInput(name) {
  if (existsSync(data(name))) return
  console.error(`bench: making ${name}`)
  const words = recipes[name].map((word) => (typeof word === 'number' ? word * scale : word))
  words[words.length - 1] = data(words.at(-1))
  const partial = `${name}.partial`
  const {status} = spawnSync(data('gen'), [...words.map(String), '--out', data(partial)], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) fail(`${name} could not be made`)
  renameSync(data(partial), data(name))
}

/** Commands that need sockets run in a network namespace of their own. */
const isolated = (script) => `unshare -n sh -c ${quote(`ip link set lo up; ${script}`)}`
const canIsolate = () => sh(isolated('true')).status === 0

/** nfdump reads only its own files: its collector gets the same records over loopback, once. */
function makeNfdumpFile(name) {
  const target = data(name.replace('.ipfix', '.nf'))
  if (existsSync(target)) return true
  if (!have('nfcapd') || !canIsolate()) return false
  console.error(`bench: making ${target} (nfcapd takes the records at 80 000/s)`)
  const folder = join(out, 'nfcapd')
  rmSync(folder, {recursive: true, force: true})
  mkdirSync(folder)
  // 4739 is 1283 in hex; nfcapd is ready once its socket is.
  const script =
    `nfcapd -b 127.0.0.1 -p 4739 -w ${folder} -t 3600 -B 4000000 >/dev/null 2>&1 & p=$!; ` +
    `while ! grep -q :1283 /proc/net/udp; do sleep 0.1; done; ` +
    `${data('replay')} --dst 127.0.0.1:4739 --rate 80000 ${data(name)} >/dev/null; sleep 2; kill -TERM $p; wait $p`
  sh(isolated(script))
  const made = readdirSync(folder).filter((file) => /^nfcapd\.\d+$/.test(file))
  const records = truth(`${name}.json`).records
  const flows = made.length === 1 ? sh(`nfdump -r ${join(folder, made[0])} -I`).stdout : ''
  if (!new RegExp(`^Flows: ${records}$`, 'm').test(flows)) {
    console.error(`bench: nfcapd lost records; rows of nfdump are left out`)
    return false
  }
  renameSync(join(folder, made[0]), target)
  return true
}

/** Flows, packets and octets of an IPFIX file by a reader that shares no code with darta. */
function sums(path) {
  try {
    return JSON.parse(execFileSync(data('sumflow'), [path], {encoding: 'utf8'}))
  } catch {
    return {}
  }
}

const pmacctd = (input) => `daemonize: false
pcap_savefile: ${input}
pcap_savefile_wait: true
aggregate: src_host,dst_host,src_port,dst_port,proto
plugins: print
print_output: csv
print_output_file: ${join(out, 'pmacctd.csv')}
print_refresh_time: 3600
print_cache_entries: 131101
plugin_pipe_size: 2147483648
plugin_buffer_size: 1048576
`

const metered = (path, want) => () => {
  const {uniflows, packets, bytes, sequence_gaps: gaps} = sums(path)
  const right = uniflows === want.uniflows && packets === want.packets && gaps === 0
  return {
    right: right && bytes === want.ip_bytes,
    text: `${uniflows} flows, ${packets} packets, ${bytes} octets`,
  }
}
/** The same of a peer, whose rules of what a Flow is are its own. */
const counted = (path) => () => {
  const {uniflows, packets, bytes} = sums(path)
  return {text: `${uniflows} flows, ${packets} packets, ${bytes} octets`}
}
const says = (pattern) => (run) => ({right: pattern.test(run.output), text: ''})
/** All records went to units; what the most loaded one has to do, by the mean. */
const dealt = (input) => (run) => {
  const loads = [...run.output.matchAll(/unit-\d+: \d+ records in, (\d+) out/g)].map((of) => +of[1])
  const sum = loads.reduce((a, b) => a + b, 0)
  const most = (Math.max(...loads) * loads.length) / sum
  return {right: sum === truth(`${input}.json`).records, text: `greatest load ${most.toFixed(2)}`}
}
const lines = (n) => (run) => {
  const [have_, octets] = sh(`wc -lc < ${run.redirected}`).stdout.trim().split(/\s+/)
  return {right: n === undefined || Number(have_) === n, text: `${have_} lines, ${octets} octets`}
}

/**
 * All rows: group, name, the input, the command line for sh, what it counts. The first row of darta in a group is what
 * the others are compared with. `needs`: programs; `answer`: looks at what the command did.
 */
function allRows() {
  const rows = []
  const row = (group, name, needs, input, command, rest = {}) =>
    rows.push({group, name, needs, input, command, ...rest})
  const timeouts = '--idle-timeout 60s --active-timeout 300s'
  const lastLine = '| tail -n 1'

  for (const [group, input] of [
    ['flows', 'big.pcap'],
    ['small', 'small.pcap'],
  ]) {
    const want = () => truth(input.replace('.pcap', '.json'))
    const target = join(out, `${group}.ipfix`)
    row(
      group,
      'darta capture',
      [],
      input,
      `${darta} capture -r ${data(input)} -w ${target} --force ${timeouts}`,
      {unit: 'packets', answer: () => metered(target, want())()},
    )
  }
  const big = data('big.pcap')
  row('flows', 'argus', ['argus'], 'big.pcap', `argus -r ${big} -w ${join(out, 'argus')}`, {
    before: () => rmSync(join(out, 'argus'), {force: true}),
  })
  const nf = join(out, 'nfpcapd')
  row('flows', 'nfpcapd', ['nfpcapd'], 'big.pcap', `nfpcapd -r ${big} -w ${nf} -e 300,60`, {
    before: () => {
      rmSync(nf, {recursive: true, force: true})
      mkdirSync(nf)
    },
  })
  const limits = ['tcp', 'udp', 'icmp', 'general', 'tcp.fin', 'tcp.rst'].map((t) => `-t ${t}=60`)
  row(
    'flows',
    'softflowd',
    ['softflowd'],
    'big.pcap',
    `softflowd -r ${big} -n 127.0.0.1:9999 -v 10 -d -6 -m 2000000 ${limits.join(' ')} -t maxlife=300 -c none -p none`,
    {sink: join(out, 'softflowd.ipfix'), answer: counted(join(out, 'softflowd.ipfix'))},
  )
  row('flows', 'pmacctd', ['pmacctd'], 'big.pcap', `pmacctd -f ${join(out, 'pmacctd.conf')}`, {
    before: () => {
      writeFileSync(join(out, 'pmacctd.conf'), pmacctd(big))
      rmSync(join(out, 'pmacctd.csv'), {force: true})
    },
    // It waits for more when the file is at its end.
    waits: true,
  })
  row(
    'small',
    'tshark -z conv',
    ['tshark'],
    'small.pcap',
    `tshark -n -r ${data('small.pcap')} -q -z conv,ip`,
  )

  const first = `${darta} capture -r ${big} ${timeouts}`
  row('pipe', 'capture', [], 'big.pcap', `${first} -w ${join(out, 'pipe.ipfix')} --force`, {
    unit: 'packets',
  })
  row('pipe', 'capture | print -o null', [], 'big.pcap', `${first} | ${darta} print -o null`)

  const ten = data('10m.ipfix')
  row('totals', 'darta info --totals', [], '10m.ipfix', `${darta} info -r ${ten} --totals`, {
    unit: 'records',
    answer: (run) => {
      const {records, packets, bytes} = truth('10m.ipfix.json')
      const right = [records, packets, bytes].every((n) => run.output.includes(String(n)))
      return {right, text: ''}
    },
  })
  row('totals', 'plain C reader', [], '10m.ipfix', `${data('sumflow')} ${ten}`)
  const ten1 = data('10m.nf')
  const source = () => {
    const {src, bytes} = truth('10m.ipfix.json').top_src_bytes[0]
    return {src, bytes}
  }
  row('top', 'darta', [], '10m.ipfix', `${darta} analyze top -r ${ten} -s srcip/octets -k 10`, {
    unit: 'records',
    answer: (run) => ({
      right: run.output.includes(source().src) && run.output.includes(String(source().bytes)),
      text: '',
    }),
  })
  row('top', 'nfdump', ['nfdump'], '10m.ipfix', `nfdump -r ${ten1} -s srcip/bytes -n 10`, {
    nf: true,
  })
  row(
    'pairs',
    'darta',
    [],
    '10m.ipfix',
    `${darta} analyze top -r ${ten} -s srcip,dstip/octets -k 3`,
    {unit: 'records', answer: says(/198\.18\.1\.0/)},
  )
  row(
    'pairs',
    'nfdump',
    ['nfdump'],
    '10m.ipfix',
    `nfdump -r ${ten1} -A srcip,dstip -O bytes -n 3`,
    {nf: true},
  )

  const expression = "'proto tcp and dst port 443 and net 10.0.0.0/8'"
  row(
    'filter',
    'darta filter',
    [],
    '10m.ipfix',
    `${darta} filter -r ${ten} -o null --count ${expression}`,
    {
      unit: 'records',
      answer: (run) => ({
        right: run.output.includes(String(truth('10m.ipfix.json').match_tcp_443_net10)),
        text: '',
      }),
    },
  )
  row('filter', 'nfdump', ['nfdump'], '10m.ipfix', `nfdump -r ${ten1} -o null ${expression}`, {
    nf: true,
  })
  row(
    'groups',
    'darta aggregate',
    [],
    '10m.ipfix',
    `${darta} aggregate -r ${ten} -A srcip,dstip -O bytes -k 3 -o ndjson`,
    {unit: 'records', answer: says(/198\.18\.1\.0/)},
  )
  row(
    'groups',
    'nfdump',
    ['nfdump'],
    '10m.ipfix',
    `nfdump -r ${ten1} -A srcip,dstip -O bytes -n 3`,
    {nf: true},
  )

  const tuple = 'srcip,srcport,dstip,dstport,proto'
  for (const units of [2, 4, 8]) {
    row(
      'deal',
      `darta route to ${units}`,
      [],
      '10m.ipfix',
      `${darta} route -r ${ten} --key ${tuple} --units ${units} --exec "sh -c 'cat >/dev/null'"`,
      {unit: 'records', answer: dealt('10m.ipfix')},
    )
  }

  const one = data('1m.ipfix')
  const one1 = data('1m.nf')
  // A key for a bench is no secret.
  const key = '0123456789abcdefghijklmnopqrstuv'
  const keyFile = join(out, 'key')
  const anonymized = join(out, 'anonymized.ipfix')
  row(
    'anonymize',
    'darta anonymize',
    [],
    '1m.ipfix',
    `${darta} anonymize -r ${one} -w ${anonymized} --force --key-file ${keyFile}`,
    {
      unit: 'records',
      before: () => writeFileSync(keyFile, key),
      answer: (run) => counted(anonymized)(run),
    },
  )
  row(
    'anonymize',
    'nfanon',
    ['nfanon'],
    '1m.ipfix',
    `nfanon -q -K ${key} -r ${one1} -w ${join(out, 'anonymized.nf')}`,
    {nf: true},
  )
  for (const [group, format, peer] of [
    ['ndjson', 'ndjson', 'json'],
    ['csv', 'csv', 'csv'],
  ]) {
    row(group, 'darta', [], '1m.ipfix', `${darta} print -r ${one} -o ${format}`, {
      unit: 'records',
      redirected: join(out, 'darta.txt'),
      answer: (run) => lines(truth('1m.ipfix.json').records + (format === 'csv' ? 1 : 0))(run),
    })
    row(group, `nfdump -o ${peer}`, ['nfdump'], '1m.ipfix', `nfdump -r ${one1} -q -o ${peer}`, {
      nf: true,
      redirected: join(out, 'nfdump.txt'),
      answer: lines(undefined),
    })
  }

  // The Exporting Process at full speed; the sink's socket has room for all of it.
  for (const [group, as, target] of [
    ['export-ipfix', 'ipfix', join(out, 'exported.ipfix')],
    ['export-v9', 'netflow9', join(out, 'exported.v9')],
  ]) {
    const command = `${darta} ipfix-export -r ${one} --as ${as} udp://127.0.0.1:9999`
    row(group, 'darta ipfix-export', [], '1m.ipfix', command, {
      unit: 'records',
      sink: target,
      answer: () => {
        const {packets, bytes, sequence_gaps: gaps} = sums(target)
        const want = truth('1m.ipfix.json')
        const right = packets === want.packets && bytes === want.bytes
        return {right, text: `${packets} packets, ${bytes} octets, ${gaps} gaps`}
      },
    })
  }
  const replayed = join(out, 'nfreplay.v9')
  row(
    'export-v9',
    'nfreplay',
    ['nfreplay'],
    '1m.ipfix',
    `nfreplay -r ${one1} -H 127.0.0.1 -p 9999 -v 9`,
    {nf: true, sink: replayed, answer: counted(replayed)},
  )

  // Collectors take what replay sends over loopback; its own time does not count. Records a second: below what either loses.
  for (const [feed, input, rate] of [
    ['ipfix', '10m.ipfix', 400e3],
    ['v9', '10m.v9', 400e3],
    ['v5', '10m.v5', 1e6],
    ['tcp', '10m.ipfix', 0],
  ]) {
    const group = `collect-${feed}`
    const target = join(out, `${group}.ipfix`)
    const transport = feed === 'tcp' ? 'tcp' : 'udp'
    const want = () => truth(`${input}.json`)
    row(
      group,
      'darta collect',
      [],
      input,
      `${darta} collect ${transport}://127.0.0.1:4739 -w ${target} --force`,
      {
        unit: 'records',
        feed: {transport, rate},
        // As nfcapd's files: what the system's cache gives back is what it writes to next.
        before: () => rmSync(target, {force: true}),
        answer: () => {
          const {packets, bytes, sequence_gaps: gaps} = sums(target)
          const right = packets === want().packets && bytes === want().bytes
          return {right, text: `${packets} packets, ${bytes} octets, ${gaps} gaps`}
        },
      },
    )
    if (feed === 'tcp') continue
    const folder = join(out, 'nfcapd-bench')
    row(
      group,
      'nfcapd',
      ['nfcapd', 'nfdump'],
      input,
      `nfcapd -b 127.0.0.1 -p 4739 -w ${folder} -t 3600 -B 32000000`,
      {
        feed: {transport, rate},
        before: () => {
          rmSync(folder, {recursive: true, force: true})
          mkdirSync(folder)
        },
        answer: () => {
          const [, flows] = /^Flows: (\d+)$/m.exec(sh(`nfdump -R ${folder} -I`).stdout) ?? []
          return {text: `${flows} of ${want().records} records`}
        },
      },
    )
  }

  const repeat = (command) =>
    `i=0; while [ $i -lt 10 ]; do ${command} ${lastLine}; i=$((i+1)); done`
  const message = join(out, 'one-message.ipfix')
  const before = () => {
    const head = readFileSync(data('1m.ipfix')).subarray(0, 65535)
    writeFileSync(message, head.subarray(0, head.readUInt16BE(2)))
  }
  row('start', 'darta --version', [], undefined, repeat(`${darta} --version`), {unit: 'starts'})
  row('start', 'darta info', [], '1m.ipfix', repeat(`${darta} info -q -r ${message}`), {before})
  row('start', 'darta print', [], '1m.ipfix', repeat(`${darta} print -q -r ${message}`), {before})
  row('start', 'node -e 0', [], undefined, repeat(`${process.execPath} -e 0`))
  return rows
}

/** CPU ticks of the session of `leader`, to see when it has nothing left to do. */
function sessionTicks(leader) {
  let ticks = 0
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')
      if (Number(fields[3]) === leader) ticks += Number(fields[11]) + Number(fields[12])
    } catch {
      // It has ended.
    }
  }
  return ticks
}

/** Runs the command once under `measure`, which reports on descriptor 3. */
async function runOnce(row) {
  row.before?.()
  let command = row.redirected ? `${row.command} > ${row.redirected}` : row.command
  command = `${data('measure')} sh -c ${quote(command)}`
  if (row.sink) {
    const sink = `${data('sink')} 9999 ${row.sink} >/dev/null & s=$!; `
    const ready = 'while ! grep -q :270F /proc/net/udp; do sleep 0.1; done; '
    command = isolated(`${sink}${ready}${command}; kill -TERM $s; wait $s`)
  }
  if (row.feed) {
    const {transport, rate} = row.feed
    const pid = join(out, 'collector.pid')
    const own = `${data('measure')} sh -c ${quote(`echo $$ > ${pid}; exec ${row.command}`)}`
    const ready = `while ! grep -q :1283 /proc/net/${transport}; do sleep 0.1; done`
    const tcp = transport === 'tcp' ? '--tcp' : ''
    const send = `${data('replay')} --dst 127.0.0.1:4739 --rate ${rate} ${tcp} ${data(row.input)}`
    const stop = `kill -TERM $(cat ${pid}); wait $m`
    command = isolated(`${own} & m=$!; ${ready}; ${send} >/dev/null; sleep 2; ${stop}`)
  }
  const child = spawn('sh', ['-c', command], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    detached: true,
    env: {...process.env, TZ: 'UTC', PATH: `${process.env.PATH}:/usr/sbin`},
  })
  const texts = ['', '', '', '']
  for (const fd of [1, 2, 3]) {
    child.stdio[fd].setEncoding('utf8').on('data', (text) => (texts[fd] += text))
  }
  const ended = new Promise((done) => child.on('close', done))
  if (row.waits) {
    let before = -1
    let quiet = 0
    while (quiet < 3) {
      await new Promise((done) => setTimeout(done, 1000))
      const ticks = sessionTicks(child.pid)
      quiet = ticks - before > 1 ? 0 : quiet + 1
      before = ticks
    }
    process.kill(-child.pid, 'SIGINT')
  }
  await ended
  const run = {output: texts[1] + texts[2], redirected: row.redirected}
  try {
    const {wall, user, sys, maxrss_kb: rss, rc} = JSON.parse(texts[3])
    return {...run, wall, cpu: user + sys, rss: rss / 1024, rc}
  } catch {
    return {...run, wall: NaN, cpu: NaN, rss: NaN, rc: -1}
  }
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

const rows = allRows().filter(({group, name}) => wanted.test(`${group}/${name}`))
if (options.list) {
  for (const {group, name} of rows) console.log(`${group}/${name}`)
  process.exit()
}
if (!existsSync(darta)) fail('bin/darta is not there: npm run build')
buildTools()

const usable = rows.filter((row) => {
  const absent = row.needs.filter((program) => !have(program))
  if ((row.sink || row.feed) && !canIsolate()) absent.push('a network namespace')
  if (absent.length > 0) console.error(`bench: ${row.group}/${row.name} left out: no ${absent}`)
  return absent.length === 0
})
for (const input of new Set(usable.map((row) => row.input))) if (input) makeInput(input)
const kept = usable.filter((row) => !row.nf || makeNfdumpFile(row.input))

const git = (...words) => spawnSync('git', words, {cwd: root, encoding: 'utf8'}).stdout.trim()
const machine = {
  cpu: cpus()[0].model,
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  kernel: release(),
  node: sh(`${darta} --version`).stdout.trim(),
  commit: git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') ? ' (changed)' : ''),
  runs,
}
console.log(
  `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Linux ${machine.kernel}\n` +
    `${machine.node}; commit ${machine.commit}; median of ${runs} runs in turns\n`,
)
const columns = [-8, -26, 8, 8, 8, 12, 8]
const print = (...cells) =>
  console.log(
    columns
      .map((width, i) => (width < 0 ? cells[i].padEnd(-width) : cells[i].padStart(width)))
      .concat(cells.slice(columns.length))
      .join('  ')
      .trimEnd(),
  )
print('group', 'row', 'CPU s', 'wall s', 'RSS MiB', 'M units/CPU s', 'CPU/1st', 'answer')

let wrong = false
const results = []
for (const group of new Set(kept.map((row) => row.group))) {
  const members = kept.filter((row) => row.group === group)
  const taken = members.map(() => [])
  for (let i = 0; i < runs; i++) {
    for (const [m, row] of members.entries()) taken[m].push(await runOnce(row))
  }
  const {input, unit} = members[0]
  const count =
    unit === 'packets' || unit === 'records'
      ? truth(input.replace('.pcap', '') + '.json')[unit]
      : 10
  for (const [m, row] of members.entries()) {
    const all = taken[m]
    const cpu = median(all.map((run) => run.cpu))
    const ratio = median(all.map((run, i) => run.cpu / taken[0][i].cpu))
    const answer = row.answer?.(all.at(-1))
    let text = answer?.text ?? ''
    const failed = all.find((run) => run.rc !== 0 && !row.waits)
    if (failed) text += ` exit ${failed.rc}: ${failed.output.trim().split('\n').at(-1)}`
    if (answer?.right === false || failed) {
      text = `WRONG ${text}`
      if (row.command.includes(darta)) wrong = true
    }
    const wall = median(all.map((run) => run.wall))
    const rss = median(all.map((run) => run.rss))
    print(
      group,
      row.name,
      cpu.toFixed(2),
      wall.toFixed(2),
      rss.toFixed(0),
      (count / cpu / 1e6).toFixed(unit === 'starts' ? 6 : 2),
      ratio.toFixed(2),
      text,
    )
    results.push({
      group,
      row: row.name,
      cpu,
      wall,
      rss,
      count,
      ratio,
      text,
      runs: all.map((r) => r.cpu),
    })
  }
}
if (options.json) writeFileSync(options.json, JSON.stringify({machine, results}, undefined, 2))
process.exitCode = wrong ? 1 : 0
