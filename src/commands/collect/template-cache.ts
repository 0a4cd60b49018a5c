import {existsSync, readFileSync} from 'node:fs'
import type {DartaCommand} from '../../cli/base-command.js'
import {readError} from '../../io/errors.js'
import {writeFile} from '../../io/write-file.js'
import type {SessionReport} from '../../mediation/collector.js'
import type {ProtocolSession} from '../../mediation/protocol.js'
import {DartaError} from '../../record/errors.js'

/** Templates of one Transport Session by one protocol, as they are kept. */
interface Kept {
  readonly session: string
  readonly protocol: string
  readonly templates: readonly {
    readonly domain: number
    readonly options: boolean
    /** Base64 of the Template Record. */
    readonly record: string
    readonly exportTime: number
  }[]
}

interface CacheFile {
  readonly version: 1
  /** Milliseconds since 1970. */
  readonly savedMs: number
  readonly sessions: readonly Kept[]
}

/** Templates that outlive the process: `--template-cache`. */
export interface TemplateCache {
  /** Gives a session that is new what an earlier one of the same Exporter, ports and protocol knew. */
  restore(key: string, protocol: string, session: ProtocolSession): void
  save(reports: Iterable<SessionReport>): Promise<void>
}

/** Older Templates are not used, whatever the file says. */
const MAX_AGE_MS = 86_400_000
const MAX_FILE_OCTETS = 1 << 26

/**
 * Templates of UDP sessions that are kept in a file while no collector runs. RFC 7011 section 8 has Templates end with
 * their session; over UDP, whose sessions have no end, an Exporter that goes on need not know that its Collector was away.
 * What is restored is said for each Exporter.
 *
 * @throws DartaError DARTA_FILE_READ, DARTA_PERMISSION, DARTA_VALUE
 */
export function openTemplateCache(
  command: DartaCommand,
  path: string,
  nowMs = Date.now(),
): TemplateCache {
  const known = new Map<string, Kept>()
  const file = readCache(path)
  const ageMs = file === undefined ? 0 : Math.max(nowMs - file.savedMs, 0)
  if (file !== undefined && ageMs > MAX_AGE_MS) {
    command.note(`${path} is older than a day: its Templates are not used`)
  } else {
    for (const kept of file?.sessions ?? []) known.set(`${kept.protocol} ${kept.session}`, kept)
  }
  return {
    restore(key, protocol, session) {
      const kept = known.get(`${protocol} ${key}`)
      if (kept === undefined) return
      known.delete(`${protocol} ${key}`)
      let restored = 0
      for (const {domain, options, record, exportTime} of kept.templates) {
        const octets = new Uint8Array(Buffer.from(record, 'base64'))
        const one = {observationDomainId: domain, options, record: octets, exportTime}
        if (session.restore(one)) restored++
      }
      command.note(
        `${key}: ${restored} Templates of ${protocol} restored from ${path}, ${Math.round(ageMs / 1000)} s old`,
      )
    },
    async save(reports) {
      const sessions: Kept[] = [...known.values()]
      for (const {key, protocol, templates} of reports) {
        const list = [...templates].map(({observationDomainId, options, record, exportTime}) => ({
          domain: observationDomainId,
          options,
          record: Buffer.from(record).toString('base64'),
          exportTime,
        }))
        if (list.length > 0) sessions.push({session: key, protocol, templates: list})
      }
      const content: CacheFile = {version: 1, savedMs: Date.now(), sessions}
      const sink = await writeFile(path, {force: true})
      await sink.write([Buffer.from(JSON.stringify(content))])
      await sink.end()
    },
  }
}

function readCache(path: string): CacheFile | undefined {
  if (!existsSync(path)) return undefined
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw readError(path, error)
  }
  try {
    if (text.length > MAX_FILE_OCTETS) throw new Error('it is too long')
    const file = JSON.parse(text) as CacheFile
    if (!isCache(file)) throw new Error('it is of another form')
    return file
  } catch (error) {
    throw new DartaError('DARTA_VALUE', `${path} is no cache of Templates`, undefined, error)
  }
}

function isCache({version, savedMs, sessions}: CacheFile): boolean {
  return (
    version === 1 &&
    typeof savedMs === 'number' &&
    Array.isArray(sessions) &&
    sessions.every(
      (one: Kept) =>
        typeof one?.session === 'string' &&
        typeof one.protocol === 'string' &&
        Array.isArray(one.templates) &&
        one.templates.every(
          (each: Kept['templates'][number] | undefined) =>
            each !== undefined &&
            Number.isInteger(each.domain) &&
            typeof each.record === 'string' &&
            typeof each.options === 'boolean' &&
            Number.isInteger(each.exportTime),
        ),
    )
  )
}
