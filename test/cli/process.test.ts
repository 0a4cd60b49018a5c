import test, {type ExecutionContext} from 'ava'
import {createHash} from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {spawn, spawnSync} from 'node:child_process'
import {join} from 'node:path'
import {bash, bin, darta, folder, start, type Ended, type Running} from '../support/darta.js'
import {needing, openToAll, root, superuser, tools} from '../support/needing.js'

const node = process.execPath
const probe = join(root, 'build/test/cli/probe.js')
const lab = join(root, 'test/fixtures/lab.pcap')

/** A file of IPFIX Messages, as darta makes it of the lab's packets. */
async function records(t: ExecutionContext): Promise<{path: string; octets: Buffer}> {
  const path = join(folder(t), 'lab.ipfix')
  const {code, stderr} = await darta(t, ['capture', '-r', lab, '-w', path])
  t.is(code, 0, stderr)
  return {path, octets: readFileSync(path)}
}

function startProbe(t: ExecutionContext, args: readonly string[], env = process.env): Running {
  return start(t, node, [probe, ...args], {env})
}

async function runProbe(
  t: ExecutionContext,
  args: readonly string[],
  input: string | Uint8Array = '',
): Promise<Ended> {
  const {child, ended} = startProbe(t, args)
  child.stdin.end(input)
  return ended
}

/** How many records the octets hold. Where Messages end depends on time when a pipe is read. */
async function count(t: ExecutionContext, octets: Uint8Array): Promise<number> {
  const {stderr} = await runProbe(t, ['-o', 'null'], octets)
  return Number(/null: (\d+) records in/.exec(stderr)?.[1])
}

function sum(octets: Uint8Array): string {
  return createHash('sha256').update(octets).digest('hex')
}

test('ends with 0 when all is done, and says what went in and out', async (t) => {
  const {path, octets} = await records(t)
  const {code, stdout, stderr} = await runProbe(t, ['-r', path, '-o', 'ipfix'])
  t.is(code, 0)
  t.is(stdout.length > octets.length / 2, true)
  t.regex(
    stderr,
    /^darta probe: ipfix-messages: 4 messages in, 4 out\ndarta probe: ipfix: 727 records in, 727 out$/m,
  )
})

test('accounts stand in the order of the data', async (t) => {
  const {path, octets} = await records(t)
  const {stderr} = await runProbe(t, ['-r', path, '-r', '-', '-o', 'null'], octets)
  const stages = stderr
    .trimEnd()
    .split('\n')
    .map((line) => /^darta probe: ([^:]+):/.exec(line)?.[1])
  t.deepEqual(stages, ['ipfix-messages', 'ipfix', 'null'])
})

test('says nothing with -q when nothing was lost', async (t) => {
  const {path} = await records(t)
  const {code, stderr} = await runProbe(t, ['-q', '-r', path, '-o', 'null'])
  t.is(code, 0)
  t.is(stderr, '')
})

test('ends with 1 and names the file when an input cannot be read', async (t) => {
  const {code, stdout, stderr} = await runProbe(t, ['-r', '/nowhere/x.ipfix', '-o', 'null'])
  t.is(code, 1)
  t.is(stdout.length, 0)
  t.is(
    stderr,
    'darta probe: cannot read /nowhere/x.ipfix: no such file or directory (DARTA_FILE_READ)\n',
  )
})

test('tells of a second input that is missing before anything is written', async (t) => {
  const {path} = await records(t)
  const {code, stdout} = await runProbe(t, ['-r', path, '-r', '/nowhere/x.ipfix', '-o', 'ipfix'])
  t.is(code, 1)
  t.is(stdout.length, 0)
})

for (const [what, args, words] of [
  ['an unknown flag', ['ie', '--bogus'], /^darta ie: Nonexistent flag: --bogus; see --help \(/],
  ['an unknown command', ['captrue'], /^darta: no command 'captrue'; did you mean capture\? \(/],
  ['an unknown flag of darta', ['--bogus'], /^darta: unknown flag --bogus/],
  ['no command at all', [], /COMMANDS\n/],
  ['a value that is none', ['capture', '-c', 'x', '-r', lab], /--count: expected a count/],
  ['a flag without its value', ['capture', '-r'], /--read expects a value/],
  ['an unknown format', ['capture', '-r', lab, '-o', 'nsdjon'], /-o: no format 'nsdjon'/],
] as const) {
  test(`ends with 2 for ${what}`, async (t) => {
    const {code, stdout, stderr} = await darta(t, args)
    t.is(code, 2)
    t.is(stdout.length, 0)
    t.regex(stderr, words)
  })
}

test('ends with 3 when something was lost, but only with --strict-loss', async (t) => {
  const {octets} = await records(t)
  const cut = octets.subarray(0, octets.length - 3)
  t.is((await runProbe(t, ['-o', 'null'], cut)).code, 0)
  const {code, stderr} = await runProbe(t, ['-q', '-o', 'null', '--strict-loss'], cut)
  t.is(code, 3)
  t.regex(stderr, /lost 1 \(/)
})

needing(superuser(), openToAll())('ends with 4 when the system refuses a file', async (t) => {
  const place = folder(t)
  const path = join(place, 'secret.pcap')
  writeFileSync(path, readFileSync(lab), {mode: 0o600})
  chmodSync(place, 0o755)
  const {code, stderr} = await darta(t, ['capture', '-r', path, '-o', 'null'], '', {uid: 65534})
  t.is(code, 4)
  t.regex(stderr, /cannot read .*secret.pcap: permission denied \(DARTA_PERMISSION\)\n$/)
})

test('with --json an error is one JSON object a line', async (t) => {
  const {code, stderr} = await darta(t, ['capture', '--json', '-r', '/nowhere', '-o', 'null'])
  t.is(code, 1)
  t.deepEqual(JSON.parse(stderr), {
    code: 'DARTA_FILE_READ',
    message: 'cannot read /nowhere: no such file or directory',
  })
  const usage = await darta(t, ['ie', '--json', '--bogus'])
  t.is(usage.code, 2)
  t.is((JSON.parse(usage.stderr) as {code: string}).code, 'DARTA_USAGE')
})

test('an error in the input tells its octet', async (t) => {
  const {stderr} = await runProbe(t, ['--json', '-o', 'null'], 'neither this nor that')
  const [line] = stderr.split('\n')
  const error = JSON.parse(line) as {code: string; offset: number}
  t.is(error.code, 'DARTA_FORMAT_UNKNOWN')
  t.is(error.offset, 0)
})

test('sends who gives records a capture to darta capture', async (t) => {
  const {code, stderr} = await runProbe(t, ['-r', lab, '-o', 'null'])
  t.is(code, 1)
  t.regex(stderr, /is a capture \(pcap\), not records; use darta capture -r/)
})

test('what cannot be read does not keep the inputs behind it from being read', async (t) => {
  const {path} = await records(t)
  const whole = await runProbe(t, ['-r', path, '-o', 'ipfix'])
  const {code, stdout, stderr} = await runProbe(t, ['-r', lab, '-r', path, '-o', 'ipfix'])
  t.is(code, 1)
  t.regex(stderr, /is a capture/)
  t.is(sum(stdout), sum(whole.stdout))
})

test('reads standard input where - stands among files, and refuses it twice', async (t) => {
  const {path, octets} = await records(t)
  const {stdout} = await runProbe(t, ['-r', path, '-r', '-', '-o', 'ipfix'], octets)
  t.is(await count(t, stdout), 2 * 727)
  t.is((await runProbe(t, ['-r', '-', '-r', '-', '-o', 'null'], octets)).code, 2)
})

test('ends with 141 and in silence when the reader goes away', async (t) => {
  const {path} = await records(t)
  const {code, stderr} = await bash(
    t,
    `for i in $(seq 300); do cat ${path}; done | "${node}" ${probe} -o ipfix | head -c 1`,
  )
  t.is(code, 141)
  t.is(stderr, '')
})

test('stops soon after its reader, though the source goes on for ever', async (t) => {
  const {octets} = await records(t)
  const {child, ended, gives} = startProbe(t, ['-o', 'ipfix', '-l'])
  let fed = 0
  const feed = (): void => {
    do fed += octets.length
    while (child.stdin.write(octets))
  }
  child.stdin.on('drain', feed)
  feed()
  await gives(1)
  const before = fed
  child.stdout.destroy()
  const {code, stderr} = await ended
  t.is(code, 141)
  t.is(stderr, '')
  // What pipes and one read hold, not what a second brings.
  t.true(fed - before < 8 << 20, `${fed - before} octets were still read`)
})

test('the first SIGINT ends the source: what was read is written, the account told, exit 0', async (t) => {
  const {octets} = await records(t)
  const path = join(folder(t), 'out.ipfix')
  const {child, ended, says} = startProbe(t, ['-v', '-o', 'ipfix', '-w', path])
  await says(/ready/)
  await new Promise((resolve) => child.stdin.write(octets, resolve))
  child.kill('SIGINT')
  await says(/stopping/)
  child.stdin.end()
  const {code, signal, stderr} = await ended
  t.is(code, 0)
  t.is(signal, null)
  t.regex(stderr, /ipfix-write: 727 records in, 727 out/)
  t.is(await count(t, readFileSync(path)), 727)
})

test('after SIGINT a pipe is read on, as whoever writes still flushes', async (t) => {
  const {octets} = await records(t)
  const {child, ended, says} = startProbe(t, ['-v', '-o', 'ipfix'])
  await says(/ready/)
  await new Promise((resolve) => child.stdin.write(octets.subarray(0, 20_000), resolve))
  child.kill('SIGINT')
  await says(/stopping/)
  child.stdin.end(octets.subarray(20_000))
  const {code, stdout} = await ended
  t.is(code, 0)
  t.is(await count(t, stdout), 727)
})

test('after SIGINT a pipe that stays silent does not keep the command', async (t) => {
  const {child, ended, says} = startProbe(t, ['-v', '-o', 'null'])
  await says(/ready/)
  child.kill('SIGTERM')
  t.is((await ended).code, 0)
})

for (const name of ['SIGINT', 'SIGTERM'] as const) {
  test(`a second ${name} ends the command by that signal and leaves no temporary file`, async (t) => {
    const place = folder(t)
    const {child, ended, says} = startProbe(t, [
      '-v',
      '--linger',
      '-o',
      'ipfix',
      '-w',
      join(place, 'out.ipfix'),
    ])
    await says(/ready/)
    child.kill(name)
    await says(/stopping/)
    child.kill(name)
    t.is((await ended).signal, name)
    t.deepEqual(readdirSync(place), [])
  })
}

test('a shell sees the second SIGINT as 130, the second SIGTERM as 143', async (t) => {
  for (const [name, status] of [
    ['INT', 130],
    ['TERM', 143],
  ] as const) {
    const place = folder(t)
    // Opened for both ways, the pipes never end; the probe tells by lines when it may be signalled.
    const {code} = await bash(
      t,
      `cd ${place}; mkfifo in words; exec {input}<>in {words}<>words
       "${node}" ${probe} -v --linger -o null <&$input 2>&$words & pid=$!
       for line in ready stopping; do
         until [[ $REPLY == *$line ]]; do read -u $words; done
         kill -${name} $pid
       done
       wait $pid`,
    )
    t.is(code, status)
  }
})

test('a second SIGINT ends a command whose reader takes nothing', async (t) => {
  const {octets} = await records(t)
  const place = folder(t)
  writeFileSync(join(place, 'many'), Buffer.concat(Array.from({length: 60}, () => octets)))
  // One write of more than a pipe holds has begun when its first octet can be read, and nobody reads the rest.
  const {code} = await bash(
    t,
    `cd ${place}; mkfifo out words; exec {out}<>out {words}<>words
     "${node}" ${probe} -v -o ipfix -r many >&$out 2>&$words & pid=$!
     head -c 1 <&$out >/dev/null
     kill -INT $pid
     until [[ $REPLY == *stopping ]]; do read -u $words; done
     kill -INT $pid
     wait $pid`,
  )
  t.is(code, 130)
})

test('SIGUSR1 prints a line of counters per stage and nothing ends', async (t) => {
  const {octets} = await records(t)
  const {child, ended, says, words} = startProbe(t, ['-q', '-v', '-l', '-o', 'ipfix'])
  await says(/ready/)
  child.kill('SIGUSR1')
  child.stdin.write(octets)
  child.kill('SIGUSR1')
  await says(/ipfix: \d+ records in/)
  child.stdin.end()
  t.is((await ended).code, 0)
  t.true(
    words()
      .split('\n')
      .filter((line) => /records in/.test(line)).length >= 1,
  )
})

test('SIGHUP calls the hook of a command that is not on a terminal, and the work goes on', async (t) => {
  const {octets} = await records(t)
  const {child, ended, says} = startProbe(t, ['-v', '-o', 'ipfix'])
  await says(/ready/)
  child.kill('SIGHUP')
  await says(/hung up/)
  child.stdin.end(octets)
  const {code, stdout} = await ended
  t.is(code, 0)
  t.is(await count(t, stdout), 727)
})

test('SIGUSR2 writes what is held, though nothing follows and nothing ends', async (t) => {
  const {path} = await records(t)
  const {child, ended, says, gives} = startProbe(t, ['-v', '--hold', '-r', path, '-o', 'ipfix'])
  await says(/ready/)
  const flush = setInterval(() => child.kill('SIGUSR2'), 20)
  t.teardown(() => clearInterval(flush))
  // Records of a file are held until a Message is full: without the signal nothing comes.
  await gives(100)
  clearInterval(flush)
  child.kill('SIGHUP')
  const {code, stdout} = await ended
  t.is(code, 0)
  t.is(await count(t, stdout), 727)
})

test('records that wait are written while the input is silent', async (t) => {
  const {octets} = await records(t)
  const {child, ended, gives} = startProbe(t, ['-o', 'ipfix'])
  child.stdin.write(octets)
  // The input stays open all the while; records take more room than Message and Set headers.
  await gives(727 * 40)
  child.stdin.end()
  const {code, stdout} = await ended
  t.is(code, 0)
  t.is(await count(t, stdout), 727)
})

test('-c ends the source after that many records', async (t) => {
  const {octets} = await records(t)
  const {child, ended} = startProbe(t, ['-c', '7', '-o', 'null'])
  child.stdin.write(octets)
  const {code, stderr} = await ended
  t.is(code, 0)
  t.regex(stderr, /null: 7 records in, 7 out/)
})

test('never makes the pipe non-blocking that it shares with others', async (t) => {
  const {path} = await records(t)
  const flags = `cat /proc/self/fdinfo/1 /proc/self/fdinfo/2 | grep flags`
  const {stdout} = await bash(
    t,
    `{ darta ie octetDeltaCount >&2; "${node}" ${probe} -q -r ${path} -o ipfix >&2; darta --help >&2; ${flags}; } 2>&1 | tail -n 2`,
  )
  const lines = stdout.toString().trim().split('\n')
  t.is(lines.length, 2)
  for (const line of lines) t.is(parseInt(line.split(/\s+/)[1], 8) & 0o4000, 0, line)
})

needing(tools('python3'))('writes all to a slow reader of a non-blocking pipe', async (t) => {
  const {path} = await records(t)
  // Python holds the reading end and makes the writing end, which the command inherits, non-blocking.
  const script = `
import fcntl, hashlib, os, subprocess, sys, time
r, w = os.pipe()
fcntl.fcntl(w, fcntl.F_SETFL, fcntl.fcntl(w, fcntl.F_GETFL) | os.O_NONBLOCK)
p = subprocess.Popen(sys.argv[1:], stdout=w)
os.close(w)
h, n = hashlib.sha256(), 0
while True:
    part = os.read(r, 3000)
    if not part: break
    h.update(part); n += len(part)
    if n < 100000: time.sleep(0.001)
print(p.wait(), n, h.hexdigest())
`
  const inputs = Array.from({length: 40}, () => ['-r', path]).flat()
  const {child, ended} = start(t, 'python3', [
    '-c',
    script,
    node,
    probe,
    '-q',
    '-o',
    'ipfix',
    ...inputs,
  ])
  child.stdin.end()
  const whole = await runProbe(t, ['-q', '-o', 'ipfix', ...inputs])
  const {stdout, stderr} = await ended
  t.is(stdout.toString().trim(), `0 ${whole.stdout.length} ${sum(whole.stdout)}`, stderr)
})

/** Runs a command on a terminal of its own and prints what that showed, then the exit status. */
const onTerminal = `
import os, pty, sys
mode, *command = sys.argv[1:]
pid, fd = pty.fork()
if pid == 0:
    null = os.open('/dev/null', os.O_RDWR)
    if 'i' not in mode: os.dup2(null, 0)
    if 'o' not in mode: os.dup2(null, 1)
    os.execvp(command[0], command)
shown = b''
try:
    while True:
        part = os.read(fd, 65536)
        if not part: break
        shown += part
        if b'ready' in part and 'h' in mode: os.kill(pid, 1)
        if b'%' in part and 'p' in mode: os.kill(pid, 15)
        if b'ready' in shown and b'begun' in shown and 'c' in mode:
            os.write(fd, b'\\x03')
            mode = ''
except OSError: pass
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(shown)
print('status', os.waitstatus_to_exitcode(status))
`

async function runOnTerminal(
  t: ExecutionContext,
  mode: string,
  command: string[],
): Promise<string> {
  const {child, ended} = start(t, 'python3', ['-c', onTerminal, mode, ...command])
  child.stdin.end()
  return (await ended).stdout.toString().replaceAll(/\r+\n/g, '\n')
}

const terminal = needing(tools('python3'))

terminal('standard input that is a terminal, without -r, is wrong usage', async (t) => {
  const shown = await runOnTerminal(t, 'i', [bin, 'capture', '-o', 'null'])
  t.regex(shown, /USAGE\n {2}\$ darta capture/)
  t.regex(shown, /standard input is a terminal: give -r FILE/)
  t.regex(shown, /status 2\n$/)
})

terminal('refuses to write binary on a terminal and points at darta print', async (t) => {
  const {path} = await records(t)
  const shown = await runOnTerminal(t, 'o', [node, probe, '-r', path, '-o', 'ipfix'])
  t.regex(shown, /binary and standard output is a terminal.*\| darta print/)
  t.regex(shown, /status 2\n$/)
})

terminal('SIGHUP ends a command on a terminal after it has written what it holds', async (t) => {
  const shown = await runOnTerminal(t, 'io-h', [node, probe, '-v', '-r', '-', '-o', 'null'])
  t.regex(shown, /stopping/)
  t.regex(shown, /status 0\n$/)
})

terminal('a terminal shows how far a file is read, and nothing of it stays', async (t) => {
  const {path} = await records(t)
  const command = [node, probe, '--hold', '-r', path, '-o', 'ipfix']
  const shown = await runOnTerminal(t, 'p', command)
  t.regex(
    shown,
    /\rlab\.ipfix \[=+\] 100 % +\d+ MB\/s +0:00 left\x1b\[K\r\x1b\[Kdarta probe: stopping\n/,
  )
  t.regex(shown, /\n(darta probe: .*\n)+status 0\n$/)
})

terminal('no progress is shown with -q', async (t) => {
  const {path} = await records(t)
  const shown = await runOnTerminal(t, '', [node, probe, '-q', '-r', path, '-o', 'null'])
  t.is(shown, 'status 0\n')
})

terminal('Ctrl-C on a pipeline loses nothing that the first of it still flushes', async (t) => {
  const {octets} = await records(t)
  const place = folder(t)
  writeFileSync(join(place, 'head'), octets.subarray(0, 20_000))
  writeFileSync(join(place, 'tail'), octets.subarray(20_000))
  spawnSync('mkfifo', [join(place, 'never')])
  // The first flushes when it is told to stop, as a capture does; the shell outlives both.
  const line = `cd ${place}; trap : INT
    sh -c 'trap "cat tail; exit" INT; cat head; echo begun >&2; read word <>never' |
    "${node}" ${probe} -v -o ipfix > out`
  const shown = await runOnTerminal(t, 'c', ['bash', '--norc', '-c', line])
  t.regex(shown, /stopping/)
  t.is(await count(t, readFileSync(join(place, 'out'))), 727)
})

test('an output appears under its name only when it is whole', async (t) => {
  const {octets} = await records(t)
  const place = folder(t)
  const path = join(place, 'out.ipfix')
  const {child, ended, says} = startProbe(t, ['-v', '-l', '-o', 'ipfix', '-w', path])
  await says(/ready/)
  for (let at = 0; at < octets.length; at += 4096) {
    await new Promise((resolve) => child.stdin.write(octets.subarray(at, at + 4096), resolve))
    t.false(existsSync(path))
  }
  const [temporary] = readdirSync(place)
  t.regex(temporary, /^out\.ipfix\.\d+\.tmp$/)
  child.stdin.end()
  t.is((await ended).code, 0)
  t.deepEqual(readdirSync(place), ['out.ipfix'])
  t.is(await count(t, readFileSync(path)), 727)
})

test('whoever looks at a file that is replaced sees the old one or the new one, whole', async (t) => {
  const {path: input} = await records(t)
  const path = join(folder(t), 'out.ipfix')
  const inputs = Array.from({length: 30}, () => ['-r', input]).flat()
  const args = ['-q', '-o', 'ipfix', '-w', path, '--force', ...inputs]
  await runProbe(t, args)
  const size = statSync(path).size
  const {child, ended} = startProbe(t, args)
  child.stdin.end()
  let over = false
  void ended.then(() => (over = true))
  let looks = 0
  while (!over) {
    t.is(statSync(path).size, size)
    looks++
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.true(looks > 10)
  t.is((await ended).code, 0)
})

test('an output that exists is not touched without --force', async (t) => {
  const {path: input} = await records(t)
  const place = folder(t)
  const path = join(place, 'out.ipfix')
  writeFileSync(path, 'mine')
  const {code, stderr} = await runProbe(t, ['-r', input, '-w', path])
  t.is(code, 1)
  t.regex(stderr, /out\.ipfix exists; --force replaces it \(DARTA_FILE_EXISTS\)/)
  t.is(readFileSync(path, 'utf8'), 'mine')
  t.is((await runProbe(t, ['-r', input, '-w', path, '--force'])).code, 0)
  t.not(readFileSync(path, 'utf8'), 'mine')
  t.deepEqual(readdirSync(place), ['out.ipfix'])
})

test('an output that another process made meanwhile is not replaced', async (t) => {
  const {octets} = await records(t)
  const place = folder(t)
  const path = join(place, 'out.ipfix')
  const {child, ended, says} = startProbe(t, ['-v', '-w', path])
  await says(/ready/)
  writeFileSync(path, 'theirs')
  child.stdin.end(octets)
  const {code, stderr} = await ended
  t.is(code, 1)
  t.regex(stderr, /DARTA_FILE_EXISTS/)
  t.is(readFileSync(path, 'utf8'), 'theirs')
  t.deepEqual(readdirSync(place), ['out.ipfix'])
})

test('an output has the mode that the umask leaves', async (t) => {
  const {path: input} = await records(t)
  const path = join(folder(t), 'out.ipfix')
  await bash(t, `umask 027; "${node}" ${probe} -r ${input} -w ${path}`)
  t.is(statSync(path).mode & 0o777, 0o640)
})

test('through a symbolic link the file behind it is replaced', async (t) => {
  const {path: input} = await records(t)
  const place = folder(t)
  writeFileSync(join(place, 'real'), 'old')
  await bash(t, `cd ${place}; ln -s real link; "${node}" ${probe} -r ${input} -w link --force`)
  t.deepEqual(readdirSync(place).sort(), ['link', 'real'])
  t.not(readFileSync(join(place, 'real'), 'utf8'), 'old')
})

test('whenever a command is killed, its output is whole or is not there', async (t) => {
  const {octets} = await records(t)
  const place = folder(t)
  const many = join(place, 'many')
  writeFileSync(many, Buffer.concat(Array.from({length: 40}, () => octets)))
  const whole = await runProbe(t, ['-r', many, '-o', 'ipfix'])
  for (let n = 0; n < 12; n++) {
    const path = join(place, `${n}.ipfix`)
    const {child, ended, says} = startProbe(t, ['-v', '-r', many, '-w', path])
    await says(/ready/)
    // From before the first write to after the last one.
    for (let turns = 0; turns < n * 40; turns++) await new Promise(setImmediate)
    child.kill('SIGKILL')
    await ended
    if (existsSync(path)) t.is(sum(readFileSync(path)), sum(whole.stdout))
    else t.pass()
  }
})

needing(superuser(), tools('mount', 'unshare'))(
  'a full disk is told with path and octets, and no half file stays',
  async (t) => {
    const {octets} = await records(t)
    const place = folder(t)
    mkdirSync(join(place, 'disk'))
    writeFileSync(join(place, 'many'), Buffer.concat(Array.from({length: 30}, () => octets)))
    // The disk is there for these processes only and goes away with them, however they end.
    const {child, ended} = start(t, 'unshare', [
      '--mount',
      'sh',
      '-c',
      `cd ${place} && mount -t tmpfs -o size=16k tmpfs disk || { echo none; exit; }
       for size in 16k 64k 100k 256k 700k 1m 16m; do
         mount -o remount,size=$size disk
         "${node}" ${probe} -q -o ipfix -r many -w disk/out.ipfix 2>&1
         echo "$size: $?" $(ls -A disk)
       done`,
    ])
    child.stdin.end()
    const lines = (await ended).stdout.toString().trimEnd().split('\n')
    if (lines[0] === 'none') {
      t.pass('no tmpfs can be mounted here')
      return
    }
    t.is(lines.pop(), '16m: 0 out.ipfix')
    t.is(lines.length, 12)
    while (lines.length > 0) {
      t.regex(
        String(lines.shift()),
        /^darta probe: cannot write disk\/out\.ipfix after \d+ octets: no space left on device \(DARTA_FILE_WRITE\)$/,
      )
      t.regex(String(lines.shift()), /^\w+: 1$/)
    }
  },
)

test('a reader that takes nothing holds up the source, not the memory', async (t) => {
  const {octets} = await records(t)
  const child = spawn(node, [probe, '-q', '-o', 'ipfix'], {stdio: ['pipe', 'pipe', 'inherit']})
  t.teardown(() => child.kill('SIGKILL'))
  child.stdin.on('error', () => {})
  let taken = 0
  const feed = (): void => {
    child.stdin.write(octets, (error) => {
      if (error) return
      taken += octets.length
      feed()
    })
  }
  feed()
  // Until nothing moves any more; whoever takes without end never comes to rest.
  let before = 0
  for (let same = 0; same < 30;) {
    await new Promise((resolve) => setTimeout(resolve, 10))
    same = taken > 0 && taken === before ? same + 1 : 0
    before = taken
    if (taken > 64 << 20) break
  }
  t.true(taken < 64 << 20, `${taken} octets were taken`)
})

test('a file size limit is told like a full disk', async (t) => {
  const {path: input} = await records(t)
  const place = folder(t)
  const {code, stderr} = await bash(
    t,
    `ulimit -f 8; exec "${node}" ${probe} -q -w ${place}/out.ipfix ${`-r ${input} `.repeat(9)}`,
  )
  t.is(code, 1)
  t.regex(stderr, /file too large \(DARTA_FILE_WRITE\)/)
  t.deepEqual(readdirSync(place), [])
})

test('reads from and writes to named pipes', async (t) => {
  const {path: input} = await records(t)
  const place = folder(t)
  const {stdout} = await bash(
    t,
    `cd ${place}; mkfifo in out; cat ${input} > in & "${node}" ${probe} -q -r in -o ipfix -w out & cat out; wait`,
  )
  t.is(await count(t, stdout), 727)
})

test('a named pipe that nobody opens does not hold a command that is told to stop', async (t) => {
  const place = folder(t)
  await bash(t, `mkfifo ${place}/in`)
  const {child, ended, says} = startProbe(t, ['-v', '-r', join(place, 'in'), '-o', 'null'])
  await says(/ready/)
  child.kill('SIGINT')
  t.is((await ended).code, 0)
})

test('DARTA_FORMAT chooses what goes to a pipe when -o does not', async (t) => {
  const {octets} = await records(t)
  const {child, ended} = startProbe(t, [], {...process.env, DARTA_FORMAT: 'null'})
  child.stdin.end(octets)
  const {code, stdout, stderr} = await ended
  t.is(code, 0)
  t.is(stdout.length, 0)
  t.regex(stderr, /null: \d+ records/)
})
