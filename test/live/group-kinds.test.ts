import type {ExecutionContext} from 'ava'
import {authority, noCertificates} from '../support/certificates.js'
import {darta, folder} from '../support/darta.js'
import {noNamespaces, noSender, startAt} from '../support/namespaces.js'
import {needing} from '../support/needing.js'
import {octetsOf} from './capturing.js'
import {
  captureNode,
  CONTROL,
  coordinator,
  interruptAll,
  inTurn,
  lab,
  nodesOfPlan,
  numbered,
  reportsIn,
  sending,
  status,
  verified,
  type Lab,
} from './group-lab.js'

const patient = ['--ttl', '8s', '--guard', '500ms']
const COUNT = 4000
const RATE = 2000

/** What a file's records, or those of a capture, say of each Flow: packets and octets by its key. */
async function flowsOf(
  t: ExecutionContext,
  words: readonly string[],
): Promise<Map<string, [number, number]>> {
  const {code, stdout, stderr} = await darta(t, [...words, '-q', '-o', 'ndjson'])
  t.is(code, 0, stderr)
  const flows = new Map<string, [number, number]>()
  for (const line of stdout.toString().split('\n').slice(0, -1)) {
    const record = JSON.parse(line) as Record<string, unknown>
    if (record.packetDeltaCount === undefined || record._scope !== undefined) continue
    const key = ['sourceIPv4Address', 'sourceIPv6Address', 'destinationIPv4Address']
      .concat('destinationIPv6Address', 'sourceTransportPort', 'destinationTransportPort')
      .map((name) => record[name])
      .join(' ')
    const [packets, octets] = flows.get(key) ?? [0, 0]
    flows.set(key, [
      packets + Number(record.packetDeltaCount),
      octets + Number(record.octetDeltaCount),
    ])
  }
  return flows
}

const plain = (flows: ReadonlyMap<string, readonly [number, number]>): string[] =>
  [...flows].map(([key, [packets, octets]]) => `${key}: ${packets} ${octets}`).sort()

needing(noNamespaces, noSender)(
  'groups with Flows by weight, with pcap and with redundancy 2, over IPv4 and IPv6: Flows add up to those of one node, captures to the whole, and each packet is at exactly two nodes',
  inTurn(async (t) => {
    const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
    const all = lab(t, folder(t), ids)
    const group = (port: number): Lab => ({...all, group: `tcp://${CONTROL}:${port}/lab`})
    const [metering, capturing, twice] = [group(4790), group(4791), group(4792)]
    const coordinators = await Promise.all([
      coordinator(t, metering, ...patient),
      coordinator(t, capturing, ...patient),
      coordinator(t, twice, ...patient, '--redundancy', '2'),
    ])
    const flows = ['--emit', 'flows', '-o', 'ipfix']
    const packets = ['-o', 'ndjson']
    const [a, b, c, d, e, f, g] = await Promise.all([
      captureNode(t, metering, 'a', ...flows, '--weight', '3'),
      captureNode(t, metering, 'b', ...flows),
      captureNode(t, capturing, 'c', '--emit', 'pcap'),
      captureNode(t, capturing, 'd', '--emit', 'pcap'),
      captureNode(t, twice, 'e', ...packets),
      captureNode(t, twice, 'f', ...packets),
      captureNode(t, twice, 'g', ...packets),
    ])
    await Promise.all([
      coordinators[0].says(nodesOfPlan('a', 'b')),
      coordinators[1].says(nodesOfPlan('c', 'd')),
      coordinators[2].says(nodesOfPlan('e', 'f', 'g')),
    ])
    const sent = numbered(all.folder, COUNT, 6, 0, 2)
    t.is((await sending(t, all, sent, RATE).ended).code, 0)
    // Who came first gives away no more than it must: the other one has its part, give or take a twentieth.
    const shares = /\na +in +([\d.]+) %[^]*\nb +in +([\d.]+) %/.exec(await status(t, metering))!
    const [ofA, ofB] = shares.slice(1).map(Number)
    t.true(Math.abs(ofA - 75) < 75 / 20 && Math.abs(ofB - 25) < 25 / 20 + 0.1, shares[0])
    t.regex(await status(t, twice), /each packet at 2 of 3 nodes/)
    const nodes = [a, b, c, d, e, f, g]
    await interruptAll(t, nodes)
    for (const {id, running} of nodes) t.log(`${id}: ${running.words()}`)

    const whole = await flowsOf(t, ['capture', '-r', sent])
    const parts = [
      await flowsOf(t, ['print', '-r', a.output]),
      await flowsOf(t, ['print', '-r', b.output]),
    ]
    t.deepEqual(plain(new Map([...parts[0], ...parts[1]])), plain(whole))
    // No Flow is at both nodes.
    t.is(parts[0].size + parts[1].size, whole.size)
    t.true(parts[0].size > 2 * parts[1].size, `${parts[0].size} and ${parts[1].size}`)
    // Their table still had what the other one kept.
    t.regex(
      a.running.words() + b.running.words(),
      /left before node [ab] exported all that it captured until \S+Z: if that one dies/,
    )

    t.deepEqual([...octetsOf(c.output), ...octetsOf(d.output)].sort(), octetsOf(sent))
    t.true(octetsOf(c.output).length > 0 && octetsOf(d.output).length > 0)

    const takers = new Map<number, number>()
    for (const {output} of [e, f, g]) {
      for (const {number, mark} of reportsIn(output)) {
        t.is(mark, 0)
        takers.set(number, (takers.get(number) ?? 0) + 1)
      }
    }
    t.is(takers.size, COUNT)
    t.deepEqual(
      [...takers].filter(([, n]) => n !== 2),
      [],
    )
    for (const group of [
      [a, b],
      [c, d],
      [e, f, g],
    ]) {
      const {code, words} = await verified(t, group)
      t.is(code, 0, words)
    }
  }),
)

needing(noNamespaces, noCertificates)(
  'a group over mutual TLS refuses who has no certificate of its authority, or none at all, and both sides say so',
  inTurn(async (t) => {
    const place = folder(t)
    const ours = authority(place, 'ours')
    const theirs = authority(place, 'theirs')
    const shown = (ca: string, {cert, key}: {cert: string; key: string}): string[] => [
      ...['--tls-ca', ca, '--tls-cert', cert, '--tls-key', key],
    ]
    const group = `tls://${CONTROL}:4790/lab`
    const here = lab(t, place, ['a', 'b', 'c'], group, shown(ours.ca, ours.issue(CONTROL)))
    const as = (words: string[]): Lab => ({...here, words})
    const control = await coordinator(t, here, ...patient)
    const node = (id: string, words: string[]): ReturnType<typeof captureNode> =>
      captureNode(t, as(words), id, '-o', 'ndjson')
    const a = await node('a', shown(ours.ca, ours.issue('a.example')))
    await control.says(nodesOfPlan('a'))
    // One that trusts us but is of another authority; one that does not trust us.
    const b = await node('b', shown(ours.ca, theirs.issue('b.example')))
    await control.says(/a peer is refused: /)
    await b.running.says(/no connection to the coordinator tls:\/\/[^\n]*: \S/)
    const c = await node('c', shown(theirs.ca, ours.issue('c.example')))
    await c.running.says(/no connection to the coordinator tls:\/\/[^\n]*: \S/)
    const options = ['-connect', `${CONTROL}:4790`, '-CAfile', ours.ca, '-brief']
    const bare = startAt(t, here.node('b'), ['openssl', 's_client', ...options])
    // The server's refusal ends it, or its own reading of it.
    const {stderr} = await bare.ended
    t.regex(stderr, /certificate required|alert/)
    await control.says(/a peer is refused: [^\n]*(?:no certificate|did not return a certificate)/)
    t.log(control.words(), b.running.words(), c.running.words())
    t.regex(await status(t, as(shown(ours.ca, ours.issue('s.example')))), /\na +in +100\.0 %/)
    t.notRegex(control.words(), /epoch \d+ [^\n]*[bc] \d/)
    await interruptAll(t, [a, b, c])
  }),
)
