/**
 * Passes on records of Exporters about which nothing has to be decided: native/kernel/relay.cc. A datagram of NetFlow 5, NetFlow
 * 9 or IPFIX, or a Message of a stream, is passed on if it is of a lane that is known, in order, whole, and all its Sets are of
 * the lane's Templates; it is left to who can decide otherwise. Its records are written behind the Messages of an encoder,
 * each with its tail, as src/ipfix/encoder.ts would write them. There is no twin: what the kernel passes on and what it
 * leaves have one result, which the tests compare.
 */
export interface RelayKernel {
  /** Datagrams of this sender, as `DatagramBlock` has it, belong to the session. */
  source(hash: number, socket: number, port: number, address: Uint8Array, session: number): void
  /**
   * Opens a lane, an Observation Domain or engine of a session.
   *
   * @param program session, 0..2^28−1; protocol: 5, 9 or 10; what its datagrams have where their domain is (NetFlow 5: octets
   * 20 to 23 of the header); Observation Domain ID; number of the encoder's domain
   * @param address of the Exporter: 0, 4 or 16 octets
   * @returns its number
   */
  lane(program: Uint32Array, address: Uint8Array): number
  /** Template ID, ID of the encoder, octets of a record, parts of the tail (below), and how many octets of a record lose their upper four bits: which. */
  addTemplate(lane: number, program: Uint32Array): void
  /** These octets, Template Sets one behind the other, announce what is known: they may stand in a datagram of the lane. Up to 8. */
  announce(lane: number, sets: Uint8Array): void
  /**
   * Sequence number expected, export time of the last Message, place in the ring, Messages in it, and the ring: as `saveSequence` has it; and of each
   * announcement the export time of the last Message that had it.
   */
  put(lane: number, state: Uint32Array): void
  get(lane: number, state: Uint32Array): void
  drop(lane: number): void
  /** @returns index of the first datagram from `from` on that was left; a block that is full ends it early */
  datagrams(
    octets: Uint8Array,
    datagrams: Uint32Array,
    from: number,
    baseMs: number,
    words: Uint32Array,
    domains: Uint32Array,
    block: Uint8Array,
    spare: Uint8Array,
    touched: Uint32Array,
  ): number
  /** @returns octet where the first Message from `from` on begins that was left; a block that is full ends it early */
  messages(
    octets: Uint8Array,
    from: number,
    session: number,
    receivedMs: number,
    words: Uint32Array,
    domains: Uint32Array,
    block: Uint8Array,
    spare: Uint8Array,
    touched: Uint32Array,
  ): number
  /**
   * Passes on datagrams of the oldest block of a receiver, where they are.
   *
   * @returns octets, numbers and base time of those that were left: one that has to be looked at, and behind it those of no
   * lane. Undefined: none is left in this block, or a block that is full ends it early
   */
  received(
    receiver: object,
    words: Uint32Array,
    domains: Uint32Array,
    block: Uint8Array,
    spare: Uint8Array,
    touched: Uint32Array,
  ): [octets: Uint8Array, datagrams: Uint32Array, baseMs: number] | undefined
  close(): void
}

export type CreateRelay = () => RelayKernel

/** Announcements that a lane may have, and octets of one. */
export const MAX_ANNOUNCEMENTS = 8
export const MAX_ANNOUNCEMENT_OCTETS = 4096

/** Where an encoder is; it goes on behind what a kernel has written. */
export interface RelayRoom {
  /** See `RELAY_WORD`. */
  readonly words: Uint32Array
  /** Data Records in Messages that are closed, and ID, of each Observation Domain. */
  readonly domains: Uint32Array
  readonly block: Uint8Array
  /** Is written when `block` is full. */
  readonly spare: Uint8Array
}

/** Words of `RelayRoom.words`; those from `switched` on are the kernel's answer. */
export const RELAY_WORD = {
  at: 0,
  /** Of the Message that is open. */
  start: 1,
  open: 2,
  time: 3,
  domain: 4,
  count: 5,
  /** Where the open Set begins; 0: none. */
  set: 6,
  setId: 7,
  /** Octets of a Message. */
  most: 8,
  /** 1: `at` and the rest are of `spare`, and `end` is where the Messages in `block` end. */
  switched: 9,
  end: 10,
  records: 11,
  /** Entries in `touched`: lane, Messages, records, and Templates that were used as bits in two words. */
  touched: 12,
  /** The latest export time. */
  latest: 13,
  /** Of datagrams or Messages that were passed on. */
  octets: 14,
} as const
export const RELAY_WORDS = 15
/** Words of an entry in `touched`. */
export const TOUCHED_WORDS = 5

/** Parts of a tail, in their order: what the header said, time of receipt, Exporter, domain. */
export const TAIL = {columns: 8, received: 1, exporter: 16, domain: 32} as const
