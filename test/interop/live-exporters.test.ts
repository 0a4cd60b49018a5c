/* fprobe meters live traffic and exports it over loopback to darta collect: the totals are those of what was sent. */
import {readdirSync} from 'node:fs'
import {join} from 'node:path'
import {mirror} from '../live/capturing.js'
import {bin} from '../support/darta.js'
import {noNamespaces, noSender, sendFrames, startAt} from '../support/namespaces.js'
import {needing, root, shared, tools} from '../support/needing.js'

const capture = join(root, '../shared/fixtures/captures/ipfixprobe__mixed.pcap')
/** Octets of IPv4 as softflowd, pmacctd and nfpcapd agree on them. */
const expected = {packets: 118, octets: 17670}

const env = {...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`, TZ: 'UTC'}

// Versions 1 and 7 as well, which no other exporter here speaks.
for (const version of ['1', '5', '7']) {
  needing(
    shared('fixtures'),
    noNamespaces,
    noSender,
    tools('fprobe'),
  )(`collect receives all that fprobe meters live, NetFlow ${version}`, async (t) => {
    const {sender, node, port} = mirror(t)
    const args = ['collect', 'udp://127.0.0.1:0', '-o', 'ndjson', '-l', '--no-losses']
    const collector = startAt(t, node, [bin, ...args])
    await collector.says(/listening on \S+:\d+\n/)
    const to = `127.0.0.1:${/listening on \S+:(\d+)\n/.exec(collector.words())![1]}`
    let text = ''
    const sums = {packets: 0, octets: 0}
    const enough = new Promise<void>((resolve) => {
      collector.child.stdout.on('data', (chunk: Buffer) => {
        text += chunk.toString()
        const lines = text.split('\n')
        text = lines.pop()!
        for (const line of lines) {
          const record = JSON.parse(line) as Record<string, number>
          if ('_scope' in record) continue
          sums.packets += record.packetDeltaCount
          sums.octets += record.octetDeltaCount
        }
        if (sums.packets >= expected.packets) resolve()
      })
    })
    // Flows end after a second, those of fragments too, so that all are told while it runs.
    const exporter = startAt(
      t,
      node,
      [
        ...['fprobe', '-i', port, '-n', version, '-l', '2', '-q', '10000'],
        ...['-s', '1', '-g', '1', '-d', '1', '-e', '1', to],
      ],
      {env},
    )
    // Its threads begin when its packet socket has its filter: what came before is thrown away then.
    const threads = (): number => readdirSync(`/proc/${exporter.child.pid!}/task`).length
    while (threads() < 2) await new Promise((resolve) => setTimeout(resolve, 50))
    // No faster than its queue of Flows takes them.
    sendFrames(sender, 'out', capture, 2000)
    await enough
    exporter.child.kill('SIGTERM')
    collector.child.kill('SIGTERM')
    const {code, stderr} = await collector.ended
    t.is(code, 0, stderr)
    t.deepEqual(sums, expected)
    t.notRegex(stderr, /missing|lost/)
  })
}
