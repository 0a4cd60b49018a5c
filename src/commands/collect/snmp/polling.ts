import {lookup} from 'node:dns/promises'
import type {DartaCommand} from '../../../cli/base-command.js'
import {addressOctets} from '../../../record/address.js'
import {createFieldRecords, type FieldValue} from '../../../record/field-records.js'
import {DartaError} from '../../../record/errors.js'
import type {MessageContext, RecordBatch, RecordStream} from '../../../record/batch.js'
import type {Ledger} from '../../../record/ledger.js'
import {openAgent, SnmpFailure, type FailureReason, type SnmpAgent} from './agent.js'
import {credentialsOf, warningOf, type SnmpUser} from './credentials.js'
import {loadSnmpPackage} from './package.js'
import {poll, type PolledDevice, type PollEvents} from './poll.js'
import type {PolledEndpoint} from './polled-endpoint.js'

/** Agents that are asked at their intervals, and the records of what they answer. */
export interface Polling {
  /** Ends when the command is stopped, or all agents were asked as often as was wanted. */
  readonly records: RecordStream
  close(): void
}

/** Records that are handed on at once. */
const MOST_RECORDS = 256
/** First requests go out so far apart. */
const SPREAD_MS = 10

const reasons: Readonly<Record<FailureReason, string>> = {
  timeout: 'does not answer',
  unreachable: 'cannot be reached',
  'no-such-host': 'is no host that is known',
  authentication: 'does not accept the user, or answers as another one',
  'not-in-time-window':
    'answers with a clock that is more than 150 s behind or ahead, or was set back',
  refused: 'refuses',
  'too-big': 'has too much for an answer',
  malformed: 'answers what cannot be read',
  'not-increasing': 'gives a table that never ends',
  'too-many': 'has more than a million instances',
  stopped: 'was not waited for',
}

interface Device extends PolledDevice {
  readonly endpoint: PolledEndpoint
  readonly as: string | SnmpUser
  agent: SnmpAgent | undefined
  address: string
  /** Why it could not be asked last time. */
  trouble: string | undefined
}

/**
 * Asks each agent on its own: one that does not answer holds up no other.
 *
 * @throws DartaError DARTA_USAGE, DARTA_FILE_READ, DARTA_PERMISSION
 */
export function openPolling(
  command: DartaCommand,
  endpoints: readonly PolledEndpoint[],
  ledger: Ledger,
): Polling {
  const devices = endpoints.map((endpoint): Device => ({
    endpoint,
    as: whoAsks(endpoint),
    interfaces: endpoint.interfaces,
    objects: endpoint.objects,
    readings: new Map(),
    agent: undefined,
    address: '',
    trouble: undefined,
  }))
  for (const {endpoint, as} of devices) {
    const warning = typeof as === 'string' ? undefined : warningOf([as])
    if (warning !== undefined) command.note(`${endpoint.name}: ${warning}`)
  }
  const snmp = loadSnmpPackage()
  const requests = ledger.stage('snmp-requests', 'messages')
  const account = ledger.stage('snmp', 'records')
  const waiting: {readonly batches: RecordBatch[]; readonly taken: () => void}[] = []
  let running = devices.length
  let stopped = false
  let changed = (): void => {}
  const stopHooks = new Set<() => void>()

  function stop(): void {
    stopped = true
    for (const hook of stopHooks) hook()
    for (const {agent} of devices) agent?.close()
    changed()
  }

  async function give(batches: RecordBatch[]): Promise<void> {
    if (batches.length === 0) return
    await new Promise<void>((resolve) => {
      waiting.push({batches, taken: resolve})
      changed()
    })
  }

  /** Until `atMs` of `performance.now`, or less where the command is stopped. */
  async function until(atMs: number): Promise<void> {
    if (stopped) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        stopHooks.delete(done)
        resolve()
      }
      const timer = setTimeout(done, Math.max(0, atMs - performance.now()))
      stopHooks.add(done)
    })
  }

  async function open(device: Device): Promise<SnmpAgent> {
    if (device.agent !== undefined) return device.agent
    const {host, port, timeoutMs, retries, context} = device.endpoint
    try {
      device.address = (await lookup(host)).address
    } catch (error) {
      requests.in++
      requests.lose('no-such-host')
      throw new SnmpFailure('no-such-host', error)
    }
    device.agent = openAgent(snmp, {
      address: device.address,
      port,
      timeoutMs,
      retries,
      as: device.as,
      context,
      asked(failure) {
        requests.in++
        if (failure === undefined) requests.out++
        else if (failure === 'stopped') requests.skip(failure)
        else requests.lose(failure)
      },
    })
    return device.agent
  }

  function close(device: Device): void {
    device.agent?.close()
    device.agent = undefined
  }

  function trouble(device: Device, words: string | undefined): void {
    const {name} = device.endpoint
    if (words !== undefined && words !== device.trouble) command.note(`${name} ${words}`)
    if (words === undefined && device.trouble !== undefined) command.note(`${name} answers again`)
    device.trouble = words
  }

  async function pollOnce(device: Device, again: boolean): Promise<void> {
    const records = createFieldRecords()
    let count = 0
    const batches = (): RecordBatch[] => {
      if (count === 0) return []
      count = 0
      const receivedMs = Date.now()
      const message: MessageContext = {
        exportTime: Math.floor(receivedMs / 1000),
        sequenceNumber: 0,
        observationDomainId: 0,
        exporter: device.endpoint.name,
        exporterAddress: addressOctets(device.address),
        receivedMs,
        offset: 0,
      }
      return records.take(message)
    }
    const events: PollEvents = {
      record(fields: readonly FieldValue[]) {
        account.in++
        try {
          records.add(fields)
        } catch (error) {
          if (!(error instanceof DartaError)) throw error
          account.lose('value')
          return
        }
        account.out++
        count++
      },
      partial: (failure) => account.note(`cut-short-${failure.reason}`),
      astray: (n) => account.note('in-no-row', n),
      async room() {
        if (count >= MOST_RECORDS) await give(batches())
      },
    }
    try {
      await poll(device, await open(device), events)
      trouble(device, undefined)
    } catch (error) {
      close(device)
      if (!(error instanceof SnmpFailure)) throw error
      const {reason} = error
      await give(batches())
      // An engine that began anew, with another name or less time than was known, has to be met again.
      const unmet = reason === 'authentication' || reason === 'not-in-time-window'
      if (unmet && typeof device.as !== 'string' && again && !stopped) {
        await pollOnce(device, false)
      } else if (reason !== 'stopped') trouble(device, reasons[reason])
      return
    }
    await give(batches())
  }

  async function run(device: Device, firstMs: number): Promise<void> {
    const {intervalMs, polls} = device.endpoint
    for (let slot = 0, n = 0; n < polls && !stopped; n++) {
      await until(firstMs + slot * intervalMs)
      if (stopped) break
      await pollOnce(device, true)
      const next = Math.max(slot + 1, Math.ceil((performance.now() - firstMs) / intervalMs))
      if (next > slot + 1 && n + 1 < polls) account.note('late', next - slot - 1)
      slot = next
    }
    close(device)
  }

  async function* stream(): RecordStream {
    const startMs = performance.now()
    let fault: Error | undefined
    for (const [i, device] of devices.entries()) {
      run(device, startMs + i * SPREAD_MS)
        .catch((error: unknown) => (fault ??= error as Error))
        .finally(() => {
          running--
          changed()
        })
    }
    for (;;) {
      const next = waiting.shift()
      if (next !== undefined) {
        yield next.batches
        next.taken()
      } else if (running === 0) break
      else await new Promise<void>((resolve) => (changed = resolve))
    }
    if (fault !== undefined) throw fault
  }

  if (command.stopping.aborted) stop()
  else command.onStop(stop)
  for (const {endpoint} of devices) command.detail(`asking ${endpoint.name}`)
  return {records: stream(), close: stop}
}

/** @throws DartaError DARTA_USAGE, DARTA_FILE_READ, DARTA_PERMISSION */
function whoAsks({name, secretFile, user}: PolledEndpoint): string | SnmpUser {
  const {communities, users} = credentialsOf(secretFile, name)
  if (user !== undefined) {
    const found = users.find((one) => one.name === user)
    if (found === undefined)
      throw new DartaError('DARTA_USAGE', `${name}: there is no user '${user}'`)
    return found
  }
  const [one, ...others] = [...communities, ...(communities.length === 0 ? users : [])]
  if (others.length > 0) {
    throw new DartaError(
      'DARTA_USAGE',
      `${name}: of several ${communities.length > 0 ? 'communities' : 'users'} it is not said which one asks`,
    )
  }
  return one
}
