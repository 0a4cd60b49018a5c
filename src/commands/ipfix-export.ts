import * as Flags from '@oclif/core/flags'
import {DartaCommand} from '../cli/base-command.js'
import * as common from '../cli/flags.js'
import {openRecords} from '../cli/record-input.js'
import {tlsCredentials, tlsFlags} from '../cli/tls-flags.js'
import {parseDuration, parseSize} from '../cli/values.js'
import {parseEndpoint, type Endpoint} from '../io/endpoint.js'
import {loadNative} from '../io/native.js'
import {openSpillFolder, type Cursor} from '../io/spill-folder.js'
import {DartaError} from '../record/errors.js'
import {StageLedger} from '../record/ledger.js'
import {DatagramDestination} from './ipfix-export/datagram-destination.js'
import type {Destination, Surroundings} from './ipfix-export/destination.js'
import {enterTimes, Exporter} from './ipfix-export/exporter.js'
import {createGate} from './ipfix-export/gate.js'
import {legacyWire, type DatagramEncoder, type LegacyAccounts} from './ipfix-export/legacy-wire.js'
import {createMemoryLog, type MessageLog} from './ipfix-export/message-log.js'
import {netflow5Encoder} from './ipfix-export/netflow5.js'
import {netflow9Encoder} from './ipfix-export/netflow9.js'
import {sflowEncoder} from './ipfix-export/sflow.js'
import {createPace, createTimeline, type Timeline} from './ipfix-export/pacing.js'
import {openSpilledLog, wholeMessages} from './ipfix-export/spilled-log.js'
import {StreamDestination} from './ipfix-export/stream-destination.js'
import {ipfixWire} from './ipfix-export/wire.js'

/** What goes out at once: small enough that little is in doubt when a connection breaks. */
const BURST_OCTETS = 1 << 17
const QUEUE_OCTETS = 64 << 20
const SPILL_OCTETS = 4 * 2 ** 30
const UNIX_RECONNECT_MS = 1000

export default class IpfixExport extends DartaCommand {
  static override summary = 'Send records to Collectors over UDP, TCP, TLS or Unix sockets.'
  static override description =
    'Reads IPFIX or NDJSON and sends it to one or several Collectors: udp://HOST[:PORT], tcp://…, tls://… or ' +
    'unix:PATH, each in a Transport Session of its own. A Collector that is slow holds up the input, so that nothing is ' +
    'lost; one that is not there holds up nobody: what the queue has no room for is lost to it, and counted. With ' +
    '--spill it waits on disk instead, for as long as it takes, and is there after a restart of this process.'
  static override examples = [
    '<%= config.bin %> ipfix-export -r lan.ipfix tcp://collector.example',
    '<%= config.bin %> capture -i eth0 | <%= config.bin %> ipfix-export --spill /var/spool/darta tcp://a.example tcp://b.example',
    '<%= config.bin %> ipfix-export -r lan.ipfix --replay 1 --rate 10k udp://[2001:db8::1]:4739',
    '<%= config.bin %> ipfix-export tls://collector.example --tls-cert me.pem --tls-key me.key --tls-ca ca.pem',
  ]
  static override strict = false
  static override usage = 'ipfix-export DESTINATION... [FLAGS]'
  static override flags = {
    ...common.recordInput,
    rate: common.rate,
    replay: Flags.custom<number>({parse: async (input) => parseSpeed(input)})({
      helpValue: 'SPEED',
      summary:
        'Send as the original was spaced, by the export times of its Messages: 1 as fast, 10 ten times as fast.',
    }),
    as: Flags.option({options: ['ipfix', 'netflow9', 'netflow5', 'sflow'] as const})({
      helpValue: 'ipfix|netflow9|netflow5|sflow',
      default: 'ipfix' as const,
      summary:
        'Protocol to send; what NetFlow or sFlow has no place for is listed and counted. Both go over UDP only.',
    }),
    'max-message': Flags.custom<number>({parse: async (input) => parseMessageOctets(input)})({
      helpValue: 'OCTETS',
      summary:
        'Most octets of a Message; over UDP never more than the path carries, and 512 where that is not known.',
    }),
    'template-refresh': common.templateRefresh,
    reconnect: Flags.custom<number>({parse: async (input) => parseDuration(input)})({
      helpValue: 'DURATION',
      default: 60_000,
      defaultHelp: async () => '60s',
      summary: 'Least time from one attempt to connect to the next.',
    }),
    linger: Flags.custom<number>({parse: async (input) => parseDuration(input)})({
      helpValue: 'DURATION',
      default: 5000,
      defaultHelp: async () => '5s',
      summary: 'How long a Collector that cannot be reached is waited for at the end of the input.',
    }),
    stall: Flags.custom<number>({parse: async (input) => parseDuration(input)})({
      helpValue: 'DURATION',
      default: 10_000,
      defaultHelp: async () => '10s',
      summary: 'A Collector that takes nothing for so long holds up the input no longer.',
    }),
    'loss-report': Flags.custom<number>({parse: async (input) => parseDuration(input)})({
      helpValue: 'DURATION',
      default: 10_000,
      defaultHelp: async () => '10s',
      summary:
        'Least time from one record that tells a Collector what it was not sent to the next (RFC 7011 section 4.3); 0: none.',
    }),
    queue: Flags.custom<number>({parse: async (input) => parseSize(input)})({
      helpValue: 'SIZE',
      exclusive: ['spill'],
      summary: 'Octets that wait in memory for Collectors; 64Mi unless said otherwise.',
    }),
    spill: Flags.string({
      helpValue: 'DIR',
      summary:
        'Keep Messages in files of DIR until all Collectors have them; what is left there goes first.',
    }),
    'spill-size': Flags.custom<number>({parse: async (input) => parseSize(input)})({
      helpValue: 'SIZE',
      dependsOn: ['spill'],
      summary:
        'Octets that may wait there, 4Gi unless said otherwise; what comes on top pushes out the oldest, counted.',
    }),
    ...tlsFlags,
  }

  protected async execute(): Promise<void> {
    const {flags, raw} = await this.parse(IpfixExport)
    const endpoints = this.operands(raw).map((word) => parseEndpoint(word, {role: 'connect'}))
    if (endpoints.length === 0) {
      throw new DartaError('DARTA_USAGE', 'give at least one destination, like tcp://HOST')
    }
    const plain = endpoints.find(({transport}) => flags.as !== 'ipfix' && transport !== 'udp')
    if (plain !== undefined) {
      throw new DartaError('DARTA_USAGE', `${flags.as} goes over UDP, not to ${plain.name}`)
    }
    const names = endpoints.map(({name}) => name)
    const twice = names.find((name, i) => names.indexOf(name) !== i)
    if (twice !== undefined) throw new DartaError('DARTA_USAGE', `${twice} is given twice`)
    const credentials = await tlsCredentials(flags, endpoints)
    const source = await openRecords(this, {read: flags.read, inputFormat: flags['input-format']})
    const addon = loadNative()
    const gate = createGate()
    const timeline = createTimeline()
    const quit = new AbortController()
    const {log, cursors, checkpoint} = await this.#openLog(flags.spill, names, timeline)

    const ending: {exporter?: Exporter} = {}
    const around: Surroundings = {
      log,
      gate,
      timeline,
      replay: flags.replay,
      lingerMs: flags.linger,
      keeps: flags.spill !== undefined,
      reportMs: flags['loss-report'],
      ended: () => ending.exporter?.ended ?? false,
      signal: quit.signal,
      note: (text) => this.note(text),
      checkpoint,
    }
    const destinations: Destination[] = []
    const accounts: StageLedger[] = []
    for (const endpoint of endpoints) {
      const cursor = cursors.get(endpoint.name)
      const position = cursor?.safe ?? log.end
      const account = new StageLedger(`to ${endpoint.name}`, 'records')
      const pace = createPace(flags.rate, BURST_OCTETS)
      destinations.push(
        endpoint.transport === 'udp'
          ? new DatagramDestination(
              endpoint,
              account,
              around,
              (maxOctets) => {
                const {as} = flags
                if (as === 'ipfix') return this.#wire(log, maxOctets, true)
                const records = new StageLedger(as, 'records')
                const fields = new StageLedger(`${as}-fields`, 'fields')
                accounts.push(records, fields)
                const encoder = (most: () => number): DatagramEncoder =>
                  legacyEncoder(as, {records, fields}, most)
                return legacyWire(log.table, encoder, maxOctets)
              },
              pace,
              position,
              {addon, refreshMs: flags['template-refresh'], maxOctets: flags['max-message']},
            )
          : new StreamDestination(
              endpoint,
              account,
              around,
              this.#wire(log, () => 65535, false),
              pace,
              position,
              {credentials, reconnectMs: reconnectMs(endpoint, flags.reconnect), addon},
            ),
      )
      let doubtful = 0
      if (cursor !== undefined) {
        const left = await log.count(cursor.safe, log.end)
        account.in += left
        if (left > 0) this.note(`${endpoint.name}: ${left} records from before go first`)
        const between = await log.count(cursor.safe, Math.min(cursor.sent, log.end))
        doubtful = cursor.doubtful + between
        if (doubtful > 0) account.note('in-doubt', doubtful)
      }
      checkpoint({name: endpoint.name, safe: position, sent: position, doubtful})
    }
    const exporter = new Exporter(this, {
      log,
      gate,
      timeline,
      destinations,
      maxOctets:
        flags.spill === undefined
          ? (flags.queue ?? QUEUE_OCTETS)
          : (flags['spill-size'] ?? SPILL_OCTETS),
      fullReason: flags.spill === undefined ? 'queue-full' : 'spill-full',
      maxMessageOctets: await mostOctets(
        destinations,
        flags['max-message'] ?? evenOctets(flags.rate),
      ),
      lingerMs: flags.linger,
      stallMs: flags.stall,
      keeps: flags.spill !== undefined,
      durable: flags.spill !== undefined,
      quit,
    })
    // Behind the encoder's, in the order of the data.
    this.ledger.stages.push(...accounts, ...destinations.map(({account}) => account))
    this.signal.addEventListener('abort', () => quit.abort(), {once: true})
    this.onHangUp(() => {
      for (const destination of destinations) destination.hurry()
    })
    ending.exporter = exporter
    await exporter.run(source)
  }

  #wire(log: MessageLog, maxOctets: () => number, repeat: boolean): ReturnType<typeof ipfixWire> {
    const now = (): number => Math.floor(Date.now() / 1000)
    return ipfixWire({table: log.table, maxOctets, repeat, now})
  }

  async #openLog(
    path: string | undefined,
    names: readonly string[],
    timeline: Timeline,
  ): Promise<{
    log: MessageLog
    cursors: ReadonlyMap<string, Cursor>
    checkpoint: Surroundings['checkpoint']
  }> {
    if (path === undefined) {
      return {log: createMemoryLog(), cursors: new Map(), checkpoint: () => {}}
    }
    const folder = await openSpillFolder(path, wholeMessages, this.fullDisk())
    const log = await openSpilledLog(folder, (chunk) => {
      enterTimes(timeline, chunk.octets, chunk.start)
    })
    const cursors = new Map(folder.cursors.map((cursor) => [cursor.name, cursor]))
    for (const {name, safe} of folder.cursors) {
      if (names.includes(name) || (await log.count(safe, log.end)) === 0) continue
      await log.close()
      throw new DartaError(
        'DARTA_SPILL',
        `${path} holds records for ${name}: name it as a destination too, or remove the folder`,
      )
    }
    return {
      log,
      cursors,
      checkpoint: (cursor) => folder.checkpoint(cursor),
    }
  }
}

function legacyEncoder(
  as: 'netflow9' | 'netflow5' | 'sflow',
  accounts: LegacyAccounts,
  maxOctets: () => number,
): DatagramEncoder {
  if (as === 'sflow') return sflowEncoder(accounts, maxOctets)
  return as === 'netflow5' ? netflow5Encoder(accounts) : netflow9Encoder(accounts, maxOctets)
}

/** A path that is local needs no mercy; RFC 7011 section 10.4.4 is about TCP. */
function reconnectMs({transport}: Endpoint, ms: number): number {
  return transport === 'unix' ? Math.min(ms, UNIX_RECONNECT_MS) : ms
}

/** Octets that every destination takes; a name that cannot be looked up yet is sent what any path carries. */
async function mostOctets(
  destinations: readonly Destination[],
  limit: number | undefined,
): Promise<number> {
  let most = limit ?? 65535
  for (const destination of destinations) {
    if (!(destination instanceof DatagramDestination)) continue
    await destination.open().catch(() => {})
    most = Math.min(most, destination.maxOctets())
  }
  return most
}

/** Messages of which some go each hundredth of a second: long ones would come in gusts. */
function evenOctets(rate: number | undefined): number | undefined {
  return rate === undefined ? undefined : Math.min(65535, Math.max(1400, Math.round(rate * 0.7)))
}

function parseSpeed(input: string): number {
  const speed = /^\d+(\.\d+)?$/.test(input) ? Number(input) : 0
  if (speed > 0) return speed
  throw new DartaError('DARTA_USAGE', `expected a speed like 1 or 2.5, not '${input}'`)
}

function parseMessageOctets(input: string): number {
  const octets = parseSize(input)
  if (octets >= 64 && octets <= 65535) return octets
  throw new DartaError('DARTA_USAGE', `expected 64 to 65535 octets, not '${input}'`)
}
