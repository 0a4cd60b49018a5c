/** One NATS server on loopback, and places that reach it through a proxy each. */
import {join} from 'node:path'
import type {ExecutionContext} from 'ava'
import {folder, start, type Running} from '../support/darta.js'
import {freePort} from '../support/free-port.js'
import type {Site} from './nats-cluster.js'
import {natsProxy} from './nats-proxy.js'

export const natsPath = {...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin`}

export async function natsServer(t: ExecutionContext, next: () => number): Promise<Site> {
  const port = await freePort()
  const store = join(folder(t), 'store')
  const words = ['-js', '-a', '127.0.0.1', '-p', String(port), '-sd', store]
  let running: Running
  const server = {
    name: 'nats',
    async start() {
      running = start(t, 'nats-server', words, {env: natsPath})
      await running.says(/Server is ready/)
    },
    async kill() {
      running.child.kill('SIGKILL')
      await running.ended
    },
    cut() {},
    mend() {},
  }
  await server.start()
  const proxies = [await natsProxy(t, port, next)]
  // Places are asked for at once, so proxies are made before.
  while (proxies.length < PLACES) proxies.push(await natsProxy(t, port, next))
  return {
    servers: [server],
    place: () => {
      const proxy = proxies.shift()
      if (proxy === undefined) throw new Error(`there are ${PLACES} places`)
      return {
        url: `nats://127.0.0.1:${proxy.port}`,
        proxy,
        start: ([program, ...args]) => start(t, program, args),
        cut: () => proxy.stall(),
        mend: () => proxy.go(),
      }
    },
  }
}

const PLACES = 8
