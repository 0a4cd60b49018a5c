import test from 'ava'
import {readFileSync} from 'node:fs'
import {
  capturedRate,
  gain,
  losslessRate,
  nodesNeeded,
  perPacket,
  type CaptureNode,
} from '../../../src/commands/doctor/capacity-model.js'
import type {CapacityAnswer} from '../../../src/commands/doctor/capacity.js'
import {nativeAbsence} from '../../../src/io/native.js'
import {bin, darta, start} from '../../support/darta.js'
import {noNamespaces} from '../../support/namespaces.js'
import {asNobody, needing, openToAll, tools} from '../../support/needing.js'
import fc from '../../support/properties.js'

const node: CaptureNode = {costs: {receive: 200, reject: 100, accept: 300, meter: 150}, cores: 2}

test('one node pays for receiving and accepting every packet, four for a quarter of accepting', (t) => {
  t.deepEqual(perPacket(node.costs, 1), {kernel: 500, process: 150})
  t.deepEqual(perPacket(node.costs, 4), {kernel: 200 + 75 + 75, process: 37.5})
  t.is(losslessRate(node, 1), 1e9 / 500)
  t.is(losslessRate({...node, cores: 1}, 1), 1e9 / 650)
  t.is(losslessRate({costs: {...node.costs, meter: 900}, cores: 2}, 1), 1e9 / 900)
})

test('a node that drops early pays that instead of receiving and rejecting, and alone it drops nothing', (t) => {
  const costs = {...node.costs, early: {drop: 40, pass: 20}}
  t.deepEqual(perPacket(costs, 1), perPacket(node.costs, 1))
  t.deepEqual(perPacket(costs, 4), {kernel: (3 * 40 + 200 + 20 + 300) / 4, process: 37.5})
  t.true(nodesNeeded({costs, cores: 2}, 20e6)! > 1)
  t.is(nodesNeeded({costs, cores: 2}, 26e6), undefined, 'each node has to drop, too')
})

const early = fc.option(
  fc.record({drop: fc.integer({min: 1, max: 300}), pass: fc.integer({min: 0, max: 100})}),
  {nil: undefined},
)
const costs = fc.record({
  early,
  receive: fc.integer({min: 1, max: 2000}),
  reject: fc.integer({min: 1, max: 500}),
  accept: fc.integer({min: 1, max: 2000}),
  meter: fc.integer({min: 1, max: 5000}),
})
const anyNode: fc.Arbitrary<CaptureNode> = fc.record({costs, cores: fc.constantFrom(1, 2)})

test('nodes capture no more than there is, all of it up to where they are said to lose nothing, and less beyond', (t) => {
  fc.assert(
    fc.property(
      anyNode,
      fc.integer({min: 1, max: 16}),
      fc.double({min: 0.01, max: 20, noNaN: true}),
      (one, n, part) => {
        const most = losslessRate(one, n)
        const captured = capturedRate(one, n, most * part)
        t.true(captured <= most * part * (1 + 1e-9))
        if (part <= 1) t.true(Math.abs(captured / (most * part) - 1) < 1e-9)
        if (part > 1.001) t.true(captured < most * part)
      },
    ),
    {numRuns: 500},
  )
})

test('the nodes that a load needs lose nothing, and one fewer would', (t) => {
  fc.assert(
    fc.property(anyNode, fc.double({min: 1e4, max: 2e7, noNaN: true}), (one, offered) => {
      const needed = nodesNeeded(one, offered)
      if (needed === undefined) {
        t.true(losslessRate(one, 4096) < offered)
        return
      }
      t.true(losslessRate(one, needed) >= offered)
      if (needed > 1) t.true(losslessRate(one, needed - 1) < offered)
    }),
    {numRuns: 300},
  )
})

test('the load from which on nodes capture so many times more is where they do, and just below they do not', (t) => {
  const slow: CaptureNode = {costs: {...node.costs, meter: 5000}, cores: 2}
  const found = gain(node, 4, slow, 10)
  const ratio = (load: number): number => capturedRate(node, 4, load) / capturedRate(slow, 1, load)
  // One machine captures 200,000/s at most.
  t.true(Math.abs(found.offered! / 2e6 - 1) < 0.01, String(found.offered))
  t.true(ratio(found.offered!) >= 10)
  t.true(ratio(found.offered! / 1.003) < 10)
  t.true(found.most >= 10)
  t.is(gain(node, 4, node, 10).offered, undefined)
})

needing(nativeAbsence(), noNamespaces)(
  'doctor --capacity measures here and leaves nothing behind; its answer fits its own costs',
  async (t) => {
    const before = readFileSync('/proc/net/dev', 'utf8').split('\n').length
    const {code, stdout, stderr} = await darta(t, [
      'doctor',
      '--capacity',
      '--offered',
      '300k',
      '-o',
      'ndjson',
    ])
    t.is(code, 0, stderr)
    t.is(readFileSync('/proc/net/dev', 'utf8').split('\n').length, before)
    const answer = JSON.parse(stdout.toString()) as CapacityAnswer
    const {receive, rejectAll, reject, accept, meter, dropEarly, passEarly} = answer.costs
    // Processor times of any machine that could run this at all.
    for (const [name, ns] of Object.entries({receive, accept, meter})) {
      t.true(ns > 1 && ns < 1e6, `${name} ${ns}`)
    }
    t.true(reject >= 0 && reject < receive + accept + meter)
    t.true(rejectAll >= 0 && rejectAll < receive + accept + meter)
    t.true(dropEarly === undefined || (dropEarly >= 0 && dropEarly < 1e5))
    t.is(dropEarly === undefined, passEarly === undefined)
    const kernel = receive + accept
    const slowest = answer.cores === 1 ? kernel + meter : Math.max(kernel, meter)
    t.true(Math.abs(answer.lossless[0] * slowest * 1e-9 - 1) < 1e-6)
    const asked = answer.loads.find(({what}) => what === 'asked')
    t.is(asked?.offered, 300_000)
    t.is(asked?.captured.length, 4)
  },
)

needing(nativeAbsence(), noNamespaces)(
  'people get tables, and the sum of them in words',
  async (t) => {
    const words = [
      'doctor',
      '--capacity',
      'lo',
      '--cores',
      '1',
      '--application-cost',
      '50000',
      '--nodes',
      '3',
    ]
    const {code, stdout, stderr} = await darta(t, words)
    t.is(code, 0, stderr)
    const text = stdout.toString()
    const measured = /^drop it early +\d+ ns/m.test(text)
    const early = await darta(t, [...words, '--mirror-port'])
    t.is(early.code, measured ? 0 : 1, early.stderr)
    if (measured) t.regex(early.stdout.toString(), /, with --mirror-port; packets captured/)
    t.regex(text, /^reject it +\d+ ns/m)
    t.regex(text, /offered\/s +needed +application +1 node +2 nodes +3 nodes/)
    t.regex(
      text,
      /3 nodes capture 10 times what one machine with the application does from [\d.]+ M packets\/s on/,
    )
  },
)

test('capacity of an interface that is not there, or of two, is refused', async (t) => {
  t.is((await darta(t, ['doctor', '--capacity', 'nosuch0'])).code, 1)
  t.is((await darta(t, ['doctor', '--capacity', 'lo', 'eth0'])).code, 2)
  t.is((await darta(t, ['doctor', '--offered', '5M'])).code, 2)
})

needing(
  nativeAbsence(),
  tools('setpriv'),
  openToAll(),
)('without its privileges measuring capacity names them', async (t) => {
  const [setpriv, ...as] = asNobody()
  const {code, stderr} = await start(t, setpriv, [...as, bin, 'doctor', '--capacity']).ended
  t.is(code, 4)
  t.regex(stderr, /CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_NET_RAW/)
})
