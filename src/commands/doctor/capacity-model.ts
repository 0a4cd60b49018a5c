/** Processor time that a packet takes on a node, in nanoseconds. */
export interface PacketCosts {
  /** The kernel receives it, whether anybody wants it or not. */
  readonly receive: number
  /** More if the share's filter rejects it. */
  readonly reject: number
  /** More if it goes into the ring. */
  readonly accept: number
  /** A process reads and meters it. */
  readonly meter: number
  /** Of nodes that drop packets of other shares before the kernel makes packets of them (--mirror-port). */
  readonly early?: EarlyCosts
}

export interface EarlyCosts {
  /** In the place of receiving and rejecting. */
  readonly drop: number
  /** More for a packet that goes on. */
  readonly pass: number
}

/** A machine that captures. */
export interface CaptureNode {
  readonly costs: PacketCosts
  /** 1: the kernel and the process share a processor; 2: each has its own. More do not help one receive queue. */
  readonly cores: 1 | 2
}

/** Nanoseconds of kernel and of process for each packet on the link, on one of so many nodes with equal shares. */
export function perPacket(
  {receive, reject, accept, meter, early}: PacketCosts,
  nodes: number,
): {kernel: number; process: number} {
  // A single node has nothing to drop.
  const {drop, pass} = early !== undefined && nodes > 1 ? early : {drop: receive + reject, pass: 0}
  return {
    kernel: (drop * (nodes - 1) + receive + pass + accept) / nodes,
    process: meter / nodes,
  }
}

/** Packets a second on the link up to which that many nodes lose none. */
export function losslessRate({costs, cores}: CaptureNode, nodes: number): number {
  const {kernel, process} = perPacket(costs, nodes)
  return 1e9 / (cores === 1 ? kernel + process : Math.max(kernel, process))
}

/**
 * Packets a second that all nodes together capture of `offered` on the link. Under overload kernel and process each have
 * what the other leaves of a processor that they share, and half of it at least.
 */
export function capturedRate({costs, cores}: CaptureNode, nodes: number, offered: number): number {
  const {kernel, process} = perPacket(costs, nodes)
  const left = (other: number): number =>
    cores === 1 ? Math.max(1 - (offered * other) / 1e9, 0.5) : 1
  const seen = Math.min(offered, (left(process) * 1e9) / kernel)
  const metered = (left(kernel) * 1e9) / process
  return Math.min(seen, metered)
}

/** The fewest nodes that lose nothing at this load; undefined: no number does, as each must look at every packet. */
export function nodesNeeded(node: CaptureNode, offered: number): number | undefined {
  for (let nodes = 1; nodes <= 4096; nodes++) {
    if (losslessRate(node, nodes) >= offered) return nodes
  }
  return undefined
}

/** How much more `nodes` capture than `one` machine with all of the link. */
export interface Gain {
  /** Packets a second from which on it is `times`; undefined if it never is. */
  readonly offered: number | undefined
  /** The greatest ratio there is, and the load at which it is reached. */
  readonly most: number
  readonly mostAt: number
}

export function gain(node: CaptureNode, nodes: number, one: CaptureNode, times: number): Gain {
  let offered: number | undefined
  let most = 0
  let mostAt = 0
  // In steps of a fifth of a per cent, to where all nodes have long been at their limit.
  const end = 4 * losslessRate(node, nodes)
  for (let load = 1000; load <= end; load *= 1.002) {
    const ratio = capturedRate(node, nodes, load) / capturedRate(one, 1, load)
    if (ratio > most + 1e-9) {
      most = ratio
      mostAt = load
    }
    if (offered === undefined && ratio >= times) offered = load
  }
  return {offered, most, mostAt}
}
