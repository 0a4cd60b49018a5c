/** Three NATS servers on hosts of their own, and more hosts on the same network whose links can be cut. */
import {execFileSync} from 'node:child_process'
import {mkdirSync, rmSync, writeFileSync} from 'node:fs'
import {homedir} from 'node:os'
import {join} from 'node:path'
import type {ExecutionContext} from 'ava'
import {folder, type Running} from '../support/darta.js'
import {root} from '../support/needing.js'
import {cable, host, noNamespaces, startAt, type Host} from '../support/namespaces.js'
import type {Proxy} from './nats-proxy.js'

const {env} = process
const cache =
  env.DARTA_NATS_CACHE ?? join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'darta-nats')
/** Servers before that may lose messages in clusters. */
const LEAST = [2, 10, 23]

/** The path of a server that is safe in clusters: the system's, or the one that scripts/nats-server.sh keeps. */
export const safeServer: string | undefined = [
  'nats-server',
  '/usr/sbin/nats-server',
  join(cache, 'nats-server'),
].find((path) => {
  try {
    const words = execFileSync(path, ['--version'], {encoding: 'utf8'})
    const numbers = (/v(\d+)\.(\d+)\.(\d+)/.exec(words) ?? []).slice(1).map(Number)
    const first = LEAST.findIndex((least, i) => numbers[i] !== least)
    return first < 0 || numbers[first] > LEAST[first]
  } catch {
    return false
  }
})

/** Why tests with a cluster cannot run here. */
export const noCluster =
  noNamespaces ??
  (safeServer === undefined
    ? `no nats-server ${LEAST.join('.')} (scripts/nats-server.sh)`
    : undefined)

/** Where programs run that use an engine. */
export interface Place {
  /** Of the engine, as it is reached from here. */
  readonly url: string
  start(words: readonly string[]): Running
  /** Nothing comes or goes any more, and nobody is told. */
  cut(): void
  mend(): void
  /** What is between here and the engine, where something is. */
  readonly proxy?: Proxy
}

export interface Server extends Pick<Place, 'cut' | 'mend'> {
  readonly name: string
  /** Starts it, also again, with what it had stored. */
  start(): Promise<void>
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
}

/** Servers of an engine and places that reach them. */
export interface Site {
  readonly servers: readonly Server[]
  /** Of a topic, at most; 8 unless said otherwise. */
  readonly parts?: number
  /** Another host on the network. */
  place(): Place
}

interface Attached extends Pick<Place, 'cut' | 'mend'> {
  readonly host: Host
  readonly address: string
}

const PORT = 4222
const FORMED = join(root, 'build/test/engine/formed.js')

export async function natsCluster(t: ExecutionContext): Promise<Site> {
  const center = host(t)
  center.run('ip', 'link', 'add', 'name', 'net', 'type', 'bridge')
  center.run('ip', 'link', 'set', 'net', 'up', 'multicast', 'off')
  let places = 0
  const attach = (): Attached => {
    const at = host(t)
    const number = ++places
    const port = `p${number}`
    cable(at, 'eth', center, port)
    center.run('ip', 'link', 'set', port, 'master', 'net')
    at.run('ip', 'link', 'set', 'eth', 'arp', 'on')
    const address = `10.98.0.${number}`
    at.run('ip', 'addr', 'add', `${address}/24`, 'dev', 'eth')
    // Out of the bridge: the port's own link stays up, as it does where a cable is cut further away.
    return {
      host: at,
      address,
      cut: () => void center.run('ip', 'link', 'set', port, 'nomaster'),
      mend: () => void center.run('ip', 'link', 'set', port, 'master', 'net'),
    }
  }
  const path = folder(t)
  const where = [attach(), attach(), attach()]
  const routes = where.map(({address}) => `nats://${address}:6222`).join(', ')
  const servers = where.map((at, i): Server => {
    const name = `n${i + 1}`
    const store = join(path, name)
    mkdirSync(store)
    const file = join(path, `${name}.conf`)
    writeFileSync(
      file,
      `server_name: ${name}\nlisten: "${at.address}:${PORT}"\n` +
        `jetstream { store_dir: "${store}", max_mem: 256M, max_file: 4G }\n` +
        `cluster { name: lab, listen: "${at.address}:6222", routes: [${routes}] }\n`,
    )
    let running: Running | undefined
    return {
      ...at,
      name,
      async start() {
        running = startAt(t, at.host, [safeServer!, '-c', file])
        await running.says(/Server is ready/)
      },
      async kill() {
        running?.child.kill('SIGKILL')
        await running?.ended
      },
    }
  })
  const url = `nats://${where.map(({address}) => `${address}:${PORT}`).join(',')}`
  for (let tries = 0; ; tries++) {
    for (const server of servers) await server.start()
    // Servers of 2.10 that dial each other at the same moment may never agree who leads them.
    const formed = startAt(t, where[0].host, [process.execPath, FORMED, url])
    const {code, stderr} = await formed.ended
    if (code === 0) break
    if (tries === 2) throw new Error(stderr)
    for (const server of servers) {
      await server.kill()
      rmSync(join(path, server.name), {recursive: true})
      mkdirSync(join(path, server.name))
    }
  }
  const place = (): Place => {
    const at = attach()
    return {...at, url, start: (words) => startAt(t, at.host, words)}
  }
  return {servers, place}
}
