import {execFileSync} from 'node:child_process'
import {chmodSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {tools} from './needing.js'

/** Why tests that make certificates cannot run here. */
export const noCertificates = tools('openssl')

/** Files in PEM. */
export interface Identity {
  readonly cert: string
  readonly key: string
}

/** An authority of the test's own, in a folder of the test's own. */
export interface Authority {
  /** Its certificate: what peers are told to trust. */
  readonly ca: string
  /**
   * Issues a certificate for `name`, a DNS name or an address.
   *
   * @param days before now where negative: then it has expired
   */
  issue(name: string, days?: number): Identity
}

function openssl(...words: string[]): void {
  execFileSync('openssl', words, {stdio: ['ignore', 'ignore', 'pipe']})
}

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

export function authority(folder: string, label = 'ca'): Authority {
  const at = (name: string): string => join(folder, name)
  const ca = at(`${label}.pem`)
  const caKey = at(`${label}.key`)
  const caSubject = ['-subj', `/CN=${label}`, '-days', '30']
  openssl('req', '-x509', ...CURVE, ...caSubject, '-keyout', caKey, '-out', ca)
  let made = 0
  return {
    ca,
    issue(name, days = 30) {
      const base = `${label}-${made++}`
      const [key, request, cert, extensions] = ['key', 'csr', 'pem', 'ext'].map((end) =>
        at(`${base}.${end}`),
      )
      const kind = /^[\d.]+$|:/.test(name) ? 'IP' : 'DNS'
      writeFileSync(extensions, `subjectAltName=${kind}:${name}\n`)
      openssl('req', ...CURVE, '-subj', `/CN=${name}`, '-keyout', key, '-out', request)
      const signed = ['-CA', ca, '-CAkey', caKey, '-CAcreateserial', '-extfile', extensions]
      openssl('x509', '-req', '-in', request, ...signed, '-days', String(days), '-out', cert)
      chmodSync(key, 0o600)
      return {cert, key}
    },
  }
}
