import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {DartaCommand} from '../../cli/base-command.js'
import {DartaError} from '../../record/errors.js'

/** Runs a server for trying things out, on loopback, until it is stopped; its data go with it. */
export async function runDevEngine(command: DartaCommand, port: number): Promise<void> {
  const {execa} = await import('execa')
  const folder = mkdtempSync(join(tmpdir(), 'darta-engine-'))
  const env = {PATH: `${process.env.PATH ?? ''}:/usr/sbin`}
  const server = execa(
    'nats-server',
    ['-js', '-a', '127.0.0.1', '-p', String(port), '-sd', folder],
    {
      env,
      stdin: 'ignore',
      stdout: 'ignore',
      stderr: command.verbosity > 0 ? 'inherit' : 'ignore',
      reject: false,
      cleanup: true,
    },
  )
  command.onStop(() => server.kill('SIGTERM'))
  command.note(
    `nats://127.0.0.1:${port} serves until it is stopped; give --engine nats://127.0.0.1:${port}`,
  )
  const {failed, shortMessage} = await server
  rmSync(folder, {recursive: true, force: true})
  if (failed && !command.stopping.aborted) {
    throw new DartaError(
      'DARTA_ENGINE',
      `nats-server (Debian package nats-server): ${shortMessage ?? 'failed'}`,
    )
  }
}
