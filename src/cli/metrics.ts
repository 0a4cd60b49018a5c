import {createServer} from 'node:http'
import {chmodSync} from 'node:fs'
import type {AddressInfo} from 'node:net'
import {hostAndPort, parseEndpoint, type Endpoint} from '../io/endpoint.js'
import {systemWords} from '../io/errors.js'
import {DartaError} from '../record/errors.js'
import type {Ledger, StageLedger} from '../record/ledger.js'

/**
 * Reads `[HOST:]PORT` or `unix:PATH`; without a host only this machine is served.
 *
 * @throws DartaError DARTA_USAGE
 */
export function parseMetricsAddress(input: string): Endpoint {
  if (input.startsWith('unix:')) return parseEndpoint(input, {role: 'listen', transports: ['unix']})
  const address = /^\d+$/.test(input) ? `127.0.0.1:${input}` : input
  try {
    const endpoint = parseEndpoint(`tcp://${address}`, {role: 'listen', transports: ['tcp']})
    // A port has to be given: none is registered for this.
    if (/:\d+$/.test(address)) return endpoint
  } catch {
    // Told below, in the words of this flag.
  }
  throw new DartaError('DARTA_USAGE', `expected [HOST:]PORT or unix:PATH, not '${input}'`)
}

export interface MetricsServer {
  /** Where it answers, for people. */
  readonly name: string
  close(): void
}

/**
 * Serves the ledger at `/metrics` in the text format of Prometheus. It keeps no process alive.
 *
 * @throws DartaError DARTA_LISTEN
 */
export async function serveMetrics(
  endpoint: Endpoint,
  command: string,
  ledger: Ledger,
): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0]
    if (path !== '/metrics') {
      response.writeHead(404, {'content-type': 'text/plain'}).end('there is only /metrics\n')
      return
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, {allow: 'GET, HEAD'}).end()
      return
    }
    const text = metricsText(command, ledger)
    response.writeHead(200, {
      'content-type': 'text/plain; version=0.0.4; charset=utf-8',
      'content-length': Buffer.byteLength(text),
    })
    response.end(request.method === 'HEAD' ? undefined : text)
  })
  // Whoever connects and says nothing, or never stops, does not stay.
  server.headersTimeout = 5000
  server.requestTimeout = 5000
  server.maxConnections = 64
  const {host, port} = endpoint.transport === 'unix' ? {host: '', port: 0} : endpoint
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const words = `cannot serve metrics on ${endpoint.name}: ${systemWords(error)}`
      reject(new DartaError('DARTA_LISTEN', words, undefined, error))
    })
    if (endpoint.transport === 'unix') server.listen(endpoint.path, resolve)
    else server.listen(port, host === '*' ? undefined : host || '127.0.0.1', resolve)
  })
  server.unref()
  const close = (): void => {
    server.close()
    server.closeAllConnections()
  }
  if (endpoint.transport === 'unix') {
    chmodSync(endpoint.path, 0o600)
    return {name: endpoint.name, close}
  }
  const bound = server.address() as AddressInfo
  const name = `http://${hostAndPort(bound.address, bound.port)}/metrics`
  return {name, close}
}

/** One line of a metric. */
type Sample = readonly [labels: Readonly<Record<string, string>>, value: number]

/** The ledger as metrics. What is in, out, skipped, lost and noted only grows; what is missing may turn up late. */
export function metricsText(command: string, ledger: Ledger): string {
  for (const {update} of ledger.stages) update?.()
  const lines: string[] = []
  const metric = (
    name: string,
    type: 'counter' | 'gauge',
    help: string,
    samples: readonly Sample[],
  ): void => {
    if (samples.length === 0) return
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
    for (const [labels, value] of samples) lines.push(`${name}${labelText(labels)} ${value}`)
  }
  const of = (stage: StageLedger): Record<string, string> => ({
    command,
    stage: stage.stage,
    unit: stage.unit,
  })
  const all = (value: (stage: StageLedger) => number): Sample[] =>
    ledger.stages.map((stage) => [of(stage), value(stage)])
  const byReason = (kind: 'skipped' | 'lost' | 'missing' | 'noted'): Sample[] =>
    ledger.stages.flatMap((stage) =>
      [...stage[kind]].map(([reason, n]): Sample => [{...of(stage), reason}, n]),
    )
  metric(
    'darta_in_total',
    'counter',
    'Units that came into a stage.',
    all((s) => s.in),
  )
  metric(
    'darta_out_total',
    'counter',
    'Units that went out of a stage.',
    all((s) => s.out),
  )
  metric('darta_held', 'gauge', 'Units that a stage holds.', all(held))
  metric(
    'darta_skipped_total',
    'counter',
    'Units that a stage left out, which is part of its job.',
    byReason('skipped'),
  )
  metric('darta_lost_total', 'counter', 'Units that a stage lost.', byReason('lost'))
  metric(
    'darta_missing',
    'gauge',
    'Units that never came, as sequence numbers and drop counters tell.',
    byReason('missing'),
  )
  metric('darta_noted_total', 'counter', 'Events that cost no unit.', byReason('noted'))
  const {rss} = process.memoryUsage()
  const {user, system} = process.cpuUsage()
  metric('process_resident_memory_bytes', 'gauge', 'Resident memory in octets.', [[{}, rss]])
  metric('process_cpu_seconds_total', 'counter', 'User and system time.', [
    [{}, (user + system) / 1e6],
  ])
  metric('process_start_time_seconds', 'gauge', 'When the process began, since 1970.', [
    [{}, Math.round(performance.timeOrigin) / 1000],
  ])
  return `${lines.join('\n')}\n`
}

function held(stage: StageLedger): number {
  const sum = (counts: ReadonlyMap<string, number>): number => {
    let n = 0
    for (const value of counts.values()) n += value
    return n
  }
  return stage.in - stage.out - sum(stage.skipped) - sum(stage.lost)
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) =>
      `${name}="${value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`,
  )
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}
