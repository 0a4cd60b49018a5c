/** What a stage counts. */
export type LedgerUnit = 'packets' | 'records' | 'messages' | 'lines' | 'fields'

/**
 * The account of one stage: `in = out + dropped + held`. Every unit that comes in either goes out,
 * is dropped for a named reason, or is still held (flow tables, queues).
 */
export class StageLedger {
  readonly stage: string
  readonly unit: LedgerUnit;
  in = 0
  out = 0
  /** Units by reason. A reason that is a normal part of the job (non-IP frames of a meter) is `skipped`. */
  readonly skipped = new Map<string, number>()
  /** Units by reason that were lost or damaged; these count for --strict-loss. */
  readonly lost = new Map<string, number>()
  /**
   * Units by reason that never came in, as sequence numbers and drop counters of others tell. No part of
   * the balance; these count for --strict-loss.
   */
  readonly missing = new Map<string, number>()
  /** Events worth telling that cost no unit. No part of the balance. */
  readonly noted = new Map<string, number>()
  /** Octet offset of the first fault of each reason, where it has one. */
  readonly firstOffset = new Map<string, number>()
  /** Line of the first fault of each reason, from 1, where the input has lines. */
  readonly firstLine = new Map<string, number>()
  /** How often something was skipped, lost, missed or noted. */
  events = 0
  /** Called before the account is read, where another keeps the counters. */
  update: (() => void) | undefined

  constructor(stage: string, unit: LedgerUnit) {
    this.stage = stage
    this.unit = unit
  }

  skip(reason: string, n = 1): void {
    this.events++
    this.skipped.set(reason, (this.skipped.get(reason) ?? 0) + n)
  }

  lose(reason: string, n = 1, offset?: number, line?: number): void {
    this.events++
    this.lost.set(reason, (this.lost.get(reason) ?? 0) + n)
    this.#place(reason, offset, line)
  }

  /** `n` below zero takes back what was thought missing and came late. */
  miss(reason: string, n = 1, offset?: number): void {
    this.events++
    const sum = (this.missing.get(reason) ?? 0) + n
    if (sum === 0) this.missing.delete(reason)
    else this.missing.set(reason, sum)
    this.#place(reason, offset)
  }

  note(reason: string, n = 1, offset?: number): void {
    this.events++
    this.noted.set(reason, (this.noted.get(reason) ?? 0) + n)
    this.#place(reason, offset)
  }

  #place(reason: string, offset: number | undefined, line?: number): void {
    if (offset !== undefined && !this.firstOffset.has(reason)) this.firstOffset.set(reason, offset)
    if (line !== undefined && !this.firstLine.has(reason)) this.firstLine.set(reason, line)
  }

  /** Sum over all reasons of lost units. */
  totalLost(): number {
    this.update?.()
    let n = 0
    for (const v of this.lost.values()) n += v
    return n
  }

  /** Sum over all reasons of units that never came in. */
  totalMissing(): number {
    let n = 0
    for (const v of this.missing.values()) n += v
    return n
  }

  /** `meter: 58 packets in, 52 out, skipped 6 (arp 4, lldp 2), lost 1 (truncated 1 at octet 1234)` */
  line(): string {
    this.update?.()
    const list = (m: Map<string, number>): string =>
      [...m]
        .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
        .map(([reason, n]) => {
          const at = this.firstOffset.get(reason)
          const line = this.firstLine.get(reason)
          const place = line === undefined ? '' : `, line ${line}`
          return `${reason} ${n}${at === undefined ? '' : ` from octet ${at}${place}`}`
        })
        .join(', ')
    const sum = (m: Map<string, number>): number => [...m.values()].reduce((a, b) => a + b, 0)
    let text = `${this.stage}: ${this.in} ${this.unit} in, ${this.out} out`
    if (this.skipped.size > 0) text += `, skipped ${sum(this.skipped)} (${list(this.skipped)})`
    if (this.lost.size > 0) text += `, lost ${sum(this.lost)} (${list(this.lost)})`
    if (this.missing.size > 0) text += `, missing ${sum(this.missing)} (${list(this.missing)})`
    if (this.noted.size > 0) text += `, noted ${list(this.noted)}`
    return text
  }
}

/** All stages of one process, in the order of the data. */
export class Ledger {
  readonly stages: StageLedger[] = []

  /** Opens an account; ask once per stage. */
  stage(name: string, unit: LedgerUnit): StageLedger {
    const stage = new StageLedger(name, unit)
    this.stages.push(stage)
    return stage
  }

  /** Units that any stage lost or missed. */
  totalLost(): number {
    return this.stages.reduce((n, s) => n + s.totalLost() + s.totalMissing(), 0)
  }

  lines(): string[] {
    return this.stages.map((s) => s.line())
  }
}
