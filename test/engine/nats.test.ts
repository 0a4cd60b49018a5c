import {darta, start} from '../support/darta.js'
import {freePort} from '../support/free-port.js'
import {needing, optionalPackage, tools} from '../support/needing.js'

const real = needing(tools('nats-server'), optionalPackage('nats'))

real('keys are not split for applications that cannot merge what units know of them', async (t) => {
  const engine = ['--engine', `nats://127.0.0.1:${await freePort()}`, '--split-hot']
  for (const app of [
    ['--app', 'delay'],
    ['--key', 'srcip', '--name', 'mine'],
  ]) {
    const {code, stderr} = await darta(t, ['route', ...app, ...engine])
    t.is(code, 2)
    t.regex(stderr, /--split-hot: (delay|mine) has to have all records of a key in one unit/)
  }
})

real('a server without JetStream is told so', async (t) => {
  const port = await freePort()
  const env = {...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin`}
  const server = start(t, 'nats-server', ['-a', '127.0.0.1', '-p', String(port)], {env})
  await server.says(/Server is ready/)
  const {code, stderr} = await darta(t, [
    'route',
    '--engine',
    `nats://127.0.0.1:${port}`,
    '--status',
  ])
  t.is(code, 1)
  t.regex(stderr, /JetStream/)
})
