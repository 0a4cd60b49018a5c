import {spawnSync} from 'node:child_process'
import {existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {cgroupRoot} from '../../src/metering/user-sources/ebpf.js'
import {bash, bin, folder, start} from '../support/darta.js'
import {cable, host, noNamespaces, startAt, type Host} from '../support/namespaces.js'
import {native} from '../support/native-addon.js'
import {needing, tools} from '../support/needing.js'

/** By its place: an npm package has a program of this name, which is first where npm runs the tests. */
const nft = '/usr/sbin/nft'

const masquerade = `table ip t {
  chain c {
    type nat hook postrouting priority 100;
    meta l4proto udp masquerade to :20000-20100
  }
}
`

function noTranslator(): string | undefined {
  const probe = `ip netns add darta-nat-${process.pid} && ip netns exec darta-nat-${process.pid} ${nft} -f -; s=$?; ip netns del darta-nat-${process.pid}; exit $s`
  return spawnSync('sh', ['-c', probe], {input: masquerade}).status === 0
    ? undefined
    : 'this kernel translates no addresses'
}

const absent =
  noNamespaces ??
  (existsSync(nft) ? undefined : `${nft} is not installed`) ??
  tools('tcpdump', 'setpriv', 'bash') ??
  (cgroupRoot() === undefined ? 'no cgroup tree of version 2' : undefined) ??
  noTranslator()

/** What the kernel's translator has, as records of NAT events. */
function eventsOf(table: string, ms: number): string[] {
  return [
    ...table.matchAll(
      / udp .*? src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) .*?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)/g,
    ),
  ].map(([, source, dest, port, destPort, , outside, , outsidePort]) =>
    JSON.stringify({
      observationTimeMilliseconds: new Date(ms).toISOString(),
      natEvent: 4,
      protocolIdentifier: 17,
      sourceIPv4Address: source,
      sourceTransportPort: Number(port),
      destinationIPv4Address: dest,
      destinationTransportPort: Number(destPort),
      postNATSourceIPv4Address: outside,
      postNAPTSourceTransportPort: Number(outsidePort),
    }),
  )
}

needing(native, absent)(
  'users are found behind packets that were captured beyond a translator of the kernel',
  async (t) => {
    const at = folder(t)
    const [home, router, server] = [host(t), host(t), host(t)]
    const join2 = (from: Host, a: string, to: Host, b: string, net: string): void => {
      cable(from, a, to, b)
      for (const [where, port, n] of [
        [from, a, 2],
        [to, b, 1],
      ] as const) {
        where.run('ip', 'link', 'set', port, 'arp', 'on')
        where.run('ip', 'addr', 'add', `${net}.${n}/24`, 'dev', port)
      }
    }
    join2(home, 'i0', router, 'r0', '10.77.0')
    join2(router, 'r1', server, 's0', '203.0.113')
    home.run('ip', 'route', 'add', 'default', 'via', '10.77.0.1')
    router.run('sysctl', '-qw', 'net.ipv4.ip_forward=1')
    const rules = join(at, 'rules')
    writeFileSync(rules, masquerade)
    router.run(nft, '-f', rules)
    router.run('sysctl', '-qw', 'net.netfilter.nf_conntrack_udp_timeout=3600')
    const began = Date.now()

    const path = join(cgroupRoot()!, `darta-nat-${process.pid}`)
    mkdirSync(path)
    t.teardown(() => rmdirSync(path))
    const watched = start(t, bin, [
      ...['user-map', '--source', 'ebpf', '--cgroup', path, '--processes', '-n'],
      ...['--interval', '1h', '-o', 'ndjson', '-w', join(at, 'users')],
    ])
    await watched.says(/from now on/)
    const capture = join(at, 'outside.pcap')
    const tcpdump = startAt(t, server, [
      ...['tcpdump', '-i', 's0', '-n', '-U', '-Z', 'root', '-w', capture, 'udp'],
    ])
    await tcpdump.says(/listening on/)
    const USERS = [2001, 2002, 2003]
    const events = new Set<string>()
    const tables: string[] = []
    for (const uid of USERS) {
      const words = `exec 3<>/dev/udp/203.0.113.1/9000; for i in 1 2 3; do echo from ${uid} >&3 || :; done`
      const sent = start(t, 'sh', [
        '-c',
        `echo $$ >${path}/cgroup.procs && exec ${home.enter.join(' ')} setpriv --reuid=${uid} --clear-groups bash --norc -c '${words}'`,
      ])
      await sent.ended
      while (!readFileSync(capture).includes(`from ${uid}`)) {
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      // Looked at each time: it forgets what was not answered.
      const table = router.run('cat', '/proc/net/nf_conntrack')
      tables.push(table)
      for (const event of eventsOf(table, began)) events.add(event)
    }
    t.is(events.size, USERS.length, tables.join('\n'))
    tcpdump.child.kill('SIGINT')
    await tcpdump.ended
    watched.child.kill('SIGTERM')
    t.is((await watched.ended).code, 0)
    writeFileSync(join(at, 'nat'), `${[...events].join('\n')}\n`)

    const tagged = async (flags: string): Promise<Record<string, unknown>[]> => {
      const {stdout, code, stderr} = await bash(
        t,
        `cd ${at} && darta capture -q -r outside.pcap | darta user-map tag --users users ${flags} -o ndjson`,
      )
      t.is(code, 0, stderr)
      return stdout
        .toString()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter((record) => record._scope === undefined)
    }
    const records = await tagged('--nat nat')
    t.deepEqual(records.map(({dartaUserId}) => Number(dartaUserId)).sort(), USERS)
    for (const record of records) {
      // What was captured is not changed.
      t.is(record.sourceIPv4Address, '203.0.113.2')
      t.true(Number(record.sourceTransportPort) >= 20_000)
      t.true(Number(record.sourceTransportPort) <= 20_100)
    }
    t.true((await tagged('')).every(({dartaUserId}) => dartaUserId === undefined))
  },
)
