import {chmodSync, renameSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {ExecutionContext} from 'ava'
import {folder, start, type Running} from './darta.js'
import {freePort} from './free-port.js'
import {optionalPackage, tools} from './needing.js'

/** What tests with Debian's agent need. */
export const snmpd = [tools('snmpd'), optionalPackage('net-snmp')]

export const PASSPHRASES = {authentication: 'authpass12', privacy: 'privpass12'}

/** A file of secrets with community `public` and user `alice`. */
export function secretFile(t: ExecutionContext, ...more: string[]): string {
  const file = join(folder(t), 'secrets')
  const {authentication, privacy} = PASSPHRASES
  const lines = [
    '# who asks',
    'community public',
    `user alice SHA-256 ${authentication} AES "${privacy}"`,
    ...more,
  ]
  writeFileSync(file, `${lines.join('\n')}\n`, {mode: 0o600})
  return file
}

/** Nothing of the programs' own files outside the test is read or written. */
export function snmpEnvironment(at: string): NodeJS.ProcessEnv {
  return {...process.env, MIBS: '', HOME: at, SNMPCONFPATH: at, SNMP_PERSISTENT_DIR: at}
}

export interface Agent {
  readonly port: number
  /** The process that runs now. */
  readonly running: () => Running
  stop(): Promise<void>
  /** Starts it again where it was stopped; in another folder it is another engine. */
  start(at?: string): Promise<void>
}

/** Debian's snmpd on loopback, which knows the community and the user of `secretFile`. */
export async function startSnmpd(
  t: ExecutionContext,
  config: readonly string[] = [],
  ...flags: string[]
): Promise<Agent> {
  const home = folder(t)
  const port = await freePort()
  const {authentication, privacy} = PASSPHRASES
  let running: Running
  const run = async (at: string): Promise<void> => {
    const file = join(at, 'snmpd.conf')
    const lines = [
      `agentAddress udp:127.0.0.1:${port}`,
      'rocommunity public',
      `createUser alice SHA-256 "${authentication}" AES "${privacy}"`,
      'rouser alice priv',
      ...config,
    ]
    writeFileSync(file, `${lines.join('\n')}\n`)
    running = start(t, 'snmpd', ['-f', '-Le', '-C', '-c', file, ...flags], {
      env: snmpEnvironment(at),
    })
    await running.says(/NET-SNMP version/)
  }
  await run(home)
  return {
    port,
    running: () => running,
    async stop() {
      running.child.kill('SIGTERM')
      await running.ended
    },
    start: (at = home) => run(at),
  }
}

/** Values that an agent serves in the place of its own: OID, type of snmpd.conf(5) `pass_persist`, value. */
export type Served = readonly (readonly [oid: string, type: string, value: string | number])[]

/** A program for `pass_persist` that serves what `set` said last, in lines of the protocol. */
export function servedValues(t: ExecutionContext): {program: string; set(values: Served): void} {
  const at = folder(t)
  const program = join(at, 'serve')
  const data = join(at, 'values')
  writeFileSync(
    program,
    `#!${process.execPath}
const {readFileSync} = require('node:fs')
const order = (a, b) => {
  const [x, y] = [a, b].map((oid) => oid.split('.').map(Number))
  for (let i = 0; i < x.length && i < y.length; i++) if (x[i] !== y[i]) return x[i] - y[i]
  return x.length - y.length
}
let lines = ''
let waiting = []
process.stdin.on('data', (chunk) => {
  lines += chunk
  waiting.push(...lines.split('\\n'))
  lines = waiting.pop()
  while (waiting.length > 0) {
    if (waiting[0] === 'PING') {
      waiting.shift()
      process.stdout.write('PONG\\n')
      continue
    }
    if (waiting.length < 2) return
    const [kind, asked] = waiting.splice(0, 2)
    const oid = asked.replace(/^\\./, '')
    const values = JSON.parse(readFileSync(${JSON.stringify(data)}, 'utf8'))
    values.sort(([a], [b]) => order(a, b))
    const found = values.find(([one]) => (kind === 'get' ? one === oid : order(one, oid) > 0))
    process.stdout.write(found ? '.' + found.join('\\n') + '\\n' : 'NONE\\n')
  }
})
`,
  )
  chmodSync(program, 0o755)
  return {
    program,
    set(values) {
      writeFileSync(`${data}.new`, JSON.stringify(values))
      renameSync(`${data}.new`, data)
    },
  }
}
