import test from 'ava'
import {
  capabilities,
  clockSource,
  receiveBuffer,
  softirqDrops,
} from '../../../src/commands/doctor/host.js'
import {
  clockSynchronized,
  countingFilter,
  governor,
  protocols,
  softirqBudget,
} from '../../../src/commands/doctor/kernel.js'
import type {Finding} from '../../../src/commands/doctor/finding.js'
import {queues, ringSize} from '../../../src/commands/doctor/interface.js'
import {bin, darta, start} from '../../support/darta.js'
import {cable, host, noNamespaces, startAt} from '../../support/namespaces.js'
import {needing, openToAll, tools} from '../../support/needing.js'

function lines(stdout: Buffer): Finding[] {
  return stdout
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Finding)
}

needing(noNamespaces, tools('ethtool'))(
  'an offload that joins packets is found on a real interface, and its mend mends it',
  async (t) => {
    const [one, other] = [host(t), host(t)]
    cable(one, 'in0', other, 'out0')
    one.run('ethtool', '-K', 'in0', 'gro', 'on', 'tso', 'off', 'gso', 'off')
    const ask = async (): Promise<{code: number | null; found: Finding[]}> => {
      const {code, stdout} = await startAt(t, one, [bin, 'doctor', 'in0', '--all', '-o', 'ndjson'])
        .ended
      return {code, found: lines(stdout).filter(({where}) => where === 'in0')}
    }
    const sick = await ask()
    const gro = sick.found.find(({subject}) => subject === 'gro')
    t.is(gro?.verdict, 'bad')
    t.is(sick.code, 1)
    one.run('sh', '-c', gro?.mend ?? 'false')
    const mended = await ask()
    t.is(mended.found.find(({subject}) => subject === 'gro')?.verdict, 'ok')
    t.is(mended.code, 0)
  },
)

needing(noNamespaces)('an interface that is down, or is not there, is bad', async (t) => {
  const [one, other] = [host(t), host(t)]
  cable(one, 'in0', other, 'out0')
  one.run('ip', 'link', 'set', 'in0', 'down')
  const {code, stdout} = await startAt(t, one, [bin, 'doctor', 'in0', 'nosuch', '-o', 'ndjson'])
    .ended
  const bad = lines(stdout).filter(({verdict}) => verdict === 'bad')
  t.is(code, 1)
  t.true(bad.some(({where, mend}) => where === 'in0' && mend === 'ip link set in0 up'))
  t.true(bad.some(({where}) => where === 'nosuch'))
})

needing(tools('setpriv'), openToAll())('without CAP_NET_RAW doctor says so', async (t) => {
  const {stdout} = await start(t, 'setpriv', [
    '--reuid=65534',
    '--clear-groups',
    bin,
    'doctor',
    'lo',
    '-o',
    'ndjson',
  ]).ended
  t.true(lines(stdout).some(({subject, verdict}) => subject === 'CAP_NET_RAW' && verdict === 'bad'))
})

test('a table names where, what, how bad, and the mend', async (t) => {
  const {stdout} = await darta(t, ['doctor', '--all'])
  t.regex(stdout.toString(), /^where +what +verdict +finding +mended by$/m)
  t.regex(stdout.toString(), /^host +clock +/m)
})

test('what the kernel says is read as it means it', (t) => {
  t.is(clockSource('tsc').verdict, 'ok')
  t.is(clockSource('hpet').verdict, 'warn')
  t.is(clockSource(undefined).verdict, 'unknown')
  t.is(receiveBuffer('212992').verdict, 'warn')
  t.is(receiveBuffer('33554432').verdict, 'ok')
  t.is(capabilities('CapEff:\t0000000000002000')[0].verdict, 'ok')
  t.is(capabilities('CapEff:\t0000000000000000')[0].verdict, 'bad')
  const softnet = '0001a2b3 00000000 00000001\n0000ffff 0000000a 00000000'
  t.regex(softirqDrops(softnet).words, /^10 packets/)
  const rings =
    'Ring parameters for eth0:\nPre-set maximums:\nRX:\t\t4096\nTX:\t\t4096\nCurrent hardware settings:\nRX:\t\t512\nTX:\t\t512'
  t.is(ringSize('eth0', rings)[0].mend, 'ethtool -G eth0 rx 4096')
  t.deepEqual(ringSize('veth', undefined), [])
})

test('what the kernel offers and how it fares is read as it means it', (t) => {
  const table = 'protocol  size sockets\nPACKET    1536      0\nUNIX      1024     59\n'
  t.deepEqual(
    protocols(table).map(({verdict, words}) => [verdict, words.includes('not there')]),
    [
      ['ok', false],
      ['ok', true],
    ],
  )
  t.is(protocols('protocol  size\nXDP 1\n')[0].mend, 'modprobe af_packet')
  t.is(protocols(undefined)[0].verdict, 'unknown')
  t.regex(countingFilter('5.10.0-28-amd64').words, /Linux 5\.10 has none/)
  t.regex(countingFilter('6.1.0').words, /has them/)
  t.is(countingFilter(undefined).verdict, 'unknown')
  t.is(softirqBudget('00001000 00000000 00000200\n00001000 00000000 00000001').verdict, 'warn')
  t.is(softirqBudget('7fffffff 00000000 00000200').verdict, 'ok')
  t.is(governor('powersave')[0].verdict, 'warn')
  t.is(governor('performance')[0].verdict, 'ok')
  t.deepEqual(governor(undefined), [])
  t.is(clockSynchronized('no').mend, 'timedatectl set-ntp true')
  t.is(clockSynchronized('yes').verdict, 'ok')
  t.is(clockSynchronized(undefined).verdict, 'unknown')
  const two = (path: string): string | undefined => (/rx-[01]\//.test(path) ? '0' : undefined)
  t.regex(queues('eth0', two)[0].words, /^2 receive queues.*ethtool -L eth0 combined 1/)
})

needing(noNamespaces, tools('ethtool'))(
  'tags that are kept apart from frames are found, and the mend mends it',
  async (t) => {
    const [one, other] = [host(t), host(t)]
    cable(one, 'in0', other, 'out0')
    one.run('ethtool', '-K', 'in0', 'gro', 'off', 'rxvlan', 'on')
    const ask = async (): Promise<Finding | undefined> => {
      const words = [bin, 'doctor', 'in0', '--all', '-o', 'ndjson']
      const {stdout} = await startAt(t, one, words).ended
      return lines(stdout).find(({subject}) => subject === 'rxvlan')
    }
    const found = await ask()
    t.is(found?.verdict, 'warn')
    one.run('sh', '-c', found?.mend ?? 'false')
    t.is((await ask())?.verdict, 'ok')
  },
)
