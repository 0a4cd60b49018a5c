import type {RecordBatch} from '../../src/record/batch.js'
import {VARIABLE, type InformationElement} from '../../src/record/element.js'
import {ie, reverseOf} from '../../src/registry/lookup.js'
import fc from './properties.js'
import {address, batchOf, templateOf, type FieldOctets} from './records.js'

const few = (...values: FieldOctets[]): fc.Arbitrary<FieldOctets> => fc.constantFrom(...values)
const v4 = few(...['0.0.0.0', '10.1.2.3', '10.1.2.77', '10.1.200.3', '192.0.2.9'].map(address))
const v6 = few(...['::', '2001:db8::1', '2001:db8::2', '2001:db8:ffff::1'].map(address))
const counter = fc.oneof(few(0, 1, 40, 1500), fc.bigInt(0n, 2n ** 58n))
const time = fc.integer({min: 1_700_000_000, max: 1_700_000_100})

const fieldChoices: readonly [InformationElement, number, fc.Arbitrary<FieldOctets>][] = [
  [ie.sourceIPv4Address, 4, v4],
  [ie.destinationIPv4Address, 4, v4],
  [ie.sourceIPv6Address, 16, v6],
  [ie.destinationIPv6Address, 16, v6],
  [ie.sourceTransportPort, 2, few(0, 53, 443, 40000)],
  [ie.destinationTransportPort, 2, few(0, 53, 443, 40000)],
  [ie.destinationTransportPort, 1, few(0, 53, 80)],
  [ie.protocolIdentifier, 1, few(6, 17)],
  [ie.tcpControlBits, 2, few(0, 2, 18)],
  [ie.tcpControlBits, 1, few(0, 2, 20)],
  [reverseOf(ie.tcpControlBits)!, 2, few(0, 20)],
  [ie.sourceMacAddress, 6, few(0, 1, 2)],
  [ie.destinationMacAddress, 6, few(0, 1, 2)],
  [ie.bgpSourceAsNumber, 4, few(0, 65000, 4200000000)],
  [ie.bgpSourceAsNumber, 2, few(0, 65000)],
  [ie.interfaceName, VARIABLE, few('', 'eth0', 'x'.repeat(300))],
  [ie.interfaceName, 4, few('eth0', 'eth1')],
  [ie.octetDeltaCount, 8, counter],
  [ie.octetDeltaCount, 4, few(0, 40, 4294967295)],
  [ie.octetDeltaCount, 3, few(0, 40, 16777215)],
  [ie.octetTotalCount, 8, counter],
  [ie.packetDeltaCount, 8, counter],
  [ie.packetDeltaCount, 1, few(0, 1, 255)],
  [ie.deltaFlowCount, 8, few(1, 5)],
  [reverseOf(ie.octetDeltaCount)!, 8, few(0, 99)],
  [reverseOf(ie.packetDeltaCount)!, 4, few(0, 1)],
  [reverseOf(ie.flowStartMilliseconds)!, 8, time.map((s) => BigInt(s) * 1000n + 7n)],
  [ie.flowStartMilliseconds, 8, time.map((s) => BigInt(s) * 1000n + 123n)],
  [ie.flowEndMilliseconds, 8, time.map((s) => BigInt(s) * 1000n + 999n)],
  [ie.flowStartSeconds, 4, time],
  [ie.flowEndSeconds, 4, time],
  [ie.flowStartMicroseconds, 8, fc.bigInt(0n, 2n ** 64n - 1n)],
  [ie.flowEndNanoseconds, 8, fc.bigInt(0n, 2n ** 64n - 1n)],
]

/** What a batch is made of, so that a counterexample can be read. */
export interface Recipe {
  fields: number[]
  records: FieldOctets[][]
  before: number
}

/** Records of random Templates and few values, so that keys meet. */
export const someRecipe: fc.Arbitrary<Recipe> = fc
  .uniqueArray(fc.nat(fieldChoices.length - 1), {minLength: 1, maxLength: 14})
  .chain((fields) =>
    fc.record({
      fields: fc.constant(fields),
      records: fc.array(fc.tuple(...fields.map((i) => fieldChoices[i][2])), {maxLength: 12}),
      before: fc.nat(40),
    }),
  )

/** The batch of a recipe. */
export function cook({fields, records, before}: Recipe): RecordBatch {
  const template = templateOf(fields.map((i) => [fieldChoices[i][0], fieldChoices[i][1]] as const))
  return batchOf(template, records, {}, before)
}
