import test from 'ava'
import {bpfOctets, parseBpfText} from '../../src/metering/bpf-assembler.js'
import {createEbpfAssembler, ebpfOctets, R} from '../../src/metering/ebpf.js'
import type {Landmark} from '../../src/metering/turn-counter.js'
import {findDrift} from '../../src/metering/turn-drift.js'
import {execFileSync} from 'node:child_process'
import {needing, superuser, tools} from '../support/needing.js'
import {addon, filterTexts, kernelAccepts, noAddon, randomFrames} from './selectors/frames.js'

needing(
  noAddon,
  superuser(),
  tools('tcpdump'),
)(
  'a filter of classic BPF decides the same as part of an eBPF program, on frames of all kinds',
  (t) => {
    const frames = randomFrames(3000, 5)
    for (const text of filterTexts) {
      const classic = parseBpfText(
        execFileSync('tcpdump', ['-y', 'EN10MB', '-ddd', text], {encoding: 'utf8'}),
      )
      const b = createEbpfAssembler()
      b.alu('mov', R.packet, {register: R.a1}, true)
      b.classic(classic, 'accept', 'reject')
      b.label('accept')
      b.alu('mov', R.result, 0x40000)
      b.exit()
      b.label('reject')
      b.alu('mov', R.result, 0)
      b.exit()
      const turns = addon().turnsLoad(ebpfOctets(b.assemble()), 8)
      if (Array.isArray(turns)) return t.fail(`${text}: ${turns.join(' ')}`)
      const extended = new Uint8Array(frames.count)
      addon().runSocketFilter(
        addon().turnsDescriptor(turns),
        frames.octets,
        frames.offsets,
        extended,
      )
      const expected = kernelAccepts(frames, classic)
      t.true(expected.includes(1) && expected.includes(0), text)
      t.deepEqual(extended, expected, text)
    }
    t.true(bpfOctets([]).length === 0)
  },
)

/** Landmarks of a node that sees every packet: digests 1, 2, 3 … each `every` packets. */
function counting(
  name: string,
  counts: readonly number[],
  skewMs = 0,
): {name: string; landmarks: Landmark[]} {
  const landmarks = counts.map((packets, i) => ({
    interfaceName: 'eth0',
    share: '1/2',
    timeMs: 1000 * i + skewMs,
    digest: i + 1,
    packets,
  }))
  return {name, landmarks}
}

test('nodes that count alike do not drift, whatever their clocks say within half a second', (t) => {
  const nodes = [
    counting('a', [10, 20, 30]),
    counting('b', [10, 20, 30], 500),
    counting('c', [10, 20, 30], -500),
  ]
  t.deepEqual(findDrift(nodes), {common: 3, drifts: []})
})

test('the node that missed packets is named, with when and how many', (t) => {
  const nodes = [
    counting('a', [10, 20, 30, 40]),
    counting('b', [10, 20, 28, 38]),
    counting('c', [10, 20, 30, 40]),
  ]
  t.deepEqual(findDrift(nodes), {
    common: 4,
    drifts: [{node: 'b', packets: -2, afterMs: 1000, byMs: 2000}],
  })
})

test('a node that began later is behind from the start, until all begin anew', (t) => {
  const nodes = [counting('a', [10, 20, 0, 10]), counting('b', [3, 13, 0, 10])]
  t.deepEqual(findDrift(nodes).drifts, [
    {node: 'b', packets: -7, afterMs: undefined, byMs: 0},
    {node: 'b', packets: 0, afterMs: 1000, byMs: 2000},
  ])
})

test('a landmark that one node has not seen is compared among the others, and says nothing alone', (t) => {
  const whole = counting('a', [10, 20, 30])
  const gap = {name: 'b', landmarks: [whole.landmarks[0], whole.landmarks[2]]}
  t.deepEqual(findDrift([whole, gap]), {common: 2, drifts: []})
  t.deepEqual(findDrift([whole]), {common: 0, drifts: []})
})

test('landmarks that look the same and come soon after one another say nothing, later ones do', (t) => {
  const repeated = (
    name: string,
    counts: number[],
    everyMs: number,
  ): ReturnType<typeof counting> => ({
    name,
    landmarks: counts.map((packets, i) => ({
      ...counting(name, [packets]).landmarks[0],
      timeMs: everyMs * i,
    })),
  })
  const soon = [repeated('a', [5, 6], 10), repeated('b', [5, 7], 10)]
  t.deepEqual(findDrift(soon), {common: 0, drifts: []})
  const later = [repeated('a', [5, 6], 10_000), repeated('b', [5, 7], 10_000)]
  t.deepEqual(findDrift(later), {
    common: 2,
    drifts: [{node: 'a', packets: -1, afterMs: 0, byMs: 10_000}],
  })
})
