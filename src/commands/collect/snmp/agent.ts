import {createSocket} from 'node:dgram'
import {follows, subIdentifiersBelow} from '../../../record/object-identifier.js'
import type {SnmpBinding} from '../../../mediation/snmp/value.js'
import {packageUser, type SnmpUser} from './credentials.js'
import {
  bindingOf,
  type DgramModule,
  type PackageSession,
  type PackageVarbind,
  type SnmpPackage,
} from './package.js'

/** Why a request has no answer that can be used. */
export type FailureReason =
  | 'timeout'
  | 'unreachable'
  | 'no-such-host'
  | 'authentication'
  /** Its clock is not where it has to be. RFC 3414 section 3.2, step 7b. */
  | 'not-in-time-window'
  /** It answered with an error of its own. */
  | 'refused'
  /** What was asked for does not fit an answer. */
  | 'too-big'
  | 'malformed'
  /** A walk that would never end. */
  | 'not-increasing'
  | 'too-many'
  | 'stopped'

export class SnmpFailure extends Error {
  override readonly name = 'SnmpFailure'
  readonly reason: FailureReason

  constructor(reason: FailureReason, cause?: unknown) {
    super(reason, {cause})
    this.reason = reason
  }
}

export interface AgentOptions {
  /** IPv4 or IPv6. */
  readonly address: string
  readonly port: number
  readonly timeoutMs: number
  readonly retries: number
  /** A community, SNMPv2c, or a user, SNMPv3. */
  readonly as: string | SnmpUser
  /** Of SNMPv3. */
  readonly context: string | undefined
  /** Told of each request when it is over. */
  asked(failure: FailureReason | undefined): void
}

export interface Answer {
  readonly bindings: readonly SnmpBinding[]
  /** Milliseconds of `performance.now`: when it was asked for, at first, and when it came. */
  readonly askedMs: number
  readonly answeredMs: number
}

/** An agent that is asked. One request at a time. */
export interface SnmpAgent {
  /** What there is of these instances. @throws SnmpFailure */
  get(oids: readonly string[]): Promise<Answer>
  /** All instances below `base`, in parts as they come. @throws SnmpFailure; what came before stays given */
  walk(base: string, take: (bindings: readonly SnmpBinding[]) => void): Promise<void>
  /** Requests that wait fail. */
  close(): void
}

const REPETITIONS = 20
/** Instances of one walk. */
const MOST_INSTANCES = 1_000_000
/** error-status. RFC 3416 section 3. */
const TOO_BIG = 1

export function openAgent(snmp: SnmpPackage, options: AgentOptions): SnmpAgent {
  let fail: (error: unknown) => void = () => {}
  const session = openSession(snmp, options, (error) => fail(error))
  let open = true

  async function ask<T>(
    send: (answer: (error: Error | null, result: T) => void) => void,
  ): Promise<T> {
    let failure: FailureReason | undefined
    try {
      if (!open) throw new SnmpFailure('stopped')
      return await new Promise<T>((resolve, reject) => {
        fail = reject
        send((error, result) => (error === null ? resolve(result) : reject(error)))
      })
    } catch (error) {
      const reason = open ? reasonOf(error) : 'stopped'
      failure = reason
      throw new SnmpFailure(reason, error)
    } finally {
      fail = () => {}
      options.asked(failure)
    }
  }

  return {
    async get(oids) {
      const askedMs = performance.now()
      const varbinds = await ask<PackageVarbind[]>((answer) => session.get(oids, answer))
      const answeredMs = performance.now()
      return {bindings: varbinds.flatMap((one) => bindingOf(snmp, one) ?? []), askedMs, answeredMs}
    },
    async walk(base, take) {
      let last = base
      let count = 0
      for (;;) {
        const [found] = await ask<(PackageVarbind | PackageVarbind[])[]>((answer) =>
          session.getBulk([last], 0, REPETITIONS, answer),
        )
        const varbinds = Array.isArray(found) ? found : []
        const inside: SnmpBinding[] = []
        let ended = varbinds.length === 0
        for (const varbind of varbinds) {
          ended =
            varbind.type === snmp.ObjectType.EndOfMibView ||
            subIdentifiersBelow(varbind.oid, base) === undefined
          if (ended) break
          if (!follows(varbind.oid, last)) {
            take(inside)
            throw new SnmpFailure('not-increasing')
          }
          last = varbind.oid
          inside.push(...[bindingOf(snmp, varbind) ?? []].flat())
        }
        take(inside)
        count += varbinds.length
        if (ended) return
        if (count > MOST_INSTANCES) throw new SnmpFailure('too-many')
      }
    },
    close() {
      if (open) session.close()
      open = false
    },
  }
}

function openSession(
  snmp: SnmpPackage,
  {address, port, timeoutMs, retries, as, context}: AgentOptions,
  broken: (error: unknown) => void,
): PackageSession {
  const common = {
    port,
    timeout: timeoutMs,
    retries,
    transport: address.includes(':') ? 'udp6' : 'udp4',
    // Whether a walk goes on is looked at here.
    backwardsGetNexts: true,
    dgramModule: guarded(broken),
  } as const
  const session =
    typeof as === 'string'
      ? snmp.createSession(address, as, {...common, version: snmp.Version2c})
      : snmp.createV3Session(address, packageUser(snmp, as), {
          ...common,
          version: snmp.Version3,
          ...(context !== undefined && {context}),
        })
  // An answer that cannot be read: its request comes again until it times out.
  session.on('error', () => {})
  return session
}

/** Sockets for the package, whose faults while it reads an answer end the request and not the process. */
function guarded(broken: (error: unknown) => void): DgramModule {
  return {
    createSocket(type) {
      const socket = createSocket(type)
      const on = socket.on.bind(socket) as (event: string, fn: (...args: unknown[]) => void) => void
      socket.on = ((event: string, fn: (...args: unknown[]) => void) => {
        on(event, (...args) => {
          try {
            fn(...args)
          } catch (error) {
            broken(error)
          }
        })
        return socket
      }) as typeof socket.on
      return socket
    },
  }
}

function reasonOf(error: unknown): FailureReason {
  const {name, code, status} = error as {name?: string; code?: unknown; status?: number}
  switch (name) {
    case 'SnmpFailure':
      return (error as SnmpFailure).reason
    case 'RequestTimedOutError':
      return 'timeout'
    case 'RequestFailedError':
      return status === TOO_BIG ? 'too-big' : 'refused'
    case 'ResponseInvalidError':
      // ENotInTimeWindow
      if (code === 14) return 'not-in-time-window'
      // ECouldNotDecrypt, EAuthFailure, EUnexpectedReport
      return [4, 5, 11].includes(code as number) ? 'authentication' : 'malformed'
    default:
      // Codes of the system; those of Node begin with ERR_.
      return typeof code === 'string' && /^E(?!RR_)/.test(code) ? 'unreachable' : 'malformed'
  }
}
