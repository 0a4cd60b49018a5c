import type {Place} from '../../cli/rotation.js'
import type {StageLedger} from '../../record/ledger.js'

/**
 * What became of some octets: `taken`; `gone`: nobody takes them any more; `again`: nobody took them, but whoever reads
 * now begins anew, so that what it needs first (a header, Templates) has to come before the next ones.
 */
export type Fate = 'taken' | 'gone' | 'again'

/** Where one part of a divided stream goes. */
export interface Destination {
  /** What it is called in accounts and messages: `part-2.pcap`, `child-2`, `tcp://192.0.2.1:4739`. */
  readonly name: string
  /**
   * Its own account where it may go away; without one all that it is given is taken, or an error ends the work.
   */
  readonly account: StageLedger | undefined
  /** Whether it reads while the work goes on, so that nothing should be held back from it. */
  readonly live: boolean
  /** Resolves when there is room for more. */
  write(chunks: readonly Uint8Array[]): Promise<Fate>
  /** Ends what has been written and goes on at the next place. */
  next(place: Place): Promise<void>
  end(): Promise<void>
  abort(): Promise<void>
}

/** Gives octets that hold `count` packets or records to a destination, and accounts for them. */
export async function give(
  destination: Destination,
  chunks: readonly Uint8Array[],
  count: number,
  split: StageLedger,
): Promise<Fate> {
  const {account} = destination
  const fate = await destination.write(chunks)
  split.out += count
  if (account !== undefined) {
    account.in += count
    if (fate === 'taken') account.out += count
    else if (count > 0) account.lose('gone', count)
  }
  return fate
}
