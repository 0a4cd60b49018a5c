// One thread of a campaign: runs cases one after another and tells the run under way through shared memory, so that
// the main thread knows which one hangs.
import {setFlagsFromString} from 'node:v8'
import {runInNewContext} from 'node:vm'
import {parentPort, workerData} from 'node:worker_threads'
import {createRandom} from './random.mjs'
import {absence, targets} from './targets.mjs'

const {target: name, seed, from, shared} = workerData
/** CPU milliseconds that one unit (Message, line …) may take. */
const MOST_MS = 50
/** Octets by which the heap may grow over a whole campaign. */
const MOST_GROWTH = 32 * 2 ** 20

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc')
const progress = new Float64Array(shared)
const target = await targets[name]()
const absent = target.seeds.length === 0 ? absence() : undefined

const runs = absent === undefined ? workerData.runs : 0

/** CPU milliseconds of this thread that `fn` took. */
function timed(fn) {
  const before = process.threadCpuUsage()
  fn()
  const {user, system} = process.threadCpuUsage(before)
  return (user + system) / 1000
}

function oneCase(run) {
  const random = createRandom(seed, run)
  const octets = target.mutate(random, random.of(target.seeds), target.seeds)
  return {octets, read: () => target.run(createRandom(seed ^ 0x5bd1e995, run), octets)}
}

gc()
const heapBefore = process.memoryUsage().heapUsed
let heapMost = heapBefore
const slow = {ms: 0, run: -1}
for (let run = from; run < from + runs; run++) {
  progress[0] = run
  progress[1] = performance.timeOrigin + performance.now()
  const {octets, read} = oneCase(run)
  try {
    let ms = timed(read) / target.units(octets)
    // A machine that other work slows down, or a collection of garbage, is no fault: only what is slow each time counts.
    for (let again = 0; again < 3 && ms > MOST_MS; again++) {
      ms = Math.min(ms, timed(read) / target.units(octets))
    }
    if (ms > slow.ms) Object.assign(slow, {ms, run})
    if (ms > MOST_MS)
      throw new Error(`broken promise: ${ms.toFixed(0)} ms of CPU time for one unit`)
  } catch (error) {
    parentPort.postMessage({failed: run, octets, error: error.stack})
  }
  if ((run - from) % 20000 === 19999) {
    gc()
    heapMost = Math.max(heapMost, process.memoryUsage().heapUsed)
  }
  if ((run - from) % 256 === 255) {
    parentPort.postMessage({done: run + 1})
    // Messages go out only between turns.
    await new Promise((resolve) => setImmediate(resolve))
  }
}
gc()
heapMost = Math.max(heapMost, process.memoryUsage().heapUsed)
if (heapMost - heapBefore > MOST_GROWTH) {
  const grown = ((heapMost - heapBefore) / 2 ** 20).toFixed(0)
  parentPort.postMessage({
    failed: from + runs - 1,
    error: `broken promise: the heap grew by ${grown} MiB`,
  })
}
parentPort.postMessage(
  absent === undefined
    ? {done: from + runs, slow, grown: heapMost - heapBefore}
    : {done: from, leftOut: absent},
)
