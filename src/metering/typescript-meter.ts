import {DartaError} from '../record/errors.js'
import {createFrameAccount} from './account.js'
import {
  createCaptureReader,
  type CaptureReader,
  type CaptureSink,
  type Frame,
} from './capture-file.js'
import {emitFlows, emitPackets, emitPcap, type Emitter} from './emitters.js'
import {createFlowWriter} from './flow-record.js'
import {createFlowTable, type FlowTable} from './flow-table.js'
import {createDivider} from './divider.js'
import type {Meter, MeterOptions, MeterShare} from './meter.js'
import {createRecordOutput} from './output.js'
import {createPcapOutput} from './pcap-output.js'

/**
 * The Metering Process in TypeScript: what the C++ one is held against, and what runs where that one
 * is not built. docs/METERING.md says what it does.
 */
export function createTypescriptMeter(options: MeterOptions): Meter {
  const {maxFrames} = options
  const account = createFrameAccount()
  let inputOctets = 0
  let flowsExported = 0
  let table: FlowTable | undefined
  /** The capture being read; undefined between two. */
  let reader: CaptureReader | undefined
  /** Of the first capture that said. */
  let linkType: number | undefined
  let begun = false
  /** This capture cannot be read on, or nothing can be metered any more. */
  let broken: 'capture' | 'meter' | undefined

  const isFull = (): boolean => maxFrames > 0 && account.frames() >= maxFrames
  const emitter = createEmitter()
  const isOurs = options.share === undefined ? () => true : shareTest(options.share)
  const sink: CaptureSink = {
    frame(frame) {
      if (!isOurs(frame)) {
        account.leave()
        return
      }
      account.begin(frame)
      emitter.frame(frame)
    },
    lost: (reason, offset, octets) => account.loseUnread(reason, offset, octets),
    full: isFull,
  }

  function createEmitter(): Emitter {
    const {clock} = account
    if (options.emit === 'pcap') {
      return emitPcap(account, createPcapOutput(clock), () => linkType)
    }
    const output = createRecordOutput(clock)
    if (options.emit === 'packets') return emitPackets(options, account, output)
    const writers = [createFlowWriter(options.fields.v4), createFlowWriter(options.fields.v6)]
    table = createFlowTable(options, clock, (flow, reason) => {
      const template = flow.first.version === 4 ? 0 : 1
      const writer = writers[template]
      writer.write(output.reserve(template, writer.octets), flow, reason)
      flowsExported++
    })
    return emitFlows(options, account, output, table)
  }

  /** Lets the reader work; after an error it is given up, and what was metered stays. */
  function read(step: (reader: CaptureReader) => void): void {
    begun = true
    reader ??= createCaptureReader(sink)
    try {
      step(reader)
    } catch (error) {
      reader = undefined
      const ofCapture = error instanceof DartaError && error.code === 'DARTA_CAPTURE_FORMAT'
      broken = ofCapture ? 'capture' : 'meter'
      throw error
    }
    linkType ??= reader.linkType()
  }

  function endCapture(): void {
    if (!isFull() && broken === undefined) read((r) => r.finish())
    if (broken === 'capture') broken = undefined
    reader = undefined
  }

  return {
    push(octets) {
      if (isFull() || broken !== undefined) return []
      inputOctets += octets.length
      read((r) => r.push(octets))
      return emitter.take(false)
    },
    endCapture,
    full: isFull,
    finish() {
      if (reader !== undefined || !begun) endCapture()
      emitter.finish()
      return emitter.take(true)
    },
    flush: () => emitter.take(true),
    counters: () => ({
      ...account.counters(),
      inputOctets,
      flowsCreated: table?.counts.created ?? 0,
      flowsExported,
      flowsLive: table?.live() ?? 0,
      flowsEvicted: table?.counts.evicted ?? 0,
      memoryOctets: table?.memoryOctets() ?? 0,
    }),
    close() {
      table?.clear()
    },
  }
}

/** Whether a frame is of the share; asked of every frame in order. */
function shareTest({share, selector, seed}: MeterShare): (frame: Frame) => boolean {
  const {parts} = share
  const divider = createDivider(Array<number>(parts).fill(1), selector, seed)
  return ({octets, start, end, linkType}) => {
    const part = divider.frame(octets.subarray(start, end), linkType) + 1
    return part >= share.first && part <= share.last
  }
}
