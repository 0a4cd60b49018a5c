import test from 'ava'
import {spawnSync} from 'node:child_process'
import {readFileSync, readdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {bin, folder} from '../support/darta.js'
import {needing, root, tools} from '../support/needing.js'

const units = join(root, 'systemd')
const withSystemd = needing(tools('systemd-analyze'))

/** The units as an instance each, with the program where it is. */
function installed(place: string, instance: string): string[] {
  return readdirSync(units).map((name) => {
    const text = readFileSync(join(units, name), 'utf8').replaceAll('/usr/bin/darta', bin)
    const file = join(place, name.replace('@', `@${instance}`))
    writeFileSync(join(place, name), text)
    writeFileSync(file, text)
    return file
  })
}

withSystemd('systemd finds no fault in the units', (t) => {
  const files = installed(folder(t), '4739')
  const {status, stderr} = spawnSync('systemd-analyze', ['verify', '--man=no', ...files], {
    encoding: 'utf8',
  })
  t.is(stderr, '')
  t.is(status, 0)
})

for (const [name, most] of [
  ['darta-collect', 2.0],
  ['darta-capture', 3.0],
] as const) {
  withSystemd(`${name} is exposed to no more than ${most} of 10`, (t) => {
    const [file] = installed(folder(t), '4739').filter((one) =>
      one.includes(`${name}@4739.service`),
    )
    const {stdout, stderr} = spawnSync(
      'systemd-analyze',
      ['security', '--no-pager', '--offline=yes', file],
      {encoding: 'utf8'},
    )
    const level = Number(/Overall exposure level for .*: ([\d.]+)/.exec(stdout)?.[1])
    t.true(level <= most, `${level} ${stderr}`)
  })
}

test('the units have no capability but what capture needs', (t) => {
  for (const name of readdirSync(units).filter((one) => one.endsWith('.service'))) {
    const text = readFileSync(join(units, name), 'utf8')
    const wanted = name.includes('capture') ? 'CAP_NET_RAW' : ''
    t.true(text.includes(`\nCapabilityBoundingSet=${wanted}\n`), name)
    t.true(text.includes('\nNoNewPrivileges=yes\n'), name)
  }
})
