import type {InformationElement} from '../record/element.js'
import {fieldIndex, type Template} from '../record/template.js'
import {fieldSpan, type RecordBatch} from '../record/batch.js'
import {ie} from '../registry/lookup.js'
import type {Selector} from './selector.js'
import {addressTerm, endpointsTerm, portTerm, slotOfTerm, type Endpoints} from './share-hash.js'

/** The slot of a record. */
export type RecordSlot = (batch: RecordBatch, index: number) => number

/**
 * The slot, 0..4095, in which the packets of a Flow Record were: a share of the records is what the node with that share of
 * the packets would have metered. Records without addresses have one slot.
 */
export function recordSlots(template: Template, selector: Selector, seed: number): RecordSlot {
  const v4 = fieldIndex(template, ie.sourceIPv4Address) >= 0
  const source = field(template, ie.sourceIPv4Address, ie.sourceIPv6Address)
  const destination = field(template, ie.destinationIPv4Address, ie.destinationIPv6Address)
  const protocol = field(template, ie.protocolIdentifier)
  const sourcePort = field(template, ie.sourceTransportPort)
  const destinationPort = field(template, ie.destinationTransportPort)
  if (source < 0 || destination < 0) {
    const none = slotOfTerm(0, seed)
    return () => none
  }
  const octet = (batch: RecordBatch, index: number, which: number): number =>
    which < 0 ? 0 : batch.octets[fieldSpan(batch, index, which).start]
  const ports = (batch: RecordBatch, index: number, which: number): number =>
    which < 0 ? 0 : portTerm(batch.octets, fieldSpan(batch, index, which).start)
  return (batch, index) => {
    const endpoints: Endpoints = {
      source: addressTerm(batch.octets, fieldSpan(batch, index, source).start, v4),
      destination: addressTerm(batch.octets, fieldSpan(batch, index, destination).start, v4),
      protocol: v4 ? octet(batch, index, protocol) : undefined,
    }
    if (selector.ports) {
      endpoints.source = (endpoints.source + ports(batch, index, sourcePort)) | 0
      endpoints.destination = (endpoints.destination + ports(batch, index, destinationPort)) | 0
    }
    return slotOfTerm(endpointsTerm(endpoints, selector), seed)
  }
}

function field(template: Template, ...elements: readonly InformationElement[]): number {
  for (const element of elements) {
    const found = fieldIndex(template, element)
    if (found >= 0) return found
  }
  return -1
}
