import type {ExecutionContext} from 'ava'
import {join} from 'node:path'
import {bash, darta, folder} from './darta.js'
import {root} from './needing.js'

/** A folder of the test's own, and in it the records of the recorded network, in pieces that each are in order of time. */
export async function labRecords(t: ExecutionContext): Promise<{place: string; file: string}> {
  const place = folder(t)
  const file = join(place, 'lab.ipfix')
  const lab = join(root, 'test/fixtures/lab.pcap')
  const {code} = await darta(t, ['capture', '-q', '-r', lab, '-w', file])
  t.is(code, 0)
  return {place, file}
}

/** The lines that a line of bash prints, without empty ones. */
export async function printedLines(t: ExecutionContext, line: string): Promise<string[]> {
  const {stdout, stderr, code} = await bash(t, line)
  t.is(code, 0, stderr)
  return stdout
    .toString()
    .split('\n')
    .filter((text) => text !== '')
}
