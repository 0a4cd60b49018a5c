// Tests the kernel module on a kernel of Debian's in an emulator; leaves what it counted in a folder.
//
//   run.mjs provide FLAVOUR           fetches the kernel if it is not in the cache
//   run.mjs cases FLAVOUR FOLDER      [--packets N] [--processes N] [--messages N] [--rounds N] [--command]
//   run.mjs overhead FLAVOUR FOLDER   guest instructions a packet takes
//   run.mjs soak FLAVOUR FOLDER       [--seconds N] loaded, unloaded, read, reset, namespaces made and removed under traffic
//
// FLAVOUR is 6.1, 6.12 or debug, a kernel that finds faults by itself and is built when it is not in the cache.
//
// Status 69 with the reason on standard error: it cannot be done here. Otherwise the last line is JSON.
import {execFileSync} from 'node:child_process'
import {existsSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {parseArgs} from 'node:util'
import {boot} from './boot.mjs'
import {provideDebug} from './debug-kernel.mjs'
import {absence, buildModule, flavours, provide} from './kernels.mjs'

const UNAVAILABLE = 69
const root = fileURLToPath(new URL('../..', import.meta.url))

const {values, positionals} = parseArgs({
  allowPositionals: true,
  options: {
    packets: {type: 'string', default: '100000'},
    processes: {type: 'string', default: '1000'},
    messages: {type: 'string', default: '20000'},
    rounds: {type: 'string', default: '3'},
    minutes: {type: 'string', default: '5'},
    seconds: {type: 'string', default: '600'},
    command: {type: 'boolean', default: false},
  },
})
const [what, flavour, folder] = positionals
if (!(flavour in flavours) && flavour !== 'debug') {
  console.error(`which kernel? ${Object.keys(flavours).join(', ')} or debug`)
  process.exit(2)
}

function unavailable(why) {
  console.error(why)
  process.exit(UNAVAILABLE)
}

const reason = absence()
if (reason !== undefined) unavailable(reason)
let kernel
try {
  kernel = flavour === 'debug' ? provideDebug((words) => console.error(words)) : provide(flavour)
} catch (error) {
  unavailable(error.message.split('\n', 1)[0])
}
if (what === 'provide') {
  console.log(JSON.stringify({version: kernel.version}))
  process.exit(0)
}

const source = join(root, 'linubia-kmod')
const work = join(root, 'build/kmod', kernel.version)
mkdirSync(work, {recursive: true})
const {module, said} = buildModule(kernel, source, join(work, 'module'), {
  sparse: existsSync('/usr/bin/sparse'),
})
const traffic = join(work, 'traffic')
execFileSync('gcc', ['-O1', '-Wall', '-Werror', '-o', traffic, join(source, 'test/traffic.c')])

rmSync(folder, {recursive: true, force: true})
mkdirSync(folder, {recursive: true})
writeFileSync(join(folder, 'build.said'), said)
const script =
  what === 'overhead'
    ? ['overhead.sh', '/out', module, traffic, '2000']
    : what === 'soak'
      ? ['soak.sh', '/out', module, traffic, values.seconds]
      : [
          ...['run.sh', '/out', module, traffic],
          ...[values.packets, values.processes, values.messages, values.rounds],
          ...(values.command ? [join(root, 'bin/darta')] : []),
        ]
const words = `sh ${join(source, 'test', script.join(' '))}`
/** What the kernel found by itself: leaks since the module was loaded, and whether it still watches locks. */
const findings =
  `echo clear >/sys/kernel/debug/kmemleak\n${words}\nstatus=$?\n` +
  // What was freed after a grace period is still found by a first look, and so is what a stack holds by chance.
  `for n in 1 2 3; do sleep 6; echo scan >/sys/kernel/debug/kmemleak; done\n` +
  `cat /sys/kernel/debug/kmemleak >/out/kmemleak\ncat /proc/lockdep_stats >/out/lockdep\nexit $status`
const result = await boot(kernel, folder, flavour === 'debug' ? findings : words, {
  icount: what === 'overhead',
  // These look for races, and somebody looks at what they say.
  parallel: what === 'soak' || flavour === 'debug',
  timeoutMs: Number(values.minutes) * 60_000,
})
const ownMessages = result.dmesg.slice(result.dmesg.indexOf('linubia'))
const told = JSON.stringify({
  version: kernel.version,
  status: result.status,
  said: result.said,
  console: result.console.slice(-4000),
  // What the kernel warns of; a module that is not of its own makes it say "taints", which is no fault.
  warnings: ownMessages
    .split('\n')
    .filter((line) =>
      /BUG|WARNING|KASAN|Call Trace|suspicious|leak|Oops|general protection|refcount|ODEBUG|stall/.test(
        line,
      ),
    ),
  overhead:
    what === 'overhead' && result.status === 0
      ? JSON.parse(readFileSync(join(folder, 'overhead'), 'utf8'))
      : undefined,
})
writeFileSync(join(folder, 'run.json'), told)
console.log(told)
