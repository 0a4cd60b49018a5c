import type {RemoteInfo} from 'node:dgram'
import {hostAndPort} from '../../io/endpoint.js'
import {md5Of} from '../../io/md5.js'
import {readPrivateFile} from '../../io/private-file.js'
import {accountingFields, identityOf} from '../../mediation/radius/accounting.js'
import {accountingResponse, CODE, isAuthentic, readPacket} from '../../mediation/radius/packet.js'
import {addressOctets} from '../../record/address.js'
import {DartaError} from '../../record/errors.js'
import {addressText, hexText, type RecordValue} from '../../record/value.js'
import type {JournalEntry} from './accounting-journal.js'
import {readSecrets, type AnsweringEndpoint, type RadiusSecrets} from './answering.js'
import type {AnsweringServer, ServerContext} from './answering-protocol.js'
import {answeringOn, bindSocket} from './answering-socket.js'

/** Where the secret is that no file was named for. */
const SECRET_VARIABLE = 'DARTA_RADIUS_SECRET'

/**
 * Of the file that `secret-file` names, which must be its owner's alone, else of the environment.
 *
 * @throws DartaError DARTA_USAGE, DARTA_FILE_READ, DARTA_PERMISSION
 */
export function secretsOf({endpoint, options}: AnsweringEndpoint): RadiusSecrets {
  const file = options.get('secret-file')
  if (file !== undefined) {
    return readSecrets(readPrivateFile(file, 'DARTA_USAGE').toString(), file)
  }
  const secret = process.env[SECRET_VARIABLE]
  if (secret === undefined || secret === '') {
    throw new DartaError(
      'DARTA_USAGE',
      `${endpoint.name}: name a file of secrets, ?secret-file=FILE, or set ${SECRET_VARIABLE}`,
    )
  }
  const octets = new TextEncoder().encode(secret)
  return {of: () => octets}
}

/**
 * Takes accounting of RADIUS clients (RFC 2866) and answers Status-Server (RFC 5997). What is not from somebody who knows the
 * secret is not answered, as the protocol wants it, but counted.
 *
 * @throws DartaError DARTA_LISTEN, DARTA_PERMISSION
 */
export async function serveRadius(
  at: AnsweringEndpoint,
  secrets: RadiusSecrets,
  options: ServerContext,
): Promise<AnsweringServer> {
  const {account, intake} = options
  const {endpoint} = at
  if (endpoint.transport === 'unix') throw new TypeError('RADIUS is spoken over UDP')
  const socket = await bindSocket(endpoint.host, endpoint.port, endpoint.name, options.bufferOctets)
  let seen = 0

  function take(datagram: Uint8Array, sender: RemoteInfo): void {
    const offset = seen
    seen += datagram.length
    account.in++
    const address = addressOctets(sender.address)
    if (!options.allows(address)) {
      account.skip('not-allowed')
      return
    }
    const packet = readPacket(datagram)
    if ('fault' in packet) {
      account.lose(packet.fault, 1, offset + packet.offset)
      return
    }
    if (packet.code !== CODE.accountingRequest && packet.code !== CODE.statusServer) {
      account.skip('not-accounting')
      return
    }
    const secret = secrets.of(address)
    if (secret === undefined) {
      account.lose('unknown-client', 1, offset)
      return
    }
    if (!isAuthentic(packet, secret, md5Of)) {
      account.lose('authenticator', 1, offset)
      return
    }
    const answer = (): void => {
      socket.send(
        accountingResponse(packet, secret, md5Of),
        sender.port,
        sender.address,
        (error) => {
          if (error !== null) account.note('answer-not-sent')
        },
      )
    }
    if (packet.code === CODE.statusServer) {
      account.skip('status')
      answer()
      return
    }
    const receivedMs = Date.now()
    const fields = accountingFields(packet, receivedMs)
    if ('fault' in fields) {
      account.lose(fields.fault, 1, offset + fields.offset)
      return
    }
    const who = addressText(address)
    intake.take(
      {
        protocol: 'radius',
        identity: identityOf(packet, who, receivedMs, md5Of),
        sender: {
          name: hostAndPort(who, sender.port),
          address: hexText(address),
          port: sender.port,
        },
        receivedMs,
        octets: new Uint8Array(packet.octets),
      },
      fields,
      answer,
    )
  }

  return answeringOn(socket, 'radius', account, take)
}

/** The record of a request that stands in a journal. */
export function radiusFields({octets, receivedMs}: JournalEntry): RecordValue | undefined {
  const packet = readPacket(octets)
  if ('fault' in packet) return undefined
  const fields = accountingFields(packet, receivedMs)
  return 'fault' in fields ? undefined : fields
}
