import {createRequire} from 'node:module'
import test from 'ava'
import {
  decide,
  isRecovered,
  MARKS,
  OWNER,
  STANDBY,
  type EpochView,
} from '../../../src/metering/coordination/division.js'
import {CHANGED, CONTESTED, GROUP_SLOTS} from '../../../src/metering/coordination/plan.js'
import type {ShareAddon} from '../../../src/metering/coordination/share-control.js'
import flow from '../../../src/metering/selectors/flow.js'
import {SLOTS, shareSlot} from '../../../src/metering/share-hash.js'
import {needing, root} from '../../support/needing.js'
import {noAddon} from '../selectors/frames.js'
import {random} from './simulation.js'

interface TestAddon extends ShareAddon {
  shareSort(
    keeper: unknown,
    octets: Uint8Array,
    offsets: Uint32Array,
    timesMs: Float64Array,
    linkType: number,
    decisions: Uint8Array,
  ): void
}

const addon = (): TestAddon =>
  createRequire(import.meta.url)(`${root}native/build/darta.node`) as TestAddon

const T0 = 1_700_000_000_000
const GUARD = 50
const NONE = 254
const KEPT = 255

/** Ethernet frames with UDP over IPv4, of which addresses, TTL and one octet of payload differ. */
function frame(source: number, destination: number, ttl = 64, last = 0): Uint8Array {
  const octets = new Uint8Array(60)
  const view = new DataView(octets.buffer)
  view.setUint16(12, 0x0800)
  octets[14] = 0x45
  view.setUint16(16, 46)
  octets[22] = ttl
  octets[23] = 17
  view.setUint16(24, ttl * 257)
  view.setUint32(26, 0xc0000200 + source)
  view.setUint32(30, 0xc6336400 + destination)
  octets[59] = last
  return octets
}

function sorted(keeper: unknown, frames: readonly Uint8Array[], times: Float64Array): Uint8Array {
  const offsets = new Uint32Array(frames.length + 1)
  frames.forEach((one, i) => (offsets[i + 1] = offsets[i] + one.length))
  const decisions = new Uint8Array(frames.length)
  addon().shareSort(keeper, new Uint8Array(Buffer.concat(frames)), offsets, times, 1, decisions)
  return decisions
}

function planOf(views: readonly EpochView[], orders: readonly {id: number}[] = []): never {
  return {
    addresses: 0,
    protocol: true,
    ports: false,
    seed: 3,
    guardMs: GUARD,
    views: views.map((view) => ({...view, classes: new Uint8Array(GROUP_SLOTS)})),
    orders,
  } as never
}

const ring = {ringOctets: 1 << 20, ringMs: 1e6, headerOctets: 256}

needing(noAddon)(
  'the thread that takes packets decides about each as the protocol says, in any epochs at any time',
  (t) => {
    const next = random(11)
    const pick = (list: readonly number[]): number => list[Math.floor(next() * list.length)]
    const frames = Array.from({length: 400}, () => frame(next() * 256, next() * 256))
    for (let round = 0; round < 60; round++) {
      let at = T0
      const views: EpochView[] = Array.from({length: 1 + Math.floor(next() * 5)}, (_, i) => {
        at += Math.floor(next() * 300)
        return {
          epoch: i + 1,
          at,
          bandEnd: pick([at + GUARD, at + 200, Infinity]),
          roles: Uint8Array.from(
            {length: GROUP_SLOTS},
            () => pick([0, OWNER, STANDBY]) | pick([0, CONTESTED | CHANGED, CHANGED]),
          ),
        }
      })
      const slots = Uint8Array.from({length: GROUP_SLOTS}, () => pick([0, 1]))
      const order = {
        ...{id: 1, lost: 'x', own: next() < 0.5, slots},
        ...{from: T0 + next() * 600, to: T0 + next() * 1200},
      }
      const leaseMs = T0 + next() * 1500
      const times = Float64Array.from(frames, () => T0 - 200 + Math.floor(next() * 1800))
      const keeper = addon().shareCreate(ring)
      addon().shareLease(keeper, leaseMs)
      addon().sharePlan(keeper, planOf(views, [order]))
      const decisions = sorted(keeper, frames, times)
      frames.forEach((octets, i) => {
        const slot = Math.floor((shareSlot(octets, 1, flow, 3) * GROUP_SLOTS) / SLOTS)
        const decision = decide(views, GUARD, leaseMs, slot, times[i])
        let wanted: number
        if (decision.kind === 'take') wanted = decision.mark
        else if (isRecovered(order, slot, times[i], false)) wanted = MARKS.recovered
        else wanted = decision.kind === 'shadow' ? KEPT : NONE
        if (decisions[i] !== wanted) {
          t.fail(`round ${round}, frame ${i}: ${decisions[i]}, not ${wanted}`)
        }
      })
    }
    t.pass()
  },
)

needing(noAddon)(
  'what two nodes see of the same packets has the same digests, though TTL, checksum and order differ',
  (t) => {
    const all = (role: number): EpochView => ({
      epoch: 1,
      at: T0,
      bandEnd: T0,
      roles: new Uint8Array(GROUP_SLOTS).fill(role),
    })
    const sums = (role: number, frames: readonly Uint8Array[]): bigint[] => {
      const keeper = addon().shareCreate(ring)
      addon().shareLease(keeper, T0 + 1e6)
      addon().sharePlan(keeper, planOf([all(role)]))
      sorted(keeper, frames, new Float64Array(frames.length).fill(T0 + 5))
      const {rows} = addon().shareTake(keeper)
      t.is(rows.length, 8)
      return [...rows.subarray(4)]
    }
    const numbers = Array.from({length: 100}, (_, i) => i)
    const here = numbers.map((i) => frame(i, 2 * i, 64))
    const there = numbers.map((i) => frame(i, 2 * i, 63)).reverse()
    t.deepEqual(sums(OWNER, here), sums(STANDBY, there))
    const other = numbers.map((i) => frame(i, 2 * i, 64, i === 50 ? 1 : 0))
    t.notDeepEqual(sums(OWNER, here), sums(OWNER, other))
  },
)

needing(noAddon)(
  'what a standby kept is recovered from the time that the order says, and the memory for it is bounded',
  (t) => {
    const view = {epoch: 1, at: T0, bandEnd: T0, roles: new Uint8Array(GROUP_SLOTS).fill(STANDBY)}
    const frames = Array.from({length: 1000}, (_, i) => frame(i & 255, i >> 8))
    const times = Float64Array.from(frames, (_, i) => T0 + i)
    const keeper = addon().shareCreate({...ring, ringOctets: 6000})
    addon().sharePlan(keeper, planOf([view]))
    t.true(sorted(keeper, frames, times).every((decision) => decision === KEPT))
    const {counters} = addon().shareTake(keeper)
    // 60 octets each.
    t.is(counters[6], 1000n)
    t.is(counters[7], 900n)
    t.is(counters[8], 100n)
  },
)

test('the marks and roles of both implementations have the same numbers', (t) => {
  t.deepEqual([OWNER, STANDBY, CONTESTED, CHANGED], [1, 2, 4, 8])
  t.deepEqual(Object.values(MARKS), [0, 1, 2, 3, 4])
})
