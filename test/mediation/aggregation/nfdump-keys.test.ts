import type {ExecutionContext} from 'ava'
import {spawnSync} from 'node:child_process'
import {bin} from '../../support/darta.js'
import {needing} from '../../support/needing.js'
import {nfdumpFlows, nfdumpRareFlows, withoutReverse} from '../filter/flows.js'
import {nfcapd, nfcapdFiles} from '../filter/nfcapd-files.js'

const COUNT = 1200

/** Octets, packets and Flows by key. */
type Sums = Record<string, [octets: number, packets: number, flows: number]>

function run(t: ExecutionContext, program: string, args: readonly string[]): string[] {
  const env = {...process.env, TZ: 'UTC'}
  const {status, stdout, stderr} = spawnSync(program, args, {encoding: 'utf8', env})
  t.is(status, 0, `${args.join(' ')}: ${stderr}`)
  return stdout.split('\n').filter((line) => line.trim() !== '')
}

function add(sums: Sums, key: string, [octets, packets, flows]: readonly number[]): void {
  const sum = (sums[key] ??= [0, 0, 0])
  sum[0] += octets
  sum[1] += packets
  sum[2] += flows
}

/** `nfdump -A`, and of each line what the format has before the counters. */
function theirs(
  t: ExecutionContext,
  flows: string,
  keys: string,
  format: string,
  name: (cells: string[]) => string,
): Sums {
  const sums: Sums = {}
  const args = ['-R', flows, '-q', '-6', '-N', '-A', keys, '-o', `fmt:${format} %byt %pkt %fl`]
  for (const line of run(t, 'nfdump', args)) {
    const cells = line.trim().split(/\s+/)
    add(sums, name(cells.slice(0, -3)), cells.slice(-3).map(Number))
  }
  return sums
}

function ours(
  t: ExecutionContext,
  file: string,
  question: readonly string[],
  name: (row: Record<string, string>) => string,
): Sums {
  const sums: Sums = {}
  for (const line of run(t, bin, [
    ...['aggregate', '-q', '-r', file, '-o', 'ndjson:bare'],
    ...question,
  ])) {
    const row = JSON.parse(line) as Record<string, string>
    const counters = [row.octetDeltaCount, row.packetDeltaCount, row.deltaFlowCount]
    add(sums, name(row), counters.map(Number))
  }
  return sums
}

const network = (cells: string[]): string => cells.map((cell) => cell.replace(/\/\d+$/, '')).join()
const source = (row: Record<string, string>): string => row.sourceIPv4Prefix ?? row.sourceIPv6Prefix
/** nfdump 1.7.1 leaves no more than 64 bits of an IPv6 address: of fe80::1/128 it makes fe80::. */
const destination = (row: Record<string, string>): string =>
  row.destinationIPv4Prefix ?? row.destinationIPv6Prefix.replace(/::[0-9a-f]+$/, '::')

needing(...nfcapd)('srcnet and dstnet cut each address as its record says, as in nfdump', (t) => {
  const {file, flows} = nfcapdFiles(t, nfdumpFlows(COUNT).map(withoutReverse))
  for (const [keys, format, name] of [
    ['srcnet', '%sn', source],
    ['dstnet', '%dn', destination],
    ['srcnet,dstnet', '%sn %dn', (row) => `${source(row)},${destination(row)}`],
    ['proto,srcnet', '%prn %sn', (row) => `${row.protocolIdentifier},${source(row)}`],
  ] as [string, string, (row: Record<string, string>) => string][]) {
    const wanted = theirs(t, flows, keys, format.replace('%prn', '%pr'), (cells) =>
      network(cells.map((cell) => protocols[cell] ?? cell)),
    )
    t.true(Object.keys(wanted).length > 10, keys)
    t.deepEqual(ours(t, file, ['-A', keys], name), wanted, keys)
  }
  const whole = ours(t, file, ['-A', 'dstnet'], (row) => row.destinationIPv6Prefix)
  t.true('fe80::1' in whole && 'fe80::' in whole)
  // The lengths are part of what is grouped by, and told.
  const [row] = run(t, bin, ['aggregate', '-q', '-r', file, '-A', 'srcnet', '-o', 'ndjson:bare'])
  t.regex(row, /"sourceIPv[46]PrefixLength":\d+/)
})

const protocols: Record<string, string> = {TCP: '6', UDP: '17', ICMP: '1', GRE: '47', ESP: '50'}

/** The label of an entry in hexadecimal digits, as a number. */
const labelOf = (row: Record<string, string>, field: string): number =>
  parseInt(row[field], 16) / 16

needing(...nfcapd)('mpls1 to mpls10 are labels, as in nfdump where it has them whole', (t) => {
  const {file, flows} = nfcapdFiles(t, nfdumpRareFlows(COUNT))
  const wanted = (n: number): Sums =>
    theirs(t, flows, `mpls${n}`, `%mpls${n}`, ([cell]) => cell.replace(/-\d+-\d+$/, ''))
  t.deepEqual(
    ours(t, file, ['-A', 'mpls2'], (row) => `${labelOf(row, 'mplsLabelStackSection2')}`),
    wanted(2),
  )
  // nfdump 1.7.1 loses the upper octet of the first and third entry: ff ff f0, label 1048575, becomes 00 ff f0, 4095, and both are one.
  for (const [n, field] of [
    [1, 'mplsTopLabelStackSection'],
    [3, 'mplsLabelStackSection3'],
  ] as const) {
    const question = ['-s', `mpls${n}/bytes`]
    t.deepEqual(
      ours(t, file, question, (row) => `${labelOf(row, field) & 0xfff}`),
      wanted(n),
    )
    const labels = ours(t, file, question, (row) => `${labelOf(row, field)}`)
    t.true('1048575' in labels && '4095' in labels)
  }
})

needing(...nfcapd)(
  'keys of either side, and those in no standard place, are those of nfdump -s',
  (t) => {
    const usual = nfcapdFiles(t, nfdumpFlows(COUNT).map(withoutReverse))
    const rare = nfcapdFiles(t, nfdumpRareFlows(COUNT))
    const one = (row: Record<string, string>): string => String(Object.values(row)[0])
    // A record counts for both sides' values, but once where they are equal; in nfdump twice.
    const unequal = 'src mask 8 and dst mask 16 or src mask 24 and not dst mask 24'
    for (const [at, key, zero, expression] of [
      [usual, 'inmac', '00:00:00:00:00:00', 'any'],
      [usual, 'outmac', '00:00:00:00:00:00', 'any'],
      [usual, 'mask', '0', unequal],
      [rare, 'ivrf', '0', 'any'],
      [rare, 'ndstport', '', 'any'],
    ] as const) {
      const args = [
        '-R',
        at.flows,
        '-q',
        '-N',
        '-s',
        `${key}/bytes`,
        '-n',
        '0',
        '-o',
        'csv',
        expression,
      ]
      const [head, ...lines] = run(t, 'nfdump', args)
      const columns = head.split(',')
      const wanted: Sums = {}
      for (const cells of lines.map((line) => line.split(','))) {
        const cell = (name: string): string => cells[columns.indexOf(name)]
        // What a record lacks is zero there.
        if (cell('val') !== zero)
          add(
            wanted,
            cell('val'),
            ['byt', 'pkt', 'fl'].map((n) => Number(cell(n))),
          )
      }
      const found = ours(t, at.file, ['-s', `${key}/bytes`, '-k', '1000', expression], one)
      delete found[zero]
      t.true(Object.keys(wanted).length > 1, key)
      t.deepEqual(found, wanted, key)
    }
  },
)

needing(...nfcapd)('orders that nfdump names otherwise are the same', (t) => {
  const {file, flows} = nfcapdFiles(t, nfdumpFlows(COUNT).map(withoutReverse))
  const format = 'fmt:%sa %da'
  const first = (program: string, args: readonly string[], order: string): string => {
    const key = ['-A', 'srcip,dstip', '-O', order, '-o', format, 'proto tcp']
    return run(t, program, [...args, ...key])[0]
      .trim()
      .replace(/\s+/g, ' ')
  }
  for (const order of ['ibyte', 'ipkg', 'duration']) {
    t.is(
      first(bin, ['aggregate', '-q', '-r', file], order),
      first('nfdump', ['-R', flows, '-q', '-6'], order),
      order,
    )
  }
  // By rates nfdump 1.7.1 does not put its groups in the order of what it prints of them.
  const rates = run(t, 'nfdump', [
    ...['-R', flows, '-q', '-N', '-A', 'srcip,dstip', '-O', 'bps', '-o', 'fmt:%bps'],
  ]).map(Number)
  t.true(rates.some((rate, i) => i > 0 && rate > rates[i - 1]))
  for (const [order, name] of [
    ['ibps', 'bps'],
    ['ipps', 'pps'],
    ['ibpp', 'bpp'],
  ]) {
    const of = ['aggregate', '-q', '-r', file]
    t.is(first(bin, of, order), first(bin, of, name))
  }
})
