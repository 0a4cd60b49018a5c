import test from 'ava'
import {networkInterfaces} from 'node:os'
import {darta, start, bin} from '../support/darta.js'
import {host, cable, noNamespaces, startAt} from '../support/namespaces.js'
import {asNobody, needing, tools, openToAll} from '../support/needing.js'

interface Listing {
  readonly interfaces: {
    readonly name: string
    readonly up?: boolean
    readonly link?: string
    readonly mtu?: number
    readonly queues?: number
    readonly macAddress?: string
    readonly addresses: string[]
  }[]
  readonly backends: {readonly name: string; readonly usable: boolean; readonly reason?: string}[]
}

test('capture -D lists every interface that has an address, and the three backends', async (t) => {
  const {code, stdout} = await darta(t, ['capture', '-D', '-o', 'json'])
  t.is(code, 0)
  const {interfaces, backends} = JSON.parse(stdout.toString()) as Listing
  for (const [name, list = []] of Object.entries(networkInterfaces())) {
    const found = interfaces.find((one) => one.name === name)
    t.deepEqual(
      found?.addresses,
      list.map(({cidr}) => cidr),
    )
  }
  t.deepEqual(backends.map(({name}) => name).sort(), ['af-xdp', 'libpcap', 'tpacket'])
  t.true(backends.every(({usable, reason}) => usable === (reason === undefined)))
  const table = (await darta(t, ['capture', '-D'])).stdout.toString()
  for (const {name} of interfaces) t.regex(table, new RegExp(`^${name} `, 'm'))
  const wrong = await darta(t, ['capture', '-D', '-o', 'csv'])
  t.is(wrong.code, 2)
})

needing(noNamespaces)(
  'capture -D tells state, link, size and queues of an interface',
  async (t) => {
    const node = host(t)
    const other = host(t)
    cable(node, 'in', other, 'out')
    node.run('ip', 'link', 'set', 'in', 'mtu', '1400', 'address', '02:00:00:00:00:07')
    node.run('ip', 'addr', 'add', '192.0.2.7/24', 'dev', 'in')
    const list = async (): Promise<Listing> => {
      const {stdout} = await startAt(t, node, [bin, 'capture', '-D', '-o', 'json']).ended
      return JSON.parse(stdout.toString()) as Listing
    }
    const find = ({interfaces}: Listing): unknown => interfaces.find(({name}) => name === 'in')
    const facts = {
      name: 'in',
      up: true,
      link: 'ethernet',
      mtu: 1400,
      queues: 1,
      macAddress: '02:00:00:00:00:07',
      addresses: ['192.0.2.7/24'],
    }
    t.deepEqual(find(await list()), facts)
    node.run('ip', 'link', 'set', 'in', 'down')
    t.like(find(await list()), {up: false})
  },
)

needing(tools('setpriv'), openToAll())(
  'capture -D says which capability a backend lacks',
  async (t) => {
    const [setpriv, ...as] = asNobody()
    const words = [...as, bin, 'capture', '-D', '-o', 'json']
    const {stdout} = await start(t, setpriv, words).ended
    const {backends} = JSON.parse(stdout.toString()) as Listing
    const reason = (name: string): string | undefined =>
      backends.find((one) => one.name === name)?.reason
    t.is(reason('tpacket'), 'this process lacks CAP_NET_RAW')
    t.is(reason('af-xdp'), 'this process lacks CAP_NET_RAW, CAP_BPF, CAP_NET_ADMIN')
  },
)
