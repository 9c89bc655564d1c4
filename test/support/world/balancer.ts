import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface Balancer extends AsyncDisposable {
  readonly url: string
  /** These servers, in this order, from now on. */
  leadTo(servers: readonly string[]): void
  /** From now on nothing reaches a server, as on a network that stands still. What servers say still comes through. */
  close(): void
  /** What has waited since goes on, in its order. */
  open(): void
}

/**
 * What stands before the relays of a fleet: it passes a connection on to the first of its servers that says it is
 * ready. Clients need it when relays are restarted in turn: core 2.12 tries again once, a second after it lost its
 * connection, and is deaf for ever when it is refused then.
 */
export const startBalancer = async (): Promise<Balancer> => {
  let servers: readonly string[] = []
  let isClosed = false
  const sockets = new Set<Socket>()
  /** Each client's connection to its server. */
  const connections = new Map<Socket, Socket>()
  const hold = (socket: Socket) => {
    sockets.add(socket)
    // `close` follows, and ends the other half.
    socket.on('error', () => {})
    socket.once('close', () => sockets.delete(socket))
  }

  const firstReady = async (): Promise<URL | undefined> => {
    for (const server of servers) {
      const response = await fetch(`${server}/ready`).catch(() => undefined)
      if (response?.ok) return new URL(server)
    }
    return undefined
  }

  const balancer = createServer({ pauseOnConnect: true }, async (client) => {
    hold(client)
    const target = await firstReady()
    if (!target || client.destroyed) return client.destroy()
    const relay = connect(Number(target.port), target.hostname)
    hold(relay)
    relay.once('close', () => client.destroy())
    client.once('close', () => {
      connections.delete(client)
      relay.destroy()
    })
    connections.set(client, relay)
    relay.pipe(client)
    if (!isClosed) client.pipe(relay)
  })
  balancer.listen(0, '127.0.0.1')
  await once(balancer, 'listening')
  const { port } = balancer.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    leadTo: (wanted) => {
      servers = wanted
    },
    close() {
      isClosed = true
      for (const client of connections.keys()) client.unpipe().pause()
    },
    open() {
      isClosed = false
      for (const [client, relay] of connections) client.pipe(relay)
    },
    async [Symbol.asyncDispose]() {
      const closed = once(balancer, 'close')
      balancer.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
