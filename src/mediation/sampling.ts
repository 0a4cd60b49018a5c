import {recordStart, recordEnd} from '../record/batch.js'
import type {MessageContext, RecordBatch} from '../record/batch.js'
import {VARIABLE, type InformationElement} from '../record/element.js'
import {numberReader, readBigUnsigned, type Reader} from '../record/readers.js'
import {createTemplate, fieldIndex, type Template} from '../record/template.js'
import {ie, reverseOf} from '../registry/lookup.js'

/** `auto`: by what is known of each sampler; `none`: nothing is changed; a number: all is sampled so, whatever it says. */
export type Sampling = 'auto' | 'none' | number

/** Counters of packets and octets that sampling makes too small. */
const counters = [
  ie.packetDeltaCount,
  ie.octetDeltaCount,
  ie.packetTotalCount,
  ie.octetTotalCount,
  ie.layer2OctetDeltaCount,
  ie.layer2OctetTotalCount,
  ie.postPacketDeltaCount,
  ie.postOctetDeltaCount,
].flatMap((element) => {
  const reverse = reverseOf(element)
  return reverse === undefined ? [element] : [element, reverse]
})

/** Rates that Exporters have told by options, and that are remembered. */
const MAX_RATES = 65536

/** How the rate of a record is found. */
interface Rule {
  /** In the record itself. */
  readonly own: Reader<number> | undefined
  /** The sampler that the record names. */
  readonly sampler: Reader<number> | undefined
  /** Fields with counters, and their readers; undefined: none. */
  readonly fields: readonly number[]
  /** With counters of 8 octets and the factor behind. */
  readonly scaled: Template
  /** It tells rates. */
  readonly teaches: boolean
  readonly rate: ((batch: RecordBatch, index: number) => number) | undefined
  /** The record says already that it was scaled. */
  readonly done: boolean
}

/**
 * Makes up for sampling: counters are multiplied by the rate of their sampler, and `dartaSamplingFactor` behind the record
 * says so. A rate is known from the record itself (NetFlow 5, sFlow), from an Options Record about the sampler that it
 * names (samplerId, selectorId), or from one about the Exporter as a whole. What is not known stays as it is: unknown.
 */
export function createSampling(sampling: Sampling): {
  apply(batches: readonly RecordBatch[]): RecordBatch[]
  /**
   * Whether records of this Template and Exporter pass as they are, until `changes` does.
   *
   * @param interval what samplingInterval is in all of them, if it is the same and known
   */
  leavesAlone(
    template: Template,
    message: Pick<MessageContext, 'exporterAddress' | 'observationDomainId'>,
    interval: number | undefined,
  ): boolean
  /** How often an Exporter has told of sampling that had not before. */
  readonly changes: number
} {
  const rules = new WeakMap<Template, Rule>()
  const rates = new Map<string, number>()
  /** Exporters that have told of some rate above 1. */
  const sampled = new Set<string>()
  let changes = 0

  function ruleOf(template: Template): Rule {
    let rule = rules.get(template)
    if (rule === undefined) rules.set(template, (rule = makeRule(template)))
    return rule
  }

  function exporterKey({
    exporterAddress,
    observationDomainId,
  }: Pick<MessageContext, 'exporterAddress' | 'observationDomainId'>): string {
    // Ports are left out: routers tell of their samplers from other ones than their flows.
    return `${exporterAddress?.join('.') ?? ''}/${observationDomainId}`
  }

  function learn(batch: RecordBatch, {rate, sampler}: Rule): void {
    for (let i = 0; i < batch.count; i++) {
      const n = rate!(batch, i)
      if (!(n >= 1)) continue
      const which = sampler === undefined ? '' : String(sampler(batch, i))
      if (rates.size >= MAX_RATES) {
        rates.clear()
        sampled.clear()
      }
      const key = exporterKey(batch.message)
      rates.set(`${key}/${which}`, n)
      if (n > 1 && !sampled.has(key)) {
        sampled.add(key)
        changes++
      }
    }
  }

  /** 0: unknown */
  function rateOf(batch: RecordBatch, index: number, rule: Rule, key: string): number {
    if (typeof sampling === 'number') return sampling
    const own = rule.own?.(batch, index) ?? 0
    if (own > 0) return own
    if (rule.sampler !== undefined) {
      const told = rates.get(`${key}/${rule.sampler(batch, index)}`)
      if (told !== undefined) return told
    }
    return rates.get(`${key}/`) ?? 0
  }

  function scale(batch: RecordBatch, rule: Rule): RecordBatch {
    const key = rates.size > 0 ? exporterKey(batch.message) : ''
    // Most Exporters do not sample at all.
    let first = 0
    while (first < batch.count && rateOf(batch, first, rule, key) <= 1) first++
    if (first === batch.count) return batch
    const factors = Float64Array.from({length: batch.count}, (_, i) => rateOf(batch, i, rule, key))
    return rewrite(batch, rule, factors)
  }

  return {
    get changes() {
      return changes
    },
    leavesAlone(template, message, interval) {
      if (sampling === 'none') return true
      const rule = ruleOf(template)
      if (rule.teaches) return false
      if (rule.fields.length === 0 || rule.done) return true
      if (typeof sampling === 'number') return sampling <= 1
      if (rule.own !== undefined && interval !== 0) return interval === 1
      return !sampled.has(exporterKey(message))
    },
    apply(batches) {
      if (sampling === 'none') return [...batches]
      return batches.map((batch) => {
        const rule = ruleOf(batch.template)
        if (rule.teaches) learn(batch, rule)
        if (rule.fields.length === 0 || rule.done) return batch
        if (rule.own === undefined && rates.size === 0 && sampling === 'auto') return batch
        return scale(batch, rule)
      })
    },
  }
}

function reader(template: Template, ...elements: InformationElement[]): Reader<number> | undefined {
  for (const element of elements) {
    const field = fieldIndex(template, element)
    if (field >= 0 && template.fields[field].length <= 6) return numberReader(template, field)
  }
  return undefined
}

function makeRule(template: Template): Rule {
  const options = template.scopeCount > 0
  const fields = options
    ? []
    : template.fields.flatMap(({element, length}, i) =>
        counters.includes(element) && length <= 8 ? [i] : [],
      )
  const rate = rateReader(template)
  const widened = template.fields.map(({element, length}, i) => ({
    element,
    length: fields.includes(i) ? 8 : length,
  }))
  return {
    own: rate,
    sampler: reader(template, ie.samplerId, ie.selectorId),
    fields,
    scaled: createTemplate(
      template.id,
      [...widened, {element: ie.dartaSamplingFactor, length: 4}],
      template.scopeCount,
    ),
    teaches: options && rate !== undefined,
    rate,
    done: fieldIndex(template, ie.dartaSamplingFactor) >= 0,
  }
}

/** One of how many packets is looked at, by whatever a record tells of it; 0: it does not. */
export function rateReader(template: Template): Reader<number> | undefined {
  const interval = reader(template, ie.samplingInterval, ie.samplerRandomInterval)
  if (interval !== undefined) return interval
  const taken = reader(template, ie.samplingPacketInterval)
  const left = reader(template, ie.samplingPacketSpace)
  if (taken !== undefined && left !== undefined) {
    return (batch, i) => {
      const n = taken(batch, i)
      return n === 0 ? 0 : Math.round((n + left(batch, i)) / n)
    }
  }
  const sample = reader(template, ie.samplingSize)
  const population = reader(template, ie.samplingPopulation)
  if (sample !== undefined && population !== undefined) {
    return (batch, i) => {
      const n = sample(batch, i)
      return n === 0 ? 0 : Math.round(population(batch, i) / n)
    }
  }
  return undefined
}

/** The records with counters times their factors; 0 for a factor says that it is not known. */
function rewrite(batch: RecordBatch, rule: Rule, factors: Float64Array): RecordBatch {
  const {template} = batch
  let added = 4
  for (const field of rule.fields) added += 8 - template.fields[field].length
  const first = recordStart(batch, 0)
  const size = recordEnd(batch, batch.count - 1) - first + batch.count * added
  const octets = new Uint8Array(size)
  const view = new DataView(octets.buffer)
  const offsets = rule.scaled.recordOctets > 0 ? undefined : new Uint32Array(batch.count + 1)
  let to = 0
  for (let i = 0; i < batch.count; i++) {
    const factor = factors[i]
    if (offsets !== undefined) offsets[i] = to
    let at = recordStart(batch, i)
    for (const [field, {length}] of template.fields.entries()) {
      const begin = at
      let n = length
      if (n === VARIABLE) {
        n = batch.octets[at++]
        if (n === 255) {
          n = (batch.octets[at] << 8) | batch.octets[at + 1]
          at += 2
        }
      }
      at += n
      if (rule.fields.includes(field)) {
        const value = readBigUnsigned(batch.octets, begin, n) * BigInt(Math.max(factor, 1))
        view.setBigUint64(to, BigInt.asUintN(64, value))
        to += 8
      } else {
        octets.set(batch.octets.subarray(begin, at), to)
        to += at - begin
      }
    }
    view.setUint32(to, Math.max(factor, 0))
    to += 4
  }
  if (offsets !== undefined) offsets[batch.count] = to
  return {...batch, template: rule.scaled, octets, view, start: 0, offsets}
}
