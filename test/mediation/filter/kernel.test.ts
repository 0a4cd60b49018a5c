import test from 'ava'
import {DartaError} from '../../../src/record/errors.js'
import {FAIL, PASS} from '../../../src/record/filter-kernel.js'
import {numbers} from '../../ipfix/generate.js'
import {addon, native} from '../../support/native-addon.js'
import {needing} from '../../support/needing.js'
import {filtered, parse, ways} from './filtering.js'
import {variedRecords} from './records.js'

/** One step: the octet at offset 1 of records of 4 octets is from 5 to 9. */
const step = [1, 1, 0xffffffff, 10, 1, 0, PASS, FAIL]
const good = [4, 1, ...step, 5, 9]

needing(native)('the kernel counts and copies what passes, or what does not', (t) => {
  const kernel = addon!.createFilter()
  t.teardown(() => kernel.close())
  const id = kernel.program(Uint32Array.from(good))
  const octets = Uint8Array.of(0xee, 1, 5, 1, 1, 2, 4, 2, 2, 3, 9, 3, 3, 4, 10, 4, 4)
  const passed = new Uint32Array(1)
  const into = new Uint8Array(16)
  t.is(kernel.run(octets, Uint32Array.of(1, 4, 4, id), 1, passed, into, false), 8)
  t.is(passed[0], 2)
  t.deepEqual([...into.subarray(0, 8)], [1, 5, 1, 1, 3, 9, 3, 3])
  t.is(kernel.run(octets, Uint32Array.of(1, 4, 4, id), 1, passed, into, true), 8)
  t.deepEqual([...into.subarray(0, 8)], [2, 4, 2, 2, 4, 10, 4, 4])
  t.is(kernel.run(octets, Uint32Array.of(1, 4, 4, id), 1, passed, new Uint8Array(0), false), 0)
  t.is(passed[0], 2)
})

needing(native)(
  'the kernel refuses programs whose numbers do not fit, and spans that leave',
  (t) => {
    const kernel = addon!.createFilter()
    const changed = (at: number, value: number): Uint32Array => {
      const code = Uint32Array.from(good)
      code[at] = value
      return code
    }
    for (const code of [
      new Uint32Array(0),
      Uint32Array.from(good.slice(0, 9)),
      changed(0, 1),
      changed(1, 0),
      changed(1, 2),
      changed(3, 0),
      changed(3, 17),
      changed(5, 11),
      changed(6, 2),
      changed(7, 3),
      changed(8, 0),
      changed(9, 7),
    ]) {
      t.throws(() => kernel.program(code), {instanceOf: TypeError}, [...code].join())
    }
    const id = kernel.program(Uint32Array.from(good))
    const octets = new Uint8Array(16)
    const passed = new Uint32Array(1)
    const run = (...span: number[]): number =>
      kernel.run(octets, Uint32Array.from(span), 1, passed, new Uint8Array(16), false)
    t.notThrows(() => run(0, 4, 4, id))
    for (const span of [
      [0, 5, 4, id],
      [1, 4, 4, id],
      [17, 0, 4, id],
      [0, 4, 3, id],
      [0, 1, 4, id + 1],
      [0, 0xffffffff, 0xffffffff, id],
    ]) {
      t.throws(() => run(...span), {instanceOf: RangeError}, span.join())
    }
    kernel.close()
    t.throws(() => run(0, 1, 4, id), {instanceOf: TypeError})
  },
)

test('texts of random words are understood or refused with a caret, and decide alike both ways', (t) => {
  const words = (
    'and or not ( ) src dst host net port proto tcp 80 443 10.0.0.1 10.0.0.0/8 2001:db8::1 [ ] in , = != < > <= ~ & flags S ' +
    'bytes 1k packets any all exists userName octetDeltaCount alice /a/ first seen 2023-11-14 duration 5m let x ; : basicList ' +
    'dot1qVlanId icmp-type options ipv4 odid exporter as vlan mac pen 35632 id "a" # contains'
  ).split(' ')
  const below = numbers(5)
  const batches = variedRecords(10)
  let understood = 0
  for (let i = 0; i < 20_000; i++) {
    const text = Array.from({length: 1 + below(9)}, () => words[below(words.length)]).join(' ')
    let expression
    try {
      expression = parse(text)
    } catch (error) {
      if (error instanceof DartaError && error.code === 'DARTA_FILTER_SYNTAX') {
        if (!/\n.*\n *\^+$/.test(error.message)) t.fail(`${text}: ${error.message}`)
      } else t.fail(`${text}: ${String(error)}`)
      continue
    }
    understood++
    if (understood > 400) continue
    const counts = ways.map((way) => filtered(expression, batches, way, {options: 'test'}).matched)
    if (new Set(counts).size !== 1) t.fail(`${text}: ${counts.join(' and ')}`)
  }
  t.true(understood > 300, `${understood}`)
})
