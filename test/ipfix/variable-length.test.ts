import test from 'ava'
import {hex} from '../hex.js'
import {decode, join, message, named} from './octets.js'

const template = hex`0002 0010 0100 0002 0052 ffff 0004 0001   # interfaceName, protocolIdentifier`

function set(record: Uint8Array): Uint8Array {
  const octets = hex`0100 0000 ${record}`
  new DataView(octets.buffer).setUint16(2, octets.length)
  return octets
}

for (const size of [0, 1, 254, 255, 256, 60000]) {
  for (const form of ['one octet', 'three octets']) {
    if (form === 'one octet' && size > 254) continue
    test(`a field of ${size} octets with its length in ${form} is read`, (t) => {
      const length =
        form === 'one octet'
          ? hex`${size.toString(16).padStart(2, '0')}`
          : hex`ff ${size.toString(16).padStart(4, '0')}`
      const record = join(length, new Uint8Array(size).fill(0x61), hex`11`)
      const {batches} = decode(message(join(template, set(record))))
      t.deepEqual(named(batches), [
        [
          ['interfaceName', 'a'.repeat(size)],
          ['protocolIdentifier', 17],
        ],
      ])
    })
  }
}

test('a field of as many octets as a Message holds is read', (t) => {
  const only = hex`0002 000c 0100 0001 0052 ffff`
  const size = 65535 - 16 - only.length - 4 - 3
  const record = join(hex`ff ${size.toString(16)}`, new Uint8Array(size).fill(0x61))
  const octets = message(join(only, set(record)))
  t.is(octets.length, 65535)
  t.is((named(decode(octets).batches)[0][0][1] as string).length, size)
})

test('records of many lengths in one Set begin where the ones before end', (t) => {
  const records = Array.from({length: 300}, (_, i) =>
    i % 3 === 0
      ? hex`ff ${i.toString(16).padStart(4, '0')} ${new Uint8Array(i).fill(0x62)} 06`
      : hex`01 63 11`,
  )
  const {batches} = decode(message(join(template, set(join(...records)))))
  const {count, offsets} = batches[0]
  t.is(count, 300)
  t.is(offsets!.length, 301)
  named(batches).forEach(([[, name]], i) => t.is(name, i % 3 === 0 ? 'b'.repeat(i) : 'c'))
})

for (const [what, record] of [
  ['its length', hex`05 61626364`],
  ['the three octets of its length', hex`ff 00`],
  ['a field behind it', hex`04 61626364`],
] as const) {
  test(`a variable-length field whose Set ends in ${what} makes the Message malformed`, (t) => {
    const {messages, batches} = decode(message(join(template, set(record))))
    t.deepEqual(batches, [])
    t.deepEqual([...messages.lost], [['malformed-message', 1]])
  })
}

test('padding behind variable-length records is shorter than the smallest record', (t) => {
  const {batches, messages} = decode(message(join(template, hex`0100 000a 02 6162 06 0000`)))
  t.is(batches[0].count, 2)
  t.deepEqual(named(batches)[1], [
    ['interfaceName', ''],
    ['protocolIdentifier', 0],
  ])
  const one = decode(message(join(template, hex`0100 0009 02 6162 06 00`)))
  t.is(one.batches[0].count, 1)
  t.is(messages.noted.size + one.messages.noted.size, 0)
})
