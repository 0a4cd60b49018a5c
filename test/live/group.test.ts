import {readFileSync} from 'node:fs'
import type {ExecutionContext} from 'ava'
import {folder, type Running} from '../support/darta.js'
import {noNamespaces, noSender} from '../support/namespaces.js'
import {needing} from '../support/needing.js'
import {
  captureNode,
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

/** Packets a second; enough that a switch and a death each fall among many. */
const RATE = 2000
const COUNT = 8000
/**
 * However busy the machine, nobody is thought dead, what may have to be taken over is still there, and the times that
 * namespaces stamp one packet with, one after another, differ by less than the guard band.
 */
const patient = ['--ttl', '8s', '--guard', '500ms']
const keeping = ['-o', 'ndjson', '--shadow', '60s']

/** Nodes a, b and c that divide the link, room for a node d, and traffic that has begun. */
async function threeNodes(
  t: ExecutionContext,
  seed: number,
  words: readonly string[],
): Promise<{here: Lab; control: Running; nodes: Node[]; sender: Running}> {
  const here = lab(t, folder(t), ['a', 'b', 'c', 'd'])
  const control = await coordinator(t, here, ...patient)
  const nodes = await Promise.all(['a', 'b', 'c'].map((id) => captureNode(t, here, id, ...words)))
  await control.says(nodesOfPlan('a', 'b', 'c'))
  const sender = sending(t, here, numbered(here.folder, COUNT, seed), RATE)
  return {here, control, nodes, sender}
}

needing(noNamespaces, noSender)(
  'three nodes divide a link, a fourth joins and one leaves: nothing is lost or doubled without a mark, and the reports prove it',
  inTurn(async (t) => {
    const {here, control, nodes, sender} = await threeNodes(t, 1, keeping)
    await hasWritten(nodes[0])
    const fourth = await captureNode(t, here, 'd', ...keeping)
    await control.says(nodesOfPlan('a', 'b', 'c', 'd'))
    await hasWritten(fourth)
    t.is((await interrupt(nodes[0])).code, 0)
    await control.says(nodesOfPlan('b', 'c', 'd'))
    t.is((await sender.ended).code, 0)
    const told = await status(t, here, '-o', 'json')
    t.log(told)
    const {nodes: known} = JSON.parse(told) as {
      nodes: {id: string; state: string; slots: number; packets: number}[]
    }
    // Who has left is remembered for a while.
    const lines = known.filter(({state}) => state === 'in')
    t.deepEqual(
      lines.map(({id}) => id),
      ['b', 'c', 'd'],
    )
    t.is(
      lines.reduce((sum, {slots}) => sum + slots, 0),
      256,
    )
    t.true(lines.every(({packets}) => packets > 0))
    t.regex(await status(t, here), /node +state +share[^]*\nb +in +3\d\.\d %/)
    await interruptAll(t, [nodes[1], nodes[2], fourth])
    t.log(control.words())
    const {lost} = tally(t, [...nodes, fourth], COUNT)
    t.deepEqual(lost, [])
    const {code, words} = await verified(t, [...nodes, fourth])
    t.is(code, 0, words)
    t.regex(words, new RegExp(`^${COUNT} packets taken by 4 nodes`))
  }),
)

needing(noNamespaces, noSender)(
  'a node that is killed loses nothing: its standbys take what it had not exported from what they kept, with marks',
  inTurn(async (t) => {
    const {control, nodes, sender} = await threeNodes(t, 2, keeping)
    await hasWritten(nodes[1])
    const killed = Date.now()
    nodes[1].running.child.kill('SIGKILL')
    await control.says(/lost b/)
    const [, at] = /epoch \d+ from ([\d:.]+)Z: [^\n]*; lost b/.exec(control.words()) ?? []
    const day = new Date(killed).toISOString().slice(0, 11)
    t.log(`taken over ${Date.parse(`${day}${at}Z`) - killed} ms after the kill`)
    t.is((await sender.ended).code, 0)
    await control.says(nodesOfPlan('a', 'c'))
    await interruptAll(t, [nodes[0], nodes[2]])
    t.log(control.words())
    const {lost} = tally(t, nodes, COUNT)
    t.deepEqual(lost, [])
    const {code, words} = await verified(t, nodes)
    t.is(code, 0, words)
    t.regex(words, /recovered for nodes that died/)
    // Without the report of one node nothing is proved.
    t.is((await verified(t, [nodes[0], nodes[1]])).code, 1)
  }),
)

needing(noNamespaces, noSender)(
  'without a shadow ring a killed node loses only its own packets, only until the others take over, and the reports name the interval',
  inTurn(async (t) => {
    const {control, nodes, sender} = await threeNodes(t, 3, ['-o', 'ndjson', '--shadow', '0'])
    await hasWritten(nodes[1])
    nodes[1].running.child.kill('SIGKILL')
    await control.says(nodesOfPlan('a', 'c'))
    t.is((await sender.ended).code, 0)
    await interruptAll(t, [nodes[0], nodes[2]])
    t.log(control.words())
    const {lost} = tally(t, nodes, COUNT)
    t.true(lost.length > 0)
    // A third of what came in that time was the dead node's.
    const span = lost[lost.length - 1] - lost[0] + 1
    t.true(lost.length < span / 2 + 20, `${lost.length} of ${span}`)
    const {code, words} = await verified(t, nodes)
    t.is(code, 1)
    t.regex(words, /missed: of node b, epoch \d+, \S+Z to \S+Z: it died, and no node kept/)
    t.notRegex(words, /missed:[^\n]*of node [ac]/)
  }),
)

needing(noNamespaces, noSender)(
  'the coordinator is killed, then a node: a node coordinates, nothing is lost, and a coordinator that is back takes over',
  inTurn(async (t) => {
    const {here, control, nodes, sender} = await threeNodes(t, 4, keeping)
    await hasWritten(nodes[1])
    control.child.kill('SIGKILL')
    await control.ended
    const stood = await Promise.race(
      nodes.map(async (node) => {
        await node.running.says(/this node coordinates now/)
        return node
      }),
    )
    const victim = nodes.find((node) => node !== stood)!
    const third = nodes.find((node) => node !== stood && node !== victim)!
    victim.running.child.kill('SIGKILL')
    await third.running.says(new RegExp(`lost ${victim.id}`))
    t.is((await sender.ended).code, 0)
    const back = await coordinator(t, here, ...patient)
    await stood.running.says(/the coordinator is back/)
    await back.says(nodesOfPlan(...[stood.id, third.id].sort()))
    await interruptAll(t, [stood, third])
    t.log(control.words())
    const {lost} = tally(t, nodes, COUNT)
    t.deepEqual(lost, [])
    const {code, words} = await verified(t, nodes)
    t.is(code, 0, words)
    t.true(readFileSync(victim.report).length > 0)
  }),
)
