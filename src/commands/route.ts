import * as Flags from '@oclif/core/flags'
import {DartaCommand} from '../cli/base-command.js'
import * as common from '../cli/flags.js'
import {openRecords} from '../cli/record-input.js'
import {openRecordSink, writableFormat} from '../cli/record-output.js'
import {placeName} from '../cli/rotation.js'
import {runPipeline} from '../cli/run-pipeline.js'
import {isTerminal} from '../cli/terminal.js'
import {tlsCredentials, tlsFlags} from '../cli/tls-flags.js'
import {parseDuration} from '../cli/values.js'
import {removeApp} from '../engine/apps.js'
import {parseSocketUrl} from '../io/connect-socket.js'
import type {Endpoint} from '../io/endpoint.js'
import {createDealer} from '../processing/routing/dealer.js'
import {createUniflows, isDirected} from '../processing/routing/uniflows.js'
import {sharedKey} from '../processing/routing/shared-key.js'
import type {WeightedUnit} from '../processing/routing/rendezvous.js'
import type {RecordBatch, RecordStream} from '../record/batch.js'
import {DartaError} from '../record/errors.js'
import {Ledger} from '../record/ledger.js'
import {windowingOf} from './analyze/windowing.js'
import {openSelected} from './filter/open-selected.js'
import {runDevEngine} from './route/dev-engine.js'
import {engineFlags, openEngine} from './route/open-engine.js'
import {publishRecords} from './route/publish.js'
import {serveHook} from './route/serve-hook.js'
import {showEngineStatus} from './route/status.js'
import {keyApp, routedApp, type RoutedApp} from './route/application.js'
import {checkSample} from './route/check.js'
import {explainRecords, tupleBatch, type ExplainedGroup} from './route/explain.js'
import {createLane, type Lane, type NewEncoder} from './route/lane.js'
import {routeRecords, type UnitGroup} from './route/route-records.js'
import {childDestination, endWithJoined, type ChildDestination} from './split/child-destination.js'
import type {Destination} from './split/destination.js'
import {socketDestination} from './split/socket-destination.js'
import {joinOutputs} from './split/join-outputs.js'

const duration = Flags.custom<number>({parse: async (input) => parseDuration(input)})

export default class Route extends DartaCommand {
  static override summary = 'Take each record to the Processing Unit that owns its routing key.'
  static override description =
    'Each application names the elements that its records have to be equal in to come to the same unit; --key names them by ' +
    'hand. The hash of their values decides the unit, so that the same key always goes to the same unit, and a unit more or ' +
    'less moves only its own part of the keys. Units are child commands that read IPFIX on standard input, or listen at sockets.\n\n' +
    'Several applications share units where their keys have a part in common; with %a in the command, which stands for the ' +
    'name, each application has units of its own.'
  static override examples = [
    "<%= config.bin %> route -r flows.ipfix --app scan --units 4 --exec '<%= config.bin %> analyze scan -o ipfix' --join -o ndjson",
    '<%= config.bin %> collect -b udp://*:4739 | <%= config.bin %> route --engine nats://engine.example.org --app scan --window 5m',
    "<%= config.bin %> route -r flows.ipfix --key srcip,dstip --symmetric --units 2 --exec './my-program --part %d'",
  ]
  static override flags = {
    ...common.recordInput,
    ...common.recordFilter,
    app: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: "'APP [FLAGS]'",
      summary: 'Route for this application of analyze, with flags of its own; may be repeated.',
    }),
    key: Flags.string({
      helpValue: 'KEY[,KEY...]',
      exclusive: ['app'],
      summary: 'Route by these: srcip, dstport, src4/24, any element by its name.',
    }),
    symmetric: Flags.boolean({
      dependsOn: ['key'],
      summary:
        'The first half of --key is one side, the second the other: both directions together.',
    }),
    name: Flags.string({
      helpValue: 'NAME',
      dependsOn: ['key', 'engine'],
      summary:
        'At the engine: what records of --key are there for; units are analyze NAME --exec CMD --engine URL.',
    }),
    exec: Flags.string({
      helpValue: 'CMD',
      summary:
        'Start this command for each unit; %d is its number, %a the name of the application.',
    }),
    to: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'URL',
      exclusive: ['exec'],
      summary:
        'Send records to unix:PATH, tcp://HOST:PORT or tls://HOST:PORT, where a unit listens; once for each, or once with %d in it.',
    }),
    units: Flags.integer({
      min: 1,
      max: 4096,
      helpValue: 'N',
      exclusive: ['weights'],
      summary: 'How many units each application has.',
    }),
    weights: Flags.string({
      helpValue: 'W,W,…',
      summary: 'Units that take parts of the keys as large as these numbers say.',
    }),
    restart: Flags.boolean({
      summary:
        'Start a command that ends early again, or connect again; without it, its keys become those of the other units.',
    }),
    'split-hot': Flags.boolean({
      summary:
        'Deal records of keys that are too heavy for one unit to several; whoever joins the results has to merge them.',
    }),
    seed: Flags.integer({
      min: 0,
      max: 2 ** 32 - 1,
      helpValue: 'N',
      default: 0,
      summary: 'Of the hash: secret, nobody can choose keys that meet in one unit.',
    }),
    ...engineFlags,
    window: duration({
      helpValue: 'DURATION',
      dependsOn: ['engine'],
      summary:
        'At the engine: a result for each window of event time this long; else one of all input.',
    }),
    lateness: duration({
      helpValue: 'DURATION',
      dependsOn: ['window'],
      summary: 'How long a window waits for late records after its end; 5m unless said otherwise.',
    }),
    // What a publisher holds for a part goes out four times a second: at 20,000 records a second, 16 parts make messages of 300
    // records, 64 of 80, which cost half as much again in publisher, server and unit. Of four units none has more than 1.11 of the
    // mean with 16 parts; darta-route(1) says when more are worth it.
    parts: Flags.integer({
      min: 1,
      max: 1024,
      default: 16,
      helpValue: 'N',
      summary:
        'At the engine: into how many parts records are dealt; no more units than parts have work.',
    }),
    status: Flags.boolean({
      dependsOn: ['engine'],
      summary:
        'Only say which applications and units there are at the engine, and how far they are: on a terminal again each second, elsewhere a line of JSON each, with -o table a table.',
    }),
    remove: Flags.string({
      helpValue: 'APP',
      dependsOn: ['engine'],
      summary: 'Only end an application at the engine: its units and publishers end.',
    }),
    hook: Flags.string({
      helpValue: 'HOST:PORT',
      dependsOn: ['engine'],
      summary:
        'Only serve units and results at the engine over HTTP; :PORT is loopback, port 0 any that is free.',
    }),
    'engine-roles': Flags.string({
      helpValue: 'DIR',
      exclusive: ['engine', 'dev-engine'],
      summary:
        'Only write DIR/darta.conf for nats-server, which lets publishers, units, readers and an operator do what each has to, and their keys; with --tls-cert and --tls-key also TLS.',
    }),
    tenant: Flags.string({
      helpValue: 'NAME',
      multiple: true,
      dependsOn: ['engine-roles'],
      summary:
        'With --engine-roles: keys of their own, in DIR/NAME, for each of those who share the server and must not see one another.',
    }),
    'dev-engine': Flags.boolean({
      exclusive: ['engine'],
      summary: 'Only run a server for trying out --engine on this machine, until it is stopped.',
    }),
    explain: Flags.string({
      helpValue: 'SRCIP,SRCPORT,DSTIP,DSTPORT,PROTO',
      exclusive: ['check', 'exec', 'to'],
      summary: 'Only say which unit these go to and why; - explains each record of the input.',
    }),
    check: Flags.boolean({
      exclusive: ['exec', 'to'],
      summary:
        'Only read a sample and say what the key would do to it: skew, parted directions and fragments.',
    }),
    count: {
      ...common.count,
      dependsOn: ['check'],
      summary: 'Look at N records; 100000 unless said otherwise.',
    },
    join: Flags.boolean({
      dependsOn: ['exec'],
      summary:
        'Merge the records that the commands write into one stream, in the order of export times.',
    }),
    output: {
      ...common.output,
      summary: 'Format of what units read, or of the joined stream: ipfix unless said otherwise.',
    },
    write: {...common.write, dependsOn: ['join']},
    force: common.force,
    ...tlsFlags,
  }

  protected async execute(): Promise<void> {
    if (await this.#atEngine()) return
    const apps = await this.#apps()
    const {flags} = await this.parse(Route)
    if (flags.engine !== undefined) return this.#publish(apps)
    const weights = weightsOf(flags, flags.to)
    const members: WeightedUnit[] = weights.map((weight, i) => ({id: `unit-${i + 1}`, weight}))
    if (flags.explain !== undefined || flags.check) {
      const keys = groupsOf(apps, sharedKey(apps.flatMap(({key}) => key ?? [])) === undefined)
      const tuple = flags.explain === undefined || flags.explain === '-' ? undefined : flags.explain
      const source =
        tuple === undefined
          ? await openRecords(this, {read: flags.read, inputFormat: flags['input-format']})
          : one([tupleBatch(tuple)])
      if (!flags.check) return explainRecords(this, source, keys, members, flags.seed)
      return checkSample(this, source, keys, members, flags.seed, flags.count ?? 100_000)
    }
    const where = flags.exec === undefined ? flags.to : [flags.exec]
    if (where === undefined) {
      throw new DartaError('DARTA_USAGE', 'give --exec CMD or --to URL: where records go')
    }
    const groups = groupsOf(
      apps,
      where.some((text) => text.includes('%a')),
    )
    const sockets = flags.to && checkSockets(flags.to, groups, weights.length)
    const credentials = await tlsCredentials(flags, sockets ?? [])
    if (flags['split-hot']) refuseUnsplittable(apps)
    // Which records of a key that is split go where hangs on those before them. All are copied to their units at once.
    const how = {anyOrder: !flags['split-hot'], passing: true}
    const source = await openSelected(this, flags, undefined, how)
    const format = await writableFormat((flags.join ? undefined : flags.output) ?? 'ipfix')
    const newEncoder: NewEncoder = (newBlock) => format.newEncoder(new Ledger(), {newBlock})
    const opened: UnitGroup[] = []
    const children: ChildDestination[] = []
    const open = async (name: string, app: string, part: number): Promise<Destination> => {
      if (flags.exec === undefined) {
        const url = flags.to!.length === 1 ? flags.to![0] : flags.to![part - 1]
        const place = placeName(url.replaceAll('%a', app), {part, file: 1})
        return socketDestination(this, place, flags.restart, 'records', credentials)
      }
      const child = await childDestination(
        this,
        {part, file: 1},
        {
          name,
          command: flags.exec.replaceAll('%a', app),
          rotation: {},
          restart: flags.restart,
          takeOutput: flags.join,
          unit: 'records',
        },
      )
      children.push(child)
      return child
    }
    try {
      for (const group of groups) {
        const prefix = groups.length > 1 ? `${group.name}-` : ''
        const account = this.ledger.stage(`route ${group.name}`, 'records')
        const units = [...members]
        const lanes: Lane[] = []
        const {key, apps: served} = group
        const dealer = createDealer(units, {key, seed: flags.seed, splitHot: flags['split-hot']})
        const uniflows = key !== undefined && isDirected(key) ? createUniflows() : undefined
        const needs = served.map((app) => app.needs)
        opened.push({needs, dealer, uniflows, units, lanes, account})
        for (const [i, {id}] of units.entries()) {
          const unit = await open(`${prefix}${id}`, group.name, i + 1)
          lanes.push(createLane(this, unit, newEncoder, account, flags.restart))
        }
      }
      const joined = flags.join ? this.#join(children, flags) : undefined
      if (joined !== undefined) endWithJoined(this, joined, children)
      await routeRecords(this, source, opened)
      await joined
    } catch (error) {
      await Promise.all(opened.flatMap(({lanes}) => lanes.map(({unit}) => unit.abort())))
      throw error
    }
  }

  /** What is only asked of an engine. */
  async #atEngine(): Promise<boolean> {
    const {flags} = await this.parse(Route)
    if (flags['dev-engine']) {
      await runDevEngine(this, 4222)
      return true
    }
    if (flags['engine-roles'] !== undefined) {
      const {writeEngineRoles} = await import('./route/engine-roles.js')
      writeEngineRoles(this, flags['engine-roles'], flags)
      return true
    }
    if (!flags.status && flags.remove === undefined && flags.hook === undefined) return false
    const engine = await openEngine(flags)
    try {
      if (flags.remove !== undefined) await removeApp(engine, flags.remove)
      if (flags.status) {
        const table = flags.output === 'table' || (flags.output === undefined && isTerminal(1))
        await showEngineStatus(this, engine, table ? 'table' : 'ndjson')
      }
      if (flags.hook !== undefined) await serveHook(this, engine, flags.hook)
    } finally {
      await engine.close()
    }
    return true
  }

  async #publish(apps: readonly RoutedApp[]): Promise<void> {
    const {flags} = await this.parse(Route)
    const windowing = windowingOf(flags.window, undefined, flags.lateness)
    const splitHot = flags['split-hot']
    if (splitHot) refuseUnsplittable(apps)
    const source = await openSelected(this, flags)
    const engine = await openEngine(flags)
    try {
      const {parts, seed} = flags
      await publishRecords(this, engine, source, apps, {parts, seed, splitHot, windowing})
    } finally {
      await engine.close()
    }
  }

  async #join(
    children: readonly ChildDestination[],
    {output, write, force}: {output?: string; write?: string; force?: boolean},
  ): Promise<void> {
    const sink = await openRecordSink(this, {output, write, force})
    const merged = joinOutputs(
      children.map((child) => child.output()),
      this.ledger,
    )
    await runPipeline(this, merged, [], sink)
  }

  async #apps(): Promise<RoutedApp[]> {
    const {flags} = await this.parse(Route)
    if (flags.key !== undefined) {
      if (flags.engine !== undefined && flags.name === undefined) {
        throw new DartaError(
          'DARTA_USAGE',
          '--key at an engine needs a --name for units to ask for',
        )
      }
      // Nobody knows how results of any program are merged.
      const splittable = flags['split-hot'] && flags.engine === undefined
      return [keyApp(flags.key, flags.symmetric, splittable, flags.name)]
    }
    if (flags.app === undefined) {
      throw new DartaError('DARTA_USAGE', 'give --app APP or --key KEY: what decides the unit')
    }
    const apps: RoutedApp[] = []
    const {argv} = this
    for (const text of flags.app) {
      apps.push(
        await routedApp(text, async (own, words) => (await this.parse({flags: own}, words)).flags),
      )
    }
    // What was parsed last is what oclif takes for the command's own words.
    this.argv = argv
    return apps
  }
}

async function* one(batches: readonly RecordBatch[]): RecordStream {
  yield batches
}

/** Applications that records are dealt once for. @throws DartaError DARTA_USAGE they have no key in common */
function groupsOf(apps: readonly RoutedApp[], apart: boolean): ExplainedGroup[] {
  if (apart) return apps.map((app) => ({name: app.name, apps: [app], key: app.key}))
  // An application without a key takes any records.
  const keys = apps.flatMap(({key}) => (key === undefined ? [] : [key]))
  const key = keys.length === 0 ? undefined : sharedKey(keys)
  const name = apps.map((app) => app.name).join('+')
  if (key === undefined && keys.length > 0) {
    throw new DartaError(
      'DARTA_USAGE',
      `${name}: their routing keys have nothing in common; put %a in --exec, so that each has units of its own`,
    )
  }
  return [{name, apps, key}]
}

function refuseUnsplittable(apps: readonly RoutedApp[]): void {
  const whole = apps.find(({splittable}) => !splittable)
  if (whole === undefined) return
  throw new DartaError(
    'DARTA_USAGE',
    `--split-hot: ${whole.name} has to have all records of a key in one unit`,
  )
}

/** @throws DartaError DARTA_USAGE */
function weightsOf(
  {units, weights}: {readonly units?: number; readonly weights?: string},
  to: readonly string[] = [],
): number[] {
  if (units !== undefined) return Array<number>(units).fill(1)
  if (weights === undefined) {
    if (to.length > 1) return to.map(() => 1)
    throw new DartaError('DARTA_USAGE', 'give --units N or --weights W,W,…')
  }
  const parts = weights.split(',').map(Number)
  if (parts.length > 4096 || parts.some((weight) => !(weight > 0 && weight < 1e9))) {
    throw new DartaError('DARTA_USAGE', '--weights: numbers above 0, one for each unit')
  }
  return parts
}

/** @throws DartaError DARTA_USAGE */
function checkSockets(
  to: readonly string[],
  groups: readonly ExplainedGroup[],
  units: number,
): Endpoint[] {
  if (to.length !== 1 && to.length !== units) {
    throw new DartaError('DARTA_USAGE', `${units} units cannot listen at ${to.length} sockets`)
  }
  const names = groups.flatMap(({name}) =>
    Array.from({length: units}, (_, i) =>
      placeName((to[i] ?? to[0]).replaceAll('%a', name), {part: i + 1, file: 1}),
    ),
  )
  const endpoints = names.map(parseSocketUrl)
  if (new Set(names).size < names.length) {
    throw new DartaError('DARTA_USAGE', '--to names two units alike; put %d in it')
  }
  return endpoints
}
