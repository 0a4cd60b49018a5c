import {once} from 'node:events'
import {createServer, type AddressInfo} from 'node:net'
import {join} from 'node:path'
import type {ExecutionContext} from 'ava'
import {bin, darta, folder, start, type Running} from '../support/darta.js'
import {freePort} from '../support/free-port.js'
import {needing, root, tools} from '../support/needing.js'
import {bareLines} from '../support/results.js'
import {engines} from './served.js'

/** What users see of an engine between machines, whichever it is: commands in processes of their own. */

async function labFlows(t: ExecutionContext): Promise<string> {
  const file = join(folder(t), 'lab.ipfix')
  await darta(t, ['capture', '-q', '-r', join(root, 'test/fixtures/lab.pcap'), '-w', file])
  return file
}

for (const {name, scheme, reasons, serve} of engines) {
  if (scheme === undefined) continue
  needing(...reasons, tools('curl', 'jq'))(
    `${name}: units give the results of one, though one is killed, and the server where it can be`,
    async (t) => {
      const flows = await labFlows(t)
      const {url, restart} = await serve(t)
      const windows = ['--window', '10s', '--lateness', '10m']
      const routed = await darta(t, [
        ...['route', '-r', flows, '--app', 'top -k 0 -s srcip,dstport', '--engine', url],
        ...[...windows, '--parts', '4'],
      ])
      t.is(routed.code, 0, routed.stderr)
      t.regex(routed.stderr, /route top: 727 records in, 724 out, skipped 3 \(options 3\)/)

      const unit = (): Running => start(t, bin, ['analyze', 'top', '--engine', url, '-v'])
      const [victim, other] = [unit(), unit()]
      await Promise.all([victim.says(/works for top/), other.says(/works for top/)])
      victim.child.kill('SIGKILL')
      await restart?.()
      const third = unit()
      const follow = await darta(t, ['analyze', 'top', '--engine', url, '--follow', '-o', 'ndjson'])
      t.is(follow.code, 0, follow.stderr)
      const ends = await Promise.all([other.ended, third.ended])
      t.deepEqual(
        ends.map(({code}) => code),
        [0, 0],
      )
      const one = await darta(t, [
        ...['analyze', 'top', '-q', '-r', flows, '-k', '0', '-s', 'srcip,dstport', ...windows],
        ...['-o', 'ndjson'],
      ])
      t.deepEqual(bareLines(follow.stdout), bareLines(one.stdout))
      // The hook says the same over HTTP.
      const hook = start(t, bin, ['route', '--engine', url, '--hook', '127.0.0.1:0'])
      await hook.says(/openapi\.json/)
      const [base] = /http:\/\/[^/]+/.exec(hook.words())!
      const text = async (path: string): Promise<string> =>
        (await fetch(`${base}/v1/${path}`)).text()
      t.deepEqual(JSON.parse(await text('apps')), [
        {app: 'top', words: ['top', '-k', '0', '-s', 'srcip,dstport'], parts: 4},
      ])
      t.deepEqual(bareLines(Buffer.from(await text('apps/top/results'))), bareLines(one.stdout))
      const events = (await text('apps/top/events')).split('\n\n')
      t.is(
        events.filter((event) => event.includes('event: result')).length,
        bareLines(one.stdout).length,
      )
      t.is(events.at(-2), 'event: end\ndata: {}')
      t.deepEqual(JSON.parse(await text('apps/top/units')), [])
      t.is((await fetch(`${base}/v1/apps/none/units`)).status, 404)
      // curl and jq make a table of it.
      const drawn = await start(t, join(root, 'examples/results.sh'), [base, 'top']).ended
      t.is(drawn.code, 0, drawn.stderr)
      const rows = drawn.stdout.toString().split('\n').slice(0, -1)
      t.regex(rows[0], /^UNIT +ANALYSED +LATE +LOST$/)
      t.regex(rows[1], /^SOURCE +PORT +OCTETS +PACKETS$/)
      const wanted = bareLines(one.stdout).flatMap((line) => {
        if (line === '' || line.includes('"_scope"')) return []
        const r = JSON.parse(line) as Record<string, unknown>
        const source = r.sourceIPv4Address ?? r.sourceIPv6Address
        return [
          [source, r.destinationTransportPort, r.octetDeltaCount, r.packetDeltaCount].join(' '),
        ]
      })
      t.true(wanted.length > 10)
      t.deepEqual(
        rows.slice(2).map((row) => row.replace(/ +/g, ' ')),
        wanted,
      )
      hook.child.kill('SIGTERM')
      t.is((await hook.ended).code, 0)

      const lines = await darta(t, ['route', '-q', '--engine', url, '--status'])
      t.like(JSON.parse(lines.stdout.toString()), {
        ...{app: 'top', parts: 4, publishers: 0, rate: 0, lag: 0, ended: true, units: []},
        counters: {analysed: 724, skipped: 0, late: 0, lost: 0, repeated: 0},
      })
      const status = await darta(t, ['route', '-q', '--engine', url, '--status', '-o', 'table'])
      t.regex(status.stdout.toString(), /analysed 724, late 0, lost 0, repeated 0/)
    },
  )

  needing(...reasons)(`${name}: an engine that is not there is told within seconds`, async (t) => {
    const nobody = `${scheme}://127.0.0.1:${await freePort()}`
    const {code, stderr} = await darta(t, ['route', '--engine', nobody, '--status'])
    t.is(code, 1)
    t.regex(stderr, /127\.0\.0\.1:\d+: .* \(DARTA_ENGINE\)/)
  })

  needing(...reasons)(
    `${name}: an engine that does not answer is told within seconds`,
    async (t) => {
      // Whatever is said to it, it says nothing.
      const silent = createServer().listen(0, '127.0.0.1')
      await once(silent, 'listening')
      t.teardown(() => silent.close())
      const {port} = silent.address() as AddressInfo
      const words = ['route', '--engine', `${scheme}://127.0.0.1:${port}`, '--status']
      const {code, stderr} = await darta(t, words)
      t.is(code, 1)
      t.regex(stderr, /127\.0\.0\.1:\d+: .* \(DARTA_ENGINE\)/)
    },
  )

  needing(...reasons)(
    `${name}: a unit ends when its application is removed, which can then be routed anew`,
    async (t) => {
      const flows = await labFlows(t)
      const {url} = await serve(t)
      const none = await darta(t, ['route', '-q', '--engine', url, '--status', '-o', 'table'])
      t.is(none.stdout.toString(), 'no applications\n')
      const early = await darta(t, ['analyze', 'top', '--engine', url])
      t.is(early.code, 1)
      t.regex(early.stderr, /no application 'top' is routed at .*; nothing is \(DARTA_ENGINE\)/)

      const route = ['route', '--app', 'top', '--engine', url, '--parts', '4']
      const publisher = start(t, bin, route)
      const ready = (async () => {
        for (;;) {
          const {stdout} = await darta(t, ['route', '-q', '--engine', url, '--status'])
          if (stdout.length > 0) return
        }
      })()
      await ready
      const unit = start(t, bin, ['analyze', 'top', '--engine', url, '-v'])
      await unit.says(/leads/)
      // Units and publisher show, with what share each unit has.
      for (;;) {
        const {stdout} = await darta(t, ['route', '-q', '--engine', url, '--status'])
        const {publishers, units, jain} = JSON.parse(stdout.toString()) as {
          publishers: number
          units: {parts: number; share: number}[]
          jain: number
        }
        if (publishers !== 1 || units[0]?.parts !== 4) continue
        t.is(units[0].share, 1)
        t.is(jain, 1)
        break
      }
      publisher.child.kill('SIGKILL')
      const removed = await darta(t, ['route', '--engine', url, '--remove', 'top'])
      t.is(removed.code, 0, removed.stderr)
      const {code, stderr} = await unit.ended
      t.is(code, 0, stderr)
      t.regex(stderr, /top was removed/)

      const again = await darta(t, [...route, '-r', flows])
      t.is(again.code, 0, again.stderr)
      const works = await darta(t, ['analyze', 'top', '--engine', url])
      t.is(works.code, 0, works.stderr)
      // What has ended takes nothing more unnoticed.
      const late = await darta(t, [...route, '-r', flows])
      t.is(late.code, 2)
      t.regex(late.stderr, /top has ended at .*; route --remove top lets it begin anew/)
    },
  )

  needing(...reasons, tools('script'))(
    `${name}: on a terminal the status is shown again until it is stopped`,
    async (t) => {
      const {url} = await serve(t)
      const line = `'${bin}' route -q --engine ${url} --status`
      const shown = start(t, 'script', ['-qec', line, '/dev/null'])
      // Twice: each time from the terminal's corner.
      await shown.gives(2 * '\x1b[H\x1b[Jno applications\r\n'.length)
      shown.child.stdin.write('\x03')
      const {stdout} = await shown.ended
      t.true(stdout.toString().startsWith('\x1b[H\x1b[Jno applications\r\n\x1b[H\x1b[J'))
    },
  )

  needing(...reasons)(
    `${name}: a full engine stops the publisher, which loses nothing and goes on when there is room`,
    async (t) => {
      const flows = await labFlows(t)
      const {url} = await serve(t)
      // 16 times the same records are several times what the engine takes.
      const app = 'top -k 0 -s srcip,dstport'
      const files = Array.from({length: 16}, () => ['-r', flows]).flat()
      const publisher = start(t, bin, [
        ...[
          'route',
          '--app',
          app,
          '--engine',
          url,
          '--parts',
          '2',
          '--engine-size',
          '300K',
          '--split-hot',
          ...files,
        ],
      ])
      const sent = async (): Promise<{records: number; lag: number}> => {
        const {stdout} = await darta(t, ['route', '-q', '--engine', url, '--status'])
        if (stdout.length === 0) return {records: 0, lag: 0}
        const {lag, counters} = JSON.parse(stdout.toString()) as {
          lag: number
          counters: {analysed: number}
        }
        return {records: lag + counters.analysed, lag}
      }
      // It has sent what there is room for, and no more.
      let before = -1
      for (let now = await sent(); now.lag === 0 || now.records !== before; now = await sent()) {
        before = now.records
      }
      t.true(before < 9000, String(before))
      const unit = start(t, bin, ['analyze', 'top', '--engine', url])
      const {code, stderr} = await publisher.ended
      t.is(code, 0, stderr)
      t.regex(
        stderr,
        /route top: 11632 records in, 11584 out, skipped 48 \(options 48\), .*engine-full \d+/,
      )
      const worked = await unit.ended
      t.is(worked.code, 0, worked.stderr)
      const follow = await darta(t, ['analyze', 'top', '--engine', url, '--follow', '-o', 'ndjson'])
      const one = await darta(t, [
        'analyze',
        'top',
        '-q',
        ...files,
        ...app.split(' ').slice(1),
        '-o',
        'ndjson',
      ])
      t.deepEqual(bareLines(follow.stdout), bareLines(one.stdout))
    },
  )
}
