import {fieldSpan, type RecordBatch} from '../../record/batch.js'
import {numberReader, readerOf, valueReader, type Reader} from '../../record/readers.js'
import {fieldIndex, type Template} from '../../record/template.js'
import {ie} from '../../registry/elements.js'

/** Interfaces whose names are remembered; those that were told first are forgotten first. */
const MAX_NAMES = 65536

/** Names of interfaces, as records of the stream tell them. */
export interface InterfaceNames {
  /** Takes records that tell of interfaces and not of traffic; false: these do not. */
  learn(batch: RecordBatch): boolean
  /** Reads the name of an interface of a record: that of its Exporter which has this number. */
  reader(template: Template, way: 'ingress' | 'egress'): Reader<string> | undefined
}

const flowAddresses = [
  ie.sourceIPv4Address,
  ie.destinationIPv4Address,
  ie.sourceIPv6Address,
  ie.destinationIPv6Address,
]
const exporters = [
  ie.originalExporterIPv4Address,
  ie.originalExporterIPv6Address,
  ie.exporterIPv4Address,
  ie.exporterIPv6Address,
]

/** The Exporter that the record names, undefined where it names none. */
function exporterReader(template: Template): Reader<string> | undefined {
  const field = exporters.map((e) => fieldIndex(template, e)).find((place) => place >= 0)
  if (field === undefined) return undefined
  return (batch, index) => {
    const {start, length} = fieldSpan(batch, index, field)
    let exporter = ''
    for (let i = 0; i < length; i++) exporter += `.${batch.octets[start + i]}`
    return exporter
  }
}

/** Whose interface it is: the Exporter that the record names, and its Observation Domain. */
function ownerReader(template: Template): Reader<string> {
  const exporter = exporterReader(template)
  const domain = readerOf(template, ie.originalObservationDomainId, numberReader)
  return (batch, index) => {
    const owner = String(domain?.(batch, index) ?? batch.message.observationDomainId)
    return owner + (exporter?.(batch, index) ?? '')
  }
}

/** The same for records of an SNMP agent, which numbers the interfaces of its device for all Observation Domains. */
function deviceReader(template: Template): Reader<string> | undefined {
  const exporter = exporterReader(template)
  return exporter && ((batch, index) => `device${exporter(batch, index)}`)
}

/** Names come from `interfaceName`, or `interfaceDescription` where there is none, of records about an interface. */
export function createInterfaceNames(): InterfaceNames {
  const names = new Map<string, string>()
  const teachers = new WeakMap<Template, ((batch: RecordBatch, index: number) => void) | false>()

  function teacherOf(template: Template): ((batch: RecordBatch, index: number) => void) | false {
    const has = (element: (typeof flowAddresses)[number]): boolean =>
      fieldIndex(template, element) >= 0
    if (flowAddresses.some(has)) return false
    const name = [ie.interfaceName, ie.interfaceDescription]
      .map((element) => readerOf(template, element, valueReader))
      .find((reader) => reader !== undefined)
    const numbers = [ie.ingressInterface, ie.egressInterface, ie.netflow9ScopeInterface]
      .map((element) => readerOf(template, element, numberReader))
      .filter((reader) => reader !== undefined)
    if (name === undefined || numbers.length === 0) return false
    const polled = fieldIndex(template, ie.dartaCounterContinuity) >= 0
    const owner = (polled ? deviceReader(template) : undefined) ?? ownerReader(template)
    return (batch, index) => {
      const value = name(batch, index)
      if (typeof value !== 'string' || value === '') return
      for (const number of numbers) {
        const key = `${owner(batch, index)}/${number(batch, index)}`
        if (names.size >= MAX_NAMES && !names.has(key)) names.delete(names.keys().next().value!)
        names.set(key, value)
      }
    }
  }

  return {
    learn(batch) {
      let teacher = teachers.get(batch.template)
      if (teacher === undefined) {
        teacher = teacherOf(batch.template)
        teachers.set(batch.template, teacher)
      }
      if (teacher === false) return false
      for (let i = 0; i < batch.count; i++) teacher(batch, i)
      return true
    },
    reader(template, way) {
      const element = way === 'ingress' ? ie.ingressInterface : ie.egressInterface
      const number = readerOf(template, element, numberReader)
      if (number === undefined) return undefined
      const owner = ownerReader(template)
      const device = deviceReader(template)
      const nameOf = (who: Reader<string>, batch: RecordBatch, index: number): string | undefined =>
        names.get(`${who(batch, index)}/${number(batch, index)}`)
      return (batch, index) =>
        nameOf(owner, batch, index) ?? (device && nameOf(device, batch, index)) ?? ''
    },
  }
}
