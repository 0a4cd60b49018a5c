import {createServer, type Server} from 'node:http'
import {once} from 'node:events'
import type {AddressInfo} from 'node:net'
import type {DartaCommand} from '../../cli/base-command.js'
import {deployedApps, deployedNames} from '../../engine/apps.js'
import type {Engine} from '../../engine/engine.js'
import {followResults} from '../../engine/results.js'
import {readMembers} from '../../engine/member.js'
import ndjson from '../../formats/ndjson.js'
import {hostAndPort, parseEndpoint} from '../../io/endpoint.js'
import {createDecoder} from '../../ipfix/decoder.js'
import {createHook, type HookSource} from '../../presentation/hook.js'
import {DartaError} from '../../record/errors.js'
import {Ledger} from '../../record/ledger.js'

/** Serves the presentation hook of all that an engine knows, until the command is stopped. */
export async function serveHook(command: DartaCommand, engine: Engine, at: string): Promise<void> {
  const endpoint = parseEndpoint(`tcp://${at}`, {role: 'listen', transports: ['tcp']})
  if (endpoint.transport === 'unix') return
  const hook = createHook(sourceOf(engine))
  const server: Server = createServer((request, response) => {
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    const stopping = AbortSignal.any([gone.signal, command.stopping])
    void (async () => {
      const {status, type, body} = await hook(request.method ?? '', request.url ?? '', stopping)
      response.writeHead(status, {
        'content-type': type,
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
      })
      if (typeof body === 'string') return void response.end(body)
      for await (const part of body) {
        if (!response.write(part)) await once(response, 'drain', {signal: stopping})
      }
      response.end()
    })().catch((error: unknown) => {
      if (!stopping.aborted) command.report(error)
      response.destroy()
    })
  })
  // Whoever may see results is for a proxy in front to decide: loopback unless an address is given.
  server.listen(endpoint.port, endpoint.host === '' ? '127.0.0.1' : endpoint.host)
  await Promise.race([
    once(server, 'listening'),
    once(server, 'error').then(([error]: Error[]) => {
      throw new DartaError('DARTA_USAGE', `--hook ${at}: ${error.message}`)
    }),
  ])
  const {address, port} = server.address() as AddressInfo
  command.note(`http://${hostAndPort(address, port)}/v1/openapi.json`)
  await new Promise<void>((resolve) => {
    if (command.stopping.aborted) resolve()
    command.onStop(resolve)
  })
  server.close()
  server.closeAllConnections()
}

function sourceOf(engine: Engine): HookSource {
  const isThere = async (app: string): Promise<boolean> =>
    (await deployedNames(engine)).includes(app)
  return {
    async apps() {
      return (await deployedApps(engine)).map(({app, words, parts}) => ({app, words, parts}))
    },
    async units(app) {
      if (!(await isThere(app))) return undefined
      return (await readMembers(engine, app)).map(({id, weight, parts, counters}) => {
        const {analysed, late, lost} = counters
        return {id, weight, parts: Object.keys(parts).map(Number), analysed, late, lost}
      })
    },
    async results(app, stopping) {
      return (await isThere(app)) ? resultLines(engine, app, stopping) : undefined
    },
  }
}

async function* resultLines(
  engine: Engine,
  app: string,
  stopping: AbortSignal,
): AsyncGenerator<string> {
  const utf8 = new TextDecoder()
  const decoderOf = (ledger: Ledger) => createDecoder({ledger, source: 'engine'})
  for await (const batches of followResults(engine, app, decoderOf, stopping)) {
    const encoder = ndjson.encoder!({ledger: new Ledger(), options: {}})
    const chunks = [...encoder.push(batches), ...encoder.end()]
    const lines = chunks.map((chunk) => utf8.decode(chunk, {stream: true})).join('')
    for (const line of lines.split('\n')) if (line !== '') yield `${line}\n`
  }
}
