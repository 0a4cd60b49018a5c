import {missingCapabilities, type Capability} from './capabilities.js'
import {openFault} from './live.js'
import type {IndexedLoads} from './xdp-program.js'
import {DartaError} from '../record/errors.js'

/** What it takes to put a program on an interface and to capture there. */
export const xdpCapabilities: readonly Capability[] = ['CAP_NET_RAW', 'CAP_BPF', 'CAP_NET_ADMIN']

/**
 * Makes sure that the process may do so, before anything is opened. Gives how loads at computed places are made: they are
 * cheaper by pointer, which the kernel allows only to those who may see pointers.
 *
 * @param how `by af-xdp`
 * @throws DartaError DARTA_PERMISSION, which names what is missing
 */
export function needXdpRights(how: string): IndexedLoads {
  const missing = missingCapabilities(xdpCapabilities)
  if (missing !== undefined && missing.length > 0) {
    throw new DartaError(
      'DARTA_PERMISSION',
      `capturing ${how} needs ${words(xdpCapabilities)}; this process lacks ${words(missing)}`,
    )
  }
  return missingCapabilities(['CAP_PERFMON'])?.length === 0 ? 'direct' : 'call'
}

/**
 * What a failed call means where it is not what it means to a packet socket.
 *
 * @param how `by af-xdp`
 */
export function xdpFault(how: string, call: string, errno: number, name: string): DartaError {
  const [EPERM, EACCES, EBUSY, EINVAL, EOPNOTSUPP, ENOBUFS, EAFNOSUPPORT] = [
    1, 13, 16, 22, 95, 105, 97,
  ]
  const fail = (why: string): DartaError =>
    new DartaError('DARTA_INTERFACE', `cannot capture on ${name} ${how}: ${why}`)
  if (errno === EPERM) {
    return new DartaError(
      'DARTA_PERMISSION',
      `cannot capture on ${name} ${how}: the kernel refuses ${call}, though this process has ${words(xdpCapabilities)}; those of a user namespace do not do`,
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
