/*
 * Re-cuts a stream of Messages for UDP. Knows of IPFIX only what it needs and shares no code with darta, so that a fault
 * there is not repeated here.
 */

/** Field lengths of the Templates of one Observation Domain; 65535 is variable. */
type Lengths = Map<number, number[]>

/** Messages of at most `most` octets with the same Sets and records; sequence numbers are counted anew by domain. */
export function cutMessages(stream: Uint8Array, most = 1400): Uint8Array[] {
  const octets = Buffer.from(stream.buffer, stream.byteOffset, stream.byteLength)
  const made: Buffer[] = []
  const domains = new Map<number, {lengths: Lengths; sequence: number}>()
  for (let at = 0; at < octets.length; at += octets.readUInt16BE(at + 2)) {
    const header = octets.subarray(at, at + 16)
    const id = header.readUInt32BE(12)
    let domain = domains.get(id)
    if (domain === undefined) domains.set(id, (domain = {lengths: new Map(), sequence: 0}))
    const end = at + header.readUInt16BE(2)
    for (let set = at + 16; set < end; set += octets.readUInt16BE(set + 2)) {
      const setId = octets.readUInt16BE(set)
      const body = octets.subarray(set + 4, set + octets.readUInt16BE(set + 2))
      const records =
        setId < 256
          ? templateRecords(body, setId === 3, domain.lengths)
          : dataRecords(body, domain.lengths.get(setId))
      for (let first = 0; first < records.length;) {
        let size = 20
        let next = first
        while (next < records.length && size + records[next].length <= most) {
          size += records[next++].length
        }
        if (next === first) throw new Error(`a record of ${records[first].length} octets`)
        const head = Buffer.alloc(20)
        header.copy(head)
        head.writeUInt16BE(size, 2)
        head.writeUInt32BE(domain.sequence, 8)
        head.writeUInt16BE(setId, 16)
        head.writeUInt16BE(size - 16, 18)
        made.push(Buffer.concat([head, ...records.slice(first, next)]))
        if (setId > 255) domain.sequence = (domain.sequence + next - first) >>> 0
        first = next
      }
    }
  }
  return made
}

function templateRecords(body: Buffer, options: boolean, lengths: Lengths): Buffer[] {
  const records: Buffer[] = []
  for (let at = 0; body.length - at >= 4;) {
    const start = at
    const count = body.readUInt16BE(at + 2)
    const fields: number[] = []
    at += options ? 6 : 4
    for (let i = 0; i < count; i++) {
      fields.push(body.readUInt16BE(at + 2))
      at += body.readUInt16BE(at) & 0x8000 ? 8 : 4
    }
    lengths.set(body.readUInt16BE(start), fields)
    records.push(body.subarray(start, at))
  }
  return records
}

function dataRecords(body: Buffer, fields: readonly number[] | undefined): Buffer[] {
  if (fields === undefined) throw new Error('data before their Template')
  const records: Buffer[] = []
  for (let at = 0; at < body.length;) {
    const start = at
    for (let length of fields) {
      if (length === 65535) {
        length = body[at++]
        if (length === 255) {
          length = body.readUInt16BE(at)
          at += 2
        }
      }
      at += length
    }
    records.push(body.subarray(start, at))
  }
  return records
}

/** A pcap file of UDP datagrams to port 4739, for programs that read IPFIX off the wire. */
export function udpCapture(datagrams: readonly Uint8Array[]): Buffer {
  const parts = [Buffer.alloc(24)]
  parts[0].writeUInt32LE(0xa1b2c3d4, 0)
  parts[0].writeUInt16LE(2, 4)
  parts[0].writeUInt16LE(4, 6)
  parts[0].writeUInt32LE(262144, 16)
  parts[0].writeUInt32LE(101, 20) // raw IP
  for (const datagram of datagrams) {
    const head = Buffer.alloc(44)
    const size = 28 + datagram.length
    head.writeUInt32LE(size, 8)
    head.writeUInt32LE(size, 12)
    head[16] = 0x45
    head.writeUInt16BE(size, 18)
    head[24] = 64
    head[25] = 17
    head.writeUInt32BE(0xc0000201, 28)
    head.writeUInt32BE(0xc0000202, 32)
    head.writeUInt16BE(40000, 36)
    head.writeUInt16BE(4739, 38)
    head.writeUInt16BE(8 + datagram.length, 40)
    parts.push(head, Buffer.from(datagram))
  }
  return Buffer.concat(parts)
}
