import type {BpfInstruction} from '../bpf-assembler.js'
import {missingCapabilities, type Capability} from '../capabilities.js'
import {receiveQueues} from '../interfaces.js'
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
import {xdpProgram} from '../xdp-program.js'
import {DartaError} from '../../record/errors.js'

const ENODEV = 19
/** Every frame takes 2 KiB of it, however short it is. */
const BUFFER_OCTETS = 128 << 20
const capabilities: readonly Capability[] = ['CAP_NET_RAW', 'CAP_BPF', 'CAP_NET_ADMIN']

/**
 * AF_XDP sockets, one for each receive queue of an interface: frames are taken before the kernel makes packets of
 * them. A small XDP program decides by filter and share; what it does not take goes on into the kernel.
 */
const afXdp: LiveBackend<LiveAddon> = {
  kind: 'live',
  summary: 'Linux AF_XDP sockets: frames are taken before the kernel looks at them',
  capabilities,
  absence: noLinux,
  caution: ({share, filter}) =>
    `af-xdp sees what arrives, not what is sent, and takes ${share === undefined && filter === undefined ? 'all of it' : 'the packets chosen'} ` +
    "away from this host's own network stack",
  async open(source, options, given) {
    const addon = needAddon(given)
    refuse(source, options)
    const missing = missingCapabilities(capabilities)
    if (missing !== undefined && missing.length > 0) {
      throw new DartaError(
        'DARTA_PERMISSION',
        `capturing by af-xdp needs ${words(capabilities)}; this process lacks ${words(missing)}`,
      )
    }
    const filters = new Map<string, BpfInstruction[]>()
    for (const name of source.interfaces) filters.set(name, await filterOf(source, name))
    // Loads at computed places are cheaper by pointer, which the kernel allows only to those who may see pointers.
    const loads = missingCapabilities(['CAP_PERFMON'])?.length === 0 ? 'direct' : 'call'
    return openSockets(addon, source, options, (name) => xdpProgram(filters.get(name)!, loads))
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
  return openNative(addon, {...options, ...numbers}, sockets, owner, xdpFault)
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

/** What a failed call means where it is not what it means to a packet socket. */
function xdpFault(call: string, errno: number, name: string): DartaError {
  const [EPERM, EACCES, EBUSY, EINVAL, EOPNOTSUPP, ENOBUFS, EAFNOSUPPORT] = [
    1, 13, 16, 22, 95, 105, 97,
  ]
  const fail = (why: string): DartaError =>
    new DartaError('DARTA_INTERFACE', `cannot capture on ${name} by af-xdp: ${why}`)
  if (errno === EPERM) {
    return new DartaError(
      'DARTA_PERMISSION',
      `cannot capture on ${name} by af-xdp: the kernel refuses ${call}, though this process has ${words(capabilities)}; those of a user namespace do not do`,
    )
  }
  if (errno === ENOBUFS && call === 'XDP_UMEM_REG') {
    return fail('the limit of locked memory (ulimit -l) is too low: a smaller -B may do')
  }
  if (errno === EBUSY && call === 'BPF_LINK_CREATE') {
    return fail('another XDP program is on the interface')
  }
  if (errno === EBUSY) return fail('another program has a socket on its receive queue')
  if (errno === EAFNOSUPPORT) return fail('this kernel has no AF_XDP')
  if (errno === EOPNOTSUPP && call === 'SIOCGIFHWADDR') {
    return fail('its frames have neither an Ethernet nor an IP header in front')
  }
  if ((errno === EACCES || errno === EINVAL) && call === 'BPF_PROG_LOAD') {
    return fail(`the kernel does not accept the program of filter and share (error ${errno})`)
  }
  if (errno === EOPNOTSUPP || errno === EINVAL) {
    return fail(`${call} is refused: its driver or its MTU does not go with XDP`)
  }
  return openFault(call, errno, name)
}

/** `A, B and C` */
function words(names: readonly string[]): string {
  if (names.length === 1) return names[0]
  return `${names.slice(0, -1).join(', ')} and ${names[names.length - 1]}`
}
