import {createRequire} from 'node:module'
import test from 'ava'
import {crc32c, writeProduce} from '../../src/engine/kafka-produce.js'
import {needing, optionalPackage} from '../support/needing.js'
import fc from '../support/properties.js'

test('the check sum is that of the examples of RFC 3720', (t) => {
  const rising = Uint8Array.from({length: 32}, (_, i) => i)
  t.is(crc32c(new Uint8Array(32)), 0x8a9136aa)
  t.is(crc32c(new Uint8Array(32).fill(255)), 0x62a8ab43)
  t.is(crc32c(rising), 0x46dd794e)
  t.is(crc32c(rising.slice().reverse()), 0x113fdb5c)
  t.is(crc32c(new TextEncoder().encode('123456789')), 0xe3069283)
  t.is(crc32c(new TextEncoder().encode('..123456789'), 2), 0xe3069283)
})

needing(optionalPackage('kafkajs'))(
  'a value is asked to be appended in the octets of the package, for any topic, partition and size',
  async (t) => {
    const load = createRequire(import.meta.url)
    const request = load('kafkajs/src/protocol/requests/produce/v3/request') as (of: object) => {
      encode(): Promise<{buffer: Buffer}>
    }
    const sizes = fc.constantFrom(0, 1, 57, 58, 59, 63, 64, 65, 8184, 8191, 8192, 70_000, 1_100_000)
    await fc.assert(
      fc.asyncProperty(
        fc.stringMatching(/^[a-z.]{1,60}$/),
        fc.integer({min: 0, max: 5000}),
        sizes,
        fc.integer({min: 0, max: 255}),
        async (topic, partition, size, seed) => {
          const value = Buffer.from(Uint8Array.from({length: size}, (_, i) => i * 3 + seed))
          const own = writeProduce(topic, partition, value, {timeoutMs: 4500, nowMs: 1.7e12})
          const {buffer} = await request({
            ...{acks: -1, timeout: 4500},
            topicData: [
              {
                topic,
                partitions: [
                  {partition, messages: [{key: null, value, timestamp: 1.7e12}], firstSequence: -1},
                ],
              },
            ],
            producerEpoch: -1,
          }).encode()
          return Buffer.compare(own, buffer) === 0
        },
      ),
      {numRuns: 60},
    )
    t.pass()
  },
)
