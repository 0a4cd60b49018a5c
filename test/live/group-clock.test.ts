/* A capture node whose host's clock is set while it captures. */
import {folder} from '../support/darta.js'
import {noNamespaces, noSender} from '../support/namespaces.js'
import {needing} from '../support/needing.js'
import {noClock, settableClock} from '../support/settable-clock.js'
import {
  captureNode,
  coordinator,
  hasWritten,
  interruptAll,
  lab,
  nodesOfPlan,
  numbered,
  sending,
  tally,
} from './group-lab.js'

const COUNT = 4000
const RATE = 2000

needing(
  noNamespaces,
  noSender,
  noClock,
)(
  'a node whose clock is set says so and is left out, nothing is lost, and it is back when the clock is right',
  async (t) => {
    const here = lab(t, folder(t), ['a', 'b', 'c'])
    const control = await coordinator(t, here, '--ttl', '8s', '--guard', '500ms')
    const keeping = ['-o', 'ndjson', '--shadow', '60s']
    const {set, env} = settableClock(t)
    const nodes = await Promise.all(
      ['a', 'b', 'c'].map((id) =>
        captureNode(t, {...here, ...(id === 'b' && {env})}, id, ...keeping),
      ),
    )
    await control.says(nodesOfPlan('a', 'b', 'c'))
    const sender = sending(t, here, numbered(here.folder, COUNT, 41), RATE)
    await hasWritten(nodes[1])
    set(-3600)
    const {running} = nodes[1]
    await running.says(/this host's clock was set back by 3\d{6} ms: the node joins anew/)
    await running.says(/the coordinator refuses this node: its clock is 3\d{6} ms behind/)
    await control.says(/node b joins anew/)
    await control.says(nodesOfPlan('a', 'c'))
    t.is((await sender.ended).code, 0)
    set(0)
    await control.says(new RegExp(`lost b[^]*${nodesOfPlan('a', 'b', 'c').source}`))
    const more = sending(t, here, numbered(here.folder, COUNT, 42, COUNT), RATE)
    t.is((await more.ended).code, 0)
    await interruptAll(t, nodes)
    t.log(control.words())
    t.deepEqual(tally(t, nodes, 2 * COUNT).lost, [])
    t.regex(running.words(), /epoch \d+ [^\n]*b \d+[^]*clock was set[^]*epoch \d+ [^\n]*b \d+/)
  },
)
