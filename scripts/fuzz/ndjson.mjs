import {joinOctets, mutateOctets} from './random.mjs'

const encoder = new TextEncoder()

/** Values that readers of JSON and of element types trip over. */
const values = [
  '0',
  '-0',
  '-1',
  '1e400',
  '1.5',
  '255',
  '256',
  '65536',
  '4294967296',
  '9007199254740993',
  '18446744073709551615',
  '18446744073709551616',
  '-9223372036854775808',
  '1e-400',
  '01',
  '+1',
  '.5',
  'NaN',
  'Infinity',
  'true',
  'false',
  'null',
  '""',
  '"\\u0000"',
  '"\\ud800"',
  '"\\u2028"',
  '"\\x41"',
  '"192.0.2.256"',
  '"::ffff:1.2.3.4"',
  '"1::2::3"',
  '"2001:db8::/32"',
  '"02:00:5e:10:00"',
  '"2024-02-30T00:00:00Z"',
  '"2024-01-01T00:00:00.123456789123Z"',
  '"9999-12-31T23:59:60Z"',
  '"zz"',
  '"abc"',
  '[]',
  '[[]]',
  '{}',
  '[1,2',
  '{"a":',
  '"open',
]
const keys = [
  '__proto__',
  'constructor',
  'octetDeltaCount',
  'sourceIPv4Address',
  'reverseOctetDeltaCount',
  '0/8',
  '32473/1',
  '29305/1',
  '99999999999/1',
  '_scope',
  '_ipfix',
  'nobodyKnows',
  '',
  'flowStartMilliseconds',
  'tcpControlBits',
  'VRFname',
  'basicList',
  'dataRecordsReliability',
]

/** Lines with faults in their JSON, in their names and in their values. */
export function mutateNdjson(random, seed, others) {
  let octets = seed
  for (let rounds = 1 + random.below(4); rounds > 0; rounds--) {
    if (random.once(3)) {
      octets = mutateOctets(random, octets, others)
      continue
    }
    const text = new TextDecoder().decode(octets)
    const lines = text.split('\n')
    const l = random.below(lines.length)
    const tokens = lines[l].match(/"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+|\s+/g) ?? ['']
    const k = random.below(tokens.length)
    switch (random.below(8)) {
      case 0:
        tokens[k] = random.of(values)
        break
      case 1:
        tokens[k] = JSON.stringify(random.of(keys))
        break
      case 2:
        tokens.splice(k, 1)
        break
      case 3:
        tokens.splice(k, 0, ...tokens.slice(k, k + 4))
        break
      case 4: {
        const pair = `${JSON.stringify(random.of(keys))}:${random.of(values)},`
        tokens.splice(1, 0, pair)
        break
      }
      case 5: {
        const depth = random.of([2, 31, 32, 33, 1000, 20000])
        tokens[k] = random.once(2) ? '['.repeat(depth) + ']'.repeat(depth) : '{"a":'.repeat(depth)
        break
      }
      case 6:
        tokens[k] = `"${'x'.repeat(random.of([255, 65535, 65536, 1 << 20]))}"`
        break
      default:
        tokens.splice(k, 0, random.of(['\r', '\0', '\t', '\u2028', '\ufeff', '#', '/*', ' ']))
    }
    lines[l] = tokens.join('')
    octets = encoder.encode(lines.join('\n'))
    if (random.once(8))
      octets = joinOctets(octets, Uint8Array.of(0xff, 0xfe, random.below(256), 10))
  }
  return octets.length > 1 << 21 ? octets.subarray(0, 1 << 21) : octets
}
