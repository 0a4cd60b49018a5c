import {detectFormat, formatByName} from '../../cli/find-format.js'
import {createCaptureReader, type Frame} from '../../metering/capture-file.js'
import {createPcapOutput} from '../../metering/pcap-output.js'
import {recordEnd, type RecordBatch, type RecordStream} from '../../record/batch.js'
import {DartaError} from '../../record/errors.js'
import type {Decoder} from '../../record/format.js'
import type {Ledger} from '../../record/ledger.js'
import {mergeLanes, type Item} from './merge-lanes.js'

/** The children's outputs as one: records, or the octets of one pcap file. */
export type Joined =
  | {readonly kind: 'records'; readonly records: RecordStream}
  | {readonly kind: 'capture'; readonly octets: AsyncIterable<readonly Uint8Array[]>}

/**
 * Merges the children's output streams: records in the order of their Messages' export times, packets of captures in the
 * order of their own. What the first child writes that writes anything is what all have to write.
 */
export async function joinEither(
  outputs: readonly AsyncIterable<Uint8Array>[],
  ledger: Ledger,
): Promise<Joined> {
  const opened = outputs.map((octets, i) => withHead(octets, `child ${i + 1}`))
  const head = await firstHead(opened.map((one) => one.head))
  const captures = head !== undefined && (await isCapture(head))
  if (captures) return {kind: 'capture', octets: joinCaptures(opened, ledger)}
  return {kind: 'records', records: joinRecords(opened, ledger)}
}

/** The same of children that all write records. */
export function joinOutputs(
  outputs: readonly AsyncIterable<Uint8Array>[],
  ledger: Ledger,
): RecordStream {
  return joinRecords(
    outputs.map((octets, i) => withHead(octets, `child ${i + 1}`)),
    ledger,
  )
}

interface Opened {
  readonly name: string
  /** The first octets; undefined: there are none. */
  readonly head: Promise<Uint8Array | undefined>
  readonly octets: AsyncIterable<Uint8Array>
}

function withHead(source: AsyncIterable<Uint8Array>, name: string): Opened {
  const chunks = source[Symbol.asyncIterator]()
  const next = async (): Promise<Uint8Array | undefined> => {
    for (;;) {
      const result = await chunks.next()
      if (result.done === true) return undefined
      if (result.value.length > 0) return result.value
    }
  }
  const head = next()
  // Who reads the octets gets the error.
  head.catch(() => {})
  async function* octets(): AsyncGenerator<Uint8Array> {
    for (let chunk = await head; chunk !== undefined; chunk = await next()) yield chunk
  }
  return {name, head, octets: octets()}
}

/** The first one that comes; undefined if none ever does. */
async function firstHead(
  heads: readonly Promise<Uint8Array | undefined>[],
): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    const all = heads.map((head) =>
      head.then(
        (octets) => {
          if (octets !== undefined) resolve(octets)
        },
        () => {},
      ),
    )
    void Promise.all(all).then(() => resolve(undefined))
  })
}

async function isCapture(head: Uint8Array): Promise<boolean> {
  return (await detectFormat(head))?.startsWith('pcap') === true
}

function joinRecords(opened: readonly Opened[], ledger: Ledger): RecordStream {
  const lanes = opened.map((one) => decode(one, ledger))
  const earlier = (a: RecordBatch, b: RecordBatch): boolean =>
    a.message.exportTime < b.message.exportTime
  return mergeLanes(lanes, earlier, ledger.stage('join', 'records'))
}

async function* decode(
  {name, octets}: Opened,
  ledger: Ledger,
): AsyncGenerator<Item<RecordBatch>[]> {
  let decoder: Decoder | undefined
  const items = (batches: readonly RecordBatch[]): Item<RecordBatch>[] =>
    batches.map((value) => {
      const size = value.count === 0 ? 0 : recordEnd(value, value.count - 1) - value.start
      return {value, octets: size, count: value.count}
    })
  for await (const chunk of octets) {
    if (decoder === undefined) {
      const format = await detectFormat(chunk)
      if (format === undefined || format.startsWith('pcap')) {
        throw new DartaError(
          'DARTA_FORMAT_UNKNOWN',
          `${name} writes neither IPFIX nor NDJSON: --join cannot merge it`,
          0,
        )
      }
      decoder = (await formatByName(format, '--join')).format.decoder!({ledger, source: name})
    }
    yield items(decoder.push(chunk))
  }
  if (decoder !== undefined) yield items(decoder.end())
}

async function* joinCaptures(
  opened: readonly Opened[],
  ledger: Ledger,
): AsyncGenerator<readonly Uint8Array[]> {
  const account = ledger.stage('join', 'packets')
  const clock = {ms: 0, ns: 0}
  const output = createPcapOutput(clock)
  const lanes = opened.map((one) => readFrames(one, (reason) => account.miss(reason)))
  const earlier = ({time: a}: Frame, {time: b}: Frame): boolean =>
    a.ms < b.ms || (a.ms === b.ms && a.ns < b.ns)
  for await (const frames of mergeLanes(lanes, earlier, account)) {
    for (const frame of frames) {
      clock.ms = Math.max(clock.ms, frame.time.ms)
      if (output.add(frame)) continue
      account.out--
      account.lose('link-type-differs')
    }
    yield output.take(false).map(({octets}) => octets)
  }
  output.finish(undefined)
  yield output.take(true).map(({octets}) => octets)
}

/** The frames of one child; what is cut off at its end never came. */
async function* readFrames(
  {name, octets}: Opened,
  missing: (reason: string) => void,
): AsyncGenerator<Item<Frame>[]> {
  let frames: Item<Frame>[] = []
  const reader = createCaptureReader({
    frame(frame) {
      // The reader uses its object and octets again.
      const size = frame.end - frame.start
      const value = {
        ...frame,
        octets: frame.octets.slice(frame.start, frame.end),
        start: 0,
        end: size,
        time: {...frame.time},
      }
      frames.push({value, octets: size + 128, count: 1})
    },
    lost: (reason) => missing(reason),
    full: () => false,
  })
  const take = (): Item<Frame>[] => {
    const taken = frames
    frames = []
    return taken
  }
  let begun = false
  for await (const chunk of octets) {
    if (!begun && !(await isCapture(chunk))) {
      throw new DartaError(
        'DARTA_FORMAT_UNKNOWN',
        `${name} writes no capture, as others do: --join cannot merge it`,
        0,
      )
    }
    begun = true
    reader.push(chunk)
    yield take()
  }
  if (begun) reader.finish()
  yield take()
}
