import test from 'ava'
import type {DartaError} from '../../src/record/errors.js'
import {flowKey, flowKeyNames, oppositeOf, prefixKey} from '../../src/registry/flow-keys.js'
import {ie} from '../../src/registry/elements.js'
import {serviceName, servicePortRanks} from '../../src/registry/services.js'

test('every named key has elements, and results of the same types for each', (t) => {
  for (const name of [...flowKeyNames, 'src4/24', 'dst6/64', 'ip4/8', 'net6/32', 'userName']) {
    const {elements, opposite, results, title} = flowKey(name)
    t.true(elements.length > 0, name)
    t.not(title, '')
    t.is(results.length, elements.length, name)
    for (const [i, element] of elements.entries()) {
      t.is(results[i].value.type, element.type, `${name}: ${element.name}`)
      if (opposite !== undefined) t.is(opposite[i].type, element.type, name)
    }
  }
})

test('the opposite of a direction is found by name and is of the same type', (t) => {
  const pairs = [
    [ie.sourceIPv4Address, ie.destinationIPv4Address],
    [ie.bgpSourceAsNumber, ie.bgpDestinationAsNumber],
    [ie.ingressInterface, ie.egressInterface],
    [ie.postNATSourceIPv4Address, ie.postNATDestinationIPv4Address],
  ]
  for (const [a, b] of pairs) {
    t.is(oppositeOf(a), b)
    t.is(oppositeOf(b), a)
  }
  t.is(oppositeOf(ie.protocolIdentifier), undefined)
})

test('a prefix is of one IP version by name, of both where both lengths are given', (t) => {
  t.deepEqual(flowKey('src4/24').bits, [24])
  t.deepEqual(flowKey('dst6/48').elements, [ie.destinationIPv6Address])
  t.true(flowKey('ip4/24').either)
  t.deepEqual(prefixKey('source', {v4: 16, v6: 48}, 'x').bits, [16, 48])
})

test('names that are no key are refused with those that begin alike', (t) => {
  const error = t.throws<DartaError>(() => flowKey('srcprt'))
  t.is(error?.code, 'DARTA_USAGE')
  t.regex(error?.message ?? '', /srcip, srcport/)
  t.throws(() => flowKey(''), {code: 'DARTA_USAGE'})
  t.throws(() => flowKey('src5/8'), {code: 'DARTA_USAGE'})
  for (const name of ['sysid', 'ja3', 'evrfnam', 'srcnet', 'iacl', 'exace']) {
    t.regex(t.throws(() => flowKey(name)).message, new RegExp(`no key '${name}': .{10}`))
  }
})

test('ports rank: listed services, well-known, registered, what clients pick', (t) => {
  const ranks = servicePortRanks()
  t.is(ranks.length, 65536)
  t.deepEqual(
    [443, 3306, 777, 1500, 32767, 32768, 65535, 0].map((port) => ranks[port]),
    [0, 0, 1, 2, 2, 3, 3, 3],
  )
  t.is(serviceName(53), 'domain')
  t.is(serviceName(777), undefined)
})
