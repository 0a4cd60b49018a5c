import type {RecordBatch} from '../record/batch.js'
import type {EncodeContext, Encoder, Format} from '../record/format.js'
import {readRecord} from '../record/readers.js'
import {presentationOf, visible} from './human/presentation.js'
import {valueText, type Origin} from './human/value-text.js'

/** Each field of each record on a line of its own: name, value and unit, under a line about the record. */
const format: Format = {
  summary: 'every field on a line of its own, with its unit',
  binary: false,
  encoder({ledger, options}: EncodeContext): Encoder {
    // Exact figures are the point of this format.
    const presentation = {...presentationOf(options), units: 'none'} as const
    const origin: Origin = {ns: undefined}
    const stage = ledger.stage('raw', 'records')
    const text = new TextEncoder()
    let number = 0

    function block(batch: RecordBatch, index: number): string {
      const {template, message} = batch
      const kind = template.scopeCount > 0 ? 'Options Record' : 'Record'
      const {exporter = '-'} = message
      const from = exporter === '-' ? '' : `, from ${visible(exporter)}`
      const record = readRecord(batch, index)
      const width = Math.max(0, ...record.map(([element]) => element.name.length))
      const head = `${kind} ${++number}: Template ${template.id}, Observation Domain ${message.observationDomainId}${from}`
      const lines = record.map(([element, value], i) => {
        const scope = i < template.scopeCount ? ' (scope)' : ''
        const unit =
          element.units === '' || element.type.startsWith('dateTime') ? '' : ` ${element.units}`
        return `  ${element.name.padEnd(width)} = ${valueText(element, value, presentation, origin)}${unit}${scope}`
      })
      return `${[head, ...lines].join('\n')}\n\n`
    }

    return {
      push(batches) {
        let out = ''
        for (const batch of batches) {
          for (let i = 0; i < batch.count; i++) out += block(batch, i)
          stage.in += batch.count
          stage.out += batch.count
        }
        return out === '' ? [] : [text.encode(out)]
      },
      flush: () => [],
      end: () => [],
    }
  },
}

export default format
