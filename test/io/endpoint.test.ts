import test from 'ava'
import {isIPv6} from 'node:net'
import {hostAndPort, parseEndpoint} from '../../src/io/endpoint.js'
import {DartaError} from '../../src/record/errors.js'
import fc from '../support/properties.js'

const connect = {role: 'connect'} as const
const listen = {role: 'listen'} as const

for (const [text, transport, host, port] of [
  ['udp://192.0.2.1', 'udp', '192.0.2.1', 4739],
  ['udp://192.0.2.1:2055', 'udp', '192.0.2.1', 2055],
  ['tcp://collector.example', 'tcp', 'collector.example', 4739],
  ['tcp://collector.example/', 'tcp', 'collector.example', 4739],
  ['tls://collector.example', 'tls', 'collector.example', 4740],
  ['tls://[2001:db8::1]:4739', 'tls', '2001:db8::1', 4739],
  ['udp://[fe80::1%eth0]', 'udp', 'fe80::1%eth0', 4739],
  ['udp://flow_box', 'udp', 'flow_box', 4739],
] as const) {
  test(`${text} is ${transport} to port ${port} of ${host}`, (t) => {
    const endpoint = parseEndpoint(text, connect)
    t.like(endpoint, {transport, host, port})
  })
}

for (const [text, host, port] of [
  ['udp://', '', 4739],
  ['udp://:2055', '', 2055],
  ['udp://*:0', '*', 0],
  ['tcp://[::]:4739', '::', 4739],
] as const) {
  test(`who listens may write ${text}`, (t) => {
    t.like(parseEndpoint(text, listen), {host, port})
  })
}

for (const text of ['unix:/run/darta.sock', 'unix:///run/darta.sock']) {
  test(`${text} is a Unix socket`, (t) => {
    t.deepEqual(parseEndpoint(text, connect), {
      transport: 'unix',
      path: '/run/darta.sock',
      name: 'unix:/run/darta.sock',
    })
  })
}

test('the path of a Unix socket may be relative', (t) => {
  t.like(parseEndpoint('unix:flows.sock', connect), {path: 'flows.sock'})
})

for (const [text, words] of [
  ['', /expected udp:\/\/HOST\[:PORT\], .* or unix:PATH, not ''/],
  ['192.0.2.1:4739', /expected udp:/],
  ['sctp://192.0.2.1', /expected udp:/],
  ['udp://2001:db8::1', /expected udp:/],
  ['udp://[2001:db8::1', /expected udp:/],
  ['udp://[192.0.2.1]', /no IPv6 address/],
  ['udp://[2001:db8::1::2]:1', /no IPv6 address/],
  ['udp://192.0.2.256', /expected udp:/],
  ['udp://192.0.2', /expected udp:/],
  ['udp://host:0', /ports go from 1/],
  ['udp://host:65536', /ports go from 1/],
  ['udp://host:123456', /expected udp:/],
  ['udp://host:', /expected udp:/],
  ['udp://host/path', /expected udp:/],
  ['udp://user@host', /expected udp:/],
  ['udp://a b', /expected udp:/],
  ['udp://', /names no host/],
  ['tcp://*:4739', /names no host/],
  ['unix:', /expected udp:/],
  [`unix:/${'x'.repeat(107)}`, /at most 107 octets/],
] as const) {
  test(`refuses to connect to '${text.slice(0, 40)}'`, (t) => {
    const error = t.throws(() => parseEndpoint(text, connect), {instanceOf: DartaError})
    t.is(error?.code, 'DARTA_USAGE')
    t.regex(error?.message ?? '', words)
  })
}

test('a command may allow some transports only, and have a port of its own', (t) => {
  const rules = {role: 'connect', port: 2055, transports: ['udp']} as const
  t.like(parseEndpoint('udp://host', rules), {port: 2055})
  t.throws(() => parseEndpoint('tcp://host', rules), {
    message: "expected udp://HOST[:PORT], not 'tcp://host'",
  })
  t.throws(() => parseEndpoint('unix:/run/x', rules))
})

test('the name of an endpoint reads back as the same endpoint', (t) => {
  const host = fc.oneof(fc.ipV4(), fc.ipV6().filter(isIPv6), fc.domain())
  const transport = fc.constantFrom('udp', 'tcp', 'tls')
  fc.assert(
    fc.property(transport, host, fc.integer({min: 1, max: 65535}), (scheme, name, port) => {
      const endpoint = parseEndpoint(`${scheme}://${hostAndPort(name, port)}`, connect)
      t.deepEqual(parseEndpoint(endpoint.name, connect), endpoint)
      t.like(endpoint, {transport: scheme, host: name, port})
    }),
  )
})

test('nothing that can be typed throws anything but a usage error', (t) => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((s) => `udp://${s}`),
      ),
      (text) => {
        try {
          parseEndpoint(text, listen)
        } catch (error) {
          t.true(error instanceof DartaError && error.code === 'DARTA_USAGE')
        }
      },
    ),
  )
  t.pass()
})
