import type {RecordBatch} from '../record/batch.js'
import type {StageLedger} from '../record/ledger.js'
import {numberReader, readerOf, valueReader, type Reader} from '../record/readers.js'
import type {Template} from '../record/template.js'
import {ie} from '../registry/elements.js'
import type {AccountingRecordType} from './diameter/accounting.js'

/** What a session had so far. */
export interface SessionUsage {
  readonly type: Exclude<AccountingRecordType, 'event'>
  /** Tells sessions of one run apart, from 1. */
  readonly session: number
  readonly number: number
  readonly userName: string
  readonly userId: number
  /** Milliseconds since 1970, as the records have it. */
  readonly startMs: number
  readonly timeMs: number
  /** What the user sent, and what he received. */
  readonly sentOctets: number
  readonly sentPackets: number
  readonly receivedOctets: number
  readonly receivedPackets: number
}

interface Session {
  readonly session: number
  readonly userName: string
  readonly userId: number
  readonly startMs: number
  number: number
  toldMs: number
  activeMs: number
  sentOctets: number
  sentPackets: number
  receivedOctets: number
  receivedPackets: number
}

interface RowReader {
  readonly userId: Reader<number>
  readonly userName: Reader<unknown> | undefined
  readonly direction: Reader<number>
  readonly packets: Reader<number>
  readonly octets: Reader<number>
  readonly time: Reader<number> | undefined
}

/** Sessions of users, made of what `user-map` writes. */
export interface UserSessions {
  /** Takes records of users; those of remainders, flows and others are skipped by name. */
  take(batch: RecordBatch): SessionUsage[]
  /** Ends all sessions. */
  end(): SessionUsage[]
  /** How many users have a session now. */
  readonly size: number
}

export interface UserSessionOptions {
  /** Milliseconds from one interim record of a session to the next, by the time of the records. */
  readonly interimMs: number
  /** Milliseconds without a packet after which a session has ended; the next packet begins another one. */
  readonly idleMs: number
  readonly account: StageLedger
}

const EGRESS = 1

/**
 * A user's session begins with his first packet and ends with the records, or when he has been silent for long. The delta
 * counts of records are summed, so each octet is in one session.
 */
export function createUserSessions({interimMs, idleMs, account}: UserSessionOptions): UserSessions {
  const sessions = new Map<number, Session>()
  const readers = new Map<Template, RowReader | undefined>()
  let begun = 0
  let nowMs = 0

  const usage = (one: Session, type: SessionUsage['type']): SessionUsage => {
    one.toldMs = nowMs
    return {...one, type, timeMs: nowMs, number: one.number++}
  }
  /** What is due by the time of a record; records of one look have one time. */
  const due = (): SessionUsage[] => {
    const told: SessionUsage[] = []
    for (const one of sessions.values()) {
      if (nowMs - one.activeMs >= idleMs) {
        sessions.delete(one.userId)
        told.push(usage(one, 'stop'))
      } else if (nowMs - one.toldMs >= interimMs) told.push(usage(one, 'interim'))
    }
    return told
  }
  const readerFor = (template: Template): RowReader | undefined => {
    if (!readers.has(template)) readers.set(template, rowReader(template))
    return readers.get(template)
  }
  return {
    get size() {
      return sessions.size
    },
    take(batch) {
      account.in += batch.count
      const reader = readerFor(batch.template)
      if (reader === undefined) {
        account.skip('no-user', batch.count)
        return []
      }
      const told: SessionUsage[] = []
      for (let i = 0; i < batch.count; i++) {
        const time = reader.time?.(batch, i) ?? batch.message.exportTime * 1000
        // Before what came after it is added: an interim record is about the look before.
        if (time > nowMs) {
          if (nowMs > 0) told.push(...due())
          nowMs = time
        }
        const octets = reader.octets(batch, i)
        const packets = reader.packets(batch, i)
        account.out++
        if (packets === 0) continue
        const userId = reader.userId(batch, i)
        let one = sessions.get(userId)
        if (one === undefined) {
          const name = reader.userName?.(batch, i)
          one = {
            session: ++begun,
            userName: typeof name === 'string' ? name : String(userId),
            userId,
            startMs: nowMs,
            number: 0,
            toldMs: nowMs,
            activeMs: nowMs,
            sentOctets: 0,
            sentPackets: 0,
            receivedOctets: 0,
            receivedPackets: 0,
          }
          sessions.set(userId, one)
          told.push(usage(one, 'start'))
        }
        one.activeMs = nowMs
        if (reader.direction(batch, i) === EGRESS) {
          one.sentOctets += octets
          one.sentPackets += packets
        } else {
          one.receivedOctets += octets
          one.receivedPackets += packets
        }
      }
      return told
    },
    end() {
      const told = [...sessions.values()].map((one) => usage(one, 'stop'))
      sessions.clear()
      return told
    },
  }
}

/** Readers of a record of a user's totals; undefined for all others. */
function rowReader(template: Template): RowReader | undefined {
  const userId = readerOf(template, ie.dartaUserId, numberReader)
  const direction = readerOf(template, ie.flowDirection, numberReader)
  const packets = readerOf(template, ie.packetDeltaCount, numberReader)
  const octets = readerOf(template, ie.octetDeltaCount, numberReader)
  if (!userId || !direction || !packets || !octets || template.scopeCount > 0) return undefined
  return {
    userId,
    direction,
    packets,
    octets,
    userName: readerOf(template, ie.userName, valueReader),
    time: readerOf(template, ie.observationTimeMilliseconds, numberReader),
  }
}
