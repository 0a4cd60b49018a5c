import {needing, shared} from '../support/needing.js'
import {collectFiles, exportCases, rowsOf, type ExportTruth} from './exports.js'

/** Where darta counts otherwise than the program that made truth.json, and the octets that are the reason. */
const otherwise: Readonly<Record<string, Partial<ExportTruth>>> = {
  // Octets 2–3 say 484 of 788: two more Messages begin at octets 484 and 636; the truth takes them for a tail.
  logstash__ipfix: {
    messages: {ipfix: 3},
    data_records: 12,
    by_template: {'0/1024': 12, '0/256': 1},
  },
  // A Message whose Sets do not fit it is dropped whole (RFC 7011 section 9.1). Here octets 2–3 say 1384 where 1316 are, and
  // the Template Set ends in the fields of Template 258.
  'ipfixcol__bad-length-in-set': {template_announcements: 0},
  // Octets 2–3 say 290, but the Set at octet 208 has 84 octets (210–211), 2 more than there are.
  telegraf__issue_14370: {data_records: 0, by_template: {}, template_announcements: 0},
  // Template 347 comes from port 61853 (octet 5340) and data for it from port 65156 (octet 6444): two Transport Sessions, as
  // the truth, which looks at addresses, does not see. The next test reads it as the truth does.
  'swisscom__112-IPFIXv10-CISCO-options-map-reassignment': {
    data_records: 0,
    by_template: {'33312/256': 30, '33312/257': 10, '33312/334': 34, '33312/338': 2},
    sets_without_template: 6,
  },
}

/** A field that records have which were made of this part of an sFlow sample. */
const marks: Readonly<Record<string, string>> = {
  'flow record 0:1': 'sflowHeaderProtocol',
  'flow record 0:1001': 'sflowSourceVlanPriority',
  'flow record 0:1002': 'sourceIPv4PrefixLength',
  'flow record 0:1003': 'sflowRouterAsNumber',
  'counter record 0:1': 'sflowIfIndex',
  'counter record 0:2': 'sflowDot3FcsErrors',
  'counter record 0:1005': 'sflowPortName',
  'counter record 0:2000': 'sflowHostName',
  'counter record 0:2001': 'sflowRecordOctets',
  'counter record 0:2003': 'sflowHostCpuLoadOne',
  'counter record 0:2004': 'sflowHostMemoryTotal',
  'counter record 0:2005': 'sflowHostDiskTotal',
  'counter record 0:2006': 'sflowHostNetInOctets',
}

const names: Readonly<Record<string, string>> = {
  v1: 'netflow1',
  v5: 'netflow5',
  v7: 'netflow7',
  v9: 'netflow9',
  ipfix: 'ipfix',
  sflow5: 'sflow',
}

const test = needing(shared('fixtures/truth.json'))
for (const theirs of exportCases()) {
  const truth = {...theirs, ...otherwise[theirs.name]}
  test(`collect reads the Messages, Templates and records that are in ${truth.name}`, async (t) => {
    const {batches, ledger, announcements, unread, faults} = await collectFiles(truth.files)
    const account = (stage: string): number =>
      ledger.stages.find((one) => one.stage === stage)?.in ?? 0
    const messages = Object.entries(names)
      .map(([short, name]) => [short, account(`${name}-messages`)] as const)
      .filter(([, n]) => n > 0)
    t.deepEqual(Object.fromEntries(messages), truth.messages)
    const rows = rowsOf(batches)
    t.is(rows.filter(({options}) => !options).length, truth.data_records)
    t.is(rows.filter(({options}) => options).length, truth.options_records ?? 0)
    t.is(announcements, truth.template_announcements)
    t.is(unread, truth.sets_without_template ?? 0)
    t.deepEqual(faults, [])
    if (truth.by_template !== undefined) {
      const sums: Record<string, number> = {}
      for (const {message, template, count} of batches) {
        const key = `${message.observationDomainId}/${template.id}`
        sums[key] = (sums[key] ?? 0) + count
      }
      t.deepEqual(sums, truth.by_template)
    }
    for (const [part, n] of Object.entries(truth.sflow ?? {})) {
      const mark = marks[part]
      if (mark === undefined) continue
      t.is(rows.filter(({values}) => values.has(mark)).length, n, part)
    }
    for (const stage of ledger.stages) {
      const sum = (map: ReadonlyMap<string, number>): number =>
        [...map.values()].reduce((a, b) => a + b, 0)
      t.is(stage.in, stage.out + sum(stage.skipped) + sum(stage.lost), stage.line())
    }
  })
}

test('collect --ignore-ports lets Templates from one port of an address hold for its other ports', async (t) => {
  const name = 'swisscom__112-IPFIXv10-CISCO-options-map-reassignment'
  const truth = exportCases().find((one) => one.name === name)!
  const {batches, unread} = await collectFiles(truth.files, {ignorePorts: true})
  t.is(rowsOf(batches).filter(({options}) => !options).length, truth.data_records)
  t.is(unread, truth.sets_without_template ?? 0)
})
