import test from 'ava'
import {VARIABLE, type InformationElement} from '../../src/record/element.js'
import {numberReader, readRecord, readerOf} from '../../src/record/readers.js'
import {createTemplate, fieldIndex} from '../../src/record/template.js'
import {elementByName, ie} from '../../src/registry/lookup.js'
import {hex} from '../hex.js'
import {decode, message} from '../ipfix/octets.js'

test('the upper four bits of tcpControlBits are ignored on receipt, in both sizes and directions', (t) => {
  const {batches} = decode(
    message(hex`
      0002 001c 0100 0004
      0006 0002 8006 0002 00007279 0006 0001 000a 0002   # the last one is ingressInterface
      0100 000b f012 a1ff fe f012
    `),
  )
  const [batch] = batches
  const {template} = batch
  t.deepEqual(
    template.fields.map((_, field) => numberReader(template, field)(batch, 0)),
    [0x012, 0x1ff, 0xfe, 0xf012],
  )
  t.deepEqual(
    readRecord(batch, 0).map(([, value]) => value),
    [0x012, 0x1ff, 0xfe, 0xf012],
  )
  const behind = decode(message(hex`0002 0010 0100 0002 0052 ffff 0006 0002 0100 0008 01 61 f012`))
    .batches[0]
  t.is(numberReader(behind.template, 1)(behind, 0), 0x012)
})

test('a float32 in eight octets is no float64', (t) => {
  // samplingProbability is a float64, absoluteError too; no IANA element is a float32.
  const element: InformationElement = {...ie.samplingProbability, type: 'float32'}
  const {batches} = decode(message(hex`0002 000c 0100 0001 0137 0008 0100 000c 3ff0000000000000`))
  const batch = {...batches[0], template: createTemplate(256, [{element, length: 8}])}
  t.deepEqual(readRecord(batch, 0)[0][1], hex`3ff0000000000000`)
})

test('a field whose length cannot carry its type is not found as that element', (t) => {
  const of = (element: InformationElement, length: number): number =>
    fieldIndex(createTemplate(256, [{element, length}]), element)
  for (const [element, length, found] of [
    [ie.sourceIPv4Address, 4, true],
    [ie.sourceIPv4Address, 5, false],
    [ie.sourceIPv4Address, VARIABLE, true],
    [ie.flowStartMilliseconds, 4, false],
    [ie.octetDeltaCount, 1, true],
    [ie.protocolIdentifier, 4, true],
    [ie.protocolIdentifier, 9, false],
    [ie.sourceMacAddress, 8, false],
    [elementByName('61455/1')!, 9, true],
  ] as const) {
    t.is(of(element, length) === 0, found, `${element.name} in ${length}`)
  }
  const template = createTemplate(256, [
    {element: ie.sourceIPv4Address, length: 3},
    {element: ie.sourceIPv4Address, length: 4},
  ])
  t.is(fieldIndex(template, ie.sourceIPv4Address), 1)
  t.is(
    readerOf(
      createTemplate(256, [{element: ie.sourceIPv4Address, length: 3}]),
      ie.sourceIPv4Address,
      numberReader,
    ),
    undefined,
  )
})
