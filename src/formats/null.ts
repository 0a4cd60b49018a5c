import type {EncodeContext, Encoder, Format} from '../record/format.js'

const format: Format = {
  summary: 'nothing: records are counted and forgotten',
  binary: false,
  encoder({ledger}: EncodeContext): Encoder {
    const stage = ledger.stage('null', 'records')
    return {
      push(batches) {
        for (const {count} of batches) {
          stage.in += count
          stage.out += count
        }
        return []
      },
      flush: () => [],
      end: () => [],
    }
  },
}

export default format
