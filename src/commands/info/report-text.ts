import type {CaptureReport} from './capture-report.js'
import type {MessageReport} from './message-report.js'
import type {RecordReport} from './record-report.js'
import type {Window} from './report.js'

type Row = readonly [name: string, value: string]

/** A report for people: its lines, names left, values in one column. */
export function reportText(
  file: string,
  report: MessageReport | RecordReport | CaptureReport,
  codec: string | undefined,
): string {
  const compressed = codec === undefined ? '' : `, compressed with ${codec}`
  const rows = 'frames' in report ? captureRows(report) : recordRows(report)
  const width = Math.max(...rows.map(([name]) => name.length))
  const lines = rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`.trimEnd())
  return `${file}: ${report.format}${compressed}\n${lines.join('\n')}\n`
}

function recordRows(report: MessageReport | RecordReport): Row[] {
  const {records, optionsRecords, octetCount, packetCount, flowTime} = report
  const rows: Row[] = []
  if ('messages' in report) {
    const {template, optionsTemplate, data} = report.sets
    rows.push(
      ['octets', String(report.octets)],
      ['messages', String(report.messages)],
      ['sets', `${data} data, ${template} template, ${optionsTemplate} options template`],
    )
  }
  rows.push(
    ['records', `${records}${optionsRecords > 0 ? `, and ${optionsRecords} of options` : ''}`],
    ['octets counted', octetCount === null ? 'beyond 2^64 − 1' : String(octetCount)],
    ['packets counted', packetCount === null ? 'beyond 2^64 − 1' : String(packetCount)],
    ['flows from', flowTime?.first ?? 'no record has a time'],
  )
  if (flowTime !== undefined) rows.push(['flows to', flowTime.last])
  if (!('messages' in report)) {
    for (const {fields, records: n} of report.templates) {
      rows.push(['kind', `${fields.length} fields, ${n} records`])
    }
    return rows
  }
  rows.push(...spanRows('exported', report.exportTime))
  rows.push(['domains', report.observationDomains.join(', ')])
  if (report.exporters.length > 0) rows.push(['exporters', report.exporters.join(', ')])
  for (const template of report.templates) {
    const {observationDomainId, templateId, fields, scopeFields, announced, withdrawn} = template
    const words = [
      `domain ${observationDomainId}`,
      `${fields.length} fields${scopeFields > 0 ? `, ${scopeFields} of scope` : ''}`,
      `${template.records} records`,
      `announced ${times(announced)}`,
    ]
    if (withdrawn > 0) words.push(`withdrawn ${times(withdrawn)}`)
    rows.push([`template ${templateId}`, words.join(', ')])
  }
  if (report.moreTemplates > 0) {
    rows.push(['templates', `${report.moreTemplates} more announcements`])
  }
  if (report.paddingOctets > 0) rows.push(['padding', `${report.paddingOctets} octets`])
  rows.push(['missing', `${report.missingRecords} records by the sequence numbers`])
  for (const event of report.sequence) {
    const {octet, observationDomainId, sequenceNumber, records: n} = event
    const what = event.event === 'gap' ? `${n} records missing before` : `${event.event}:`
    rows.push([
      'sequence',
      `${what} record ${sequenceNumber} of domain ${observationDomainId}, octet ${octet}`,
    ])
  }
  if (report.moreSequenceEvents > 0) {
    rows.push(['sequence', `${report.moreSequenceEvents} more breaks`])
  }
  for (const {octet, octets, reason} of report.damage) {
    rows.push(['damage', `${reason}, ${octets} octets from octet ${octet}`])
  }
  if (report.moreDamage > 0) rows.push(['damage', `${report.moreDamage} more places`])
  return rows
}

function captureRows(report: CaptureReport): Row[] {
  const {time, lost, skipped} = report
  const rows: Row[] = [
    ['frames', String(report.frames)],
    ['octets captured', `${report.capturedOctets} of ${report.wireOctets}`],
    ['frames cut', String(report.cutFrames)],
    ['IP packets', String(report.ipPackets)],
    ['IP octets', String(report.ipOctets)],
  ]
  for (const [type, n] of Object.entries(report.linkTypes)) {
    rows.push([`link type ${type}`, `${n} frames`])
  }
  rows.push(...spanRows('packets', time))
  for (const [kind, n] of Object.entries(skipped)) rows.push(['without IP', `${kind} ${n}`])
  for (const {reason, count, octet} of lost) {
    rows.push(['lost', `${reason} ${count}${octet === undefined ? '' : ` from octet ${octet}`}`])
  }
  return rows
}

function spanRows(what: string, window: Window | undefined): Row[] {
  if (window === undefined) return []
  return [
    [`${what} from`, window.first],
    [`${what} to`, window.last],
  ]
}

function times(n: number): string {
  return n === 1 ? 'once' : `${n} times`
}
