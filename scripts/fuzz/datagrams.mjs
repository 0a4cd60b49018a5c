// Datagrams of each protocol that `darta collect` takes: a session's worth of real ones, of which some are changed.
import {existsSync, readFileSync, readdirSync, statSync} from 'node:fs'
import {join} from 'node:path'
import {mutateOctets} from './random.mjs'
import {built, checkBalance, promise, root, sum} from './support.mjs'

const folder = join(root, '../shared/fixtures/exports')

/** Each datagram behind its length, so that a session is one array of octets. */
function frame(datagrams) {
  return new Uint8Array(
    Buffer.concat(
      datagrams.flatMap((octets) => {
        const length = Buffer.alloc(4)
        length.writeUInt32BE(octets.length)
        return [length, Buffer.from(octets)]
      }),
    ),
  )
}

function datagramsOf(framed) {
  const view = new DataView(framed.buffer, framed.byteOffset, framed.byteLength)
  const list = []
  for (let at = 0; at + 4 <= framed.length;) {
    const length = view.getUint32(at)
    list.push(framed.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return list
}

/** Accounting-Requests of radclient, of which the shared exports have none: of a session, and the least that is one. */
const accounting = [
  '0409007c59cf915c92f50b57da562005dd78131a0107616c6963652c05532d312806000000030406c000020120066e6173310806c633640761140040' +
    '20010db80001000000000000000000002a06000000053406000000022b06ee6b28002f060000000a3006000000142e060000003c37066553f100' +
    '0b06676f6c64',
  '0401001d000102030405060708090a0b0c0d0e0f2806000000012c0358',
].map((text) => new Uint8Array(Buffer.from(text, 'hex')))

/** Sessions of the shared exports: what is in a folder or file of one datagram each, or of a capture from one sender. */
async function sessions() {
  if (!existsSync(folder)) return []
  const {createPayloadReader} = await built('src/commands/collect/capture-payloads.js')
  const {Ledger} = await built('src/record/ledger.js')
  const found = [accounting]
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name)
    if (statSync(path).isDirectory()) {
      const files = readdirSync(path).sort()
      found.push(files.map((file) => new Uint8Array(readFileSync(join(path, file)))))
    } else if (name.endsWith('.pcap')) {
      const senders = new Map()
      const reader = createPayloadReader(
        {
          datagram({source, sourcePort, octets}) {
            const key = `${source.join('.')}:${sourcePort}`
            senders.set(key, [...(senders.get(key) ?? []), octets])
          },
          stream() {},
          streamEnd() {},
        },
        new Ledger().stage('capture', 'packets'),
      )
      reader.push(new Uint8Array(readFileSync(path)))
      reader.finish()
      for (const list of senders.values()) found.push(list.slice(0, 12))
    } else if (!name.endsWith('.ipfix') || statSync(path).size < 9000) {
      found.push([new Uint8Array(readFileSync(path))])
    }
  }
  return found
}

/** Numbers that count what follows, and lengths, at any even place. */
function mutateSession(random, framed, all) {
  const list = datagramsOf(framed).map((octets) => octets)
  for (let n = 1 + random.below(3); n > 0; n--) {
    const i = random.below(list.length)
    switch (random.below(12)) {
      case 0:
        list.splice(i, 1)
        break
      case 1:
        list.splice(i, 0, list[random.below(list.length)])
        break
      case 2: {
        // Of another session, of another protocol perhaps.
        const others = datagramsOf(random.of(all))
        if (others.length > 0) list.splice(i, 0, random.of(others))
        break
      }
      default:
        if (list[i] === undefined) break
        list[i] = mutateOctets(random, list[i], list)
    }
    if (list.length === 0) list.push(new Uint8Array(random.below(40)))
  }
  return frame(list)
}

async function target(name) {
  const {default: protocol} = await built(`src/mediation/protocols/${name}.js`)
  const {createCollector} = await built('src/mediation/collector.js')
  const {createOrigin} = await built('src/mediation/origin.js')
  const {createSampling} = await built('src/mediation/sampling.js')
  const {lossRecords} = await built('src/mediation/loss-records.js')
  const {openProtocols} = await built('src/commands/collect/protocols.js')
  const {sampledHeaderReader} = await built('src/commands/collect/sampled-header.js')
  const {createTemplatePool} = await built('src/ipfix/template-store.js')
  const {createEncoder} = await built('src/ipfix/encoder.js')
  const {createDecoder} = await built('src/ipfix/decoder.js')
  const {Ledger} = await built('src/record/ledger.js')
  const {readRecord} = await built('src/record/readers.js')
  const {StageLedger} = await built('src/record/ledger.js')
  const {netflow5Encoder} = await built('src/commands/ipfix-export/netflow5.js')
  const {netflow9Encoder} = await built('src/commands/ipfix-export/netflow9.js')
  const {sflowEncoder} = await built('src/commands/ipfix-export/sflow.js')
  const others = {netflow5: netflow5Encoder, netflow9: netflow9Encoder, sflow: sflowEncoder}
  const protocols = await openProtocols()
  const readHeader = sampledHeaderReader()
  const all = await sessions()
  const seeds = all
    .filter((list) => list.some((octets) => protocol.detects(octets)))
    .map((list) => frame(list))
  /** What goes on in another protocol balances, fits its datagrams, and is read back by the collector without a fault. */
  function sendAs(as, makeEncoder, batches) {
    const records = new StageLedger(as, 'records')
    const encoder = makeEncoder({records, fields: new StageLedger('fields', 'fields')}, () => 1400)
    for (const batch of batches) encoder.push(batch)
    const {messages, counts} = encoder.flush()
    promise(records.in === records.out + sum(records.skipped) + sum(records.lost), records.line())
    promise(
      counts.reduce((a, b) => a + b, 0) === records.out,
      `${counts.join()}: ${records.line()}`,
    )
    const ledger = new Ledger()
    const collector = createCollector({
      protocols,
      context: {ledger, pool: createTemplatePool(), templateLifetime: 0, readHeader},
      account: () => ledger.stage('datagrams', 'packets'),
      maxSessions: 4,
    })
    const named = protocols.find(({name}) => name === as)
    for (const message of messages) {
      promise(message.length <= 1464, `${as}: ${message.length} octets`)
      collector
        .source('again', () => ({name: 'again', address, port: 1}))
        .datagram(message, 1.7e12, 0, [], named)
    }
    collector.end()
    for (const stage of ledger.stages) promise(sum(stage.lost) === 0, `${as}: ${stage.line()}`)
  }

  const address = Uint8Array.of(192, 0, 2, 1)
  return {
    seeds,
    mutate: mutateSession,
    units: (octets) => Math.max(1, datagramsOf(octets).length),
    run(random, octets) {
      const ledger = new Ledger()
      const collector = createCollector({
        protocols,
        context: {ledger, pool: createTemplatePool(), templateLifetime: 0, readHeader},
        account: () => ledger.stage('datagrams', 'packets'),
        maxSessions: 16,
      })
      const out = []
      const list = datagramsOf(octets)
      const exporter = {name: 'fuzz', address: random.once(2) ? address : undefined, port: 4739}
      const forced = random.once(2) ? {name, protocol} : undefined
      for (const [i, datagram] of list.entries()) {
        // The session may change what it is given.
        const own = datagram.slice()
        collector.source('fuzz', () => exporter).datagram(own, 1.7e12 + i, 100 * i, out, forced)
      }
      const losses = lossRecords(collector.reports(), 1)
      collector.end()
      checkBalance(ledger)
      const [datagrams] = ledger.stages
      promise(
        list.length === 0 || datagrams.in === list.length,
        `${list.length} sent, ${datagrams?.line()}`,
      )
      let records = 0
      for (const batch of out) {
        records += batch.count
        for (let i = 0; i < batch.count; i++) readRecord(batch, i)
      }
      const counted = ledger.stages
        .filter(({unit}) => unit === 'records')
        .reduce((n, s) => n + s.out, 0)
      promise(records === counted, `${records} records, ${counted} counted`)
      if (!random.once(4)) return
      // What goes on is IPFIX that reads back whole.
      const encoding = new Ledger()
      const encoder = createEncoder({ledger: encoding})
      const batches = createSampling('auto').apply(createOrigin().add(out))
      const chunks = [...encoder.push([...batches, ...losses]), ...encoder.end()]
      const [written] = encoding.stages
      const types = written.noted.get('type-record') ?? 0
      promise(written.in === written.out + sum(written.lost), written.line())
      for (const [as, makeEncoder] of Object.entries(others)) sendAs(as, makeEncoder, batches)
      const reading = new Ledger()
      const decoder = createDecoder({ledger: reading, source: 'fuzz'})
      let again = 0
      for (const chunk of chunks) for (const {count} of decoder.push(chunk)) again += count
      for (const {count} of decoder.end()) again += count
      promise(
        again === written.out + types,
        `${written.line()}; read ${again}: ${reading.lines().join('; ')}`,
      )
    },
  }
}

export const datagramNames = [
  'netflow1',
  'netflow5',
  'netflow7',
  'netflow9',
  'ipfix',
  'sflow',
  'radius',
]

/** By the name of the protocol behind `collect-`. */
export const datagramTargets = Object.fromEntries(
  datagramNames.map((name) => [`collect-${name}`, () => target(name)]),
)
