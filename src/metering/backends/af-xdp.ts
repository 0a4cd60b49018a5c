import type {BpfInstruction} from '../bpf-assembler.js'
import {receiveQueues, stateOf} from '../interfaces.js'
import {
  openFault,
  refuseTurns,
  type LiveBackend,
  type LiveCapture,
  type LiveSource,
} from '../live.js'
import type {MeterOptions} from '../meter.js'
import {
  filterOf,
  needAddon,
  noLinux,
  openNative,
  type LiveAddon,
  type XdpSocketOptions,
} from '../native-live.js'
import {needXdpRights, xdpCapabilities, xdpFault} from '../xdp-access.js'
import {xdpProgram} from '../xdp-program.js'
import {DartaError} from '../../record/errors.js'

const ENODEV = 19
/** Every frame takes 2 KiB of it, however short it is. */
const BUFFER_OCTETS = 128 << 20
const HOW = 'by af-xdp'

/**
 * AF_XDP sockets, one for each receive queue of an interface: frames are taken before the kernel makes packets of
 * them. A small XDP program decides by filter and share; what it does not take goes on into the kernel.
 */
const afXdp: LiveBackend<LiveAddon> = {
  kind: 'live',
  summary: 'Linux AF_XDP sockets: frames are taken before the kernel looks at them',
  capabilities: xdpCapabilities,
  absence: noLinux,
  caution({interfaces, share, filter, mirrorPort}) {
    const all = mirrorPort || (share === undefined && filter === undefined)
    // Its sockets do not tell.
    const down = interfaces.filter((name) => stateOf(name) === 'down')
    return (
      `af-xdp sees what arrives, not what is sent, and takes ${all ? 'all of it' : 'the packets chosen'} ` +
      "away from this host's own network stack" +
      (down.length === 0 ? '' : `; ${down.join(', ')} is down: capture goes on when it is up`)
    )
  },
  async open(source, options, given) {
    const addon = needAddon(given)
    refuse(source, options)
    const loads = needXdpRights(HOW)
    const filters = new Map<string, BpfInstruction[]>()
    for (const name of source.interfaces) filters.set(name, await filterOf(source, name))
    const others = source.mirrorPort ? 'drop' : 'pass'
    return openSockets(addon, source, options, (name) =>
      xdpProgram(filters.get(name)!, loads, others),
    )
  },
}

export default afXdp

function openSockets(
  addon: LiveAddon,
  source: LiveSource,
  options: MeterOptions,
  program: (name: string) => Uint8Array,
): LiveCapture {
  const sockets: XdpSocketOptions[] = []
  const owner: string[] = []
  for (const name of source.interfaces) {
    const queues = receiveQueues(name)
    if (queues === undefined) throw openFault('', ENODEV, name)
    const instructions = program(name)
    if (source.threads > queues) {
      throw new DartaError(
        'DARTA_USAGE',
        `${name} has ${queues} receive queue${queues === 1 ? '' : 's'}, each of which one thread reads: --threads ${source.threads} are too many`,
      )
    }
    for (let queue = 0; queue < queues; queue++) {
      owner.push(name)
      sockets.push({
        interface: name,
        queue,
        queues,
        ringOctets: (source.ringOctets ?? BUFFER_OCTETS) / Math.max(1, queues / source.threads),
        snapOctets: source.snapOctets,
        promiscuous: source.promiscuous,
        instructions,
      })
    }
  }
  const numbers = {threads: source.threads, prompt: source.prompt}
  return openNative(addon, {...options, ...numbers}, sockets, owner, (call, errno, name) =>
    xdpFault(HOW, call, errno, name),
  )
}

function refuse(source: LiveSource, options: MeterOptions): void {
  refuseTurns(source)
  if (source.interfaces.includes('any')) {
    throw new DartaError('DARTA_USAGE', 'af-xdp takes from the interfaces that are named: no any')
  }
  // Cards deal the two directions to queues as they like.
  if (options.biflow && source.threads > 1) {
    throw new DartaError(
      'DARTA_USAGE',
      'with af-xdp the directions of a Flow may come to different threads: --biflow goes with one thread',
    )
  }
}
