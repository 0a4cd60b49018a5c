import type {DartaCommand} from '../../cli/base-command.js'
import type {OpenInput} from '../../io/open-input.js'
import {createCaptureReader, type Frame} from '../../metering/capture-file.js'
import type {Divider} from '../../metering/divider.js'
import {createPcapOutput} from '../../metering/pcap-output.js'
import type {StageLedger} from '../../record/ledger.js'
import type {Part} from './part.js'

/** The header of a pcap file of this link type, for a part that begins anew. */
export function pcapHeader(linkType: number): Uint8Array {
  const output = createPcapOutput({ms: 0, ns: 0})
  output.finish(linkType)
  return output.take(true)[0].octets
}

/**
 * Deals the frames of a capture out to parts, each a nanosecond pcap. Frames of another link type than the first cannot
 * be in the same pcap file: they are lost, and counted.
 */
export function captureDivision(
  divider: Divider,
  parts: readonly Part[],
  account: StageLedger,
  opening: (linkType: number) => void,
): {
  divide(input: OpenInput, command: DartaCommand): Promise<void>
  end(): Promise<void>
} {
  const clock = {ms: 0, ns: 0}
  const outputs = parts.map(() => createPcapOutput(clock))
  /** Frames in buffers that were not yet taken by the part. */
  let linkType: number | undefined

  async function move(all: boolean): Promise<void> {
    await Promise.all(
      outputs.map(async (output, i) => {
        for (const {octets, count} of output.take(all)) {
          if (await parts[i].write([octets])) account.out += count
          else account.lose(`${parts[i].name}-gone`.replace(/ /g, '-'), count)
        }
      }),
    )
  }

  function frame(given: Frame): void {
    account.in++
    if (linkType === undefined) {
      linkType = given.linkType
      opening(linkType)
    }
    clock.ms = Math.max(clock.ms, given.time.ms)
    const part = divider.frame(given.octets.subarray(given.start, given.end), given.linkType)
    if (!outputs[part].add(given)) account.lose('link-type-differs', 1, given.offset)
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
      for (const output of outputs) output.finish(linkType)
      await move(true)
    },
  }
}
