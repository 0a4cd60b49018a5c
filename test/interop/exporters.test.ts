import type {ExecutionContext} from 'ava'
import {spawnSync} from 'node:child_process'
import {readdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {bin, folder, start} from '../support/darta.js'
import {needing, root, shared, tools} from '../support/needing.js'

/* Other programs meter a capture and export what they found to `darta collect`: the totals are those of the capture. */

const capture = join(root, '../shared/fixtures/captures/ipfixprobe__mixed.pcap')
/** Of truth.json; octets of IPv4 as softflowd, pmacctd and nfpcapd agree on them. */
const all = {packets: 157, octets: 21606}
const onlyV4 = {packets: 118, octets: 17670}

interface Totals {
  readonly records: number
  readonly packets: number
  readonly octets: number
}

const env = {...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`, TZ: 'UTC'}

/** What a collector received of an exporter that ran to its end. */
async function received(
  t: ExecutionContext,
  transport: 'udp' | 'tcp',
  exporter: (port: number) => readonly string[],
): Promise<{totals: Totals; records: Record<string, unknown>[]; words: string}> {
  const collector = start(t, bin, ['collect', `${transport}://127.0.0.1:0`, '-o', 'ndjson'])
  await collector.says(/listening on \S+:\d+\n/)
  const port = Number(/listening on \S+:(\d+)\n/.exec(collector.words())![1])
  const [program, ...args] = exporter(port)
  const exporting = start(t, program, args, {env})
  exporting.child.stdin.end()
  const {code, stderr, stdout} = await exporting.ended
  // pmacctd says 1 where its plugin, told to end, is gone before it looks.
  if (program !== 'pmacctd') t.is(code, 0, stderr + stdout.toString())
  collector.child.kill('SIGTERM')
  const ended = await collector.ended
  t.is(ended.code, 0, ended.stderr)
  const lines = ended.stdout.toString().trim().split('\n')
  const records = lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((record) => !('_scope' in record))
  const sum = (name: string): number =>
    records.reduce((n, record) => n + Number(record[name] ?? 0), 0)
  const totals = {
    records: records.length,
    packets: sum('packetDeltaCount'),
    octets: sum('octetDeltaCount'),
  }
  return {totals, records, words: ended.stderr}
}

const softflowd = needing(shared('fixtures'), tools('softflowd'))
for (const [version, transport, expected] of [
  ['5', 'udp', onlyV4],
  ['9', 'udp', all],
  ['10', 'udp', all],
  ['10', 'tcp', all],
] as const) {
  const name = version === '10' ? `IPFIX over ${transport}` : `NetFlow ${version}`
  softflowd(`collect receives all that softflowd meters, ${name}`, async (t) => {
    const {totals} = await received(t, transport, (port) => [
      'softflowd',
      ...['-r', capture, '-n', `127.0.0.1:${port}`, '-v', version, '-P', transport, '-d', '-6'],
    ])
    t.like(totals, expected)
  })
}

const pmacctd = needing(shared('fixtures'), tools('pmacctd'))
function pmacct(t: ExecutionContext, lines: readonly string[]): string[] {
  const config = join(folder(t), 'pmacctd.conf')
  writeFileSync(config, ['daemonize: false', `pcap_savefile: ${capture}`, ...lines, ''].join('\n'))
  return ['pmacctd', '-f', config]
}

for (const [version, expected] of [
  ['5', onlyV4],
  ['9', all],
  ['10', all],
] as const) {
  const name = version === '10' ? 'IPFIX' : `NetFlow ${version}`
  pmacctd(`collect receives all that pmacctd meters, ${name}`, async (t) => {
    const {totals, words} = await received(t, 'udp', (port) =>
      pmacct(t, [
        'aggregate: src_host,dst_host,src_port,dst_port,proto,tos,tcpflags',
        'plugins: nfprobe',
        `nfprobe_receiver: 127.0.0.1:${port}`,
        `nfprobe_version: ${version}`,
      ]),
    )
    t.like(totals, expected)
    t.notRegex(words, /missing|lost|reset/)
  })
}

pmacctd('collect receives every sample that pmacctd sends, sFlow', async (t) => {
  const {totals, records, words} = await received(t, 'udp', (port) =>
    pmacct(t, [
      'plugins: sfprobe',
      `sfprobe_receiver: 127.0.0.1:${port}`,
      'sfprobe_agentip: 192.0.2.1',
      'sampling_rate: 1',
    ]),
  )
  // One sample for each packet of its pool; what is in a datagram that is not full yet pmacctd does not send at its end.
  t.is(totals.packets, Number(records.at(-1)!.sflowSamplePool))
  t.true(totals.packets > all.packets - 8)
  t.notRegex(words, /missing|lost|reset/)
})

for (const [version, which] of [
  ['5', 'IPv4'],
  ['9', 'all'],
] as const) {
  needing(shared('fixtures'), tools('nfpcapd', 'nfreplay', 'nfdump'))(
    `collect receives all that nfreplay sends of nfpcapd's files, NetFlow ${version}`,
    async (t) => {
      const place = folder(t)
      spawnSync('nfpcapd', ['-r', capture, '-w', place], {env})
      const files = readdirSync(place).sort()
      t.true(files.length > 0)
      const filter = which === 'all' ? [] : ['ipv4']
      for (const file of files) {
        const path = join(place, file)
        const words = ['-r', path, '-q', '-N', '-o', 'fmt:%pkt %byt', ...filter]
        const {stdout} = spawnSync('nfdump', words, {env})
        const rows = stdout.toString().trim().split('\n')
        const sum = (at: number): number =>
          rows.reduce((n, row) => n + Number(row.trim().split(/\s+/)[at]), 0)
        const {totals} = await received(t, 'udp', (port) => [
          'nfreplay',
          ...['-r', path, '-H', '127.0.0.1', '-p', String(port), '-v', version],
        ])
        t.deepEqual([totals.packets, totals.octets], [sum(0), sum(1)], file)
      }
    },
  )
}
