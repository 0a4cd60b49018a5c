import test from 'ava'
import {createHook, openApi, type HookAnswer, type HookUnit} from '../../src/presentation/hook.js'

const unit: HookUnit = {id: 'a-1', weight: 1, parts: [0, 2], analysed: 7, late: 0, lost: 0}
const hook = createHook({
  apps: async () => [{app: 'scan', words: ['scan'], parts: 4}],
  units: async (app) => (app === 'scan' ? [unit] : undefined),
  results: async (app) =>
    app === 'scan'
      ? (async function* () {
          yield '{"a":1}\n'
          yield '{"a":2}\n'
        })()
      : undefined,
})

async function ask(path: string, method = 'GET'): Promise<HookAnswer & {text: string}> {
  const answer = await hook(method, path, new AbortController().signal)
  let text = ''
  if (typeof answer.body === 'string') text = answer.body
  else for await (const part of answer.body) text += part
  return {...answer, text}
}

test('applications, their units and one unit are JSON', async (t) => {
  t.deepEqual(JSON.parse((await ask('/v1/apps')).text), [{app: 'scan', words: ['scan'], parts: 4}])
  t.deepEqual(JSON.parse((await ask('/v1/apps/scan/units')).text), [unit])
  t.deepEqual(JSON.parse((await ask('/v1/apps/scan/units/a-1')).text), unit)
})

test('results are NDJSON, or events with an end', async (t) => {
  t.is((await ask('/v1/apps/scan/results')).text, '{"a":1}\n{"a":2}\n')
  const {type, text} = await ask('/v1/apps/scan/events')
  t.is(type, 'text/event-stream')
  t.is(
    text,
    'id: 1\nevent: result\ndata: {"a":1}\n\nid: 2\nevent: result\ndata: {"a":2}\n\nevent: end\ndata: {}\n\n',
  )
})

for (const path of [
  '/',
  '/v2/apps',
  '/v1/x',
  '/v1/apps/none/units',
  '/v1/apps/scan/units/b',
  '/v1/apps/scan/x',
  '/v1/apps/none/results',
  '/v1/apps/scan/units/a-1/x',
]) {
  test(`${path} is not there`, async (t) => {
    const {status, text} = await ask(path)
    t.is(status, 404)
    t.is(typeof (JSON.parse(text) as {message: unknown}).message, 'string')
  })
}

test('only GET is understood', async (t) => {
  t.is((await ask('/v1/apps', 'POST')).status, 405)
})

test('every path of the description answers', async (t) => {
  for (const path of Object.keys(openApi.paths)) {
    const {status} = await ask(path.replace('{app}', 'scan').replace('{id}', 'a-1'))
    t.is(status, 200, path)
  }
})
