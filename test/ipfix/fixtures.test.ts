import {spawnSync} from 'node:child_process'
import {existsSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {needing, needingCases, shared, tools} from '../support/needing.js'
import {decodeCase, fixtures, ipfixCases, needsTshark, type Truth} from './fixtures.js'
import {difference, leavesOf, leavesOfDump} from './ipfix-dump.js'
import {decode, encode, recordsOf} from './octets.js'
import type {RecordBatch} from '../../src/record/batch.js'
import type {Damage} from '../../src/ipfix/message-stream.js'

/**
 * Where the truth counts what is in octets that RFC 7011 section 9.1 has a Collecting Process drop, or stops where
 * more Messages follow.
 */
const otherwise: Record<string, Partial<Truth> & {damage?: [string, number][]}> = {
  'ipfixcol__bad-length-in-set': {
    messages: {ipfix: 0},
    template_announcements: 0,
    templates: [],
    damage: [['DARTA_MESSAGE_TRUNCATED', 0]],
  },
  'ipfixcol__header-and-zeros': {messages: {ipfix: 0}, damage: [['DARTA_SET_LENGTH', 0]]},
  telegraf__issue_14370: {
    messages: {ipfix: 0},
    data_records: 0,
    template_announcements: 0,
    templates: [],
    by_template: {},
    damage: [['DARTA_SET_LENGTH', 0]],
  },
  // Three Messages in what was saved as one datagram.
  logstash__ipfix: {
    messages: {ipfix: 3},
    data_records: 12,
    by_template: {'0/256': 1, '0/1024': 12},
  },
}

const test = (truth: Truth | undefined, ...reasons: (string | undefined)[]) =>
  needing(
    shared('fixtures/truth.json'),
    truth === undefined || !needsTshark(truth) ? undefined : tools('tshark'),
    ...reasons,
  )

needingCases('reads what is in exports', ipfixCases(), shared('fixtures/truth.json'))
for (const truth of ipfixCases()) {
  test(truth)(`reads what is in ${truth.name}`, (t) => {
    const expected = {...truth, ...otherwise[truth.name]}
    const damage: Damage[] = []
    const templates = new Map<string, Truth['templates'][number] & {times: number}>()
    let announcements = 0
    let messages = 0
    let unread = 0
    const {batches, records} = decodeCase(truth, {
      template(event, {id, scopeCount, fields}, message) {
        t.not(event, 'withdrawn')
        announcements++
        const domain = message!.observationDomainId
        const specifiers = fields.map(({element, length}, i) =>
          [element.enterpriseNumber, element.elementId, length].concat(i < scopeCount ? 1 : []),
        )
        const key = JSON.stringify([domain, id, specifiers])
        const known = templates.get(key)
        if (known !== undefined) known.times++
        else {
          const kind = scopeCount > 0 ? 'options' : 'data'
          templates.set(key, {domain, id, kind, times: 1, fields: specifiers})
        }
      },
      unreadSet: () => unread++,
      message: () => messages++,
      damage: (one) => damage.push(one),
    })
    const byTemplate: Record<string, number> = {}
    let dataRecords = 0
    let optionsRecords = 0
    for (const {message, template, count} of batches) {
      const key = `${message.observationDomainId}/${template.id}`
      byTemplate[key] = (byTemplate[key] ?? 0) + count
      if (template.scopeCount > 0) optionsRecords += count
      else dataRecords += count
    }
    t.is(messages, expected.messages.ipfix)
    t.is(announcements, expected.template_announcements)
    t.deepEqual([...templates.values()], expected.templates as typeof expected.templates & object[])
    t.is(dataRecords, expected.data_records)
    t.is(optionsRecords, expected.options_records ?? 0)
    t.deepEqual(byTemplate, expected.by_template ?? {})
    t.is(unread, expected.sets_without_template ?? 0)
    t.deepEqual(
      damage.map(({code, offset}) => [code, offset]),
      expected.damage ?? [],
    )
    t.is(records.in, records.out + records.totalLost())
    t.is(records.out, dataRecords + optionsRecords)
  })
}

for (const truth of ipfixCases()) {
  const file = join(fixtures, 'expected', `${truth.name}.ipfixDump.txt`)
  if (!existsSync(file)) continue
  test(truth)(`reads the values in ${truth.name} that libfixbuf reads, lists too`, (t) => {
    const dump = leavesOfDump(readFileSync(file, 'utf8'))
    const ours = recordsOf(decodeCase(truth).batches).map(leavesOf)
    t.is(difference(ours, dump), undefined)
    t.true(ours.some((leaves) => leaves.some((mine) => !mine.endsWith('=…'))))
  })
}

interface NfdumpFlow {
  readonly proto?: number
  readonly src4_addr?: string
  readonly dst4_addr?: string
  readonly src6_addr?: string
  readonly dst6_addr?: string
  readonly src_port?: number
  readonly dst_port?: number
  readonly in_packets?: number
  readonly in_bytes?: number
}

function sorted(rows: string[]): string[] {
  return rows.sort()
}

for (const truth of ipfixCases()) {
  const file = join(fixtures, 'expected', `${truth.name}.nfdump.json`)
  if (!existsSync(file)) continue
  test(truth)(`reads the flows in ${truth.name} that nfdump reads`, (t) => {
    const flows = JSON.parse(readFileSync(file, 'utf8')) as NfdumpFlow[]
    const theirs = flows.map((flow) =>
      [
        flow.src4_addr ?? flow.src6_addr ?? '0.0.0.0',
        flow.dst4_addr ?? flow.dst6_addr ?? '0.0.0.0',
        flow.proto ?? 0,
        flow.src_port ?? 0,
        flow.dst_port ?? 0,
        flow.in_packets ?? 0,
        flow.in_bytes ?? 0,
      ].join(' '),
    )
    const {batches} = decodeCase(truth)
    const ours: string[] = []
    const flowBatches = batches.filter(
      ({template, message}) =>
        template.scopeCount === 0 &&
        // nfdump reads the first Message of a datagram only.
        (truth.name !== 'logstash__ipfix' || message.offset === 0),
    )
    for (const record of recordsOf(flowBatches)) {
      const values = new Map(record.map(([element, value]) => [element.name, value] as const))
      const of = (...names: string[]): number | string | undefined =>
        names
          .map((name) => values.get(name) as number | string | undefined)
          .find((value) => value !== undefined)
      const proto = of('protocolIdentifier') ?? 0
      const ports = proto === 1 || proto === 58
      ours.push(
        [
          of('sourceIPv4Address', 'sourceIPv6Address') ?? '0.0.0.0',
          of('destinationIPv4Address', 'destinationIPv6Address') ?? '0.0.0.0',
          proto,
          ports ? 0 : (of('sourceTransportPort') ?? 0),
          ports ? 0 : (of('destinationTransportPort') ?? 0),
          of('packetDeltaCount', 'packetTotalCount') ?? 0,
          of('octetDeltaCount', 'octetTotalCount') ?? 0,
        ].join(' '),
      )
    }
    t.deepEqual(sorted(ours), sorted(theirs))
  })
}

for (const truth of ipfixCases()) {
  test(truth, tools('ipfixDump'))(
    `libfixbuf reads what ${truth.name} becomes in our encoding`,
    (t) => {
      const {batches} = decodeCase(truth)
      const {octets, account} = encode(batches)
      if (octets.length === 0) {
        t.is(account.in, 0)
        return
      }
      const {stdout} = spawnSync('ipfixDump', {input: octets, encoding: 'utf8', maxBuffer: 2 ** 28})
      const dump = leavesOfDump(stdout)
      // Type records may have come to them.
      const again = decode(octets).batches
      t.is(difference(recordsOf(again).map(leavesOf), dump), undefined)
      const data = (list: readonly RecordBatch[]): unknown =>
        recordsOf(list.filter(({template}) => template.scopeCount === 0)).map(leavesOf)
      t.deepEqual(data(again), data(batches))
    },
  )
}
