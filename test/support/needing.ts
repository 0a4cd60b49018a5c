import test, {type ExecutionContext} from 'ava'
import {createRequire} from 'node:module'
import {spawnSync} from 'node:child_process'
import {accessSync, constants, existsSync} from 'node:fs'
import {delimiter, join} from 'node:path'
import {fileURLToPath} from 'node:url'

/** The project's root folder, with a slash at the end. */
export const root = fileURLToPath(new URL('../../../', import.meta.url))

/** Why a test cannot run here; undefined where it can. */
type Reason = string | undefined

/** Programs, by name or path, that other packages bring. */
export function tools(...programs: string[]): Reason {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
  const absent = programs.filter(
    (program) => !folders.some((folder) => isExecutable(join(folder, program))),
  )
  return absent.length === 0 ? undefined : `not installed: ${absent.join(', ')}`
}

/** A file or folder of `../shared`, which lies beside the project where its test data is kept. */
export function shared(path: string): Reason {
  return existsSync(join(root, '../shared', path)) ? undefined : `no ../shared/${path}`
}

/** For raw sockets and network namespaces. */
export function superuser(): Reason {
  return process.getuid?.() === 0 ? undefined : 'not root'
}

/** Words that run a program as an ordinary user with no groups, and with no capabilities but those of `caps`. */
export function asNobody(...caps: string[]): string[] {
  const given = caps.map((cap) => `+${cap}`).join()
  return [
    ...['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'],
    ...(caps.length === 0 ? [] : [`--inh-caps=${given}`, `--ambient-caps=${given}`]),
  ]
}

/** For what tests run as an ordinary user: the project may lie in a folder that only its owner can enter. */
export function openToAll(): Reason {
  if (superuser() !== undefined) return undefined
  const [setpriv, ...as] = asNobody()
  const {status} = spawnSync(setpriv, [...as, 'test', '-x', join(root, 'bin/darta')])
  return status === 0 ? undefined : 'an ordinary user cannot enter the project'
}

/**
 * ava's `test`, or, if any reason is given, a `test.skip` that puts the reasons behind the title,
 * where the report shows them.
 */
export function needing(
  ...reasons: Reason[]
): (title: string, implementation: (t: ExecutionContext) => unknown) => void {
  const given = reasons.filter((reason) => reason !== undefined)
  return (title, implementation) => {
    if (given.length === 0) test(title, (t) => implementation(t) as void)
    else test.skip(`${title} (${given.join('; ')})`, (t) => implementation(t) as void)
  }
}

/**
 * In the place of tests that are made from a list of cases: a skipped one that says why there are none, so that the
 * report shows what was left out.
 */
export function needingCases(title: string, cases: readonly unknown[], reason: Reason): void {
  if (cases.length > 0) return
  needing(reason)(title, (t) => t.fail('there are no cases'))
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Why an npm package that is installed where it can be is not there; undefined: it is. */
export function optionalPackage(name: string): string | undefined {
  try {
    createRequire(import.meta.url).resolve(name)
    return undefined
  } catch {
    return `the npm package ${name} is not installed`
  }
}
