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

/** Whether an expression asks for what the kernel keeps beside a frame of a packet socket: the outer VLAN tag, the direction. */
export function asksBesideFrame(expression: string): boolean {
  return /\b(vlan|inbound|outbound)\b/.test(expression)
}

/**
 * Compiles an expression of pcap-filter(7) for frames of a link type, by the tcpdump that is installed.
 *
 * @param packetSocket an interface, for a filter of a packet socket there: the kernel has taken the outer VLAN tag off, and
 *   only what is compiled for a live interface looks for it where it is
 * @throws DartaError DARTA_USAGE with what tcpdump says of the expression; DARTA_FILTER_COMPILER if there is none;
 *   DARTA_PERMISSION if it may not open the interface
 */
export async function compileFilter(
  expression: string,
  linkType: number,
  packetSocket?: string,
): Promise<BpfInstruction[]> {
  const live = packetSocket !== undefined && asksBesideFrame(expression)
  try {
    const words = live
      ? ['-p', '-i', packetSocket, '-ddd', '--', expression]
      : wordsFor(expression, linkType)
    const {stdout} = await run('tcpdump', words, options())
    return parseBpfText(stdout)
  } catch (error) {
    if (live && /permi/i.test((error as {stderr?: string}).stderr ?? '')) {
      throw new DartaError(
        'DARTA_PERMISSION',
        `-f '${expression}': filters of VLAN tags and directions are compiled by tcpdump on the interface, for which it needs CAP_NET_RAW itself`,
        undefined,
        error,
      )
    }
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
