import test from 'ava'
import {DartaError} from '../../../src/record/errors.js'
import {SEQUENCE_WORDS} from '../../../src/ipfix/sequence.js'
import {FAIL, PASS, SIFT_RUN, SIFTED, SIFTED_WORDS} from '../../../src/record/filter-kernel.js'
import {hex} from '../../hex.js'
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

needing(native)('the kernel decides for more records and more steps than it has bits for', (t) => {
  const kernel = addon!.createFilter()
  t.teardown(() => kernel.close())
  // Octet 1 is from 5 to 9 or one of 70 others, each a step of its own.
  const others = Array.from({length: 70}, (_, i) => 20 + 3 * i)
  const ranges = [[5, 9], ...others.map((one) => [one, one])]
  const code = (kept: readonly number[][]): Uint32Array => {
    const tables = 2 + 8 * kept.length
    const steps = kept.flatMap((_, i) => {
      const next = i + 1 < kept.length ? i + 1 : FAIL
      return [1, 1, 0xffffffff, tables + 2 * i, 1, 0, PASS, next]
    })
    return Uint32Array.from([4, kept.length, ...steps, ...kept.flat()])
  }
  const below = numbers(7)
  const octets = new Uint8Array(4 * 301).map(() => below(256))
  for (const kept of [ranges.slice(0, 1), ranges.slice(0, 9), ranges]) {
    const id = kernel.program(code(kept))
    for (const count of [1, 63, 64, 65, 128, 301]) {
      const records = Array.from({length: count}, (_, i) => octets.subarray(4 * i, 4 * i + 4))
      const passes = (record: Uint8Array): boolean =>
        kept.some(([low, high]) => record[1] >= low && record[1] <= high)
      for (const failing of [false, true]) {
        const wanted = records.filter((record) => passes(record) !== failing)
        const passed = new Uint32Array(1)
        const into = new Uint8Array(4 * count)
        const span = Uint32Array.of(0, count, 4, id)
        t.is(kernel.run(octets, span, 1, passed, into, failing), 4 * wanted.length)
        t.is(passed[0], records.filter(passes).length)
        t.deepEqual(
          [...into.subarray(0, 4 * wanted.length)],
          wanted.flatMap((one) => [...one]),
        )
      }
    }
  }
})

needing(native)('the kernel sifts Messages in place, and refuses numbers that do not fit', (t) => {
  const kernel = addon!.createFilter()
  t.teardown(() => kernel.close())
  const id = kernel.program(Uint32Array.from(good))
  // Two Messages of domain 9, of Template 256 with records of 4 octets and 257 with records of 2.
  const octets = hex`
    ee
    000a 0022 00000007 00000003 00000009  0100 000c 01050101 02040202  0101 0006 aabb
    000a 001c 00000007 00000006 00000009  0100 000c 03090303 04070404
  `
  const wanted = Uint32Array.of(9, 256, 4, id, 257, 2, FAIL)
  const sequence = new Uint32Array(SEQUENCE_WORDS)
  const answer = new Uint32Array(SIFTED_WORDS)
  const runs = new Uint32Array(SIFT_RUN * 4)
  const sift = (given: Uint32Array, from = 1, room = runs): number => {
    sequence.fill(0)
    sequence[0] = 3
    return kernel.sift(octets, from, given, sequence, answer, room)
  }
  const changed = (at: number, value: number): Uint32Array => wanted.with(at, value)
  for (const given of [new Uint32Array(0), wanted.slice(0, 5), changed(2, 0), changed(2, 3)]) {
    t.throws(() => sift(given), {instanceOf: TypeError}, given.join())
  }
  t.throws(() => sift(changed(3, id + 1)), {instanceOf: TypeError})
  t.throws(() => sift(wanted, octets.length + 1), {instanceOf: TypeError})
  t.throws(() => kernel.sift(octets, 1, wanted, sequence.subarray(1), answer, runs))
  t.throws(() => kernel.sift(octets, 1, wanted, sequence, answer.subarray(1), runs))
  // Without room for the runs of a Message, and without its Template, it is left.
  t.is(sift(wanted, 1, runs.subarray(0, 3)), 1)
  t.is(sift(changed(4, 258)), 1)
  t.is(answer[SIFTED.messages], 0)
  t.is(sift(wanted), octets.length)
  t.deepEqual([...answer], [2, 5, 7, 3, 1, 3, 0])
  t.deepEqual([...runs.subarray(0, 3)], [0, 0, 3])
  t.deepEqual([...octets.subarray(0, 13)], [0xee, 1, 5, 1, 1, 3, 9, 3, 3, 4, 7, 4, 4])
  t.is(sequence[0], 8)
})

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
