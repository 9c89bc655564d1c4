/**
 * A relay client stripped to the wire, so that a measurement shows the server and not the client: it answers pushes at
 * once and keeps nothing.
 */
import { randomBytes } from 'node:crypto'
import { WebSocket } from 'ws'
import { signJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey, type SigningKey } from '../../src/protocol/keys.ts'

export interface Peer {
  request(method: string, params: unknown): Promise<unknown>
  close(): void
}

export const connectPeer = async (
  wsUrl: string,
  onMessage: (message: string, topic: string) => void = () => {},
  key: SigningKey = generateSigningKey(),
  { headers = {}, acknowledges = true }: { headers?: Record<string, string>; acknowledges?: boolean } = {},
): Promise<Peer> => {
  const iat = Math.floor(Date.now() / 1000)
  const claims = { iss: key.did, sub: randomBytes(32).toString('hex'), aud: wsUrl, iat, exp: iat + 86_400 }
  const socket = new WebSocket(`${wsUrl}/?auth=${signJwt(claims, key)}&projectId=bench`, {
    perMessageDeflate: false,
    headers,
  })
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  const waiting = new Map<string, { resolve: (result: unknown) => void; reject: (error: Error) => void }>()
  let lastId = 0
  socket.on('message', (data) => {
    const frame = JSON.parse(String(data))
    if (frame.method === 'irn_subscription') {
      if (acknowledges) socket.send(`{"id":${frame.id},"jsonrpc":"2.0","result":true}`)
      onMessage(frame.params.data.message, frame.params.data.topic)
    } else if (frame.method === undefined) {
      const waiter = waiting.get(String(frame.id))
      waiting.delete(String(frame.id))
      if (frame.error) waiter?.reject(new Error(frame.error.message))
      else waiter?.resolve(frame.result)
    }
  })
  return {
    request: (method, params) =>
      new Promise((resolve, reject) => {
        const id = ++lastId
        waiting.set(String(id), { resolve, reject })
        socket.send(JSON.stringify({ id, jsonrpc: '2.0', method, params }))
      }),
    close: () => socket.terminate(),
  }
}
