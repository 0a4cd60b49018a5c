/** What a presentation asks of Processing Units, wherever they are. */
export interface HookSource {
  /** Applications that run. */
  apps(): Promise<readonly HookApp[]>
  /** Units of an application; undefined: there is no such application. */
  units(app: string): Promise<readonly HookUnit[] | undefined>
  /** Results as lines of NDJSON, those that are there first; undefined: there is no such application. */
  results(app: string, stopping: AbortSignal): Promise<AsyncIterable<string> | undefined>
}

export interface HookApp {
  readonly app: string
  readonly words: readonly string[]
  readonly parts: number
}

export interface HookUnit {
  readonly id: string
  readonly weight: number
  /** Numbers of the parts that it has. */
  readonly parts: readonly number[]
  readonly analysed: number
  readonly late: number
  readonly lost: number
}

export interface HookAnswer {
  readonly status: 200 | 404 | 405
  readonly type: string
  readonly body: string | AsyncIterable<string>
}

/** Answers one request; `stopping` ends answers that go on for ever. */
export type Hook = (method: string, path: string, stopping: AbortSignal) => Promise<HookAnswer>

const JSON_TYPE = 'application/json'

/**
 * The interface of presentations: what is known of units, and their results, once or as they come (server-sent events). Every
 * page and program that shows results uses this and nothing else; `/v1/openapi.json` describes it.
 */
export function createHook(source: HookSource): Hook {
  return async (method, path, stopping) => {
    if (method !== 'GET') return failure(405, `${method} is not understood: GET is`)
    const [version, kind, name, what, unit, ...others] = path
      .replace(/\?.*$/s, '')
      .split('/')
      .slice(1)
    if (version !== 'v1' || others.length > 0) return failure(404, 'all paths begin with /v1/')
    if (kind === 'openapi.json' && name === undefined) return answer(openApi)
    if (kind !== 'apps') return failure(404, 'there are /v1/apps and /v1/openapi.json')
    if (name === undefined) return answer(await source.apps())
    if (what === 'units') return unitsAnswer(source, name, unit)
    if (what !== 'results' && what !== 'events') {
      return failure(404, 'of an application there are units, results and events')
    }
    const lines = await source.results(name, stopping)
    if (lines === undefined) return failure(404, 'no such application')
    if (what === 'results') return {status: 200, type: 'application/x-ndjson', body: lines}
    return {status: 200, type: 'text/event-stream', body: events(lines)}
  }
}

async function unitsAnswer(
  source: HookSource,
  app: string,
  id: string | undefined,
): Promise<HookAnswer> {
  const units = await source.units(app)
  if (units === undefined) return failure(404, 'no such application')
  if (id === undefined) return answer(units)
  const unit = units.find((one) => one.id === id)
  return unit === undefined ? failure(404, 'no such unit') : answer(unit)
}

async function* events(lines: AsyncIterable<string>): AsyncGenerator<string> {
  let id = 0
  for await (const line of lines) yield `id: ${++id}\nevent: result\ndata: ${line.trimEnd()}\n\n`
  yield 'event: end\ndata: {}\n\n'
}

function answer(value: unknown): HookAnswer {
  return {status: 200, type: JSON_TYPE, body: `${JSON.stringify(value)}\n`}
}

function failure(status: 404 | 405, message: string): HookAnswer {
  return {status, type: JSON_TYPE, body: `${JSON.stringify({message})}\n`}
}

const appParameter = {name: 'app', in: 'path', required: true, schema: {type: 'string'}}
const text = {type: 'string'}
const count = {type: 'integer', minimum: 0}
const unitSchema = {
  type: 'object',
  properties: {
    id: text,
    weight: {type: 'number'},
    parts: {type: 'array', items: count, description: 'Parts of the log that the unit has'},
    analysed: count,
    late: count,
    lost: count,
  },
}

function get(summary: string, type: string, schema: unknown, parameters: unknown[] = []): unknown {
  const responses = {
    200: {description: summary, content: {[type]: {schema}}},
    404: {description: 'There is none'},
  }
  return {get: {summary, parameters, responses}}
}

/** OpenAPI 3.1 of the above. */
export const openApi = {
  openapi: '3.1.0',
  info: {title: 'darta presentation hook', version: '1'},
  paths: {
    '/v1/apps': get('Applications that run', JSON_TYPE, {
      type: 'array',
      items: {
        type: 'object',
        properties: {app: text, words: {type: 'array', items: text}, parts: count},
      },
    }),
    '/v1/apps/{app}/units': get(
      'Processing Units of an application',
      JSON_TYPE,
      {type: 'array', items: unitSchema},
      [appParameter],
    ),
    '/v1/apps/{app}/units/{id}': get('One Processing Unit as it is now', JSON_TYPE, unitSchema, [
      appParameter,
      {name: 'id', in: 'path', required: true, schema: text},
    ]),
    '/v1/apps/{app}/results': get(
      'Results, a record a line, until the application ends',
      'application/x-ndjson',
      text,
      [appParameter],
    ),
    '/v1/apps/{app}/events': get(
      'Results as server-sent events: `result` with a record each, then `end`',
      'text/event-stream',
      text,
      [appParameter],
    ),
    '/v1/openapi.json': get('This description', JSON_TYPE, {type: 'object'}),
  },
}
