import {readFileSync} from 'node:fs'
import type {ExecutionContext} from 'ava'
import {authority, noCertificates} from '../support/certificates.js'
import {folder, type Running} from '../support/darta.js'
import {noNamespaces, noSender, startAt} from '../support/namespaces.js'
import {needing, optionalPackage, tools} from '../support/needing.js'
import {
  captureNode,
  CONTROL,
  coordinator,
  hasWritten,
  interrupt,
  interruptAll,
  inTurn,
  lab,
  nodesOfPlan,
  numbered,
  sending,
  status,
  tally,
  verified,
  type Lab,
  type Node,
} from './group-lab.js'

const RATE = 2000
const PORT = 4222

async function broker(
  t: ExecutionContext,
  {control}: Lab,
  store: string,
  tls: readonly string[],
): Promise<Running> {
  const place = ['-js', '-a', CONTROL, '-p', String(PORT), '-sd', store]
  const words = [...place, '--tls', '--tlsverify', ...tls]
  const env = {...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin`}
  const server = startAt(t, control, ['nats-server', ...words], {env})
  await server.says(/Server is ready/)
  return server
}

needing(
  noNamespaces,
  noSender,
  tools('nats-server'),
  optionalPackage('nats'),
  noCertificates,
)(
  'a group meets at a NATS server: coordinator, leading node and server are killed, nodes join and leave; nothing is lost or doubled without a mark, and the reports prove it',
  inTurn(async (t) => {
    const place = folder(t)
    const {ca, ...trusted} = authority(place)
    const member = trusted.issue('member.example')
    const words = ['--tls-ca', ca, '--tls-cert', member.cert, '--tls-key', member.key]
    const group = `nats+tls://${CONTROL}:${PORT}/lab.1`
    const here = lab(t, place, ['a', 'b', 'c', 'd'], group, words)
    const store = folder(t)
    const own = trusted.issue(CONTROL)
    const tls = ['--tlscacert', ca, '--tlscert', own.cert, '--tlskey', own.key]
    const server = await broker(t, here, store, tls)
    const control = await coordinator(t, here, '--ttl', '2s', '--guard', '500ms')
    await control.says(/this node coordinates now/)
    const join = (id: string): Promise<Node> =>
      captureNode(t, here, id, '-o', 'ndjson', '--shadow', '60s')
    const nodes = await Promise.all(['a', 'b', 'c'].map(join))
    await control.says(nodesOfPlan('a', 'b', 'c'))
    let sent = 0
    let over = false
    const traffic = (async () => {
      while (!over) {
        const capture = numbered(here.folder, 2000, 5, sent)
        t.is((await sending(t, here, capture, RATE).ended).code, 0)
        sent += 2000
      }
    })()
    await Promise.all(nodes.map((node) => hasWritten(node, 50_000)))
    t.regex(await status(t, here), /^group lab\.1, coordinated by coordinator: epoch \d+ since/)

    const leads = (list: readonly Node[]): Promise<Node> =>
      Promise.race(
        list.map(async (node) => {
          await node.running.says(/this node coordinates now/)
          return node
        }),
      )
    control.child.kill('SIGKILL')
    const first = await leads(nodes)
    first.running.child.kill('SIGKILL')
    const rest = nodes.filter((node) => node !== first)
    const second = await leads(rest)
    const third = rest.find((node) => node !== second)!
    await third.running.says(new RegExp(`lost ${first.id}`))

    const fourth = await join('d')
    await fourth.running.says(/epoch \d+ from [^\n]*d \d+/)
    await hasWritten(fourth, 50_000)
    const spare = await coordinator(t, here, '--ttl', '2s', '--guard', '500ms')
    await spare.says(
      new RegExp(`${second.id} coordinates the group; this one does when it is gone`),
    )
    server.child.kill('SIGKILL')
    await server.ended
    const alive = [second, third, fourth]
    await Promise.all(
      alive.map(({running}) => running.says(/capture goes on by the plan of epoch \d+/)),
    )
    await broker(t, here, store, tls)
    await Promise.all(alive.map(({running}) => running.says(/the engine \S+ is back/)))
    t.regex(await status(t, here), new RegExp(`coordinated by ${second.id}:`))
    t.is((await interrupt(third)).code, 0)
    over = true
    await traffic
    await interruptAll(t, [fourth, second])
    await spare.says(/this node coordinates now/)
    spare.child.kill('SIGINT')
    t.is((await spare.ended).code, 0)
    for (const node of [...nodes, fourth]) t.log(`${node.id}: ${node.running.words()}`)
    const {lost} = tally(t, [...nodes, fourth], sent)
    t.deepEqual(lost, [])
    const {code, words: verdict} = await verified(t, [...nodes, fourth])
    t.is(code, 0, verdict)
    t.true(readFileSync(first.report).length > 0)
  }),
)
