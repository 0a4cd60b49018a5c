import {connect, createServer} from 'node:net'
import type {ExecutionContext} from 'ava'

/**
 * A TCP connection on loopback over which so many octets were sent; both ends are ours and go away with the test. `send`
 * sends more, and resolves when they have come.
 */
export async function connection(
  t: ExecutionContext,
  octets: number,
): Promise<{
  port: number
  localPort: number
  close: () => void
  send: (octets: number) => Promise<void>
}> {
  let came = 0
  let look = (): void => {}
  const server = createServer((socket) => {
    socket.on('data', ({length}) => {
      came += length
      look()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const {port} = server.address() as {port: number}
  const client = connect(port, '127.0.0.1')
  const close = (): void => void client.destroy()
  t.teardown(() => {
    close()
    server.close()
  })
  await new Promise((resolve) => client.write(Buffer.alloc(octets), resolve))
  const send = async (more: number): Promise<void> => {
    octets += more
    client.write(Buffer.alloc(more))
    while (came < octets) await new Promise<void>((resolve) => (look = resolve))
  }
  return {port, localPort: client.localPort!, close, send}
}
