import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {spawnSync} from 'node:child_process'
import {readdirSync, readFileSync} from 'node:fs'
import {DartaCommand} from '../cli/base-command.js'
import {textTable} from '../cli/text-table.js'
import {nativeAbsence} from '../io/native.js'
import {DartaError} from '../record/errors.js'
import type {Finding} from './doctor/finding.js'
import {examineHost} from './doctor/host.js'
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
    output: Flags.option({options: ['text', 'ndjson'] as const, char: 'o'})({
      helpValue: 'text|ndjson',
      default: 'text',
      summary: 'Output format.',
    }),
  }

  protected async execute(): Promise<void> {
    const {flags, raw} = await this.parse(Doctor)
    const named = this.operands(raw)
    const interfaces = named.length > 0 ? named : interfaceNames()
    const findings = [
      ...examineHost(readText, nativeAbsence()),
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
