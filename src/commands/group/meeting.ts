import {tlsCredentials, type TlsFlagValues} from '../../cli/tls-flags.js'
import type {Engine} from '../../engine/engine.js'
import {connectEngine} from '../../engine/engines.js'
import type {TlsCredentials} from '../../io/tls-credentials.js'
import {DartaError} from '../../record/errors.js'
import type {DirectGroup, EngineGroup, GroupUrl} from './group-url.js'

/** A group with what it takes to get there. */
export type Meeting = DirectMeeting | EngineMeeting

export interface DirectMeeting extends DirectGroup {
  readonly credentials: TlsCredentials | undefined
}

export interface EngineMeeting extends EngineGroup {
  /** @throws DartaError DARTA_ENGINE */
  readonly open: () => Promise<Engine>
}

/** A beat that is not answered by then comes too late. */
const ANSWER_MS = 1000

/**
 * Reads the files that the TLS flags name, where the group needs them.
 *
 * @throws DartaError DARTA_USAGE, DARTA_FILE_READ, DARTA_PERMISSION, DARTA_TLS
 */
export async function groupMeeting(url: GroupUrl, flags: TlsFlagValues): Promise<Meeting> {
  if (url.kind === 'direct') {
    return {...url, credentials: await tlsCredentials(flags, [url.endpoint])}
  }
  const transport = url.url.startsWith('tls:') ? 'tls' : 'nats'
  const credentials = await tlsCredentials(flags, [{transport, name: url.place}])
  if (flags['tls-peer'] !== undefined) {
    throw new DartaError(
      'DARTA_USAGE',
      "--tls-peer is for tls://: an engine's certificate bears its host's name",
    )
  }
  const {ca, cert, key} = credentials ?? {}
  const tls = {ca: ca?.toString(), cert: cert?.toString(), key: key?.toString()}
  return {
    ...url,
    async open() {
      // Nothing is appended to a log.
      return connectEngine({
        ...{url: url.url, maxOctets: 1, answerMs: ANSWER_MS},
        ...(credentials !== undefined && {tls}),
      })
    },
  }
}
