import {execFile, execFileSync} from 'node:child_process'
import {promisify} from 'node:util'
import {parseBpfText, type BpfInstruction} from './bpf-assembler.js'
import {DartaError} from '../record/errors.js'

const run = promisify(execFile)
const linkNames: Readonly<Record<number, string>> = {
  0: 'NULL',
  1: 'EN10MB',
  9: 'PPP',
  12: 'RAW',
  101: 'RAW',
  104: 'C_HDLC',
  105: 'IEEE802_11',
  108: 'LOOP',
  113: 'LINUX_SLL',
  127: 'IEEE802_11_RADIO',
  276: 'LINUX_SLL2',
}

/**
 * Compiles an expression of pcap-filter(7) for frames of a link type, by the tcpdump that is installed.
 *
 * @throws DartaError DARTA_USAGE with what tcpdump says of the expression; DARTA_FILTER_COMPILER if there is none
 */
export async function compileFilter(
  expression: string,
  linkType: number,
): Promise<BpfInstruction[]> {
  try {
    const {stdout} = await run('tcpdump', wordsFor(expression, linkType), options())
    return parseBpfText(stdout)
  } catch (error) {
    throw compilerFault(expression, error)
  }
}

/**
 * The same at once, for a link type that shows with its first frame.
 *
 * @throws DartaError as `compileFilter`; DARTA_USAGE for a link type that tcpdump has no name for
 */
export function compileFilterNow(expression: string, linkType: number): BpfInstruction[] {
  if (linkNames[linkType] === undefined) {
    throw new DartaError('DARTA_USAGE', `frames of link type ${linkType} cannot be filtered`)
  }
  try {
    const words = wordsFor(expression, linkType)
    const stdout = execFileSync('tcpdump', words, {...options(), stdio: ['ignore', 'pipe', 'pipe']})
    return parseBpfText(stdout)
  } catch (error) {
    throw compilerFault(expression, error)
  }
}

function wordsFor(expression: string, linkType: number): string[] {
  return ['-y', linkNames[linkType] ?? 'EN10MB', '-ddd', '--', expression]
}

function options(): {encoding: 'utf8'; env: NodeJS.ProcessEnv; maxBuffer: number} {
  const PATH = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`
  return {encoding: 'utf8', env: {...process.env, PATH}, maxBuffer: 16 << 20}
}

function compilerFault(expression: string, error: unknown): DartaError {
  const {code, stderr} = error as {code?: unknown; stderr?: string}
  if (code === 'ENOENT') {
    return new DartaError(
      'DARTA_FILTER_COMPILER',
      'filters are compiled by tcpdump, which is not installed',
      undefined,
      error,
    )
  }
  const words = (stderr ?? '').replace(/^tcpdump: /m, '').trim()
  return new DartaError('DARTA_USAGE', `-f '${expression}': ${words}`, undefined, error)
}
