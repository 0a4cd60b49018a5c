import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import test from 'ava'
import {bin, darta, folder} from '../support/darta.js'
import {root} from '../support/needing.js'

type Row = Record<string, string | number>

const COUNTERS = ['octetDeltaCount', 'packetDeltaCount', 'deltaFlowCount'] as const

/** Sums of charging records by what they are of. */
function sumsOf(stdout: Buffer): Map<string, number[]> {
  const sums = new Map<string, number[]>()
  for (const line of stdout.toString().trim().split('\n')) {
    const row = JSON.parse(line) as Row
    // Of what describes elements (RFC 5610) every unit has its own.
    if ('_scope' in row) continue
    const {dartaAccount, dartaFeature, dartaTrafficClass, dartaTariff} = row
    const name = [dartaAccount, dartaFeature, dartaTrafficClass, dartaTariff].join(' ')
    const known = sums.get(name) ?? [0, 0, 0]
    sums.set(
      name,
      COUNTERS.map((counter, i) => known[i] + Number(row[counter])),
    )
  }
  return new Map([...sums].sort(([a], [b]) => (a < b ? -1 : 1)))
}

test('usage: charging records add up to the input to the octet, and those of units to those of one', async (t) => {
  const at = folder(t)
  const flows = join(at, 'lab.ipfix')
  const rating = join(at, 'rating.json')
  writeFileSync(
    rating,
    JSON.stringify({
      accounts: {left: ['192.0.2.0/24', '2001:db8:1::/48'], right: ['198.51.100.0/24']},
      classes: [{name: 'dns', protocol: 17, ports: [53]}],
      prices: [{class: 'dns', perGigaoctet: 0}, {perGigaoctet: 3}],
    }),
  )
  const run = async (...words: string[]): Promise<Buffer> => {
    const {code, stdout, stderr} = await darta(t, words)
    t.is(code, 0, stderr)
    return stdout
  }
  await run('capture', '-q', '-r', join(root, 'test/fixtures/lab.pcap'), '-w', flows)
  const usage = `usage --rating ${rating}`
  const one = sumsOf(await run('analyze', ...usage.split(' '), '-q', '-r', flows, '-o', 'ndjson'))
  t.true(one.size > 4)
  const fields = 'fmt:%{octetDeltaCount} %{packetDeltaCount}'
  const all = (await run('print', '-q', '-N', '-r', flows, '-o', fields)).toString()
  const truth = [0, 0, 0]
  for (const line of all.trim().split('\n')) {
    const [octets, packets] = line.split(' ').map(Number)
    truth[0] += octets
    truth[1] += packets
    truth[2]++
  }
  t.deepEqual(
    [...one.values()].reduce((sum, of) => sum.map((n, i) => n + of[i])),
    truth,
  )
  for (const units of ['1', '2', '5', '8']) {
    const joined = await run(
      ...['route', '-q', '-r', flows, '--app', usage, '--units', units, '--join', '-o', 'ndjson'],
      ...['--exec', `${bin} analyze ${usage} -q -o ipfix`],
    )
    t.deepEqual(sumsOf(joined), one, `${units} units`)
  }
})
