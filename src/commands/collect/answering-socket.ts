import {createSocket, type RemoteInfo, type Socket} from 'node:dgram'
import {lookup} from 'node:dns/promises'
import {hostAndPort} from '../../io/endpoint.js'
import {listenError} from '../../io/udp-receiver.js'
import {DartaError} from '../../record/errors.js'
import type {StageLedger} from '../../record/ledger.js'
import type {AnsweringServer} from './answering-protocol.js'

/**
 * A socket whose datagrams are answered one by one; host `*` or nothing is every address.
 *
 * @throws DartaError DARTA_LISTEN, DARTA_PERMISSION
 */
export async function bindSocket(
  host: string,
  port: number,
  name: string,
  bufferOctets: number,
): Promise<Socket> {
  const every = host === '' || host === '*'
  let address = host
  if (!every) {
    try {
      address = (await lookup(host)).address
    } catch (error) {
      throw new DartaError('DARTA_LISTEN', `${name}: no such host`, undefined, error)
    }
  }
  try {
    return await bound(every ? '::' : address, port, bufferOctets)
  } catch (error) {
    const {code = 'error', syscall = 'bind'} = error as NodeJS.ErrnoException
    // A machine without IPv6.
    if (every && code === 'EAFNOSUPPORT') return bound('0.0.0.0', port, bufferOctets)
    throw listenError(name, code, syscall)
  }
}

async function bound(address: string, port: number, bufferOctets: number): Promise<Socket> {
  const socket = createSocket({type: address.includes(':') ? 'udp6' : 'udp4'})
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.bind({address, port, exclusive: true}, () => {
      socket.off('error', reject)
      resolve()
    })
  })
  try {
    socket.setRecvBufferSize(bufferOctets)
  } catch {
    // The kernel's own limit is what it is.
  }
  return socket
}

/** The server of a socket that takes datagrams from now on. */
export function answeringOn(
  socket: Socket,
  scheme: string,
  account: StageLedger,
  take: (datagram: Buffer, sender: RemoteInfo) => void,
): AnsweringServer {
  socket.on('message', take)
  socket.on('error', () => account.note('socket-error'))
  const {address, port} = socket.address()
  const every = address === '::' || address === '0.0.0.0'
  let open = true
  return {
    name: `${scheme}://${every ? `*:${port}` : hostAndPort(address, port)}`,
    async stop() {
      // What the kernel has is taken first: who gets no answer has to come again, and a trap does not.
      await new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)))
      socket.off('message', take)
    },
    close() {
      if (open) socket.close()
      open = false
    },
  }
}
