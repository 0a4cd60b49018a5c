import type {ExecutionContext} from 'ava'
import {start} from '../support/darta.js'
import type {Site} from './nats-cluster.js'
import {mockKafka} from './served.js'

/** kcat's three brokers on loopback, in a process that keeps all in memory: in the place of dying it stands still. */
export async function kafkaSite(t: ExecutionContext): Promise<Site> {
  const {url, mock} = await mockKafka(t)
  const still = {cut() {}, mend() {}}
  return {
    parts: 4,
    servers: [
      {
        ...{name: 'kafka', ...still},
        async start() {
          mock.child.kill('SIGCONT')
        },
        async kill() {
          mock.child.kill('SIGSTOP')
        },
      },
    ],
    place: () => ({url, ...still, start: ([program, ...args]) => start(t, program, args)}),
  }
}
