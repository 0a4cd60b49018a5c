import {darta} from '../support/darta.js'
import {needing, needingCases, shared, tools} from '../support/needing.js'
import {ipfixCases, needsTshark, payloads} from '../ipfix/fixtures.js'

interface InfoReport {
  readonly messages: number
  readonly records: number
  readonly optionsRecords: number
  readonly sets: Readonly<Record<string, number>>
  readonly observationDomains: readonly number[]
  readonly templates: readonly {
    readonly observationDomainId: number
    readonly templateId: number
    readonly records: number
    readonly announced: number
    readonly fields: readonly string[]
  }[]
}

/** Where darta reads otherwise than the tool that made truth.json, and why. */
const otherwise: Readonly<Record<string, object>> = {
  // Three Messages back to back; the truth reads the first one only.
  logstash__ipfix: {
    messages: {ipfix: 3},
    data_records: 12,
    by_template: {'0/1024': 12, '0/256': 1},
  },
  // A Message that says it is longer than what is there, or whose Sets do not fit it, is dropped whole.
  'ipfixcol__bad-length-in-set': {messages: {ipfix: 0}, template_announcements: 0},
  'ipfixcol__header-and-zeros': {messages: {ipfix: 0}},
  telegraf__issue_14370: {
    messages: {ipfix: 0},
    data_records: 0,
    by_template: {},
    template_announcements: 0,
  },
}

needingCases('info counts what is in exports', ipfixCases(), shared('fixtures/truth.json'))
for (const theirs of ipfixCases()) {
  const truth = {...theirs, ...otherwise[theirs.name]}
  const test = needing(needsTshark(truth) ? tools('tshark') : undefined)
  test(`info counts what is in ${truth.name}`, async (t) => {
    const octets = Buffer.concat(truth.files.flatMap((file) => payloads(file)).map((p) => p.octets))
    const {code, stdout, stderr} = await darta(t, ['info', '-o', 'json'], octets)
    t.is(code, 0, stderr)
    const report = JSON.parse(stdout.toString()) as InfoReport
    t.is(report.messages, truth.messages.ipfix)
    t.is(report.records, truth.data_records)
    t.is(report.optionsRecords, truth.options_records ?? 0)
    // The same Template may come with several layouts, one report each.
    const sums: Record<string, number> = {}
    for (const {observationDomainId, templateId, records} of report.templates) {
      const key = `${observationDomainId}/${templateId}`
      if (records > 0) sums[key] = (sums[key] ?? 0) + records
    }
    t.deepEqual(sums, truth.by_template ?? {})
    const announced = report.templates.reduce((sum, one) => sum + one.announced, 0)
    t.is(announced, truth.template_announcements)
  })
}
