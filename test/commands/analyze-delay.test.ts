import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import test from 'ava'
import {bin, bash, darta, folder} from '../support/darta.js'
import {root} from '../support/needing.js'

interface Packet {
  /** Nanoseconds since 1970. */
  readonly time: bigint
  /** An Ethernet frame. */
  readonly frame: Buffer
}

function readCapture(file: string): Packet[] {
  const octets = readFileSync(file)
  const nanoseconds = octets.readUInt32LE(0) === 0xa1b23c4d
  const packets: Packet[] = []
  for (let at = 24; at < octets.length;) {
    const [seconds, fraction, length] = [0, 4, 8].map((n) => octets.readUInt32LE(at + n))
    const time = BigInt(seconds) * 1_000_000_000n + BigInt(fraction) * (nanoseconds ? 1n : 1000n)
    packets.push({time, frame: octets.subarray(at + 16, at + 16 + length)})
    at += 16 + length
  }
  return packets
}

function writeCapture(file: string, packets: readonly Packet[]): void {
  const head = Buffer.alloc(24)
  head.writeUInt32LE(0xa1b23c4d, 0)
  head.writeUInt16LE(2, 4)
  head.writeUInt16LE(4, 6)
  head.writeUInt32LE(262144, 16)
  head.writeUInt32LE(1, 20)
  const records = packets.map(({time, frame}) => {
    const record = Buffer.alloc(16)
    record.writeUInt32LE(Number(time / 1_000_000_000n), 0)
    record.writeUInt32LE(Number(time % 1_000_000_000n), 4)
    record.writeUInt32LE(frame.length, 8)
    record.writeUInt32LE(frame.length, 12)
    return Buffer.concat([record, frame])
  })
  writeFileSync(file, Buffer.concat([head, ...records]))
}

/** What a router makes of it: time to live or hop limit one less, and another checksum. */
function routed(frame: Buffer): Buffer {
  const copy = Buffer.from(frame)
  const type = copy.readUInt16BE(12)
  if (type === 0x0800) {
    copy[22]--
    copy.writeUInt16BE(copy.readUInt16BE(24) ^ 0x0101, 24)
  } else if (type === 0x86dd) copy[21]--
  return copy
}

test('delay: packets of a capture that a second point saw later, behind a router, tell delay and loss to 1 µs', async (t) => {
  const at = folder(t)
  const ip = readCapture(join(root, 'test/fixtures/lab.pcap')).filter(({frame}) =>
    [0x0800, 0x86dd].includes(frame.readUInt16BE(12)),
  )
  // Of packets that are octet for octet the same, nobody can tell which is which.
  const alike = Map.groupBy(ip, ({frame}) => frame.subarray(14, 78).toString('hex'))
  const packets = ip.filter(
    ({frame}) => alike.get(frame.subarray(14, 78).toString('hex'))!.length === 1,
  )
  t.true(packets.length > 1000)
  const delays = packets.map((_, i) => BigInt(150_000 + ((i * 7919) % 20_011)))
  const isLost = (i: number): boolean => i % 50 === 13
  const far = packets
    .map(({time, frame}, i) => ({time: time + delays[i], frame: routed(frame)}))
    .filter((_, i) => !isLost(i))
    .sort((a, b) => Number(a.time - b.time))
  writeCapture(join(at, '1.pcap'), packets)
  writeCapture(join(at, '2.pcap'), far)
  const {stdout, code, stderr} = await bash(
    t,
    `cd ${at}
     for point in 1 2; do
       ${bin} capture -q --emit packets --odid $point -r $point.pcap -w $point.ipfix
     done
     cat 1.ipfix 2.ipfix | ${bin} analyze delay -q -o ndjson`,
  )
  t.is(code, 0, stderr)
  const row = JSON.parse(stdout.toString()) as Record<string, number | string>
  const kept = delays.filter((_, i) => !isLost(i)).sort((a, b) => Number(a - b))
  const lost = packets.length - kept.length
  t.is(row.dartaObserver, 'domain 1')
  t.is(row.dartaOtherObserver, 'domain 2')
  t.is(row.dartaMatchedCount, kept.length)
  t.is(row.dartaLostPackets, lost)
  const truth = {
    dartaDelayMinimumNanoseconds: kept[0],
    dartaDelayMedianNanoseconds: kept[Math.ceil(0.5 * kept.length) - 1],
    dartaDelayHighNanoseconds: kept[Math.ceil(0.95 * kept.length) - 1],
    dartaDelayMaximumNanoseconds: kept[kept.length - 1],
  }
  for (const [name, value] of Object.entries(truth)) {
    const error = Math.abs(Number(row[name]) - Number(value))
    t.true(error <= 2, `${name}: ${row[name]} and not ${value}`)
  }
  // Flows of the same packets, whose times are in milliseconds, tell it no better than that.
  const flows = await darta(t, ['capture', '-q', '--odid', '1', '-r', join(at, '1.pcap')])
  const later = await darta(t, ['capture', '-q', '--odid', '2', '-r', join(at, '2.pcap')])
  writeFileSync(join(at, 'flows.ipfix'), Buffer.concat([flows.stdout, later.stdout]))
  const byFlows = await darta(t, [
    ...['analyze', 'delay', '-q', '-r', join(at, 'flows.ipfix'), '-o', 'ndjson'],
  ])
  const coarse = JSON.parse(byFlows.stdout.toString()) as Record<string, number>
  t.true(Math.abs(coarse.dartaDelayMedianNanoseconds - Number(kept[0])) <= 1_000_000)
})
