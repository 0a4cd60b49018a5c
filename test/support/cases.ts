import {spawn} from 'node:child_process'
import {existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {delimiter, dirname, join} from 'node:path'
import {buffer} from 'node:stream/consumers'
import {fileURLToPath} from 'node:url'

// Not from needing.ts, which only ava can load.
const root = fileURLToPath(new URL('../../../', import.meta.url))

/** Where the cases are: `test/cases/<command>/<name>/`. */
export const casesFolder = join(root, 'test/cases')

/**
 * One command line as a user types it, and what has to come of it.
 *
 * | file | meaning |
 * | --- | --- |
 * | `cmd` | a script for sh; `darta` is the built program, `$TMP` an empty folder, the working folder is test/fixtures |
 * | `stdin` | standard input; without it there is none |
 * | `stdout`, `stderr` | what must be written, octet by octet; without the file it is not looked at |
 * | `exit` | the status; without it 0 |
 * | `needs` | programs or files below ../shared, one a line; without one of them the case is skipped |
 */
export interface Case {
  readonly command: string
  readonly name: string
  readonly folder: string
}

export interface Outcome {
  readonly stdout: Buffer
  readonly stderr: Buffer
  readonly exit: number
}

export function allCases(): Case[] {
  if (!existsSync(casesFolder)) return []
  return readdirSync(casesFolder).flatMap((command) =>
    readdirSync(join(casesFolder, command)).map((name) => ({
      command,
      name,
      folder: join(casesFolder, command, name),
    })),
  )
}

/** What stands in `file` of the case, or undefined if there is no such file. */
export function caseFile({folder}: Case, file: string): Buffer | undefined {
  const path = join(folder, file)
  return existsSync(path) ? readFileSync(path) : undefined
}

/** Runs the case's script once. `$TMP` stands for its own name wherever it is printed. */
export async function runCase(oneCase: Case): Promise<Outcome> {
  const temporary = mkdtempSync(join(tmpdir(), 'darta-case-'))
  try {
    const path = [join(root, 'bin'), dirname(process.execPath), process.env.PATH ?? '', '/usr/sbin']
    const child = spawn('sh', [join(oneCase.folder, 'cmd')], {
      cwd: join(root, 'test/fixtures'),
      env: {
        ...process.env,
        PATH: path.join(delimiter),
        LC_ALL: 'C.UTF-8',
        TZ: 'UTC',
        TMP: temporary,
        NO_COLOR: '1',
        COLUMNS: '80',
      },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    // The script may end without having read all of it.
    child.stdin.on('error', () => {})
    child.stdin.end(caseFile(oneCase, 'stdin') ?? '')
    const ended = new Promise<number>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) => resolve(code ?? -1))
    })
    const [stdout, stderr, exit] = await Promise.all([
      buffer(child.stdout),
      buffer(child.stderr),
      ended,
    ])
    const name = (octets: Buffer): Buffer => replaceAll(octets, temporary, '$TMP')
    return {stdout: name(stdout), stderr: name(stderr), exit}
  } finally {
    rmSync(temporary, {recursive: true, force: true})
  }
}

/** Octets are not text: latin1 takes each one to itself. */
function replaceAll(octets: Buffer, from: string, to: string): Buffer {
  return Buffer.from(octets.toString('latin1').replaceAll(from, to), 'latin1')
}

/** Writes what came out as what has to; `stderr` only where the case has such a file. */
export function rewriteCase(oneCase: Case, {stdout, stderr, exit}: Outcome): void {
  writeFileSync(join(oneCase.folder, 'stdout'), stdout)
  if (caseFile(oneCase, 'stderr') !== undefined) {
    writeFileSync(join(oneCase.folder, 'stderr'), stderr)
  }
  const exitFile = join(oneCase.folder, 'exit')
  if (exit === 0) rmSync(exitFile, {force: true})
  else writeFileSync(exitFile, `${exit}\n`)
}
