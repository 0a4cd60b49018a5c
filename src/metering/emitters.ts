import type {FrameAccount} from './account.js'
import type {Frame} from './capture-file.js'
import {createDissector, type Dissector} from './dissect.js'
import type {FlowTable} from './flow-table.js'
import type {MeterOptions, MeterOutput} from './meter.js'
import type {RecordOutput} from './output.js'
import type {Packet} from './packet.js'
import {reportPacket} from './packet-report.js'
import type {PcapOutput} from './pcap-output.js'

/** What a meter makes of frames. Each frame is accounted for: metered, skipped or lost. */
export interface Emitter {
  frame(frame: Frame): void
  /** The buffers that are full; with `all`, partly filled ones too. */
  take(all: boolean): MeterOutput[]
  finish(): void
}

/** Flow Records, `--emit flows`. */
export function emitFlows(
  {decap}: MeterOptions,
  account: FrameAccount,
  output: RecordOutput,
  table: FlowTable,
): Emitter {
  const dissector = createDissector(decap, account.clock)
  return {
    frame(frame) {
      const packet = readPacket(dissector, frame, account)
      if (packet === undefined) return
      let added = false
      try {
        added = table.add(packet)
      } finally {
        if (added) account.meter(packet.ipOctets)
        else account.lose('flow-table-full', frame, packet.ipOctets)
      }
    },
    take: (all) => output.take(all),
    finish() {
      table.finish()
    },
  }
}

/** Packet Reports, `--emit packets`. */
export function emitPackets(
  {decap, sectionOctets}: MeterOptions,
  account: FrameAccount,
  output: RecordOutput,
): Emitter {
  const dissector = createDissector(decap, account.clock)
  return {
    frame(frame) {
      const packet = readPacket(dissector, frame, account)
      if (packet === undefined) return
      reportPacket(output, packet, sectionOctets)
      account.meter(packet.ipOctets)
    },
    take: (all) => output.take(all),
    finish() {},
  }
}

/** The frames themselves, `--emit pcap`; nothing is dissected. */
export function emitPcap(
  account: FrameAccount,
  output: PcapOutput,
  captureLinkType: () => number | undefined,
): Emitter {
  return {
    frame(frame) {
      if (output.add(frame)) account.meter(frame.originalLength)
      else account.lose('link-type-differs', frame, frame.originalLength)
    },
    take: (all) => output.take(all),
    finish() {
      output.finish(captureLinkType())
    },
  }
}

/** The packet of a frame that is to be metered; without one it is counted why. */
function readPacket(dissector: Dissector, frame: Frame, account: FrameAccount): Packet | undefined {
  const result = dissector.dissect(frame)
  if (result === 'metered') return dissector.packet
  if (result === 'skipped') account.skip(dissector.refusal())
  else account.lose(dissector.refusal(), frame, frame.originalLength)
  return undefined
}
