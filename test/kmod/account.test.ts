import {execFileSync} from 'node:child_process'
import {mkdirSync} from 'node:fs'
import {join} from 'node:path'
import type {ExecutionContext} from 'ava'
import {needing, root, tools} from '../support/needing.js'

const source = join(root, 'linubia-kmod')
const files = ['test/unit.c', 'packet.c', 'account.c', 'flow.c'].map((f) => join(source, f))

/** Compiles the module's accounts against the stubs of a kernel, with sanitizers. */
function compile(compiler: string, name: string, ...options: string[]): string {
  const folder = join(root, 'build/kmod')
  mkdirSync(folder, {recursive: true})
  const program = join(folder, `${name}-${process.pid}`)
  execFileSync(compiler, [
    ...['-std=gnu11', '-g', '-O1', '-fno-sanitize-recover=all', '-Wno-address-of-packed-member'],
    ...options,
    ...['-I', join(source, 'test/stub'), '-I', source, '-o', program, ...files],
  ])
  return program
}

function run(t: ExecutionContext, program: string, ...words: string[]): string {
  t.teardown(() => execFileSync('rm', ['-f', program]))
  return execFileSync(program, words, {encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']})
}

needing(tools('gcc'))('accounts and flows of the module keep their rules in user space', (t) => {
  const program = compile('gcc', 'unit', '-Wall', '-Werror', '-fsanitize=address,undefined')
  t.is(run(t, program), 'as it should be\n')
})

needing(tools('clang-14'))(
  'no order of packets, time and failing memory upsets the accounts',
  (t) => {
    const program = compile('clang-14', 'fuzz', '-DFUZZ', '-fsanitize=fuzzer,address,undefined')
    const runs = process.env.DARTA_KMOD_FUZZ_RUNS ?? '20000'
    t.notThrows(() => run(t, program, '-seed=1', `-runs=${runs}`, '-max_len=600', '-verbosity=0'))
  },
)
