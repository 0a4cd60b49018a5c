import type {DartaCommand} from '../../cli/base-command.js'
import type {Place, Rotation} from '../../cli/rotation.js'
import type {OpenInput} from '../../io/open-input.js'
import {createCaptureReader, type Frame} from '../../metering/capture-file.js'
import type {Divider} from '../../metering/divider.js'
import {createPcapOutput, type PcapOutput} from '../../metering/pcap-output.js'
import type {StageLedger} from '../../record/ledger.js'
import {createCutting} from './cutting.js'
import {give, type Destination} from './destination.js'

const FILE_HEADER_OCTETS = 24
const RECORD_HEADER_OCTETS = 16

/** One part: frames wait in `steps` until there is time to write. */
interface Lane {
  readonly part: number
  destination: Destination | undefined
  output: PcapOutput
  /** Octets and frames of the file at hand. */
  octets: number
  frames: number
  startMs: number | undefined
  readonly steps: Step[]
}

type Step =
  | {readonly kind: 'octets'; readonly octets: Uint8Array; readonly count: number}
  | {readonly kind: 'place'; readonly place: Place}

export interface CaptureDivision {
  divide(input: OpenInput, command: DartaCommand): Promise<void>
  end(): Promise<void>
  abort(): Promise<void>
}

/**
 * Deals the frames of captures out to parts, each a nanosecond pcap or a series of them. Frames of another link type than
 * the first cannot be in the same pcap file: they are lost, and counted. A frame that is older than the period of the
 * file at hand goes there all the same, and is noted.
 *
 * @param open the destinations, which are opened at the start, or, where they have times in their names, with the first frame
 * @param numbered parts have numbers
 */
export async function captureDivision(
  divider: Divider,
  rotation: Rotation,
  numbered: boolean,
  open: (place: Place) => Promise<Destination>,
  account: StageLedger,
): Promise<CaptureDivision> {
  const clock = {ms: 0, ns: 0}
  const cutting = createCutting(rotation, numbered ? divider.parts : 0)
  const lanes: Lane[] = []
  for (let part = 0; part < divider.parts; part++) {
    const lane: Lane = {
      part,
      destination: undefined,
      output: createPcapOutput(clock),
      octets: FILE_HEADER_OCTETS,
      frames: 0,
      startMs: undefined,
      steps: [],
    }
    lanes.push(lane)
    if (rotation.periodMs !== undefined) continue
    try {
      lane.destination = await open(cutting.place(part, undefined))
    } catch (error) {
      await abort()
      throw error
    }
  }
  let linkType: number | undefined

  /** What is written from now on goes to the part's next file. */
  function begin(lane: Lane, startMs: number | undefined): void {
    const place = cutting.place(lane.part, startMs)
    if (place.file > 1) closeFile(lane)
    lane.output = createPcapOutput(clock)
    lane.octets = FILE_HEADER_OCTETS
    lane.frames = 0
    lane.startMs = startMs
    lane.steps.push({kind: 'place', place})
  }

  function closeFile(lane: Lane): void {
    lane.output.finish(linkType)
    collect(lane, true)
  }

  function collect(lane: Lane, all: boolean): void {
    for (const {octets, count} of lane.output.take(all)) {
      lane.steps.push({kind: 'octets', octets, count})
    }
  }

  async function move(all: boolean): Promise<void> {
    await Promise.all(
      lanes.map(async (lane) => {
        collect(lane, all)
        for (const step of lane.steps.splice(0)) {
          if (step.kind === 'octets') await write(lane.destination!, step.octets, step.count)
          else if (lane.destination === undefined) lane.destination = await open(step.place)
          else await lane.destination.next(step.place)
        }
      }),
    )
  }

  async function write(to: Destination, octets: Uint8Array, count: number): Promise<void> {
    const fate = await give(to, [octets], count, account)
    if (fate === 'again') await to.write([pcapHeader(linkType)])
  }

  function frame(given: Frame): void {
    account.in++
    linkType ??= given.linkType
    clock.ms = Math.max(clock.ms, given.time.ms)
    for (const start of cutting.at(given.time.ms)) for (const lane of lanes) begin(lane, start)
    const {linkType: type, originalLength} = given
    const captured = given.octets.subarray(given.start, given.end)
    const lane = lanes[divider.frame(captured, type, originalLength)]
    if (given.linkType !== linkType) {
      account.lose('link-type-differs', 1, given.offset)
      return
    }
    if (lane.startMs !== undefined && given.time.ms < lane.startMs) account.note('older-than-file')
    const octets = RECORD_HEADER_OCTETS + given.end - given.start
    if (
      rotation.octets !== undefined &&
      lane.octets + octets > rotation.octets &&
      lane.frames > 0
    ) {
      begin(lane, lane.startMs)
    }
    lane.octets += octets
    lane.frames++
    lane.output.add(given)
  }

  async function abort(): Promise<void> {
    await Promise.all(lanes.map(async ({destination}) => destination?.abort()))
  }

  return {
    async divide(input, command) {
      const reader = createCaptureReader({
        frame,
        lost(reason, offset) {
          account.in++
          account.lose(reason, 1, offset)
        },
        full: () => command.stopping.aborted,
      })
      for await (const chunk of input.octets) {
        reader.push(chunk)
        await move(input.progress.size === undefined)
        if (command.stopping.aborted) break
      }
      if (!command.stopping.aborted) reader.finish()
      linkType ??= reader.linkType()
      await move(false)
    },
    async end() {
      for (const lane of lanes) lane.output.finish(linkType)
      // Without any frame there is no time to name a file by.
      if (lanes.some(({destination, steps}) => destination !== undefined || steps.length > 0)) {
        await move(true)
      }
      await Promise.all(lanes.map(async ({destination}) => destination?.end()))
    },
    abort,
  }
}

/** The header of a pcap file of this link type, for a reader that begins anew. */
function pcapHeader(linkType: number | undefined): Uint8Array {
  const output = createPcapOutput({ms: 0, ns: 0})
  output.finish(linkType)
  return output.take(true)[0].octets
}
