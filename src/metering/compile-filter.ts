import {execFile} from 'node:child_process'
import {promisify} from 'node:util'
import {parseBpfText, type BpfInstruction} from './bpf-assembler.js'
import {DartaError} from '../record/errors.js'

const run = promisify(execFile)
const linkNames: Readonly<Record<number, string>> = {1: 'EN10MB', 101: 'RAW'}

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
    const {stdout} = await run(
      'tcpdump',
      ['-y', linkNames[linkType] ?? 'EN10MB', '-ddd', '--', expression],
      {
        env: {...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`},
        maxBuffer: 16 << 20,
      },
    )
    return parseBpfText(stdout)
  } catch (error) {
    const {code, stderr} = error as {code?: unknown; stderr?: string}
    if (code === 'ENOENT') {
      throw new DartaError(
        'DARTA_FILTER_COMPILER',
        'filters are compiled by tcpdump, which is not installed',
        undefined,
        error,
      )
    }
    const words = (stderr ?? '').replace(/^tcpdump: /m, '').trim()
    throw new DartaError('DARTA_USAGE', `-f '${expression}': ${words}`, undefined, error)
  }
}
