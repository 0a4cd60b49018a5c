import test from 'ava'
import {spawnSync} from 'node:child_process'
import {root} from './support/needing.js'

test('the demo shows an answer behind each of its commands', (t) => {
  const {status, stdout, stderr} = spawnSync('sh', ['scripts/demo.sh'], {
    cwd: root,
    encoding: 'utf8',
    env: {...process.env, DARTA_FORMAT: ''},
  })
  t.is(status, 0, stdout + stderr)
  t.is(stderr, '')
  const steps = stdout.split(/^# .*\n\$ /m).slice(1)
  t.true(steps.length >= 8)
  for (const step of steps) {
    const [command, ...answer] = step.trimEnd().split('\n')
    t.true(answer.length > 0, command)
    t.notRegex(answer.join('\n'), /DARTA_[A-Z]|lost/, command)
  }
  t.regex(stdout, /^ +all +770\.6 k +100\.0 % /m)
})
