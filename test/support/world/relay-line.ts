import type { AddressInfo } from 'node:net'
import { WebSocket, WebSocketServer } from 'ws'
import { parseRpc } from '../../../src/protocol/jsonrpc.ts'
import { RELAY_METHODS } from '../../../src/protocol/relay-methods.ts'

const { irn_subscription, irn_unsubscribe, irn_batchUnsubscribe } = RELAY_METHODS

/** The tag of what the relay delivers; undefined for whatever else it says. */
const tagIn = (text: string): number | undefined => {
  const rpc = parseRpc(text)
  if (rpc.kind !== 'request' || rpc.method !== 'irn_subscription') return undefined
  return irn_subscription.params.parse(rpc.params).data.tag
}

/** The topics that a client unsubscribes from. */
const leftIn = (text: string): string[] => {
  const rpc = parseRpc(text)
  if (rpc.kind !== 'request') return []
  if (rpc.method === 'irn_unsubscribe') return [irn_unsubscribe.params.parse(rpc.params).topic]
  if (rpc.method !== 'irn_batchUnsubscribe') return []
  return irn_batchUnsubscribe.params.parse(rpc.params).subscriptions.map(({ topic }) => topic)
}

/** The line between a client and a relay. A test may keep back what the relay delivers. */
export const startLine = async (relayUrl: string) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await new Promise((resolve) => server.once('listening', resolve))
  const sockets = new Set<WebSocket>()
  const left: string[] = []
  let held: { tag: number; sends: (() => void)[] } | undefined

  server.on('connection', (client, request) => {
    const relay = new WebSocket(relayUrl.replace(/^http/, 'ws') + (request.url ?? ''))
    const opened = new Promise((resolve) => relay.once('open', resolve))
    const join = (one: WebSocket, other: WebSocket) => {
      sockets.add(one)
      one.on('error', () => {})
      one.on('close', () => other.terminate())
    }
    join(client, relay)
    join(relay, client)
    relay.on('message', (data) => {
      const text = data.toString()
      const send = () => client.send(text)
      if (held && tagIn(text) === held.tag) held.sends.push(send)
      else send()
    })
    client.on('message', async (data) => {
      const text = data.toString()
      left.push(...leftIn(text))
      await opened
      relay.send(text)
    })
  })

  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    /** Topics that the client has unsubscribed from. */
    left,
    /** Keeps back what the relay delivers with this tag, until the result is called. */
    keepBack(tag: number): () => void {
      const sends: (() => void)[] = []
      held = { tag, sends }
      return () => {
        held = undefined
        for (const send of sends) send()
      }
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.terminate()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
