/** Every frame of every capture is in exactly one part, for N = 1..16, by hash and in turn: what was written is compared. */
import test from 'ava'
import {readdirSync, readFileSync} from 'node:fs'
import type {DartaCommand} from '../../../src/cli/base-command.js'
import type {Destination} from '../../../src/commands/split/destination.js'
import {captureDivision} from '../../../src/commands/split/divide-capture.js'
import type {OpenInput} from '../../../src/io/open-input.js'
import {createCaptureReader} from '../../../src/metering/capture-file.js'
import {createDissector} from '../../../src/metering/dissect.js'
import {createDivider} from '../../../src/metering/divider.js'
import type {Selector} from '../../../src/metering/selector.js'
import flow from '../../../src/metering/selectors/flow.js'
import packets from '../../../src/metering/selectors/packets.js'
import ports from '../../../src/metering/selectors/ports.js'
import {StageLedger} from '../../../src/record/ledger.js'
import {needing, root, shared} from '../../support/needing.js'

const captures = `${root}../shared/fixtures/captures/`
const noCaptures = shared('fixtures/captures')
const names = noCaptures === undefined ? readdirSync(captures) : []

/** Nanoseconds since 1970, length on the wire and octets of each frame of the first link type, in order. */
function framesOf(octets: Uint8Array): string[] {
  const frames: string[] = []
  let first: number | undefined
  const reader = createCaptureReader({
    frame({octets: all, start, end, time, originalLength, linkType}) {
      first ??= linkType
      if (linkType !== first) return
      const hex = Buffer.from(all.buffer, all.byteOffset + start, end - start).toString('latin1')
      frames.push(`${time.ms} ${time.ns} ${originalLength} ${hex}`)
    },
    lost() {},
    full: () => false,
  })
  reader.push(octets)
  reader.finish()
  return frames
}

/** Divides a capture into parts in memory. */
async function divide(
  octets: Uint8Array,
  parts: number,
  selector: Selector,
): Promise<{parts: Buffer[]; account: StageLedger}> {
  const taken: Uint8Array[][] = []
  const open = async (): Promise<Destination> => {
    const chunks: Uint8Array[] = []
    taken.push(chunks)
    return {
      name: `part ${taken.length}`,
      account: undefined,
      live: false,
      async write(more) {
        chunks.push(...more)
        return 'taken'
      },
      async next() {},
      async end() {},
      async abort() {},
    }
  }
  async function* source(): AsyncGenerator<Uint8Array, undefined> {
    yield octets
  }
  const input = {octets: source(), progress: {position: 0, size: octets.length}}
  const account = new StageLedger('split', 'packets')
  const divider = createDivider(Array<number>(parts).fill(1), selector, parts)
  const division = await captureDivision(divider, {}, true, open, account)
  const command = {stopping: new AbortController().signal}
  await division.divide(input as unknown as OpenInput, command as unknown as DartaCommand)
  await division.end()
  return {parts: taken.map((chunks) => Buffer.concat(chunks)), account}
}

needing(noCaptures)(
  'for N = 1..16, by hash and in turn, the parts of every capture together are the capture, and have no frame in common',
  async (t) => {
    for (const name of names) {
      const octets = new Uint8Array(readFileSync(captures + name))
      const whole = framesOf(octets)
      const sorted = [...whole].sort()
      for (const [by, selector] of Object.entries({flow, ports, packets})) {
        for (let n = 1; n <= 16; n++) {
          // Large captures are divided in some ways only: it is the same code for all N.
          if (octets.length > 100_000 && n !== 3 && n !== 16) continue
          const {parts, account} = await divide(octets, n, selector)
          const frames = parts.map(framesOf)
          // Sorted, equal multisets are equal lists: nothing is missing, nothing is there twice.
          const all = frames.flat().sort()
          if (all.length !== sorted.length || all.some((frame, i) => frame !== sorted[i])) {
            return t.fail(`${name} by ${by} into ${n}: ${all.length} frames of ${sorted.length}`)
          }
          if (account.out !== whole.length) return t.fail(`${name}: accounts for ${account.out}`)
          const sizes = frames.map((list) => list.length)
          const differing = [...account.lost.keys()].includes('link-type-differs')
          if (by === 'packets' && !differing && Math.max(...sizes) - Math.min(...sizes) > 1) {
            return t.fail(`${name} into ${n}: ${sizes.join()}`)
          }
        }
      }
    }
    t.pass()
  },
)

needing(noCaptures)(
  'the captures have all that a division must cope with: both IP versions, fragments, tags, MPLS, frames without IP, multicast',
  (t) => {
    const found = new Map<string, number>()
    const count = (kind: string, is: boolean): void => {
      if (is) found.set(kind, (found.get(kind) ?? 0) + 1)
    }
    for (const name of names) {
      const dissector = createDissector(false, {ms: 0, ns: 0})
      const reader = createCaptureReader({
        frame(frame) {
          const result = dissector.dissect(frame)
          count('not IP', result === 'skipped')
          if (result !== 'metered') return
          const {packet} = dissector
          const {layers, octets, destination} = packet
          count(`IPv${packet.version}`, true)
          count(`IPv${packet.version} fragment`, packet.fragment)
          count(`IPv${packet.version} later fragment`, packet.fragmentOffset > 0)
          count('VLAN', layers.vlanCount === 1)
          count('QinQ', layers.vlanCount > 1)
          count('MPLS', layers.mplsLabel !== undefined)
          const first = octets[destination]
          const multicast = packet.version === 4 ? first >= 224 && first < 240 : first === 0xff
          count(multicast ? 'multicast' : 'unicast', true)
        },
        lost() {},
        full: () => false,
      })
      reader.push(readFileSync(captures + name))
      reader.finish()
    }
    for (const kind of [
      ...['IPv4', 'IPv6', 'IPv4 fragment', 'IPv4 later fragment', 'IPv6 fragment'],
      ...['IPv6 later fragment', 'VLAN', 'QinQ', 'MPLS', 'not IP', 'multicast', 'unicast'],
    ]) {
      t.true((found.get(kind) ?? 0) > 0, kind)
    }
  },
)

test('in turn parts differ by one at most, whatever N is, and by their weights with weights', (t) => {
  for (let n = 1; n <= 16; n++) {
    for (const frames of [0, 1, 15, 16, 17, 1000]) {
      const divider = createDivider(Array<number>(n).fill(1), packets, 0)
      const sizes = new Uint32Array(n)
      for (let i = 0; i < frames; i++) sizes[divider.frame(new Uint8Array(0), 1)]++
      t.true(Math.max(...sizes) - Math.min(...sizes) <= 1, `${frames} into ${n}`)
    }
  }
  const divider = createDivider([1, 3], packets, 0)
  const sizes = [0, 0]
  for (let i = 0; i < 400; i++) sizes[divider.frame(new Uint8Array(0), 1)]++
  t.deepEqual(sizes, [100, 300])
})
