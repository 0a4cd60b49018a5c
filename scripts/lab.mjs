// Records test/fixtures/lab.pcap: real programs talking across a router, in network namespaces of their own.
//
//     client-a 192.0.2.11 2001:db8:1::11 ─┐
//                                         ├─ lan [router] wan ─ server 198.51.100.10 2001:db8:2::10
//     client-b 192.0.2.12 2001:db8:1::12 ─┘
//
// tcpdump listens on the router's bridge `lan`. The wan link has an MTU of 1400, so that the router has to say so.
// Everything is taken down at the end; nothing leaves the namespaces; only addresses set aside for documentation.
// Root only. `sh scripts/setup.sh lab` brings the programs. Writes the capture, its truth (lab-truth.mjs) and the cuts.
import {execFileSync, spawn, spawnSync} from 'node:child_process'
import {mkdirSync, mkdtempSync, rmSync, writeFileSync, copyFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {setTimeout as wait} from 'node:timers/promises'
import {fileURLToPath} from 'node:url'

const fixtures = fileURLToPath(new URL('../test/fixtures/', import.meta.url))
process.env.PATH += ':/usr/sbin:/sbin'
if (process.getuid() !== 0) {
  console.error('lab: network namespaces need root')
  process.exit(1)
}

const work = mkdtempSync(join(tmpdir(), 'darta-lab-'))
const prefix = `lab${process.pid}`
const namespace = (host) => `${prefix}-${host}`
const hosts = ['router', 'server', 'client-a', 'client-b']
/** Every program started and not yet ended; ended by its own process at the end. */
const running = new Set()
const file = (name) => join(work, name)

/** Runs to the end and gives stdout; throws on failure. */
function sh(program, ...args) {
  return execFileSync(program, args, {encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']})
}
const ip = (line) => sh('ip', ...line.split(' '))
const inside = (host, line) => ip(`netns exec ${namespace(host)} ${line}`)

/** Starts a program on a host; `words` is the whole command line. */
function start(host, words, options = {}) {
  const child = spawn('ip', ['netns', 'exec', namespace(host), ...words], {
    cwd: work,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  })
  running.add(child)
  child.output = ''
  const keep = (chunk) => (child.output += chunk)
  child.stdout?.on('data', keep)
  child.stderr?.on('data', keep)
  child.ended = new Promise((resolve) =>
    child.once('exit', (code) => {
      running.delete(child)
      resolve(code)
    }),
  )
  return child
}

/** Runs a client to its end. `expect` is the exit status it must have; null where failing is the point. */
async function client(host, line, expect = 0, options) {
  const child = start(host, Array.isArray(line) ? line : line.split(' '), options)
  const code = await child.ended
  const words = Array.isArray(line) ? line.join(' ') : line
  if (expect !== null && code !== expect) {
    throw new Error(`${host}: ${words}: status ${code}\n${child.output}`)
  }
  console.error(`${host}: ${words}: status ${code}`)
  return child.output
}

async function until(what, done) {
  for (let i = 0; i < 100; i++) {
    if (done()) return
    await wait(100)
  }
  throw new Error(`${what} did not happen within 10 s`)
}

function buildNetwork() {
  for (const host of hosts) {
    ip(`netns add ${namespace(host)}`)
    inside(host, 'ip link set lo up')
    for (const which of ['all', 'default']) {
      inside(host, `sysctl -qw net.ipv6.conf.${which}.accept_dad=0`)
      inside(host, `sysctl -qw net.ipv6.conf.${which}.addr_gen_mode=0`)
    }
  }
  inside('router', 'ip link add lan address 02:00:00:00:01:01 type bridge')
  const links = [
    ['client-a', '192.0.2.11/24', '2001:db8:1::11/64', '02:00:00:00:00:0a'],
    ['client-b', '192.0.2.12/24', '2001:db8:1::12/64', '02:00:00:00:00:0b'],
    ['server', '198.51.100.10/24', '2001:db8:2::10/64', '02:00:00:00:00:10'],
  ]
  for (const [host, v4, v6, mac] of links) {
    const port = host === 'server' ? 'wan' : host
    inside(
      'router',
      `ip link add ${port} type veth peer name eth0 address ${mac} netns ${namespace(host)}`,
    )
    // Segmentation offload would let packets into the capture that no wire carries.
    for (const [where, name] of [
      ['router', port],
      [host, 'eth0'],
    ]) {
      inside(where, `ethtool -K ${name} tso off gso off gro off tx off`)
    }
    if (host === 'server') {
      inside('router', 'ip link set wan mtu 1400 address 02:00:00:00:02:01')
      inside(host, 'ip link set eth0 mtu 1400')
    } else inside('router', `ip link set ${port} master lan`)
    inside('router', `ip link set ${port} up`)
    inside(host, 'ip link set eth0 up')
    inside(host, `ip address add ${v4} dev eth0`)
    inside(host, `ip address add ${v6} dev eth0 nodad`)
    const net =
      host === 'server' ? ['198.51.100.1', '2001:db8:2::1'] : ['192.0.2.1', '2001:db8:1::1']
    inside(host, `ip route add default via ${net[0]}`)
    inside(host, `ip -6 route add default via ${net[1]}`)
  }
  inside('router', 'ip address add 192.0.2.1/24 dev lan')
  inside('router', 'ip address add 2001:db8:1::1/64 dev lan nodad')
  inside('router', 'ip address add 198.51.100.1/24 dev wan')
  inside('router', 'ip address add 2001:db8:2::1/64 dev wan nodad')
  inside('router', 'ip link set lan up')
  inside('router', 'sysctl -qw net.ipv4.ip_forward=1')
  inside('router', 'sysctl -qw net.ipv6.conf.all.forwarding=1')
  // Answers that scans and traces provoke are part of the recording, not of a rate limit.
  inside('router', 'sysctl -qw net.ipv4.icmp_ratelimit=0')
  inside('server', 'sysctl -qw net.ipv4.icmp_ratelimit=0')
  inside('router', 'ip route add blackhole 203.0.113.66/32')
  inside('router', 'ip route add unreachable 203.0.113.99/32')
  inside('router', 'ip route add prohibit 203.0.113.13/32')
  for (const host of ['client-a', 'client-b']) {
    mkdirSync(`/etc/netns/${namespace(host)}`, {recursive: true})
    writeFileSync(`/etc/netns/${namespace(host)}/resolv.conf`, 'nameserver 198.51.100.10\n')
  }
}

function writeContent() {
  mkdirSync(file('www'))
  const text = 'All work on darta and no play makes a dull log file. '
  for (const [name, octets] of [
    ['1k', 1000],
    ['10k', 10_000],
    ['60k', 60_000],
    ['200k', 200_000],
  ]) {
    writeFileSync(file(`www/${name}`), text.repeat(octets / text.length + 1).slice(0, octets))
  }
  sh(
    ...['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30'],
    ...['-subj', '/CN=www.example.net', '-keyout', file('tls.key'), '-out', file('tls.crt')],
  )
  writeFileSync(
    file('nginx.conf'),
    `daemon off; user root; worker_processes 1; pid ${file('nginx.pid')};
error_log ${file('nginx.log')};
events {}
http {
  access_log off;
  client_body_temp_path ${file('body')};
  server {
    listen 80; listen [::]:80; listen 443 ssl http2; listen [::]:443 ssl http2;
    ssl_certificate ${file('tls.crt')}; ssl_certificate_key ${file('tls.key')};
    root ${file('www')};
    location /upload { return 204; }
    location /slow { limit_rate 20k; alias ${file('www')}/200k; }
  }
}
`,
  )
  for (const name of ['host', 'user']) {
    sh('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'lab', '-f', file(`${name}-key`))
  }
  copyFileSync(file('user-key.pub'), file('authorized'))
  writeFileSync(
    file('sshd.conf'),
    `HostKey ${file('host-key')}
AuthorizedKeysFile ${file('authorized')}
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
`,
  )
  writeFileSync(
    file('chrony.conf'),
    `local stratum 8
allow all
cmdport 0
bindcmdaddress /
pidfile ${file('chronyd.pid')}
user root
`,
  )
}

async function startServers() {
  mkdirSync('/run/sshd', {recursive: true})
  const dnsmasq = [
    ...['dnsmasq', '--keep-in-foreground', '--conf-file=/dev/null', '--user=root', '--pid-file='],
    ...[
      '--no-resolv',
      '--no-hosts',
      '--no-daemon',
      '--local=/example.net/',
      '--edns-packet-max=4096',
    ],
    '--host-record=www.example.net,198.51.100.10,2001:db8:2::10',
    '--host-record=ns.example.net,198.51.100.10,2001:db8:2::10',
    '--mx-host=example.net,www.example.net,10',
    '--txt-record=short.example.net,v=lab1',
    `--txt-record=long.example.net,${Array(9).fill('0123456789'.repeat(24)).join(',')}`,
  ]
  start('server', dnsmasq)
  start('server', ['nginx', '-c', file('nginx.conf')])
  start('server', ['/usr/sbin/sshd', '-D', '-e', '-f', file('sshd.conf')])
  start('server', ['chronyd', '-d', '-x', '-f', file('chrony.conf')])
  start('server', ['iperf3', '-s'])
  start('server', ['socat', 'TCP6-LISTEN:7,fork,reuseaddr,ipv6only=0', 'EXEC:cat'])
  start('server', ['socat', '-u', 'UDP6-RECV:514,ipv6only=0', 'STDOUT'])
  await until('listening on every port', () => {
    const ports = new Set(
      inside('server', 'ss -Hltun')
        .split('\n')
        .map((row) => row.split(/\s+/)[4]?.split(':').pop()),
    )
    return ['53', '80', '443', '22', '123', '5201', '7', '514'].every((port) => ports.has(port))
  })
}

/** A person who types now and then: a flow with long pauses. */
async function chat(host, target) {
  const child = start(host, ['socat', '-t', '1', '-', `TCP:${target}:7`], {
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  for (const pause of [1, 6, 2, 14, 9]) {
    child.stdin.write(`after ${pause} s\n`)
    await wait(pause * 1000)
  }
  child.stdin.end('bye\n')
  await child.ended
}

const www = 'www.example.net'
const curl = 'curl -sS -k -o /dev/null --max-time 20'
const ssh = [
  ...['ssh', '-q', '-F', '/dev/null', '-o', 'StrictHostKeyChecking=no', '-i', file('user-key')],
  ...['-o', `UserKnownHostsFile=${file('known')}`],
]

async function browse() {
  await client('client-a', `dig -b 192.0.2.11#40053 +noall +answer ${www} A`)
  for (const line of [
    `dig +short ${www} AAAA`,
    'dig +short example.net MX',
    'dig +short short.example.net TXT',
    'dig nowhere.example.net A',
    `dig -x 198.51.100.10`,
    `dig +tcp +short ${www} A`,
    `dig @2001:db8:2::10 +short ${www} AAAA`,
    'dig +bufsize=4096 +ignore long.example.net TXT',
    'dig @2001:db8:2::10 +bufsize=4096 +ignore long.example.net TXT',
    'dig +bufsize=512 long.example.net TXT',
  ]) {
    await client('client-a', line)
  }
  await client('client-a', `${curl} -4 --local-port 40080 http://${www}/1k`)
  await client('client-a', `${curl} -6 http://${www}/10k http://${www}/1k -o /dev/null`)
  await client('client-a', `${curl} -4 http://${www}/60k`)
  await client('client-a', `${curl} -I http://${www}/200k`)
  await client('client-a', `${curl} http://${www}/missing`)
  await client('client-a', `${curl} -4 --http1.1 https://${www}/10k`)
  await client('client-a', `${curl} -6 --http2 https://${www}/60k`)
  await client('client-a', `${curl} -4 --data-binary @${file('www/60k')} http://${www}/upload`)
  await client(
    'client-a',
    `${curl} -6 --http1.1 --data-binary @${file('www/60k')} https://${www}/upload`,
  )
  // 28: the time was over; the client breaks off a transfer in full flow.
  await client('client-a', `curl -sS -o /dev/null --max-time 2 http://${www}/slow`, 28)
  await client('client-a', `socat -u OPEN:/dev/null TCP4:${www}:7,sourceport=40000`)
}

async function administer() {
  await client('client-b', [...ssh, `root@${www}`, 'seq 1 500'])
  await client('client-b', [...ssh, '-6', `root@${www}`, 'true'])
  await client('client-b', [
    'scp',
    ...ssh.slice(1),
    file('www/60k'),
    `root@${www}:${file('copied')}`,
  ])
  const ntp = 'chronyd -Q -t 12 -f /dev/null'
  for (const address of ['198.51.100.10', '2001:db8:2::10']) {
    const directives = [
      `server ${address} iburst maxsamples 4`,
      `pidfile ${file('q.pid')}`,
      'cmdport 0',
    ]
    await client('client-b', [...ntp.split(' '), ...directives])
  }
  for (const family of ['-4', '-6']) {
    await client('client-b', `iperf3 ${family} -c ${www} -u -b 200k -l 300 -t 2`)
    await client('client-b', `iperf3 ${family} -c ${www} -n 60K -l 4K`)
  }
  for (let i = 0; i < 6; i++) {
    const target = i % 2 === 0 ? 'UDP4' : 'UDP6'
    const child = start('client-b', ['socat', '-u', '-', `${target}:${www}:514`], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    child.stdin.end(`<14>client-b lab: message ${i}\n`)
    await child.ended
  }
}

async function probe() {
  await client('client-a', 'ping -n -q -c 5 -i 0.5 198.51.100.10')
  await client('client-a', 'ping -n -q -c 3 -i 0.5 -e 4660 2001:db8:2::10')
  await client('client-a', 'ping -n -q -c 2 -i 0.5 -s 3000 198.51.100.10')
  await client('client-a', 'ping -n -q -c 2 -i 0.5 -s 3000 2001:db8:2::10')
  // Too big for the second link and not to be fragmented: the router says so.
  await client('client-a', 'ping -n -q -c 2 -W 1 -M do -s 1400 198.51.100.10', 1)
  for (const family of ['-4', '-6']) {
    for (const method of ['', '-I', '-T -p 80']) {
      await client('client-b', `traceroute ${family} -n -q 2 -w 1 ${method} ${www}`.split(/ +/))
    }
  }
  await client('client-b', 'nmap -n -Pn -sS -g 40099 --max-retries 1 -p 1-150 198.51.100.10')
  await client('client-b', 'nmap -n -Pn -6 -sS --max-retries 1 --top-ports 40 2001:db8:2::10')
  await client(
    'client-b',
    'nmap -n -Pn -sU --max-retries 0 -p 53,67,123,161,514,1900 198.51.100.10',
  )
  await client('client-b', 'nmap -n -Pn -sF --max-retries 0 -p 20-40 198.51.100.10')
}

async function fail() {
  // 7: refused or unreachable. 28: no answer in time.
  await client('client-a', `${curl} http://${www}:8080/`, 7)
  await client('client-a', `${curl} -6 http://[2001:db8:2::10]:8080/`, 7)
  await client('client-a', 'curl -sS --connect-timeout 4 http://203.0.113.66/', 28)
  await client('client-a', 'curl -sS --connect-timeout 4 http://203.0.113.99/', 7)
  await client('client-a', 'curl -sS --connect-timeout 4 http://203.0.113.13/', 7)
  await client('client-a', 'curl -sS --connect-timeout 4 http://203.0.113.200/', 7)
  await client('client-a', 'ping -n -q -c 3 -i 1 -W 1 198.51.100.77', 1)
  await client('client-a', 'ping -n -q -c 2 -i 1 -W 1 2001:db8:2::77', 1)
  await client('client-a', 'ping -n -q -c 2 -i 1 -W 1 2001:db8:ffff::1', 1)
  await client('client-a', 'dig +tries=2 +timeout=2 @203.0.113.66 example.net', 9)
}

async function record() {
  const raw = file('lab.pcap')
  const tcpdump = start('router', [
    'tcpdump',
    '-i',
    'lan',
    '-s',
    '0',
    '-U',
    '-Z',
    'root',
    '-w',
    raw,
  ])
  await until('recording', () => tcpdump.output.includes('listening on'))
  await Promise.all([
    chat('client-b', '198.51.100.10'),
    chat('client-a', '[2001:db8:2::10]'),
    browse(),
    administer(),
    probe(),
    fail(),
  ])
  // The kernel hands packets over in blocks, the last after a while.
  await wait(1500)
  tcpdump.kill('SIGINT')
  await tcpdump.ended
  if (!/^0 packets dropped by kernel/m.test(tcpdump.output)) throw new Error(tcpdump.output)
  console.error(tcpdump.output)
  return raw
}

/** Small captures of one behaviour each, cut out of the whole. */
const cuts = [
  ['tcp-handshake-teardown', 'tcp port 40000'],
  ['dns-exchange', 'udp port 40053'],
  ['ping6-exchange', 'icmp6 and ip6[44:2] = 4660'],
  ['syn-scan-excerpt', 'tcp port 40099', 60],
]

async function tearDown() {
  for (const child of running) child.kill('SIGTERM')
  const all = [...running].map((child) => child.ended)
  await Promise.race([Promise.all(all), wait(3000)])
  for (const child of running) child.kill('SIGKILL')
  for (const host of hosts) {
    spawnSync('ip', ['netns', 'del', namespace(host)])
    rmSync(`/etc/netns/${namespace(host)}`, {recursive: true, force: true})
  }
  rmSync(work, {recursive: true, force: true})
}

try {
  buildNetwork()
  writeContent()
  await startServers()
  const raw = await record()
  mkdirSync(fixtures, {recursive: true})
  copyFileSync(raw, join(fixtures, 'lab.pcap'))
  for (const [name, filter, count] of cuts) {
    const limit = count === undefined ? [] : ['-c', String(count)]
    sh('tcpdump', '-Z', 'root', '-r', raw, '-w', join(fixtures, `${name}.pcap`), ...limit, filter)
  }
  const truth = fileURLToPath(new URL('lab-truth.mjs', import.meta.url))
  writeFileSync(join(fixtures, 'lab.tsv'), sh(process.execPath, truth, raw))
} finally {
  await tearDown()
}
