import type {Selector} from './selector.js'
import {partOf, type Share} from './share.js'
import {FOLD, MIX1, MIX2, ONE_SIDE, PORT, PORT_PROTOCOLS, PROTOCOL, SLOTS} from './share-hash.js'

/**
 * A share as a pcap-filter expression, for programs that take no BPF instructions. It decides like the program of
 * share-bpf.ts on Ethernet frames that are untagged or carry up to two VLAN tags of type 0x8100 and 0x88a8; frames
 * with other encapsulations (MPLS, PPPoE, LLC/SNAP) count as not IP here, since the language cannot look through
 * them, and their node may be another one.
 */
export function shareExpression(share: Share, selector: Selector, seed: number): string {
  const [from, to] = slotRange(share)
  if (from === 0 && to === SLOTS) return 'len >= 0'
  const within = (term: string): string => {
    const mixed = `((${term} + ${seed >>> 0}) * ${MIX1})`
    const slot = `(((${mixed} ^ (${mixed} >> 15)) * ${MIX2}) >> 20)`
    // One comparison modulo 2^32 and not two: where libpcap looks for VLAN tags that the kernel keeps apart, its
    // optimizer makes a wrong program of two.
    return `(${slot} - ${from}) < ${to - from}`
  }
  const layer = [...ipTests(selector, 'ip', within), ...ipTests(selector, 'ip6', within)]
  const other = (typeAt: number): string =>
    `(not ip and not ip6 and ether[${typeAt}:2] != 0x8100 and ether[${typeAt}:2] != 0x88a8 and ` +
    `${within('((2 * ether[2:4] + 1) * (2 * ether[8:4] + 1))')})`
  const level = (typeAt: number): string => `(${[...layer, other(typeAt)].join(' or ')})`
  // Each `vlan` moves what stands behind it in the expression by one tag, so the levels must come in this order.
  return `${level(12)} or (vlan and (${level(16)} or (vlan and ${level(20)})))`
}

/** First slot of the share and the one behind its last. */
function slotRange(share: Share): [from: number, to: number] {
  let from = 0
  while (partOf(from, share.parts) < share.first) from++
  let to = from
  while (to < SLOTS && partOf(to, share.parts) <= share.last) to++
  return [from, to]
}

function ipTests(
  selector: Selector,
  family: 'ip' | 'ip6',
  within: (term: string) => string,
): string[] {
  const v4 = family === 'ip'
  const fold = (at: number): string =>
    `(${FOLD.map((factor, i) => `ip6[${at + 4 * i}:4] * ${factor}`).join(' + ')})`
  const s = v4 ? 'ip[12:4]' : fold(8)
  const d = v4 ? 'ip[16:4]' : fold(24)
  const term = (source: string, destination: string): string => {
    if (selector.addresses !== 'both') {
      const side = selector.addresses === 'src' ? source : destination
      return `((2 * ${side} + 1) * ${ONE_SIDE})`
    }
    const product = `((2 * ${source} + 1) * (2 * ${destination} + 1))`
    return v4 && selector.protocol ? `(${product} + ip[9] * ${PROTOCOL})` : product
  }
  if (!selector.ports) return [`(${family} and ${within(term(s, d))})`]
  const protocols = PORT_PROTOCOLS.map((p) => `${v4 ? 'ip[9]' : 'ip6[6]'} = ${p}`).join(' or ')
  const whole = v4 ? `(${protocols}) and ip[6:2] & 0x3fff = 0` : `(${protocols})`
  const head = v4 ? '((ip[0] & 15) * 4)' : '40'
  const port = (offset: number): string =>
    `${family}[${v4 ? `${head} + ${offset}` : String(40 + offset)}:2] * ${PORT}`
  return [
    `(${family} and ${whole} and ${within(term(`(${s} + ${port(0)})`, `(${d} + ${port(2)})`))})`,
    `(${family} and not (${whole}) and ${within(term(s, d))})`,
  ]
}
