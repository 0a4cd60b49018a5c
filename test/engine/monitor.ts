// Tells again and again how many records the units of an application have taken: a line of `MS COUNT` each.
//
//   node monitor.js URL APP
import {setTimeout as sleep} from 'node:timers/promises'
import {readJson, type Engine} from '../../src/engine/engine.js'
import {connectNats} from '../../src/engine/nats.js'
import {bucketOf, type Progress} from '../../src/engine/task.js'

const [url, app] = process.argv.slice(2)
let engine: Engine | undefined
for (;;) {
  try {
    engine ??= await connectNats({url, maxOctets: 1, answerMs: 1000})
    const at = engine
    const bucket = bucketOf.progress(app)
    const stored = await Promise.all((await engine.keys(bucket)).map((key) => at.get(bucket, key)))
    const taken = stored
      .flatMap((one) =>
        one === undefined ? [] : Object.values((readJson(one.value) as Progress).taken),
      )
      .reduce((a, b) => a + b, 0)
    process.stdout.write(`${Date.now()} ${taken}\n`)
  } catch {
    // While a server is gone nobody can say.
  }
  await sleep(100)
}
