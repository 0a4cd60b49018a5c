import {createSocket, type RemoteInfo} from 'node:dgram'
import {once} from 'node:events'
import type {ExecutionContext} from 'ava'
import {bin, start} from '../../support/darta.js'
import {needing} from '../../support/needing.js'
import {createRandom} from '../../support/random.js'
import {secretFile, snmpd, startSnmpd} from '../../support/snmpd.js'

/** Passes requests on to an agent, and damages two of three of its answers. */
async function damaging(t: ExecutionContext, agent: number, seed: number): Promise<number> {
  const [front, back] = [createSocket('udp4'), createSocket('udp4')]
  t.teardown(() => {
    front.close()
    back.close()
  })
  const below = createRandom(seed)
  let client: RemoteInfo | undefined
  front.on('message', (request, sender) => {
    client = sender
    back.send(request, agent, '127.0.0.1')
  })
  back.on('message', (answer) => {
    const octets = Buffer.from(answer)
    if (below(3) > 0) {
      for (let i = below(3); i >= 0; i--) octets[below(octets.length)] = below(256)
    }
    const out = below(10) === 0 ? octets.subarray(0, below(octets.length)) : octets
    if (client !== undefined) front.send(out, client.port, client.address)
  })
  front.bind(0, '127.0.0.1')
  await once(front, 'listening')
  return front.address().port
}

for (const [what, user, seed] of [
  ['SNMPv2c', '', 1],
  ['SNMPv3', '&user=alice', 2],
] as const) {
  needing(...snmpd)(`damaged answers by ${what} are lost, counted, and end nothing`, async (t) => {
    const agent = await startSnmpd(t)
    const port = await damaging(t, agent.port, seed)
    const options = 'interval=100ms&polls=20&timeout=20ms&retries=0&interfaces&object=1.3.6.1.2.1.1'
    const url = `snmp://127.0.0.1:${port}?secret-file=${secretFile(t)}&${options}${user}`
    const {ended} = start(t, bin, ['collect', url, '-o', 'null'])
    const {code, stderr} = await ended
    t.is(code, 0, stderr)
    const [, asked, answered, lost] =
      /snmp-requests: (\d+) messages in, (\d+) out, lost (\d+)/.exec(stderr)!
    t.is(Number(asked), Number(answered) + Number(lost), stderr)
    t.true(Number(asked) >= 20)
    t.notRegex(stderr, /INTERNAL/)
  })
}
