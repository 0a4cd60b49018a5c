import asymmetry from '../../../src/processing/analysis/apps/asymmetry.js'
import beacon from '../../../src/processing/analysis/apps/beacon.js'
import delay from '../../../src/processing/analysis/apps/delay.js'
import entropy from '../../../src/processing/analysis/apps/entropy.js'
import ddos from '../../../src/processing/analysis/apps/ddos.js'
import scan from '../../../src/processing/analysis/apps/scan.js'
import type {AnalysisApp} from '../../../src/processing/analysis/app.js'
import {createTypescriptMeter} from '../../../src/metering/typescript-meter.js'
import type {RecordBatch} from '../../../src/record/batch.js'
import {createTemplate} from '../../../src/record/template.js'
import {meterOptions, readFixture, readTruth} from '../../metering/metering.js'
import {analyse} from '../../support/analyse.js'
import {needing, shared} from '../../support/needing.js'
import {BEGIN, talkBatches, type Talk} from '../../support/traffic.js'

const test = needing(shared('fixtures/truth.json'))
const captures = readTruth().map(([name]) => name)

/** What a meter sees of a capture, whose packets may be of any year. */
function flowsOf(name: string): RecordBatch[] {
  const options = meterOptions()
  const meter = createTypescriptMeter(options)
  const outputs = [...meter.push(readFixture(name)), ...meter.finish()]
  meter.close()
  const templates = [options.fields.v4, options.fields.v6].map((fields, i) =>
    createTemplate(
      256 + i,
      fields.map(({element, length}) => ({element, length})),
    ),
  )
  return outputs.map(({octets, template, count}) => ({
    template: templates[template],
    octets,
    view: new DataView(octets.buffer, octets.byteOffset, octets.byteLength),
    // Behind the headers of the Message and the Set.
    start: 20,
    count,
    offsets: undefined,
    message: {exportTime: 0, sequenceNumber: 0, observationDomainId: 0, offset: 0},
  }))
}

const finders: readonly [string, AnalysisApp][] = [
  ['scan', scan],
  ['ddos', ddos],
  ['beacon', beacon],
  ['asymmetry', asymmetry],
  ['delay', delay],
  ['entropy', entropy],
] as unknown as [string, AnalysisApp][]

test('of all captures one has a scanner, and nothing is found in any other', (t) => {
  const found: string[] = []
  for (const name of captures) {
    const batches = flowsOf(name)
    for (const [app, of] of finders) {
      for (const row of analyse(of, {}, batches).rows) {
        const {sourceIPv4Address, dartaFinding, dartaFeature} = row as Record<string, string>
        if (dartaFinding === 'usual') continue
        found.push(`${app} ${name}: ${dartaFinding} ${dartaFeature ?? sourceIPv4Address}`)
      }
    }
  }
  t.deepEqual(found, ['scan captures/ndpi__synscan.pcap: vertical scan 172.16.0.8'])
})

test('a scanner and a beacon are found among the flows of every capture', (t) => {
  const talk = (to: string, port: number, ms: number): Talk => ({
    ...{from: '198.51.100.7', to, ports: [40000, port], proto: 6, flags: 2, octets: 40, packets: 1},
    ...{start: BEGIN + ms, end: BEGIN + ms},
  })
  const planted = [
    ...Array.from({length: 40}, (_, i) => talk(`192.0.2.${i}`, 445, 100 * i)),
    ...Array.from({length: 20}, (_, i) => ({...talk('203.0.113.9', 443, 30_000 * i), flags: 0x1b})),
  ]
  for (const name of captures) {
    const batches = [...flowsOf(name), ...talkBatches(planted)]
    const rows = (app: AnalysisApp): unknown =>
      analyse(app, {}, batches)
        .rows.filter((row) => row.sourceIPv4Address === '198.51.100.7')
        .map((row) => row.dartaFinding)
    t.deepEqual(rows(finders[0][1]), ['horizontal scan'], name)
    t.deepEqual(rows(finders[2][1]), ['beacon'], name)
  }
})
