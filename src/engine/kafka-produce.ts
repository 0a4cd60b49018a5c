/**
 * A question of Kafka's protocol that appends one value to a partition, as it stands behind the question's header: Produce, version 3, with
 * one record batch (magic 2) of one record. The npm package builds the same from a dozen buffers, each copied into the next.
 *
 *     transactional id (-1: none) | acks | timeout | topics | partitions | octets of the batch
 *     first offset | octets | leader epoch | magic | CRC-32C | attributes | last delta | times (8 + 8) | producer (8 + 2) | sequence | records
 *     octets of the record | attributes | delta of time | delta of offset | key (-1: none) | octets of the value | value | headers
 *
 * Numbers of the record are zigzag varints, all others in network byte order.
 */
export function writeProduce(
  topic: string,
  partition: number,
  value: Uint8Array,
  {timeoutMs, nowMs}: {readonly timeoutMs: number; readonly nowMs: number},
): Buffer {
  const valueSize = varintOctets(value.length)
  // Attributes, both deltas, the key and the headers take an octet each.
  const record = 5 + valueSize + value.length
  const batch = BATCH_OCTETS + varintOctets(record) + record
  const name = Buffer.byteLength(topic)
  // All of it is written below.
  const octets = Buffer.allocUnsafe(HEAD_OCTETS + name + 8 + 4 + batch)
  let at = octets.writeInt16BE(NONE, 0)
  at = octets.writeInt16BE(ALL_REPLICAS, at)
  at = octets.writeInt32BE(timeoutMs, at)
  at = octets.writeInt32BE(1, at)
  at = octets.writeInt16BE(name, at)
  at += octets.write(topic, at)
  at = octets.writeInt32BE(1, at)
  at = octets.writeInt32BE(partition, at)
  at = octets.writeInt32BE(batch, at)

  at = octets.writeBigInt64BE(0n, at)
  at = octets.writeInt32BE(batch - 12, at)
  at = octets.writeInt32BE(0, at)
  at = octets.writeInt8(2, at)
  const crcAt = at
  at += 4
  at = octets.writeInt16BE(0, at)
  at = octets.writeInt32BE(0, at)
  at = octets.writeBigInt64BE(BigInt(nowMs), at)
  at = octets.writeBigInt64BE(BigInt(nowMs), at)
  at = octets.writeBigInt64BE(BigInt(NONE), at)
  at = octets.writeInt16BE(NONE, at)
  at = octets.writeInt32BE(NONE, at)
  at = octets.writeInt32BE(1, at)

  at = writeVarint(octets, record, at)
  octets[at++] = 0
  octets[at++] = 0
  octets[at++] = 0
  // -1, in zigzag.
  octets[at++] = 1
  at = writeVarint(octets, value.length, at)
  octets.set(value, at)
  at += value.length
  octets[at] = 0
  octets.writeUInt32BE(crc32c(octets, crcAt + 4), crcAt)
  return octets
}

const NONE = -1
const ALL_REPLICAS = -1
/** Up to the topic's name, and of the batch up to its record. */
const HEAD_OCTETS = 2 + 2 + 4 + 4 + 2
const BATCH_OCTETS = 61

/** @param n 0 or more */
function varintOctets(n: number): number {
  let octets = 1
  for (let rest = n * 2; rest > 127; rest = Math.floor(rest / 128)) octets++
  return octets
}

function writeVarint(octets: Uint8Array, n: number, start: number): number {
  let at = start
  let rest = n * 2
  for (; rest > 127; rest = Math.floor(rest / 128)) octets[at++] = (rest % 128) | 128
  octets[at++] = rest
  return at
}

/** For each octet and how many others come behind it, eight at once. */
const tables = Array.from({length: 8}, () => new Int32Array(256))
const [t0, t1, t2, t3, t4, t5, t6, t7] = tables
for (let n = 0; n < 256; n++) {
  let crc = n
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0)
  t0[n] = crc
}
for (let n = 0; n < 256; n++) {
  let crc = t0[n]
  for (const table of tables.slice(1)) {
    crc = (crc >>> 8) ^ t0[crc & 255]
    table[n] = crc
  }
}

/** CRC-32C (Castagnoli) of all octets from `start` on. RFC 3720 §12.1. */
export function crc32c(octets: Uint8Array, start = 0): number {
  let crc = -1
  let at = start
  for (const end = octets.length - 7; at < end; at += 8) {
    crc ^= octets[at] | (octets[at + 1] << 8) | (octets[at + 2] << 16) | (octets[at + 3] << 24)
    crc =
      t7[crc & 255] ^
      t6[(crc >>> 8) & 255] ^
      t5[(crc >>> 16) & 255] ^
      t4[crc >>> 24] ^
      t3[octets[at + 4]] ^
      t2[octets[at + 5]] ^
      t1[octets[at + 6]] ^
      t0[octets[at + 7]]
  }
  for (; at < octets.length; at++) crc = (crc >>> 8) ^ t0[(crc ^ octets[at]) & 255]
  return ~crc >>> 0
}
