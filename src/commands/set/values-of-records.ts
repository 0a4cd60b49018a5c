import type {StageLedger} from '../../record/ledger.js'
import type {RecordBatch, RecordStream} from '../../record/batch.js'
import {DartaError} from '../../record/errors.js'
import {bigintReader, octetsReader} from '../../record/readers.js'
import {createAggregator} from '../../mediation/aggregation/aggregator.js'
import {
  addNumbers,
  createValueSet,
  type ValueSet,
  type ValueSetBuilder,
} from '../../mediation/sets/value-set.js'
import {flowKey, type FlowKey} from '../../registry/flow-keys.js'
import {openSpillFile} from '../aggregate/spill-file.js'

/**
 * The key of this name, if its values can be in a set.
 *
 * @throws DartaError DARTA_USAGE
 */
export function setKey(name: string): FlowKey {
  const key = flowKey(name)
  const fits = key.results.every(({value: {type}}) => /^(?:ipv[46]Address|unsigned\d+)$/.test(type))
  if (!fits) {
    throw new DartaError('DARTA_USAGE', `--of: ${name} is neither addresses nor whole numbers`)
  }
  return key
}

/**
 * The values that records have of a key: those that an aggregate by this key names, each once.
 *
 * @param maxOctets most memory for them; 0: no limit. What does not fit goes to disk.
 * @param openAccount called when the first records come
 * @param spilled told how often values went to disk, if they did
 */
export async function valuesOfRecords(
  source: RecordStream,
  key: FlowKey,
  maxOctets: number,
  openAccount: () => StageLedger,
  spilled: (times: number) => void,
): Promise<ValueSet> {
  const open = () =>
    createAggregator({
      key: [key],
      measures: [],
      intervalMs: undefined,
      distribution: 'start',
      order: undefined,
      count: 0,
      maxOctets,
      openStore: openSpillFile,
      ledger: openAccount(),
    })
  let aggregator: ReturnType<typeof open> | undefined
  const set = createValueSet()
  try {
    for await (const batches of source) {
      aggregator ??= open()
      aggregator.add(batches)
    }
    aggregator ??= open()
    for (const batches of aggregator.results()) for (const batch of batches) take(set, key, batch)
    if (aggregator.spills > 0) spilled(aggregator.spills)
  } finally {
    aggregator?.close()
  }
  return set.build()
}

const words = new Uint32Array(4)
const last = new Uint32Array(4)

/** Puts the keys of results into the set; those of prefixes are as many addresses. */
function take(set: ValueSetBuilder, {results}: FlowKey, batch: RecordBatch): void {
  const {fields} = batch.template
  const fieldOf = (id: number, pen: number): number =>
    fields.findIndex(({element}) => element.elementId === id && element.enterpriseNumber === pen)
  for (const {value, prefixLength} of results) {
    const field = fieldOf(value.elementId, value.enterpriseNumber)
    if (field < 0) continue
    if (value.type.startsWith('unsigned')) {
      const read = bigintReader(batch.template, field)
      for (let i = 0; i < batch.count; i++) {
        const number = read(batch, i)
        addNumbers(set.numbers, [number, number])
      }
      return
    }
    const length = prefixLength && fieldOf(prefixLength.elementId, prefixLength.enterpriseNumber)
    const readLength = length === undefined ? undefined : bigintReader(batch.template, length)
    const read = octetsReader(batch.template, field)
    const range = value.type === 'ipv4Address' ? set.v4 : set.v6
    for (let i = 0; i < batch.count; i++) {
      const octets = read(batch, i)
      const bits = readLength === undefined ? 32 * range.words : Number(readLength(batch, i))
      for (let w = 0; w < range.words; w++) {
        const at = 4 * w
        words[w] =
          (octets[at] << 24) | (octets[at + 1] << 16) | (octets[at + 2] << 8) | octets[at + 3]
        const kept = Math.min(32, Math.max(0, bits - 32 * w))
        last[w] = words[w] | (kept === 32 ? 0 : 0xffffffff >>> kept)
      }
      range.add(words, last)
    }
    return
  }
}
