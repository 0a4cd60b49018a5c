// Ends with 0 when the servers of a cluster can keep three copies, with 1 where they do not come to that in 10 s.
//
//   node formed.js URL
import {patiently} from '../../src/engine/engine.js'
import {connectNats} from '../../src/engine/nats.js'

const engine = await connectNats({url: process.argv[2], maxOctets: 1000})
await patiently(engine, () => engine.declare('formed', 1, []), 10_000)
await engine.drop('formed', [])
await engine.close()
