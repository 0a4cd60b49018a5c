import test, {type ExecutionContext} from 'ava'
import {
  findBrokenSet,
  readMessageHeader,
  sealMessage,
  writeMessageHeader,
} from '../../src/ipfix/message.js'
import {templateMessage} from '../../src/ipfix/template-message.js'
import {VARIABLE} from '../../src/record/element.js'
import {DartaError} from '../../src/record/errors.js'
import {createTemplate} from '../../src/record/template.js'
import {elementByName, ie} from '../../src/registry/lookup.js'
import {hex} from '../hex.js'

const octets = hex`
  000a 0010   # version 10, length 16
  50e3 2b80   # export time
  ffff ffff   # sequence number
  8000 0001   # observation domain id
`
const header = {
  length: 16,
  exportTime: 0x50e32b80,
  sequenceNumber: 0xffffffff,
  observationDomainId: 0x80000001,
}

function rejects(t: ExecutionContext, view: DataView, code: string, offset: number): void {
  const error = t.throws(() => readMessageHeader(view), {instanceOf: DartaError})
  t.is(error.code, code as typeof error.code)
  t.is(error.offset, offset)
}

for (let cut = 0; cut < octets.length; cut++) {
  const view = new DataView(octets.buffer, 0, cut)
  test(`refuses a header cut to ${cut} octets`, rejects, view, 'DARTA_MESSAGE_TRUNCATED', 0)
}
test(
  'refuses version 9',
  rejects,
  new DataView(hex`0009 0010 50e32b80 00000007 00000001`.buffer),
  'DARTA_MESSAGE_VERSION',
  0,
)
test(
  'refuses a Message shorter than its header',
  rejects,
  new DataView(hex`000a 000f 50e32b80 00000007 00000001`.buffer),
  'DARTA_MESSAGE_LENGTH',
  2,
)

test('a header is 16 octets: version 10, length, export time, sequence number, domain', (t) => {
  t.deepEqual(readMessageHeader(new DataView(octets.buffer)), header)
  const written = new Uint8Array(16)
  writeMessageHeader(new DataView(written.buffer), 0, header)
  t.deepEqual(written, octets)
})

test('octets with room for a header become a Message without being copied', (t) => {
  const message = hex`${new Uint8Array(16)} 0100 0008 01020304`
  sealMessage(message, header)
  t.deepEqual(message, hex`000a 0018 50e32b80 ffffffff 80000001 0100 0008 01020304`)
  // Also where they are part of a larger buffer.
  const buffer = new Uint8Array(100)
  sealMessage(buffer.subarray(10, 30), header)
  t.deepEqual(readMessageHeader(new DataView(buffer.buffer), 10), {...header, length: 20})
  for (const size of [15, 65536]) {
    t.throws(() => sealMessage(new Uint8Array(size), header), {code: 'DARTA_MESSAGE_LENGTH'})
  }
})

test('Sets fill a Message, or the first that does not fit is named', (t) => {
  const broken = (sets: Uint8Array): number => {
    const message = hex`${new Uint8Array(16)} ${sets}`
    return findBrokenSet(new DataView(message.buffer), 0, message.length)
  }
  t.is(broken(hex``), -1)
  t.is(broken(hex`0100 0004 0002 0006 0000`), -1)
  t.is(broken(hex`0100 0004 0002 0007 0000`), 20)
  t.is(broken(hex`0100 0003`), 16)
  t.is(broken(hex`0100 0000`), 16)
  t.is(broken(hex`0100 0004 000000`), -1)
})

test('Templates and Options Templates are announced in one Message, enterprise numbers where needed', (t) => {
  const flows = createTemplate(256, [
    {element: ie.sourceIPv4Address, length: 4},
    {element: elementByName('29305/1')!, length: 8},
    {element: ie.interfaceName, length: VARIABLE},
  ])
  const options = createTemplate(
    257,
    [
      {element: ie.observationDomainId, length: 4},
      {element: ie.exportedMessageTotalCount, length: 8},
    ],
    1,
  )
  t.deepEqual(
    templateMessage([options, flows], {...header, sequenceNumber: 7}),
    hex`
      000a 003a 50e32b80 00000007 80000001
      0002 0018        # Template Set
      0100 0003        # Template 256, 3 fields
      0008 0004
      8001 0008 00007279   # reverse octetDeltaCount
      0052 ffff
      0003 0012        # Options Template Set
      0101 0002 0001   # Template 257, 2 fields, 1 of scope
      0095 0004
      0029 0008
    `,
  )
})
