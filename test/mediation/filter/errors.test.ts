import test from 'ava'
import {DartaError} from '../../../src/record/errors.js'
import {parse} from './filtering.js'

/** What is wrong with a text, its column from 1, and how much of it the carets mark. */
const faults: readonly (readonly [text: string, column: number, length: number, says: RegExp])[] = [
  ['prot tcp', 1, 4, /nothing is named 'prot'; did you mean .*proto/],
  ['proto tcpp', 7, 4, /is no protocolIdentifier/],
  ['proto tcp adn port 80', 11, 3, /expected and, or/],
  ['proto tcp and', 14, 1, /ends where a test is expected/],
  ['proto tcp and and port 80', 15, 3, /nothing is named 'and'/],
  ['and port 80', 1, 3, /nothing is named 'and'/],
  ['(proto tcp', 1, 1, /this \( is not closed/],
  ['proto tcp)', 10, 1, /'\)' has no place here/],
  ['port', 5, 1, /a value is missing/],
  ['port >', 7, 1, /a value is missing/],
  ['port 65536', 6, 5, /0 to 65535/],
  ['port 80-79', 6, 5, /ends before it begins/],
  ['port abc', 6, 3, /is no sourceTransportPort/],
  ['port in [80 443', 9, 1, /this \[ is not closed/],
  ['port in []', 9, 1, /the list is empty/],
  ['port ~ /80/', 6, 1, /'~' does not go with/],
  ['host 10.0.0.256', 6, 10, /is no IP address/],
  ['host example.org', 6, 11, /names of hosts are not looked up/],
  ['net 10.0.0.0/33', 5, 11, /is no IP address or prefix/],
  ['net 10.0.0.0 mask 255.0.255.0', 5, 8, /is no IP address/],
  ['net 2001:db8::/129', 5, 14, /is no IP address/],
  ['host > 10.0.0.1', 6, 1, /'>' does not go with addresses/],
  ['src proto tcp', 5, 5, /nothing is named 'proto'/],
  ['mac 00:00', 5, 5, /is no MAC address/],
  ['flags Q', 7, 1, /letters of FSRPAUEC/],
  ['tos 256', 5, 3, /0 to 255/],
  ['dscp 64', 6, 2, /0 to 63/],
  ['bytes > 1.0005k and any', 9, 7, /is no octetDeltaCount/],
  ['bytes > 5x', 9, 2, /is no octetDeltaCount/],
  ['bytes > 18446744073709551616', 9, 20, /0 to 18446744073709551615/],
  ['duration > abc', 12, 3, /is no duration/],
  ['first seen > yesterday', 14, 9, /expected a time/],
  ['icmp-type 256', 11, 3, /0 to 255/],
  ['user', 5, 1, /a value is missing/],
  ['userName', 1, 8, /compared with nothing; exists\(userName\)/],
  ['octetDeltaCount and any', 1, 15, /compared with nothing/],
  ['octetDeltaCount contains 5', 17, 8, /does not go with octetDeltaCount/],
  ['octetDeltacount > 5', 1, 15, /did you mean octetDeltaCount/],
  ['sourceIPv4Address = 2001:db8::1', 21, 11, /is of IPv6, but sourceIPv4Address is of IPv4/],
  ['sourceIPv4Address < 10.0.0.1', 19, 1, /'<' does not go with addresses/],
  ['userName > bob', 10, 1, /'>' does not go with userName/],
  ['userName ~ /(/', 12, 3, /regular expression/i],
  ['userName ~ /a/q', 12, 4, /flags are i, m, s and u/],
  ['userName ~ /a', 12, 1, /has no \/ at its end/],
  ["userName = 'bob", 12, 1, /this ' is not closed/],
  ['absoluteError = x', 17, 1, /is no absoluteError/],
  ['dataRecordsReliability = 5', 26, 1, /is neither true nor false/],
  ['mibObjectValueInteger > 2147483648', 25, 10, /is no mibObjectValueInteger/],
  ['ipPayloadPacketSection = xyz', 26, 3, /neither hex digits nor text/],
  ['basicList = 5', 11, 1, /is a list: exists\(basicList\)/],
  ['any(userName: userName = bob)', 5, 8, /userName is string, not a list/],
  ['any(basicList: )', 16, 1, /'\)' has no place here/],
  ['exists(nothing)', 8, 7, /nothing is named 'nothing'/],
  ['exists(userName', 16, 1, /expected a closing bracket/],
  ['pen 35632 80 = 5', 11, 2, /expected id/],
  ['pen 35632 id 0 = 5', 5, 10, /no element can have these numbers/],
  ['let web port 80', 9, 4, /expected '='/],
  ['let proto = port 80', 5, 5, /has a meaning already/],
  ['proto tcp | proto udp', 11, 1, /a single '\|'/],
  ['geo Switzerland', 5, 11, /is no country of ISO 3166-1/],
  ['flags & x', 9, 1, /a mask is a number/],
  ['userName & 3', 10, 1, /unsigned numbers only/],
  ['mpls label11 5', 6, 7, /expected label1 to label10/],
]

for (const [text, column, length, says] of faults) {
  test(`the fault of '${text}' is at column ${column}`, (t) => {
    const error = t.throws(() => parse(text), {instanceOf: DartaError})
    t.is(error?.code, 'DARTA_FILTER_SYNTAX')
    const [what, line, caret] = error.message.split('\n')
    t.regex(what, says)
    t.true(what.startsWith(`column ${column}: `), what)
    t.is(line, `  ${text}`)
    t.is(caret, `  ${' '.repeat(column - 1)}${'^'.repeat(length)}`)
  })
}

test('a fault in a text of several lines is told with its line', (t) => {
  const error = t.throws(() => parse('proto tcp and\n  prt 80 or\nany'))
  t.is(
    error?.message,
    "line 2, column 3: nothing is named 'prt'; did you mean port?\n    prt 80 or\n    ^^^",
  )
})

test('a fault in a file is told with its name, and the entry of a list with its text', (t) => {
  const included = t.throws(() => parse('@include a.filter', {'a.filter': '# x\nport tcpp'}))
  t.regex(included.message, /^a\.filter, line 2, column 6: /)
  const list = t.throws(() => parse('port in @ports', {ports: '80\n99999\n'}))
  t.regex(list.message, /^column 9: line 2 of the file: '99999' is no sourceTransportPort/)
  const second = t.throws(() =>
    parse('ip in @hosts', {hosts: '# 10.0.0.300\n10.0.0.1,10.0.0.2\n\n10.0.0.3 10.0.0.300 # x\n'}),
  )
  t.regex(second.message, /^column 7: line 4 of the file: '10.0.0.300' is no IP address/)
})

test('brackets without end and files that include themselves are refused', (t) => {
  t.regex(t.throws(() => parse('('.repeat(100_000))).message, /nested too deeply/)
  t.regex(t.throws(() => parse(`${'not '.repeat(100_000)} any`)).message, /nested too deeply/)
  const files = {'a.filter': '@include a.filter\nany'}
  t.regex(t.throws(() => parse('@include a.filter', files)).message, /include each other/)
})
