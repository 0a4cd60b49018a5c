import {textField} from '../../mediation/enrichment/attribute.js'
import type {HostKey, HostNames} from '../../mediation/enrichment/enrich.js'
import type {StageLedger} from '../../record/ledger.js'
import {ipv4Text} from '../../record/value.js'

/** How long an answer is believed, in milliseconds: a name, that there is none, that nobody answered. */
const BELIEVED_MS = {found: 3_600_000, none: 300_000, failed: 60_000} as const
/** Questions that wait for their turn; more are not asked. */
const MAX_WAITING = 8192
const NO_NAME = Uint8Array.of(0)

export interface HostNamesOptions {
  /** Names of an address; none rejects with the code ENOTFOUND or ENODATA. */
  readonly ask: (address: string) => Promise<readonly string[]>
  /** Milliseconds of a clock that only goes on. */
  readonly now: () => number
  /** How long records wait for answers at most, in milliseconds. */
  readonly waitMs: number
  /** Most questions at a time. */
  readonly concurrency: number
  /** Most answers that are kept. */
  readonly entries: number
  /** Is told what was asked and answered. */
  readonly account: StageLedger
}

interface Answer {
  readonly field: Uint8Array
  readonly untilMs: number
}

/** Those who wait for the answers to some questions. */
interface Round {
  left: number
  done: (() => void) | undefined
}

/** Names of hosts from the DNS. Answers that come too late for the records that asked are there for the next ones. */
export function createHostNames(options: HostNamesOptions): HostNames {
  const {ask, now, waitMs, concurrency, entries, account} = options
  const answers = new Map<HostKey, Answer>()
  const pending = new Set<HostKey>()
  const waiting: [key: HostKey, round: Round][] = []
  let active = 0
  let round: Round = {left: 0, done: undefined}

  function keep(key: HostKey, answer: Answer): void {
    // The oldest answers go first; what is asked again after that is one question.
    while (answers.size >= entries) answers.delete(answers.keys().next().value!)
    answers.delete(key)
    answers.set(key, answer)
  }

  function learn(key: HostKey, names: readonly string[]): void {
    // Servers turn the order from answer to answer.
    const name = [...names].sort()[0]?.replace(/\.$/, '') ?? ''
    // Control characters are not seen where names are read.
    const usable = name !== '' && name.length <= 253 && !/[\x00-\x20\x7f]/.test(name)
    if (name !== '' && !usable) account.note('names-malformed')
    const [field, ms] = usable ? [textField(name), BELIEVED_MS.found] : [NO_NAME, BELIEVED_MS.none]
    keep(key, {field, untilMs: now() + ms})
  }

  function fail(key: HostKey, error: unknown): void {
    const {code} = error as {code?: unknown}
    const none = code === 'ENOTFOUND' || code === 'ENODATA'
    account.note(none ? 'names-none' : 'names-failed')
    const ms = none ? BELIEVED_MS.none : BELIEVED_MS.failed
    keep(key, {field: NO_NAME, untilMs: now() + ms})
  }

  function start(key: HostKey, of: Round): void {
    active++
    account.note('names-asked')
    const over = (): void => {
      active--
      pending.delete(key)
      if (--of.left === 0) of.done?.()
      const next = waiting.shift()
      if (next !== undefined) start(...next)
    }
    ask(textOf(key)).then(
      (names) => {
        learn(key, names)
        over()
      },
      (error: unknown) => {
        fail(key, error)
        over()
      },
    )
  }

  return {
    want(key) {
      if (pending.has(key)) return
      const known = answers.get(key)
      if (known !== undefined && known.untilMs > now()) return
      if (active >= concurrency && waiting.length >= MAX_WAITING) {
        account.note('names-not-asked')
        return
      }
      pending.add(key)
      round.left++
      if (active < concurrency) start(key, round)
      else waiting.push([key, round])
    },
    async settle() {
      const mine = round
      round = {left: 0, done: undefined}
      if (mine.left === 0 || waitMs === 0) return
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => {
          account.note('names-late', mine.left)
          resolve()
        }, waitMs)
        mine.done = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    },
    field: (key) => answers.get(key)?.field ?? NO_NAME,
  }
}

function textOf(key: HostKey): string {
  if (typeof key === 'string') return key
  return ipv4Text(Uint8Array.of(key >>> 24, key >>> 16, key >>> 8, key), 0)
}
