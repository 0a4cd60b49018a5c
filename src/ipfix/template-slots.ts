import {larger, link, ListLinks, SlotLinks, unlink, type SlotEnds} from './slot-queue.js'

/** Octets of a block of Template Records: most records of two or three fields need one, a long one a chain. */
const BLOCK_OCTETS = 32
/** Blocks are made so many at a time. A power of two. */
const CHUNK_BLOCKS = 512
/** Memory that a Template takes beside its record, about. */
export const SLOT_OCTETS = 96

/** Who has Templates. */
export interface SlotOwner extends SlotEnds {
  /** Tells owners apart; 32 bits. Its list has the slots of its Templates, in the order in which they came. */
  readonly serial: number
}

/**
 * Templates as they came, each of them a number, its slot: what is known of it lies in arrays and its record in blocks of
 * a few octets. Of a flood of Templates most are never read by; as objects they would be the greater part of the heap, and of
 * what has to be cleared from it.
 */
export class TemplateSlots<Owner extends SlotOwner> {
  ids = new Uint16Array(0)
  /** 1: an Options Template. */
  options = new Uint8Array(0)
  /** Export times of the Messages that announced them last. */
  exportTimes = new Uint32Array(0)
  /** Octets of their records. */
  lengths = new Uint16Array(0)
  readonly owners: (Owner | undefined)[] = []
  /** In the queue of their session, and in that of all. */
  readonly ofSession = new SlotLinks()
  readonly ofPool = new SlotLinks()
  /** Among those of their owner. */
  readonly #ofOwner = new ListLinks()
  /** First slot + 1 of each hash of owner and ID; as many as slots, a power of two. */
  #buckets = new Int32Array(0)
  #shift = 0
  /** Drawn anew each time: who sends Templates shall not know which of them share a bucket. Odd. */
  readonly #secret = (Math.random() * 2 ** 32) | 1
  /** Next slot + 1 of the same hash, or, of those that are free, next one. */
  #next = new Int32Array(0)
  #free = 0
  /** First blocks of the records. */
  #blocks = new Int32Array(0)
  readonly #chunks: Uint8Array[] = []
  /** Next block + 1 of the same record, or, of those that are free, next one. */
  readonly #nextBlocks: Int32Array[] = []
  #freeBlock = 0

  /** Octets of all blocks for records, free ones included. */
  get blockOctets(): number {
    return this.#chunks.length * CHUNK_BLOCKS * BLOCK_OCTETS
  }

  /** @returns its slot; the owner must have no Template of this ID */
  add(
    owner: Owner,
    id: number,
    isOptions: boolean,
    record: Uint8Array,
    exportTime: number,
  ): number {
    if (this.#free === 0) this.#grow()
    const slot = this.#free - 1
    this.#free = this.#next[slot]
    this.ids[slot] = id
    this.options[slot] = Number(isOptions)
    this.exportTimes[slot] = exportTime
    this.lengths[slot] = record.length
    this.owners[slot] = owner
    this.#blocks[slot] = this.#keep(record)
    link(owner, this.#ofOwner, slot)
    const bucket = this.#bucket(owner, id)
    this.#next[slot] = this.#buckets[bucket]
    this.#buckets[bucket] = slot + 1
    return slot
  }

  remove(slot: number): void {
    const owner = this.owners[slot]
    if (owner === undefined) return
    unlink(owner, this.#ofOwner, slot)
    const bucket = this.#bucket(owner, this.ids[slot])
    if (this.#buckets[bucket] === slot + 1) this.#buckets[bucket] = this.#next[slot]
    else {
      let before = this.#buckets[bucket] - 1
      while (this.#next[before] !== slot + 1) before = this.#next[before] - 1
      this.#next[before] = this.#next[slot]
    }
    this.owners[slot] = undefined
    this.#next[slot] = this.#free
    this.#free = slot + 1
    this.#release(this.#blocks[slot])
  }

  /** −1: the owner has no Template of this ID. */
  find(owner: Owner, id: number): number {
    if (owner.oldest < 0) return -1
    let slot = this.#buckets[this.#bucket(owner, id)] - 1
    while (slot >= 0 && (this.ids[slot] !== id || this.owners[slot] !== owner)) {
      slot = this.#next[slot] - 1
    }
    return slot
  }

  /** Those of an owner, in the order in which they came. */
  slotsOf({oldest}: Owner): number[] {
    const slots: number[] = []
    for (let slot = oldest; slot >= 0; slot = this.#ofOwner.newer[slot]) slots.push(slot)
    return slots
  }

  /** Octets of the Template Record. */
  record(slot: number): Uint8Array<ArrayBuffer> {
    const record = new Uint8Array(this.lengths[slot])
    let block = this.#blocks[slot]
    for (let at = 0; at < record.length; at += BLOCK_OCTETS) {
      const chunk = this.#chunks[Math.floor(block / CHUNK_BLOCKS)]
      const begin = (block % CHUNK_BLOCKS) * BLOCK_OCTETS
      const length = Math.min(BLOCK_OCTETS, record.length - at)
      record.set(chunk.subarray(begin, begin + length), at)
      block = this.#nextBlock(block)
    }
    return record
  }

  isRecord(slot: number, octets: Uint8Array): boolean {
    if (this.lengths[slot] !== octets.length) return false
    let block = this.#blocks[slot]
    for (let at = 0; at < octets.length; at += BLOCK_OCTETS) {
      const chunk = this.#chunks[Math.floor(block / CHUNK_BLOCKS)]
      const begin = (block % CHUNK_BLOCKS) * BLOCK_OCTETS
      const length = Math.min(BLOCK_OCTETS, octets.length - at)
      for (let i = 0; i < length; i++) if (chunk[begin + i] !== octets[at + i]) return false
      block = this.#nextBlock(block)
    }
    return true
  }

  #bucket({serial}: SlotOwner, id: number): number {
    return Math.imul(Math.imul(serial, 0x9e3779b1) + id, this.#secret) >>> this.#shift
  }

  #grow(): void {
    const size = this.#next.length
    const capacity = Math.max(2 * size, 16)
    this.ids = larger(this.ids, new Uint16Array(capacity))
    this.options = larger(this.options, new Uint8Array(capacity))
    this.exportTimes = larger(this.exportTimes, new Uint32Array(capacity))
    this.lengths = larger(this.lengths, new Uint16Array(capacity))
    this.ofSession.grow(capacity)
    this.ofPool.grow(capacity)
    this.#ofOwner.grow(capacity)
    this.#blocks = larger(this.#blocks, new Int32Array(capacity))
    this.#buckets = new Int32Array(capacity)
    this.#shift = Math.clz32(capacity - 1)
    this.#next = new Int32Array(capacity)
    for (let slot = 0; slot < size; slot++) {
      const bucket = this.#bucket(this.owners[slot]!, this.ids[slot])
      this.#next[slot] = this.#buckets[bucket]
      this.#buckets[bucket] = slot + 1
    }
    for (let slot = size; slot < capacity - 1; slot++) this.#next[slot] = slot + 2
    this.#free = size + 1
    while (this.owners.length < capacity) this.owners.push(undefined)
  }

  /** @returns the first of its blocks */
  #keep(record: Uint8Array): number {
    const first = this.#newBlock()
    let block = first
    for (let at = 0; ;) {
      const chunk = this.#chunks[Math.floor(block / CHUNK_BLOCKS)]
      const begin = (block % CHUNK_BLOCKS) * BLOCK_OCTETS
      const length = Math.min(BLOCK_OCTETS, record.length - at)
      // Most are a few octets, for which a view of them would be dearer.
      for (let i = 0; i < length; i++) chunk[begin + i] = record[at + i]
      at += BLOCK_OCTETS
      if (at >= record.length) return first
      const next = this.#newBlock()
      this.#nextBlocks[Math.floor(block / CHUNK_BLOCKS)][block % CHUNK_BLOCKS] = next + 1
      block = next
    }
  }

  #newBlock(): number {
    if (this.#freeBlock === 0) {
      const first = this.#chunks.length * CHUNK_BLOCKS
      this.#chunks.push(new Uint8Array(CHUNK_BLOCKS * BLOCK_OCTETS))
      const next = new Int32Array(CHUNK_BLOCKS)
      for (let i = 0; i < CHUNK_BLOCKS - 1; i++) next[i] = first + i + 2
      this.#nextBlocks.push(next)
      this.#freeBlock = first + 1
    }
    const block = this.#freeBlock - 1
    this.#freeBlock = this.#nextBlock(block) + 1
    this.#nextBlocks[Math.floor(block / CHUNK_BLOCKS)][block % CHUNK_BLOCKS] = 0
    return block
  }

  /** −1: it is the last one. */
  #nextBlock(block: number): number {
    return this.#nextBlocks[Math.floor(block / CHUNK_BLOCKS)][block % CHUNK_BLOCKS] - 1
  }

  #release(first: number): void {
    let last = first
    for (let next = this.#nextBlock(last); next >= 0; next = this.#nextBlock(last)) last = next
    this.#nextBlocks[Math.floor(last / CHUNK_BLOCKS)][last % CHUNK_BLOCKS] = this.#freeBlock
    this.#freeBlock = first + 1
  }
}
