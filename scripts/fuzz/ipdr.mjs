// Streams of IPDR/SP: what a collector gets of an exporter, of which some octets are changed.
import {mutateOctets} from './random.mjs'
import {built, checkBalance, promise} from './support.mjs'

export async function ipdr() {
  const {createIpdrCollector} = await built('src/mediation/ipdr/collector.js')
  const {createMessageSplitter} = await built('src/mediation/ipdr/message.js')
  const {identityOf, readStoredRecord, storedRecord} = await built(
    'src/mediation/ipdr/stored-record.js',
  )
  const {createIpdrRecords} = await built('src/commands/collect/ipdr-records.js')
  const {createFieldRecords} = await built('src/record/field-records.js')
  const {Ledger} = await built('src/record/ledger.js')
  const {message} = await built('test/support/ipdr-exporter.js')
  const {counted, encodeValue, text, TYPE, u16, u32, u64, u8} = await built(
    'test/support/ipdr-writer.js',
  )

  const values = {
    int: -1,
    unsignedLong: 1n << 60n,
    float: 0.5,
    hexBinary: Buffer.from('c0ffee', 'hex'),
    string: 'anna \u00e9',
    boolean: true,
    short: -3,
    dateTimeMsec: 1_700_000_000_000,
    ipV4Addr: '192.0.2.1',
    ipV6Addr: Buffer.alloc(16, 1),
    macAddress: '02:00:5e:10:00:01',
    ipAddr: Buffer.from([192, 0, 2, 1]),
    uuid: 'bd2e0a36-1dd1-11b2-95aa-e6b6e797e7c4',
    dateTimeUsec: 1_700_000_000_000_000n,
  }
  const types = Object.keys(values)
  const templates = Buffer.concat([
    ...[u32(1), u16(1), text('schema'), text('T'), u32(types.length + 1)],
    ...types.flatMap((type, i) => [u32(TYPE[type]), u32(i + 1), text(`n:${type}`), u8(1)]),
    ...[u32(0x28), u32(99), text('off'), u8(0)],
  ])
  const record = Buffer.concat(types.map((type) => encodeValue(type, values[type])))
  const data = (sequence, flags, template = 1) =>
    message('DATA', 1, ...[u16(template), u16(1), u8(flags), u64(sequence)], counted(record))
  const start = message(
    'SESSION_START',
    1,
    ...[u32(1), u64(5), u64(1), u8(1), u32(10), u32(100), Buffer.alloc(16, 7)],
  )
  const hello = [
    message('CONNECT_RESPONSE', 0, u32(6), u32(30), text('peer')),
    message('CONNECT', 0, ...[u32(0x7f000001), u16(1), u32(6), u32(30), text('peer')]),
  ]
  const seeds = hello.map(
    (first, role) =>
      new Uint8Array(
        Buffer.concat([
          u8(role),
          first,
          message(
            'GET_SESSIONS_RESPONSE',
            0,
            ...[u16(1), u32(1), u8(1), u8(0), text('s'), text('d'), u64(0)],
          ),
          message('TEMPLATE_DATA', 1, u16(1), u8(0), templates),
          message('MODIFY_TEMPLATE_RESPONSE', 1, u16(1), u8(0), templates),
          start,
          data(5, 0),
          data(6, 1),
          message('KEEP_ALIVE', 0),
          data(7, 0, 9),
          message('GET_TEMPLATES_RESPONSE', 1, u16(2), u16(1), templates),
          data(8, 0),
          message('SESSION_STOP', 1, u16(0), text('end')),
          start,
          data(5, 1),
          message('ERROR', 0, u32(1), u16(2), text('no')),
          message('DISCONNECT', 0),
        ]),
      ),
  )

  return {
    seeds,
    mutate(random, seed, others) {
      let octets = seed.subarray(1)
      for (let n = 1 + random.below(3); n > 0; n--) octets = mutateOctets(random, octets, others)
      return Uint8Array.of(seed[0], ...octets)
    },
    units: (octets) => Math.max(1, octets.length / 64),
    run(random, octets) {
      const ledger = new Ledger()
      const account = ledger.stage('ipdr', 'records')
      const records = createIpdrRecords(ledger, () => account)
      const made = createFieldRecords()
      let closed = 0
      let count = 0
      const collector = createIpdrCollector(
        octets[0] === 0 ? 'initiator' : 'responder',
        {
          vendor: 'darta',
          address: Uint8Array.of(192, 0, 2, 1),
          port: 4737,
          keepAliveSeconds: 20,
          sessions: random.once(4) ? [0, 1, 2] : undefined,
          allFields: random.once(2),
        },
        {
          send(sent) {
            promise(closed === 0, 'it sends after it has closed')
            const [whole] = createMessageSplitter().push(sent)
            promise(whole?.octets.length === sent.length, 'it sends what is no message')
          },
          opened() {},
          started() {},
          record(one) {
            account.in++
            count++
            const kept = readStoredRecord(storedRecord(one))
            promise(kept !== undefined, 'a stored record cannot be read')
            promise(identityOf(kept, 'x').key === identityOf(one, 'x').key, 'it has changed')
            const fields = records.fieldsOf(one, 0)
            promise(fields.length >= 3, 'a record without its number')
            made.add(fields)
            account.out++
          },
          refused() {
            account.in++
            account.lose('no-session')
          },
          missing(n) {
            promise(n > 0, 'a gap of nothing')
          },
          note() {},
          closed() {
            closed++
          },
        },
      )
      collector.start(0)
      const stream = octets.subarray(1)
      const step = random.of([Infinity, 1400, 64, 7, 1])
      if (step === Infinity || stream.length / step > 4096) collector.receive(stream.slice(), 0)
      else {
        for (let at = 0; at < stream.length; at += step) {
          collector.receive(stream.slice(at, at + step), at)
        }
      }
      collector.acknowledge(1, 1, 5n, 0)
      collector.tick(collector.dueMs === Infinity ? 0 : collector.dueMs)
      collector.stop()
      promise(closed === 1, `it closes ${closed} times`)
      promise(collector.state === 'closed', 'it has closed and does not know')
      const message = {exportTime: 0, sequenceNumber: 0, observationDomainId: 0, offset: 0}
      const taken = made.take(message).reduce((sum, batch) => sum + batch.count, 0)
      promise(taken === count, `${count} records came, ${taken} are there`)
      checkBalance(ledger)
    },
  }
}
