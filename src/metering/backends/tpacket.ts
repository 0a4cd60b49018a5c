import {randomInt} from 'node:crypto'
import {bpfOctets} from '../bpf-assembler.js'
import {openFault, type LiveBackend} from '../live.js'
import {
  filterMaker,
  needAddon,
  noLinux,
  openNative,
  RAW_IP,
  RING_OCTETS,
  type LiveAddon,
  type RingOptions,
} from '../native-live.js'
import flow from '../selectors/flow.js'
import {slotProgram} from '../share-bpf.js'
import {loadTurns, type TurnCounter} from '../turn-counter.js'

/**
 * Packet sockets with a TPACKET_V3 ring, packet(7): Linux's own way, with its nanosecond times and drop counters.
 * The meter runs in the threads that read the rings.
 */
const tpacket: LiveBackend<LiveAddon> = {
  kind: 'live',
  summary: 'Linux packet sockets with a memory-mapped ring (TPACKET_V3)',
  capabilities: ['CAP_NET_RAW'],
  absence: noLinux,
  async open(source, options, given) {
    const addon = needAddon(given)
    const rings: RingOptions[] = []
    const owner: string[] = []
    const turns: TurnCounter[] = []
    const filters: Awaited<ReturnType<typeof filterMaker>>[] = []
    const {changing} = source
    for (const name of source.interfaces) {
      const turn = source.turn && (await loadTurns(addon, source, source.turn, name))
      if (turn !== undefined) turns.push(turn.counter)
      const make = await filterMaker(source, name)
      const filter = turn === undefined ? bpfOctets(make(source.share)) : new Uint8Array(0)
      const fanoutGroup = source.threads > 1 ? randomInt(1, 65535) : 0
      const fanout =
        source.threads > 1
          ? bpfOctets(slotProgram(RAW_IP, flow, randomInt(2 ** 32)))
          : new Uint8Array(0)
      for (let thread = 0; thread < source.threads; thread++) {
        owner.push(name)
        filters.push(make)
        rings.push({
          interface: name === 'any' ? '' : name,
          ringOctets: source.ringOctets ?? RING_OCTETS,
          blockMs: source.waitMs,
          promiscuous: source.promiscuous,
          filter,
          filterDescriptor: turn?.descriptor ?? 0,
          ...(changing !== undefined && {changeable: true}),
          fanoutGroup,
          fanout,
        })
      }
    }
    const live = openNative(
      addon,
      {...options, threads: source.threads, prompt: source.prompt},
      rings,
      owner,
      openFault,
      changing === undefined ? undefined : {...changing, filters},
    )
    return turns.length === 0 ? live : {...live, turns}
  },
}

export default tpacket
