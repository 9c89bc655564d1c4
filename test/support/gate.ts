/** The way to a server, over real sockets, that can be closed for a while: what is sent then waits in front of it. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface Gate extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`, by which the server behind it is reached. */
  readonly url: string
  /** Names the server behind it, by its URL; before the first connection. */
  leadTo(url: string): void
  /** From now on nothing reaches the server. Its own words still come through, and connections stay. */
  close(): void
  /** What has waited goes on, in its order. */
  open(): void
}

export const startGate = async (): Promise<Gate> => {
  /** Each caller's connection to the server. */
  const connections = new Map<Socket, Socket>()
  let port = 0
  let isClosed = false
  const server = createServer((caller) => {
    const called = connect(port, '127.0.0.1')
    connections.set(caller, called)
    called.pipe(caller)
    if (!isClosed) caller.pipe(called)
    // Where one end is gone, so is what waited for it.
    for (const [one, other] of [
      [caller, called],
      [called, caller],
    ] as const) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
    caller.on('close', () => connections.delete(caller))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    url: `http://127.0.0.1:${address && typeof address === 'object' ? address.port : 0}`,
    leadTo(url) {
      port = Number(new URL(url).port)
    },
    close() {
      isClosed = true
      for (const caller of connections.keys()) caller.unpipe().pause()
    },
    open() {
      isClosed = false
      for (const [caller, called] of connections) caller.pipe(called)
    },
    async [Symbol.asyncDispose]() {
      for (const caller of connections.keys()) caller.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
