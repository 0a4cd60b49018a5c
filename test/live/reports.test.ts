import {join} from 'node:path'
import type {ExecutionContext} from 'ava'
import test from 'ava'
import {framesOf} from '../support/captures.js'
import {bin, darta, folder, start} from '../support/darta.js'
import {noNamespaces, noSender, sendFrames, startAt} from '../support/namespaces.js'
import {needing, tools} from '../support/needing.js'
import {capturing, interrupted, lab, mirror, sendWhileStopped} from './capturing.js'

type Row = Record<string, unknown> & {readonly _scope?: readonly string[]}

/** The Options Records of a file. */
async function options(t: ExecutionContext, file: string): Promise<Row[]> {
  const {stdout} = await darta(t, ['print', '-q', '-r', file, '-o', 'ndjson'])
  return rowsOf(stdout.toString()).filter(({_scope}) => _scope !== undefined)
}

function rowsOf(text: string): Row[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row)
}

/** The last record that has an element. */
const last = (rows: readonly Row[], element: string): Row | undefined =>
  rows.findLast((row) => row[element] !== undefined)

/** tshark must find nothing wrong in a file of Messages. */
async function tsharkReads(t: ExecutionContext, file: string): Promise<void> {
  const {code, stdout, stderr} = await start(t, 'tshark', ['-r', file, '-V']).ended
  t.is(code, 0, stderr)
  t.regex(stdout.toString(), /Cisco NetFlow\/IPFIX/)
  t.notRegex(
    stdout.toString(),
    /\[Malformed|\[Expert Info|No template found|Data \(\d+ bytes\), no/,
  )
}

test('Packet Reports of a file come with their Selectors, and with what these observed and selected', async (t) => {
  const file = join(folder(t), 'packets.ipfix')
  const {stderr} = await darta(t, ['capture', '-r', lab, '--emit', 'packets', '-w', file])
  const [, frames, reported] = /meter: (\d+) packets in, (\d+) out/.exec(stderr)!.map(Number)
  const rows = await options(t, file)
  t.like(rows[0], {selectionSequenceId: 1, observationPointId: 1, selectorId: 1})
  t.like(rows[1], {selectorId: 1, selectorAlgorithm: 5, selectorName: 'ip'})
  t.like(last(rows, 'selectorIdTotalPktsObserved'), {
    _scope: ['selectionSequenceId'],
    selectorIdTotalPktsObserved: frames,
    selectorIdTotalPktsSelected: reported,
  })
  t.is(last(rows, 'dartaKernelPacketTotalCount'), undefined)
  t.is((await darta(t, ['info', '--check', '-q', '-r', file])).code, 0)
})

needing(tools('tshark'))('tshark reads Packet Reports with their Selectors', async (t) => {
  const file = join(folder(t), 'packets.ipfix')
  await darta(t, ['capture', '-q', '-r', lab, '--emit', 'packets', '-w', file])
  await tsharkReads(t, file)
})

for (const emit of ['flows', 'packets']) {
  needing(
    noNamespaces,
    noSender,
    tools('tshark'),
  )(
    `counters of kernel, interface and export come while a live capture of ${emit} runs, and at its end`,
    async (t) => {
      const {sender, node, port} = mirror(t)
      const running = startAt(t, node, [
        ...[bin, 'capture', '-i', port, '--stats-interval', '100ms', '--emit', emit],
        ...['-f', 'tcp or udp', '--share', '2-3/3', '--share-seed', '9', '-o', 'ndjson', '-w', '-'],
      ])
      let text = ''
      running.child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
      await running.says(/capturing on/)
      const sent = sendFrames(sender, 'out', lab, 20_000)
      // A report that has all of them comes by itself.
      while (!text.includes(`"dartaInterfacePacketTotalCount":${sent},`)) {
        await new Promise((resolve) => running.child.stdout.once('data', resolve))
      }
      const before = rowsOf(text.slice(0, text.lastIndexOf('\n'))).length
      const {code, stderr} = await interrupted(running)
      t.is(code, 0)
      const all = rowsOf(text)
      t.true(all.length > before, 'the end tells once more')
      const rows = all.filter(({_scope}) => _scope !== undefined)
      const [, passed] = /kernel: (\d+) packets in/.exec(stderr)!.map(Number)
      t.true(passed > 0 && passed < sent)
      t.like(last(rows, 'dartaKernelPacketTotalCount'), {
        _scope: ['interfaceName'],
        interfaceName: port,
        dartaKernelPacketTotalCount: passed,
        dartaKernelDroppedPacketTotalCount: 0,
        dartaRingFreezeTotalCount: 0,
        dartaInterfaceDownTotalCount: 0,
      })
      t.like(last(rows, 'dartaInterfacePacketTotalCount'), {
        interfaceName: port,
        dartaInterfacePacketTotalCount: sent,
        dartaInterfaceMissedPacketTotalCount: 0,
        dartaInterfaceErrorPacketTotalCount: 0,
      })
      t.like(last(rows, 'notSentFlowTotalCount'), {notSentFlowTotalCount: 0})
      t.is(
        last(rows, 'exportedFlowRecordTotalCount')?.exportedFlowRecordTotalCount,
        all.length - rows.length,
      )
      if (emit === 'flows') {
        t.is(last(rows, 'selectorId'), undefined)
        return
      }
      t.like(rows[0], {selectionSequenceId: 1, selectorId: [1, 2, 3]})
      const selector = (id: number): Row | undefined =>
        rows.find((row) => row.selectorId === id && row.selectorAlgorithm !== undefined)
      t.like(selector(1), {selectorAlgorithm: 5, selectorName: 'tcp or udp'})
      t.like(selector(2), {
        selectorName: 'share 2-3/3 by flow',
        hashOutputRangeMax: 4095,
        hashSelectedRangeMin: 1366,
        hashSelectedRangeMax: 4095,
        hashInitialiserValue: 9,
      })
      t.like(selector(3), {selectorName: 'ip'})
      t.like(last(rows, 'selectorIdTotalPktsObserved'), {
        selectorIdTotalPktsSelected: [passed, passed],
        selectorIdTotalPktsObserved: passed,
      })
    },
  )
}

needing(
  noNamespaces,
  noSender,
  tools('tshark'),
)(
  'what the kernel dropped is in the records: passed, dropped and ignored balance with what was sent',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const file = join(folder(t), 'live.ipfix')
    const words = ['-i', port, '-B', '4Mi', '--emit', 'packets', '-w', file]
    const running = await capturing(t, node, ...words)
    const sent = sendWhileStopped(running, sender, 40, 0)
    t.is((await interrupted(running)).code, 0)
    const rows = await options(t, file)
    const value = (element: string): number => Number(last(rows, element)?.[element])
    const dropped = value('dartaKernelDroppedPacketTotalCount')
    t.true(dropped > 0)
    t.is(value('dartaKernelPacketTotalCount'), sent)
    t.is(value('ignoredPacketTotalCount'), dropped)
    t.is(value('selectorIdTotalPktsObserved') + dropped, sent)
    t.is(value('selectorIdTotalPktsSelected'), value('exportedFlowRecordTotalCount'))
    t.true(value('dartaRingFreezeTotalCount') > 0)
    t.is((await darta(t, ['info', '--check', '-q', '-r', file])).code, 0)
    await tsharkReads(t, file)
  },
)

needing(noNamespaces, noSender)(
  'packets in turn are reported as systematic count-based Sampling',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const file = join(folder(t), 'live.ipfix')
    const share = ['--share', '2-3/5', '--by', 'packets', '--emit', 'packets']
    const running = await capturing(t, node, '-i', port, ...share, '-w', file)
    sendFrames(sender, 'out', lab, 20_000)
    t.is((await interrupted(running)).code, 0)
    const rows = await options(t, file)
    t.like(last(rows, 'samplingPacketInterval'), {
      selectorAlgorithm: 1,
      samplingPacketInterval: 2,
      samplingPacketSpace: 3,
    })
    t.true(
      Math.abs(
        Number(last(rows, 'selectorIdTotalPktsObserved')?.selectorIdTotalPktsObserved) -
          (2 / 5) * framesOf(lab).length,
      ) <= 2,
    )
  },
)
