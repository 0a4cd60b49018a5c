import test from 'ava'
import {isUtf8, maskUtf8} from '../../src/record/utf8.js'
import {hex} from '../hex.js'
import fc from '../support/properties.js'

const strict = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true})

function decodes(octets: Uint8Array): boolean {
  try {
    strict.decode(octets)
    return true
  } catch {
    return false
  }
}

/** Octets that are often nearly UTF-8. */
const nearly = fc
  .array(
    fc.oneof(
      fc.string({unit: 'binary', maxLength: 3}).map((s) => [...new TextEncoder().encode(s)]),
      fc.array(
        fc.constantFrom(
          0,
          0x7f,
          0x80,
          0x8f,
          0x90,
          0x9f,
          0xa0,
          0xbf,
          0xc0,
          0xc1,
          0xc2,
          0xdf,
          0xe0,
          0xed,
          0xef,
          0xf0,
          0xf4,
          0xf5,
          0xff,
        ),
        {maxLength: 4},
      ),
    ),
    {maxLength: 6},
  )
  .map((parts) => Uint8Array.from(parts.flat()))

test('octets are UTF-8 exactly when a strict decoder takes them', (t) => {
  fc.assert(
    fc.property(nearly, (octets) => isUtf8(octets, 0, octets.length) === decodes(octets)),
    {numRuns: 20000},
  )
  t.pass()
})

test('masking leaves sound octets alone and makes the rest UTF-8 of the same length', (t) => {
  fc.assert(
    fc.property(nearly, (octets) => {
      const masked = octets.slice()
      const n = maskUtf8(masked, 0, masked.length)
      let changed = 0
      octets.forEach((octet, i) => (changed += octet === masked[i] ? 0 : 1))
      return decodes(masked) && n === changed && n > 0 !== decodes(octets)
    }),
    {numRuns: 20000},
  )
  t.pass()
})

test('masking stays between its bounds', (t) => {
  const octets = hex`ff e282 ff`
  t.is(maskUtf8(octets, 1, 3), 2)
  t.deepEqual(octets, hex`ff 3f3f ff`)
})
