import type {Socket} from 'node:net'

/** As much of Kafka's protocol as stands before kcat's brokers in the tests. Network byte order. */

export const int16 = (n: number): Buffer => Buffer.from([(n >> 8) & 255, n & 255])
export const int32 = (n: number): Buffer => {
  const octets = Buffer.alloc(4)
  octets.writeInt32BE(n)
  return octets
}
export const string = (text: string): Buffer =>
  Buffer.concat([int16(text.length), Buffer.from(text)])

/** A question of Kafka's protocol, from its length on. */
export interface Question {
  readonly key: number
  readonly version: number
  readonly correlation: Buffer
  readonly body: Buffer
  readonly whole: Buffer
}

export function* questions(rest: {octets: Buffer}): Generator<Question> {
  for (;;) {
    const {octets} = rest
    if (octets.length < 4 || octets.length < 4 + octets.readInt32BE(0)) return
    const whole = octets.subarray(0, 4 + octets.readInt32BE(0))
    rest.octets = octets.subarray(whole.length)
    const client = Math.max(0, whole.readInt16BE(12))
    yield {
      ...{key: whole.readInt16BE(4), version: whole.readInt16BE(6)},
      ...{correlation: whole.subarray(8, 12), body: whole.subarray(14 + client), whole},
    }
  }
}

/** Answers to a question, with its number before. */
export function answerTo(socket: Socket, {correlation}: Question, ...parts: Buffer[]): void {
  const octets = Buffer.concat([correlation, ...parts])
  socket.write(Buffer.concat([int32(octets.length), octets]))
}

/** Questions that kcat's brokers know and the tests need, and their versions. */
export const KNOWN: readonly (readonly number[])[] = [
  ...[
    [0, 0, 7],
    [1, 0, 11],
    [2, 0, 5],
    [3, 0, 2],
    [18, 0, 2],
  ],
]

/** Reads what a question says. */
export class Reader {
  readonly #octets: Buffer
  #at = 0
  constructor(octets: Buffer) {
    this.#octets = octets
  }
  int8(): number {
    return this.#octets.readInt8((this.#at += 1) - 1)
  }
  int16(): number {
    return this.#octets.readInt16BE((this.#at += 2) - 2)
  }
  int32(): number {
    return this.#octets.readInt32BE((this.#at += 4) - 4)
  }
  int64(): number {
    return Number(this.#octets.readBigInt64BE((this.#at += 8) - 8))
  }
  string(): string {
    const octets = Math.max(0, this.int16())
    return this.#octets.toString('utf8', this.#at, (this.#at += octets))
  }
  list<T>(one: () => T): T[] {
    return Array.from({length: Math.max(0, this.int32())}, one)
  }
}
