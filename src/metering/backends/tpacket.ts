import {randomInt} from 'node:crypto'
import {bpfOctets} from '../bpf-assembler.js'
import {openFault, refuseMirrorPort, type LiveBackend} from '../live.js'
import {
  filterMaker,
  needAddon,
  noLinux,
  openNative,
  RAW_IP,
  RING_OCTETS,
  seenLinkType,
  type LiveAddon,
  type RingOptions,
} from '../native-live.js'
import flow from '../selectors/flow.js'
import {slotProgram} from '../share-bpf.js'
import {loadTurns, type TurnCounter} from '../turn-counter.js'
import {needXdpRights, xdpFault} from '../xdp-access.js'
import {earlyProgram} from '../xdp-program.js'

const NONE = new Uint8Array(0)
const WITH_MIRROR_PORT = 'with --mirror-port'

/**
 * Packet sockets with a TPACKET_V3 ring, packet(7): Linux's own way, with its nanosecond times and drop counters.
 * The meter runs in the threads that read the rings.
 */
const tpacket: LiveBackend<LiveAddon> = {
  kind: 'live',
  summary: 'Linux packet sockets with a memory-mapped ring (TPACKET_V3)',
  capabilities: ['CAP_NET_RAW'],
  absence: noLinux,
  caution: ({mirrorPort}) =>
    mirrorPort
      ? "packets of other shares are dropped before this host's own network stack sees them"
      : undefined,
  async open(source, options, given) {
    const addon = needAddon(given)
    const rings: RingOptions[] = []
    const owner: string[] = []
    const turns: TurnCounter[] = []
    const filters: Awaited<ReturnType<typeof filterMaker>>[] = []
    const {changing} = source
    refuseMirrorPort(source)
    const loads = source.mirrorPort ? needXdpRights(WITH_MIRROR_PORT) : undefined
    for (const name of source.interfaces) {
      const turn = source.turn && (await loadTurns(addon, source, source.turn, name))
      if (turn !== undefined) turns.push(turn.counter)
      const make = await filterMaker(source, name, 'packet-socket')
      const filter = turn === undefined ? bpfOctets(make(source.share)) : NONE
      // The socket's filter decides all the same: it also sees what is sent, and what goes on undecided.
      const early =
        loads === undefined ? NONE : earlyProgram(source.share!.early!(seenLinkType(name)), loads)
      const fanoutGroup = source.threads > 1 ? randomInt(1, 65535) : 0
      const fanout =
        source.threads > 1 ? bpfOctets(slotProgram(RAW_IP, flow, randomInt(2 ** 32))) : NONE
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
          early: thread === 0 ? early : NONE,
        })
      }
    }
    const live = openNative(
      addon,
      {...options, threads: source.threads, prompt: source.prompt},
      rings,
      owner,
      (call, errno, name) =>
        call.startsWith('BPF_')
          ? xdpFault(WITH_MIRROR_PORT, call, errno, name)
          : openFault(call, errno, name),
      changing === undefined ? undefined : {...changing, filters},
    )
    return turns.length === 0 ? live : {...live, turns}
  },
}

export default tpacket
