import test from 'ava'
import {addressOctets} from '../../../src/record/address.js'
import {
  readPrefixLabels,
  type PrefixLabels,
} from '../../../src/mediation/enrichment/prefix-labels.js'
import {createRandom} from '../../support/random.js'

const read = (text: string): PrefixLabels =>
  readPrefixLabels(new TextEncoder().encode(text), 'file')

function labelOf(labels: PrefixLabels, address: string): string | undefined {
  const octets = addressOctets(address)
  const view = new DataView(octets.buffer)
  const found =
    octets.length === 4
      ? labels.find4(view.getUint32(0))
      : labels.find6(Uint32Array.from([0, 4, 8, 12], (at) => view.getUint32(at)))
  return found < 0 ? undefined : labels.labels[found]
}

/** The label of the longest prefix, bit by bit; of equally long ones of the last. */
function slowly(
  lines: readonly (readonly [string, string])[],
  address: string,
): string | undefined {
  const bitsOf = (text: string): string =>
    Array.from(addressOctets(text), (octet) => octet.toString(2).padStart(8, '0')).join('')
  let best: [length: number, label: string] | undefined
  for (const [prefix, label] of lines) {
    const [network, length] = prefix.split('/')
    if (network.includes(':') !== address.includes(':')) continue
    const bits = Number(length ?? (network.includes(':') ? 128 : 32))
    if (bitsOf(network).slice(0, bits) !== bitsOf(address).slice(0, bits)) continue
    if (best === undefined || bits >= best[0]) best = [bits, label]
  }
  return best?.[1]
}

test('the longest prefix counts, and of equal ones the later', (t) => {
  const labels = read(`
    # what is where
    10.0.0.0/8      all of ten
    10.1.0.0/16,ten one   # a comment
    10.1.2.0/24;ten one two
    10.1.2.3	one host
    0.0.0.0/0 the world
    255.255.255.255 everybody
    2001:db8::/32 documentation
    2001:db8::1 one
    10.1.0.0/16 ten one again
  `)
  t.is(labels.size, 9)
  t.is(labelOf(labels, '10.9.9.9'), 'all of ten')
  t.is(labelOf(labels, '10.1.9.9'), 'ten one again')
  t.is(labelOf(labels, '10.1.2.2'), 'ten one two')
  t.is(labelOf(labels, '10.1.2.3'), 'one host')
  t.is(labelOf(labels, '10.1.2.4'), 'ten one two')
  t.is(labelOf(labels, '9.255.255.255'), 'the world')
  t.is(labelOf(labels, '255.255.255.254'), 'the world')
  t.is(labelOf(labels, '255.255.255.255'), 'everybody')
  t.is(labelOf(labels, '2001:db8::1'), 'one')
  t.is(labelOf(labels, '2001:db8::2'), 'documentation')
  t.is(labelOf(labels, '2001:db9::'), undefined)
})

for (const seed of [1, 2, 3, 4]) {
  test(`labels are those of a search through all lines (seed ${seed})`, (t) => {
    const below = createRandom(seed)
    const lines = Array.from({length: 300}, (_, i): [string, string] => {
      const text =
        below(2) === 0
          ? `${below(3)}.${below(3)}.${below(256)}.${below(256)}/${below(33)}`
          : `${below(2) === 0 ? 'ffff' : '2001'}:${below(3)}:ffff::${below(3)}/${below(129)}`
      return [text, `label ${i % 40}`]
    })
    const labels = read(lines.map((line) => line.join(' ')).join('\n'))
    for (let i = 0; i < 600; i++) {
      const address =
        below(2) === 0
          ? `${below(4)}.${below(4)}.${below(256)}.${below(256)}`
          : `${below(2) === 0 ? 'ffff' : '2001'}:${below(4)}:ffff::${below(4)}`
      t.is(labelOf(labels, address), slowly(lines, address), address)
    }
  })
}

test('a line that is none is refused with its number', (t) => {
  const faults: [text: string, message: RegExp][] = [
    ['10.0.0.0/8 ten\n10.0.0.0/33 x\n', /^file, line 2: '10.0.0.0\/33' is no prefix/],
    ['\n\nhere there\n', /^file, line 3: 'here' is no prefix/],
    ['10.0.0.0/8\n', /^file, line 1: 10.0.0.0\/8 has no label/],
    ['10.0.0.0/8  # nothing\n', /^file, line 1: 10.0.0.0\/8 has no label/],
    ['10.0.0.1-10.0.0.9 some\n', /^file, line 1: '10.0.0.1-10.0.0.9' is no prefix/],
  ]
  for (const [text, message] of faults) {
    t.throws(() => read(text), {code: 'DARTA_USAGE', message}, text)
  }
})

test('an empty file knows nothing', (t) => {
  const labels = read('')
  t.is(labels.size, 0)
  t.is(labelOf(labels, '10.0.0.1'), undefined)
  t.is(labelOf(labels, '::1'), undefined)
})
