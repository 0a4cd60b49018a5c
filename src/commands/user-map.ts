import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {DartaCommand} from '../cli/base-command.js'
import * as common from '../cli/flags.js'
import {
  chooseFormat,
  openRecordSink,
  type RecordOutputOptions,
  type RecordSink,
} from '../cli/record-output.js'
import {openRecords} from '../cli/record-input.js'
import {runPipeline} from '../cli/run-pipeline.js'
import {isTerminal} from '../cli/terminal.js'
import {tlsFlags} from '../cli/tls-flags.js'
import {textTable} from '../cli/text-table.js'
import {parseDuration} from '../cli/values.js'
import {loadNative} from '../io/native.js'
import {
  totalKey,
  type UserReader,
  type UserReading,
  type UserSource,
  type UserSourceOptions,
  type UserTotal,
} from '../metering/user-account.js'
import {createUserFlows, mapUsers} from '../mediation/map-users.js'
import {createNatMappings, type NatMappings} from '../mediation/nat-mappings.js'
import {userSources} from '../metering/user-sources/index.js'
import {resultBatches} from '../processing/analysis/result-records.js'
import {DartaError} from '../record/errors.js'
import {
  account,
  accountingEndpoint,
  defaultIdentity,
  type AccountOptions,
} from './user-map/account.js'
import {balance, deviceOctets, linkOctets, lookAt, systemDevices} from './user-map/audit.js'
import {processesTable, usersTable} from './user-map/live-table.js'
import {parseHead, readUsageLog} from './user-map/usage-log.js'
import {openUsageLog, type UsageLog} from './user-map/usage-log-writer.js'
import {loadModule, moduleStatus, unloadModule} from './user-map/module.js'
import {userNames} from './user-map/user-names.js'
import {flowRecords, totalRecords} from './user-map/user-records.js'

/** The order in which `--source auto` tries them: the one that sees most first. */
const preference = ['kmod', 'ebpf', 'sockets'] as const
type SourceName = (typeof preference)[number]

const actions = ['tag', 'account', 'audit', 'verify', 'status', 'load', 'unload'] as const

const CLEAR = '\x1b[H\x1b[J'

export default class UserMap extends DartaCommand {
  static override summary = 'Show and export who on this host caused which traffic.'
  static override description =
    'Counts come from the kernel module linubia(4), from programs at a cgroup (ebpf), or from polling the sockets that ' +
    'exist (sockets). On a terminal a table of users is shown and renewed; into a pipe go records, with what came since the ' +
    'last ones and the totals.\n\n' +
    'tag puts users behind records of flows that it reads; account sends what user-map wrote to a Diameter server, a session ' +
    'for each user; audit holds the accounts against the counters of the interfaces; verify says whether a usage log is as it was written; status says which sources can be used here; load builds ' +
    'the module and loads it, unload removes it.'
  static override examples = [
    '<%= config.bin %> user-map',
    '<%= config.bin %> user-map --once --processes',
    '<%= config.bin %> user-map --interval 10s -o ipfix -w users.ipfix',
    '<%= config.bin %> user-map --interval 1m --ledger /var/log/darta/usage -o null',
    '<%= config.bin %> user-map verify /var/log/darta/usage',
    '<%= config.bin %> user-map --interval 10s --reset | <%= config.bin %> user-map account diameter://aaa.example --spool /var/spool/darta/accounting',
    '<%= config.bin %> user-map audit --interval 10s',
    '<%= config.bin %> capture -i eth0 | <%= config.bin %> user-map tag | <%= config.bin %> print',
    '<%= config.bin %> user-map tag -r router.ipfix --users users.ipfix -w tagged.ipfix',
  ]
  static override args = {
    action: Args.string({
      ignoreStdin: true,
      options: [...actions],
      description: 'What to do instead of showing users.',
    }),
    operand: Args.string({
      ignoreStdin: true,
      description:
        'account: diameter://HOST[:PORT], or diameters://… for TLS; verify: the usage log.',
    }),
  }
  static override flags = {
    source: Flags.option({options: ['auto', ...preference] as const})({
      helpValue: 'auto|kmod|ebpf|sockets',
      default: 'auto',
      summary: 'Where counts come from; auto takes the first of these that can be used.',
    }),
    cgroup: Flags.string({
      helpValue: 'PATH',
      summary: 'Count the sockets of this cgroup only; for --source ebpf.',
    }),
    read: Flags.string({
      char: 'r',
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'FILE',
      summary: 'tag, account: read records from FILE; standard input without it.',
    }),
    users: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'FILE',
      summary:
        'tag: take users from what user-map --processes wrote to FILE; without it from the kernel, while it runs.',
    }),
    nat: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'FILE',
      summary:
        'tag: what a translator on the way made of addresses and ports: records of NAT events (RFC 8158) in FILE.',
    }),
    slack: Flags.custom<number>({parse: async (input) => parseDuration(input)})({
      helpValue: 'DURATION',
      default: 1000,
      defaultHelp: async () => '1s',
      summary: 'tag: how far the times of a record and of its user’s flow may lie apart.',
    }),
    interval: Flags.custom<number>({parse: async (input) => parseDuration(input)})({
      helpValue: 'DURATION',
      default: 1000,
      defaultHelp: async () => '1s',
      summary: 'How often to look.',
    }),
    once: Flags.boolean({summary: 'Look once and end.'}),
    count: common.count,
    reset: Flags.boolean({
      summary: 'Begin the totals anew at each look; what came before it is in none of the next.',
    }),
    processes: Flags.boolean({summary: 'Show processes, too; as records, flows with processes.'}),
    ledger: Flags.string({
      helpValue: 'FILE',
      summary: 'Also append what came to a usage log, whose entries are chained by their hashes.',
    }),
    head: Flags.custom<{entry: number; hash: string}>({parse: async (input) => parseHead(input)})({
      helpValue: 'ENTRY:HASH',
      summary: 'verify: an entry that must be there, as user-map told it when it ended.',
    }),
    spool: Flags.string({
      helpValue: 'FILE',
      summary:
        'account: keep records in FILE until the server has them; what is left there goes first.',
    }),
    interim: Flags.custom<number>({parse: async (input) => parseDuration(input)})({
      helpValue: 'DURATION',
      default: 60_000,
      defaultHelp: async () => '60s',
      summary: 'account: how often a session is reported while it lasts.',
    }),
    idle: Flags.custom<number>({parse: async (input) => parseDuration(input)})({
      helpValue: 'DURATION',
      default: 900_000,
      defaultHelp: async () => '15m',
      summary: 'account: a session ends when its user has been silent for so long.',
    }),
    identity: Flags.string({
      helpValue: 'NAME',
      default: async () => defaultIdentity(),
      defaultHelp: async () => 'the name of this host',
      summary: 'account: name of this host in Diameter (Origin-Host).',
    }),
    realm: Flags.string({
      helpValue: 'NAME',
      summary: 'account: its realm; what follows the first dot of its name unless said otherwise.',
    }),
    'destination-realm': Flags.string({
      helpValue: 'NAME',
      summary: 'account: the realm that does the accounting; ours unless said otherwise.',
    }),
    reconnect: Flags.custom<number>({parse: async (input) => parseDuration(input)})({
      helpValue: 'DURATION',
      default: 5000,
      defaultHelp: async () => '5s',
      summary: 'account: least time from one attempt to connect to the next.',
    }),
    linger: Flags.custom<number>({parse: async (input) => parseDuration(input)})({
      helpValue: 'DURATION',
      default: 5000,
      defaultHelp: async () => '5s',
      summary: 'account: how long answers are waited for at the end of the input.',
    }),
    watchdog: Flags.custom<number>({parse: async (input) => parseDuration(input)})({
      helpValue: 'DURATION',
      default: 30_000,
      defaultHelp: async () => '30s',
      summary: 'account: a server that was silent for so long is asked whether it lives.',
    }),
    ...tlsFlags,
    numeric: {...common.numeric, summary: 'Numbers of users instead of names.'},
    units: common.units,
    plain: common.plain,
    write: common.write,
    output: {
      ...common.output,
      summary: 'table, or a format of records; without it table on a terminal, else ipfix.',
    },
    force: common.force,
    compress: common.compress,
  }

  protected async execute(): Promise<void> {
    const {flags, args} = await this.parse(UserMap)
    const options: UserSourceOptions = {
      calls: loadNative(),
      cgroup: flags.cgroup,
      flows: flags.processes || args.action === 'tag',
    }
    if (args.action === 'status') return this.#status(options)
    if (args.action === 'load') return loadModule((words) => this.note(words))
    if (args.action === 'unload') return unloadModule()
    if (args.action === 'verify') return this.#verify(args.operand, flags.head)
    if (args.action === 'tag') return this.#tag(flags, options)
    if (args.action === 'account') {
      return account(this, accountingEndpoint(args.operand), flags satisfies AccountOptions)
    }
    const {name, source} = await chooseSource(flags.source, options)
    const reader = source.open(options)
    try {
      if (args.action === 'audit') await this.#audit(reader, name, flags.interval)
      else await this.#show(reader, name, flags)
    } finally {
      reader.close()
    }
  }

  async #show(reader: UserReader, name: SourceName, flags: ShowOptions): Promise<void> {
    if (flags.processes && !reader.hasFlows) {
      throw new DartaError('DARTA_USAGE', `--processes: ${name} does not tell of processes`)
    }
    const asTable =
      flags.output === 'table' ||
      (flags.output === undefined && flags.write === undefined && isTerminal(1))
    if (!asTable) await chooseFormat(flags)
    const sink = asTable ? undefined : await openRecordSink(this, flags)
    const names = userNames(flags.numeric)
    const units = flags.plain ? 'none' : (flags.units ?? 'si')
    const account = this.ledger.stage(name, 'records')
    const looks = flags.once ? 1 : (flags.count ?? Infinity)
    let before = new Map<string, UserTotal>()
    let last: number | undefined
    const coverage = name === 'sockets' ? this.#coverage(reader) : undefined
    const log =
      flags.ledger === undefined
        ? undefined
        : this.#openLog(flags.ledger, name, reader, flags.reset)
    if (name === 'ebpf') this.note('counts what comes from now on')
    // A source that only counts since now has nothing to show before something came.
    if (name !== 'kmod' && !flags.reset) await this.#wait(flags.interval)
    try {
      for (let n = 0; n < looks; n++) {
        if (n > 0) await this.#wait(flags.interval)
        const reading = reader.read(flags.reset)
        // By the clock that is never set: rates are right also when the other one is.
        const now = performance.now()
        names.learn([...reading.totals, ...reading.flows].flatMap(({uid}) => uid ?? []))
        log?.append(reading.timeMs, reading.totals, (uid) => names.of(uid))
        if (sink === undefined) {
          const seconds = last === undefined ? 0 : (now - last) / 1000
          const tables = [usersTable(reading, before, seconds, names, units)]
          if (flags.processes) tables.push(processesTable(reading.flows, names, units))
          this.print(`${isTerminal(1) && looks > 1 ? CLEAR : ''}${tables.join('\n')}`)
          account.in += reading.totals.length
          account.out += reading.totals.length
        } else {
          const written = await this.#write(sink, name, reading, before, names, flags.processes)
          account.in += written
          account.out += written
        }
        before = new Map(flags.reset ? [] : reading.totals.map((total) => [totalKey(total), total]))
        last = now
        // What was to be seen is shown once more before a stop takes effect.
        if (this.stopping.aborted) break
      }
      await sink?.end()
      coverage?.()
      if (log !== undefined) {
        log.close(Date.now())
        this.note(`${log.path}: ${log.written} entries, the last one ${log.head}`)
      }
    } catch (error) {
      await sink?.abort()
      throw error
    }
  }

  #openLog(path: string, source: SourceName, reader: UserReader, reset: boolean): UsageLog {
    const began = `${reader.beganMs}`
    return openUsageLog(path, {source, began, timeMs: Date.now(), reset})
  }

  /** Says of a usage log what is in it and whether that is what was written. */
  #verify(path: string | undefined, head: {entry: number; hash: string} | undefined): void {
    if (path === undefined) throw new DartaError('DARTA_USAGE', 'verify: which usage log?')
    let atHead: string | undefined
    const state = readUsageLog(path, (entry, hash) => {
      if (entry === head?.entry) atHead = hash
    })
    const {entries, fault, cut, closed} = state
    const {from, to} = state
    const span = from === undefined || to === undefined ? '' : `, ${from} to ${to}`
    const last = entries === 0 ? '' : `, the last one ${entries - 1}:${state.head}`
    this.print(`${path}: ${entries} entries are as they were written${span}${last}\n`)
    if (fault !== undefined) {
      const {entry, offset, reason, behind, behindWhole} = fault
      throw new DartaError(
        'DARTA_LEDGER',
        `entry ${entry}: ${reason}; ${behind} lines follow it, ${behindWhole} of them whole entries`,
        offset,
      )
    }
    if (cut !== undefined) {
      throw new DartaError(
        'DARTA_LEDGER',
        `entry ${entries} is cut off after ${cut.octets} octets`,
        cut.offset,
      )
    }
    if (head !== undefined && atHead === undefined) {
      throw new DartaError(
        'DARTA_LEDGER',
        `entries ${entries} to ${head.entry} are cut off`,
        state.octets,
      )
    }
    if (head !== undefined && !atHead!.startsWith(head.hash)) {
      throw new DartaError('DARTA_LEDGER', `entry ${head.entry} is another one: ${atHead!}`)
    }
    if (!closed) {
      this.print(
        'It was not closed: its writer still runs or ended at once, or entries are cut off; --head tells.\n',
      )
    }
  }

  /** Of a source that misses things: says at the end how much of what the interfaces counted it saw. */
  #coverage(reader: UserReader): () => void {
    const octetsOf = (): number =>
      reader.read(false).totals.reduce((sum, {octets}) => sum + octets, 0)
    const devices = systemDevices()
    const octets = octetsOf()
    return () => {
      const seen = octetsOf() - octets
      const all = deviceOctets(devices, systemDevices(), linkOctets)
      const part = all > 0 ? ` (${Math.round((100 * seen) / all)} %)` : ''
      this.note(`sockets: ${seen} of ${all} octets that the interfaces counted${part}`)
    }
  }

  async #write(
    sink: RecordSink,
    name: SourceName,
    reading: UserReading,
    before: ReadonlyMap<string, UserTotal>,
    names: ReturnType<typeof userNames>,
    processes: boolean,
  ): Promise<number> {
    const message = {
      exportTime: Math.floor(reading.timeMs / 1000),
      sequenceNumber: 0,
      observationDomainId: 0,
      offset: 0,
    }
    const records = [
      ...totalRecords(name, reading, before, names),
      ...(processes ? flowRecords(name, reading.flows, names) : []),
    ]
    await sink.write([...resultBatches(message, records)])
    return records.length
  }

  /** Waits; a signal to stop ends it. */
  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      const stop = (): void => {
        clearTimeout(timer)
        resolve()
      }
      if (this.stopping.aborted) stop()
      else this.stopping.addEventListener('abort', stop, {once: true})
    })
  }

  /** Users of recorded flows, or of those that the kernel has while records come. */
  async #tag(flags: TagOptions, options: UserSourceOptions): Promise<void> {
    const known = createUserFlows(flags.slack)
    const names = userNames(flags.numeric)
    let reader: UserReader | undefined
    let name = ''
    let looked = -Infinity
    const look = (): void => {
      const now = performance.now()
      if (reader === undefined || now - looked < flags.interval) return
      looked = now
      const {flows} = reader.read(false)
      names.learn(flows.map(({uid}) => uid))
      const message = {exportTime: 0, sequenceNumber: 0, observationDomainId: 0, offset: 0}
      for (const batch of resultBatches(message, flowRecords(name, flows, names))) {
        known.learn(batch)
      }
    }
    if (flags.users === undefined) {
      const chosen = await chooseSource(flags.source, options)
      name = chosen.name
      reader = chosen.source.open(options)
      if (!reader.hasFlows) {
        throw new DartaError(
          'DARTA_USAGE',
          `tag: ${name} does not tell of flows; give --users FILE`,
        )
      }
    } else {
      for await (const batches of await openRecords(this, {read: flags.users})) {
        for (const batch of batches) known.learn(batch)
      }
      if (known.size === 0) {
        throw new DartaError(
          'DARTA_USER_SOURCE',
          `${flags.users.join(', ')}: no flow with a user; user-map --processes writes them`,
        )
      }
    }
    const timer = reader === undefined ? undefined : setInterval(look, flags.interval)
    try {
      look()
      const nat = flags.nat === undefined ? undefined : await this.#mappings(flags.nat, flags.slack)
      const source = await openRecords(this, {read: flags.read})
      const account = this.ledger.stage('tag', 'records')
      const stage = mapUsers(
        () => {
          // Flows that began since the last look may be in these records already.
          look()
          return known
        },
        account,
        nat,
      )
      await runPipeline(this, source, [stage], await openRecordSink(this, flags))
    } finally {
      clearInterval(timer)
      reader?.close()
    }
  }

  async #mappings(read: string[], slackMs: number): Promise<NatMappings> {
    const mappings = createNatMappings(slackMs, this.ledger.stage('nat', 'records'))
    for await (const batches of await openRecords(this, {read})) {
      for (const batch of batches) mappings.learn(batch)
    }
    if (mappings.size === 0) {
      throw new DartaError('DARTA_USAGE', `--nat ${read.join(', ')}: no mapping of addresses`)
    }
    return mappings
  }

  async #audit(reader: UserReader, name: SourceName, interval: number): Promise<void> {
    const look = (): ReturnType<typeof lookAt> => lookAt(() => reader.read(false))
    const from = look()
    if (from.reading.interfaces === undefined) {
      throw new DartaError('DARTA_USAGE', `audit: ${name} does not see interfaces; the module does`)
    }
    await this.#wait(interval)
    const lines = balance(from, look(), linkOctets)
    this.print(
      textTable(
        ['interface', '', 'counted', 'octets', 'IPv4', 'IPv6', 'in no account', 'octets'],
        lines.map((l) => [
          l.name,
          l.direction,
          String(l.devicePackets),
          String(l.deviceOctets),
          String(l.packets[4]),
          String(l.packets[6]),
          String(l.restPackets),
          String(l.restOctets),
        ]),
        ['left', 'left', ...Array<'right'>(6).fill('right')],
      ),
    )
    const off = lines.filter((l) => l.restPackets !== 0 || l.restOctets !== 0)
    if (off.length === 0) return
    throw new DartaError(
      'DARTA_UNBALANCED',
      `${off.map((l) => `${l.name} ${l.direction}: ${l.restPackets} packets, ${l.restOctets} octets`).join('; ')} ` +
        'are in no account: frames that are not IP, packets that the firewall or IP dropped, or sent by packet sockets',
    )
  }

  async #status(options: UserSourceOptions): Promise<void> {
    const rows: string[][] = []
    for (const name of preference) {
      const source = await sourceOf(name)
      rows.push([name, source.absence(options) ?? 'can be used', source.summary])
    }
    this.print(textTable(['source', 'state', 'what it is'], rows))
    const module = moduleStatus()
    this.print(`${module}\n`)
  }
}

interface TagOptions extends RecordOutputOptions {
  readonly read?: string[]
  readonly users?: string[]
  readonly nat?: string[]
  readonly slack: number
  readonly source: 'auto' | SourceName
  readonly numeric: boolean
  readonly interval: number
}

/** What the user asked for, of the command line. */
interface ShowOptions extends RecordOutputOptions {
  readonly ledger?: string
  readonly processes: boolean
  readonly reset: boolean
  readonly once: boolean
  readonly numeric: boolean
  readonly plain: boolean
  readonly units?: 'none' | 'si' | 'iec'
  readonly count?: number
  readonly interval: number
}

async function sourceOf(name: SourceName): Promise<UserSource> {
  return (await userSources[name]()).default
}

async function chooseSource(
  wanted: 'auto' | SourceName,
  options: UserSourceOptions,
): Promise<{name: SourceName; source: UserSource}> {
  const why: string[] = []
  for (const name of wanted === 'auto' ? preference : [wanted]) {
    const source = await sourceOf(name)
    const absence = source.absence(options)
    if (absence === undefined) return {name, source}
    why.push(`${name}: ${absence}`)
  }
  throw new DartaError('DARTA_USER_SOURCE', why.join('; '))
}
