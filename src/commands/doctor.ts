import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {spawnSync} from 'node:child_process'
import {readdirSync, readFileSync} from 'node:fs'
import {DartaCommand} from '../cli/base-command.js'
import {textTable} from '../cli/text-table.js'
import {parsePositive} from '../cli/values.js'
import {nativeAbsence} from '../io/native.js'
import {DartaError} from '../record/errors.js'
import type {Finding} from './doctor/finding.js'
import {examineHost} from './doctor/host.js'
import {examineKernel} from './doctor/kernel.js'
import {examineInterface, isUp} from './doctor/interface.js'

export default class Doctor extends DartaCommand {
  static override summary =
    'Say what on this machine falsifies or forbids measurement, and what mends it.'
  static override description =
    'Looks at privileges, clock, buffers and the kernel, and at the offloads, rings and error counters of the interfaces. ' +
    'It changes nothing. The exit status is 1 if anything is bad.'
  static override examples = [
    '<%= config.bin %> doctor',
    '<%= config.bin %> doctor eth0 eth1',
    '<%= config.bin %> doctor --all -o ndjson',
    '<%= config.bin %> doctor --capacity eth0 --offered 5M',
  ]
  static override strict = false
  static override args = {
    interface: Args.string({
      ignoreStdin: true,
      description: 'Interfaces to look at; all that are up unless some are named.',
    }),
  }
  static override flags = {
    all: Flags.boolean({summary: 'Show what is in order, too.'}),
    capacity: Flags.boolean({
      summary:
        'Measure what packets cost this machine, and tell what it and nodes like it can capture, of an interface if one is named.',
    }),
    offered: Flags.custom<number>({parse: async (input) => parsePositive(input)})({
      helpValue: 'RATE',
      dependsOn: ['capacity'],
      summary: 'Packets a second on the link, like 5M: how many nodes it takes.',
    }),
    nodes: Flags.integer({
      min: 1,
      max: 64,
      helpValue: 'N',
      dependsOn: ['capacity'],
      summary: 'Tell of up to N nodes, 4 unless said otherwise.',
    }),
    times: Flags.integer({
      min: 1,
      helpValue: 'K',
      dependsOn: ['capacity'],
      summary:
        'Find the load at which N nodes capture K times what one machine does; 10 unless said otherwise.',
    }),
    cores: Flags.option({options: ['1', '2'] as const})({
      helpValue: '1|2',
      dependsOn: ['capacity'],
      summary:
        'Processors of a node that capture: one for kernel and process, or one for each; as many as here unless said otherwise.',
    }),
    'mirror-port': Flags.boolean({
      dependsOn: ['capacity'],
      summary: 'Nodes drop packets of other shares early, as darta capture --mirror-port does.',
    }),
    'application-cost': Flags.custom<number>({parse: async (input) => parsePositive(input)})({
      helpValue: 'NS',
      dependsOn: ['capacity'],
      summary: 'Nanoseconds a packet of another application, which one machine is thought to run.',
    }),
    output: Flags.option({options: ['text', 'ndjson'] as const, char: 'o'})({
      helpValue: 'text|ndjson',
      default: 'text',
      summary: 'Output format.',
    }),
  }

  protected async execute(): Promise<void> {
    const {flags, raw} = await this.parse(Doctor)
    const named = this.operands(raw)
    if (flags.capacity) {
      await this.#plan(named, flags)
      return
    }
    const interfaces = named.length > 0 ? named : interfaceNames()
    const findings = [
      ...examineHost(readText, nativeAbsence()),
      ...examineKernel(readText, timeSynchronized()),
      ...interfaces.flatMap((name) =>
        examineInterface(name, readText, ethtool('-k', name), ethtool('-g', name)),
      ),
    ]
    const shown = findings.filter(({verdict}) => flags.all || verdict !== 'ok')
    if (flags.output === 'ndjson') {
      this.print(shown.map((finding) => `${JSON.stringify(finding)}\n`).join(''))
    } else this.print(report(shown, findings.length))
    const bad = findings.filter(({verdict}) => verdict === 'bad').length
    if (bad > 0) {
      throw new DartaError(
        'DARTA_UNFIT',
        `${bad === 1 ? 'one finding falsifies or forbids' : `${bad} findings falsify or forbid`} measurement`,
      )
    }
  }

  async #plan(
    named: readonly string[],
    flags: {
      readonly offered?: number
      readonly nodes?: number
      readonly times?: number
      readonly cores?: '1' | '2'
      readonly 'mirror-port': boolean
      readonly 'application-cost'?: number
      readonly output: string
    },
  ): Promise<void> {
    if (named.length > 1) {
      throw new DartaError(
        'DARTA_USAGE',
        '--capacity takes one interface, whose traffic it looks at',
      )
    }
    // Loaded where it is needed: what measures is most of the meter.
    const {capacityText, planCapacity, usableCores} = await import('./doctor/capacity.js')
    const answer = planCapacity(
      {
        interface: named[0],
        offered: flags.offered,
        nodes: flags.nodes ?? 4,
        times: flags.times ?? 10,
        cores: flags.cores === undefined ? usableCores() : flags.cores === '1' ? 1 : 2,
        mirrorPort: flags['mirror-port'],
        applicationNs: flags['application-cost'],
      },
      readText,
    )
    this.print(flags.output === 'ndjson' ? `${JSON.stringify(answer)}\n` : capacityText(answer))
  }
}

function report(shown: readonly Finding[], all: number): string {
  if (shown.length === 0) return `${all} checks, nothing found\n`
  return textTable(
    ['where', 'what', 'verdict', 'finding', 'mended by'],
    shown.map(({where, subject, verdict, words, mend}) => [
      where,
      subject,
      verdict,
      words,
      mend ?? '',
    ]),
  )
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}

function interfaceNames(): string[] {
  try {
    return readdirSync('/sys/class/net').filter(
      (name) => name !== 'lo' && isUp(readText(`/sys/class/net/${name}/flags`)),
    )
  } catch {
    return []
  }
}

/** `yes` or `no`; undefined where systemd does not keep the time. */
function timeSynchronized(): string | undefined {
  const {status, stdout} = spawnSync('timedatectl', ['show', '-p', 'NTPSynchronized', '--value'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: 2000,
  })
  return status === 0 ? stdout.trim() : undefined
}

/** What ethtool prints; undefined if it is not there or fails. */
function ethtool(option: string, name: string): string | undefined {
  if (name.startsWith('-')) return undefined
  const {status, stdout} = spawnSync('ethtool', [option, name], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {...process.env, LC_ALL: 'C', PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`},
  })
  return status === 0 ? stdout : undefined
}
