import test, {type ExecutionContext} from 'ava'
import {spawnSync} from 'node:child_process'
import {writeFileSync} from 'node:fs'
import {createServer} from 'node:net'
import {join} from 'node:path'
import {bin, darta, folder} from '../support/darta.js'
import {root} from '../support/needing.js'

const lab = join(root, 'test/fixtures/lab.pcap')
const KEY = '0123456789abcdefghijklmnopqrstuv'

function made(t: ExecutionContext): {place: string; file: string; key: string} {
  const place = folder(t)
  const file = join(place, 'lab.ipfix')
  const key = join(place, 'key')
  writeFileSync(key, `${KEY}\n`, {mode: 0o600})
  const {status} = spawnSync(bin, ['capture', '-q', '-r', lab, '-w', file])
  t.is(status, 0)
  return {place, file, key}
}

test('the sums stay, the addresses do not, and the octets are the same with a key from anywhere', async (t) => {
  const {place, file, key} = made(t)
  const run = async (...words: string[]): Promise<Buffer> => {
    const {code, stdout, stderr} = await darta(t, ['anonymize', '-q', '-r', file, ...words])
    t.is(code, 0, stderr)
    return stdout
  }
  const out = await run('--key-file', key)
  const totals = async (data: Buffer): Promise<string> =>
    (await darta(t, ['info', '-q', '--totals'], data)).stdout.toString()
  t.is(await totals(out), '-: 724 records, 770629 octets, 2226 packets\n')
  const text = (await darta(t, ['print', '-q', '-o', 'ndjson'], out)).stdout.toString()
  t.notRegex(text, /"192\.0\.2\.|"198\.51\.100\.|"2001:db8/)
  const hex = join(place, 'hex')
  writeFileSync(hex, `0x${Buffer.from(KEY).toString('hex')}`)
  t.deepEqual(await run('--key-file', hex), out)
  const agent = join(place, 'agent')
  const server = createServer((socket) => socket.end(`${KEY}\n`))
  await new Promise<void>((resolve) => server.listen(agent, resolve))
  t.teardown(() => server.close())
  t.deepEqual(await run('--key-agent', agent), out)
  const plain = await darta(t, ['anonymize', '-q', '-r', file, '--key-file', key], '', {
    env: {...process.env, DARTA_NATIVE: '0'},
  })
  t.deepEqual(plain.stdout, out)
})

test('without a key, with half of one or a wrong policy nothing is written', async (t) => {
  const {place, file} = made(t)
  const short = join(place, 'short')
  writeFileSync(short, '0123456789abcdef')
  const policy = join(place, 'policy')
  writeFileSync(policy, 'sourceIPv4Address blacken\n')
  for (const [words, says, code] of [
    [[], /crypto-pan needs a key/, 2],
    [['--key-file', short], /holds no key: 32 characters or 64 hexadecimal digits, not 16/, 2],
    [['--key-file', join(place, 'absent')], /no such file/, 1],
    [['--key-agent', join(place, 'absent')], /no such file/, 1],
    [['--method', 'black', '--policy', policy], /line 1: no method 'blacken'/, 2],
    [['--method', 'truncate', '--bits', '33'], /--bits/, 2],
  ] as const) {
    const ended = await darta(t, ['anonymize', '-r', file, ...words])
    t.is(ended.code, code, words.join(' '))
    t.regex(ended.stderr, says)
    t.is(ended.stdout.length, 0)
  }
})

test('a filter is about the records as they were', async (t) => {
  const {file} = made(t)
  const words = ['anonymize', '-q', '-r', file, '--method', 'black', '-o', 'ndjson:bare']
  const {stdout} = await darta(t, [...words, '--no-options', 'src ip 192.0.2.11 and udp'])
  const lines = stdout.toString().trim().split('\n')
  const flows = lines.filter((line) => line.includes('octetDeltaCount'))
  t.true(flows.length > 5)
  for (const line of flows) t.regex(line, /"sourceIPv4Address":"0\.0\.0\.0"/)
})
