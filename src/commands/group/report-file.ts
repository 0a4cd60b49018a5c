import {closeSync, openSync, writeSync} from 'node:fs'
import {writeError} from '../../io/errors.js'
import ipfix from '../../formats/ipfix.js'
import type {Findings} from '../../metering/coordination/share-control.js'
import {planDigest} from '../../metering/coordination/share-control.js'
import type {Plan} from '../../metering/coordination/plan.js'
import type {MessageContext, RecordBatch} from '../../record/batch.js'
import {fullLength, type InformationElement} from '../../record/element.js'
import {DartaError} from '../../record/errors.js'
import {Ledger} from '../../record/ledger.js'
import {createRecordBuilder, type RecordBuilder} from '../../record/record-writer.js'
import {createTemplate} from '../../record/template.js'
import {ie} from '../../registry/lookup.js'

/** Fields of what a node saw and took in a span of time; the first eight are its scope. */
const spanFields = [
  ie.dartaShareNode,
  ie.dartaShareEpoch,
  ie.dartaSharePlanDigest,
  ie.dartaShareOwners,
  ie.dartaShareStandby,
  ie.dartaShareRole,
  ie.dartaWindowStartMilliseconds,
  ie.dartaWindowEndMilliseconds,
  ie.packetDeltaCount,
  ie.octetDeltaCount,
  ie.dartaDigestSum,
  ie.dartaDigestXor,
]
/** Of a packet near an instant, or that was recovered; the first three are its scope. */
const listedFields = [
  ie.dartaShareNode,
  ie.dartaShareEpoch,
  ie.dartaShareSlot,
  ie.dartaSharePreviousOwners,
  ie.dartaSharePreviousStandby,
  ie.dartaShareOwners,
  ie.dartaShareStandby,
  ie.dartaShareTaken,
  ie.dartaShareMark,
  ie.dartaShareLostNode,
  ie.observationTimeMilliseconds,
  ie.octetDeltaCount,
  ie.digestHashValue,
]
/** Of a plan that the node put in force, once for each node that it says died; the first three are its scope. */
const planFields = [
  ie.dartaShareNode,
  ie.dartaShareEpoch,
  ie.dartaSharePlanDigest,
  ie.dartaWindowStartMilliseconds,
  // When the node had it in force.
  ie.observationTimeMilliseconds,
  ie.dartaShareGuardMilliseconds,
  ie.dartaShareLostNode,
  ie.dartaShareThruMilliseconds,
]
/** Of what the kernel could not keep for the node; the first is its scope. */
const dropFields = [ie.dartaShareNode, ie.observationTimeMilliseconds, ie.droppedPacketTotalCount]

/**
 * A capture node's account of what it saw and took, for `split --verify`: an IPFIX file of Options Records that grows as
 * they come, so that it tells all up to the moment a node dies.
 */
export interface ReportFile {
  findings(found: Findings): void
  plan(plan: Plan): void
  drops(packets: number, timeMs: number): void
  end(): void
}

/** @throws DartaError DARTA_FILE_EXISTS, DARTA_FILE_WRITE, DARTA_PERMISSION */
export function openReportFile(path: string, node: string, force: boolean): ReportFile {
  let fd: number
  try {
    fd = openSync(path, force ? 'w' : 'wx')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      throw new DartaError('DARTA_FILE_EXISTS', `${path} exists; --force replaces it`)
    }
    throw writeError(path, error)
  }
  const encoder = ipfix.encoder({ledger: new Ledger(), options: {}, argument: undefined})
  const span = builder(spanFields, 8)
  const listed = builder(listedFields, 3)
  const plans = builder(planFields, 3)
  const drop = builder(dropFields, 1)
  let lastDrops = 0

  function write(batches: readonly (RecordBatch | undefined)[]): void {
    const chunks = encoder.push(batches.filter((batch) => batch !== undefined))
    put([...chunks, ...encoder.flush()])
  }

  function put(chunks: readonly Uint8Array[]): void {
    try {
      for (const chunk of chunks) {
        for (let at = 0; at < chunk.length;) at += writeSync(fd, chunk, at)
      }
    } catch (error) {
      throw writeError(path, error)
    }
  }

  const context = (): MessageContext => ({
    exportTime: Math.floor(Date.now() / 1000),
    sequenceNumber: 0,
    observationDomainId: 0,
    offset: 0,
  })

  return {
    findings({rows, listed: packets}) {
      for (const row of rows) {
        span.add([
          ...[node, row.epoch, row.planDigest, row.class.owners, row.class.standby],
          ...[row.owner ? 1 : 0, row.startMs, row.endMs, row.packets, row.octets],
          ...[row.sum, row.xor],
        ])
      }
      for (const one of packets) {
        listed.add([
          ...[node, one.epoch, one.slot, one.before?.owners ?? '', one.before?.standby ?? ''],
          ...[one.after?.owners ?? '', one.after?.standby ?? '', one.taken, one.mark],
          ...[one.lost ?? '', Number(one.timeNs / 1_000_000n), one.octets, one.digest],
        ])
      }
      if (rows.length + packets.length > 0) write([span.take(context()), listed.take(context())])
    },
    plan(plan) {
      const lost = plan.lost.length === 0 ? [{id: '', thru: 0}] : plan.lost
      for (const {id, thru} of lost) {
        plans.add([node, plan.epoch, planDigest(plan), plan.at, Date.now(), plan.guardMs, id, thru])
      }
      write([plans.take(context())])
    },
    drops(packets, timeMs) {
      if (packets === lastDrops) return
      lastDrops = packets
      drop.add([node, timeMs, packets])
      write([drop.take(context())])
    },
    end() {
      put(encoder.end())
      closeSync(fd)
    },
  }
}

let nextId = 256

function builder(elements: readonly InformationElement[], scope: number): RecordBuilder {
  const fields = elements.map((element) => ({element, length: fullLength(element.type)}))
  return createRecordBuilder(createTemplate(nextId++, fields, scope))
}
