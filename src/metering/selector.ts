/**
 * A Selector (RFC 5474) that divides a link between capture nodes. Hash-based ones name the parts
 * of a packet that decide; packets that are equal in these parts always go to the same node.
 */
export interface Selector {
  readonly summary: string
  /** `hash`: decided by each packet alone. `turn`: decided by its number in the stream. */
  readonly kind: 'hash' | 'turn'
  /** Which IP addresses count; `both` gives both directions of a Flow the same hash. */
  readonly addresses: 'both' | 'src' | 'dst'
  /** Whether the IPv4 protocol counts. IPv6's never does: a later fragment may not show it. */
  readonly protocol: boolean
  /**
   * Whether ports count. A fragment has none to go by, so with ports the fragments of a Flow may
   * go to another node than its whole packets (all fragments of one packet stay together).
   */
  readonly ports: boolean
}
