import test from 'ava'
import {statSync} from 'node:fs'
import {request} from 'node:http'
import {join} from 'node:path'
import {metricsText, parseMetricsAddress} from '../../src/cli/metrics.js'
import {Ledger} from '../../src/record/ledger.js'
import {tcpCollector} from '../support/collector.js'
import {bin, darta, folder, start} from '../support/darta.js'
import {numberedRecords} from '../support/numbered.js'

test('each account is a set of metrics whose sums balance', (t) => {
  const ledger = new Ledger()
  const stage = ledger.stage('to "x"\\y', 'records')
  stage.update = () => (stage.in = 10)
  stage.out = 5
  stage.skip('ipv6', 2)
  stage.lose('queue-full')
  stage.miss('sequence-gap', 3)
  stage.note('connections')
  const lines = metricsText('probe', ledger).split('\n')
  const labels = 'command="probe",stage="to \\"x\\"\\\\y",unit="records"'
  for (const line of [
    '# TYPE darta_in_total counter',
    `darta_in_total{${labels}} 10`,
    `darta_out_total{${labels}} 5`,
    `darta_held{${labels}} 2`,
    `darta_skipped_total{${labels},reason="ipv6"} 2`,
    `darta_lost_total{${labels},reason="queue-full"} 1`,
    `darta_missing{${labels},reason="sequence-gap"} 3`,
    `darta_noted_total{${labels},reason="connections"} 1`,
  ]) {
    t.true(lines.includes(line), line)
  }
})

for (const [text, host, port] of [
  ['9100', '127.0.0.1', 9100],
  ['0.0.0.0:9100', '0.0.0.0', 9100],
  ['[::1]:0', '::1', 0],
  ['*:9100', '*', 9100],
] as const) {
  test(`--metrics ${text} is port ${port} of ${host}`, (t) => {
    t.like(parseMetricsAddress(text), {host, port})
  })
}

for (const text of ['', 'host', 'host:', '99999', 'udp://x:1', 'unix:']) {
  test(`--metrics refuses '${text}'`, (t) => {
    t.throws(() => parseMetricsAddress(text), {message: /expected /})
  })
}

function get(
  where: {readonly port?: number; readonly socketPath?: string},
  path: string,
): Promise<{status: number; type: string; text: string}> {
  return new Promise((resolve, reject) => {
    request({...where, host: '127.0.0.1', path}, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => (text += part))
      response.on('end', () => {
        const type = response.headers['content-type'] ?? ''
        resolve({status: response.statusCode ?? 0, type, text})
      })
    })
      .on('error', reject)
      .end()
  })
}

test('a running command tells its accounts over HTTP, on this machine only', async (t) => {
  const collector = await tcpCollector(t)
  const to = `tcp://127.0.0.1:${collector.port}`
  const running = start(t, bin, ['ipfix-export', '--metrics', '0', to])
  running.child.stdin.write(numberedRecords(500))
  await running.says(/metrics on http:\/\/127\.0\.0\.1:\d+\/metrics/)
  const port = Number(/127\.0\.0\.1:(\d+)\/metrics/.exec(running.words())![1])
  let answer = await get({port}, '/metrics')
  const line = `darta_out_total{command="ipfix-export",stage="to ${to}",unit="records"} 500`
  while (!answer.text.includes(line)) answer = await get({port}, '/metrics')
  t.is(answer.status, 200)
  t.is(answer.type, 'text/plain; version=0.0.4; charset=utf-8')
  t.regex(answer.text, /^process_resident_memory_bytes \d+$/m)
  t.is((await get({port}, '/')).status, 404)
  running.child.stdin.end()
  t.is((await running.ended).code, 0)
})

test('metrics on a Unix socket are for its owner only', async (t) => {
  const path = join(folder(t), 'metrics')
  const running = start(t, bin, ['print', '--metrics', `unix:${path}`, '-o', 'null'])
  await running.says(/metrics on unix:/)
  t.is(statSync(path).mode & 0o777, 0o600)
  t.is((await get({socketPath: path}, '/metrics')).status, 200)
  running.child.stdin.end()
  t.is((await running.ended).code, 0)
})

test('an address in use is an error, not silence', async (t) => {
  const taken = await tcpCollector(t)
  const {code, stderr} = await darta(t, ['print', '--metrics', String(taken.port)])
  t.is(code, 1)
  t.regex(stderr, /cannot serve metrics on tcp:.*address already in use \(DARTA_LISTEN\)/)
})
