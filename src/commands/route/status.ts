import {setTimeout as sleep} from 'node:timers/promises'
import type {DartaCommand} from '../../cli/base-command.js'
import {isTerminal} from '../../cli/terminal.js'
import {textTable} from '../../cli/text-table.js'
import type {Engine} from '../../engine/engine.js'
import {readStatus, type AppStatus} from '../../engine/status.js'

const RENEW_MS = 1000

/**
 * Shows how the applications at an engine are: as a table, on a terminal again and again until the command is told to stop, or
 * as a line of JSON for each application.
 */
export async function showEngineStatus(
  command: DartaCommand,
  engine: Engine,
  format: 'table' | 'ndjson',
): Promise<void> {
  const live = format === 'table' && isTerminal(1)
  for (;;) {
    const apps = await readStatus(engine)
    const text =
      format === 'table' ? statusText(apps) : apps.map((app) => `${JSON.stringify(app)}\n`).join('')
    // Home, and clear what was there.
    command.print(live ? `\x1b[H\x1b[J${text}` : text)
    if (!live || command.stopping.aborted) return
    await sleep(RENEW_MS, undefined, {signal: command.stopping}).catch(() => {})
    if (command.stopping.aborted) return
  }
}

export function statusText(apps: readonly AppStatus[]): string {
  return apps.length === 0 ? 'no applications\n' : apps.map(appText).join('\n')
}

function appText(app: AppStatus): string {
  const {analysed, late, lost, repeated, foreign} = app.counters
  const strange = foreign > 0 ? `, foreign ${foreign}` : ''
  const closed = app.closedMs === null ? '-' : new Date(app.closedMs).toISOString()
  const rows = app.units.map((unit) => [
    `  ${unit.id}`,
    String(unit.weight),
    String(unit.parts),
    `${(unit.share * 100).toFixed(1)} %`,
    String(unit.rate),
    String(unit.lag),
    String(unit.counters.analysed),
    String(unit.counters.late),
    String(unit.counters.lost),
  ])
  const titles = [
    '  UNIT',
    'WEIGHT',
    'PARTS',
    'SHARE',
    'RECORDS/S',
    'LAG',
    'ANALYSED',
    'LATE',
    'LOST',
  ]
  return (
    `${app.app}: ${app.words.join(' ')}\n` +
    `  parts ${app.parts}, plan ${app.epoch}, publishers ${app.publishers}, ${app.rate} records/s, lag ${app.lag}\n` +
    `  closed to ${closed}, ${app.results} results${app.ended ? ', ended' : ''}\n` +
    `  analysed ${analysed}, late ${late}, lost ${lost}, repeated ${repeated}${strange}, Jain ${app.jain.toFixed(3)}\n` +
    textTable(
      titles,
      rows,
      titles.map((_, i) => (i === 0 ? 'left' : 'right')),
    )
  )
}
