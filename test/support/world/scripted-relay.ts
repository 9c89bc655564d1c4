/** Clients of the relay, and a relay for them that does what a test tells it to. */
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import { crypto } from '#crypto'
import { systemClock } from '../../../src/platform/runtime/clock.ts'
import { unmeasured } from '../../../src/platform/telemetry.ts'
import { toBase64 } from '../../../src/protocol/bytes.ts'
import {
  parseRpc,
  type RpcRequest,
  rpcFailure,
  rpcRequest,
  rpcResult,
} from '../../../src/protocol/jsonrpc.ts'
import { generateSigningKey } from '../../../src/protocol/keys.ts'
import { topicOf } from '../../../src/protocol/topic.ts'
import { createRelayClient, type RelayClientOptions } from '../../../src/relay/client/index.ts'
import { capturedLog } from '../capture/log.ts'

export const deps = { clock: systemClock, log: capturedLog, meter: unmeasured }

export const randomTopic = (): string => topicOf(crypto.randomBytes(32))
export const randomMessage = (bytes = 64): string => toBase64(crypto.randomBytes(bytes))

/** A client with a key of its own unless it is given one. */
export const connect = (
  url: string,
  options: Partial<RelayClientOptions> = {},
  more: Partial<typeof deps> = {},
) => createRelayClient({ ...deps, ...more }, { url, key: generateSigningKey(), ...options })

type Answer = { result: unknown } | { error: { code: number; message: string } } | undefined

/** A relay that answers what `answer` says (nothing for undefined), and keeps what it was asked. */
export const startScripted = async (answer: (request: RpcRequest) => Answer = () => ({ result: true })) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await new Promise((resolve) => server.once('listening', resolve))
  const asked: { method: string; params: unknown; bytes: number; connection: number }[] = []
  const answers: string[] = []
  const connections: { socket: WebSocket; url: URL }[] = []
  const script = { answer }
  server.on('connection', (socket, request) => {
    const number = connections.push({ socket, url: new URL(request.url ?? '', 'http://relay') })
    socket.on('message', (data) => {
      const text = data.toString()
      const rpc = parseRpc(text)
      if (rpc.kind !== 'request') return answers.push(text)
      asked.push({ method: rpc.method, params: rpc.params, bytes: text.length, connection: number })
      const said = script.answer(rpc)
      if (!said) return
      if ('result' in said) socket.send(rpcResult(rpc.idText, said.result))
      else socket.send(rpcFailure(rpc.idText, said.error.code, said.error.message))
    })
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    script,
    asked,
    /** What the client answered, as text. */
    answers,
    connections,
    send(text: string) {
      connections.at(-1)?.socket.send(text)
    },
    push(id: number, topic: string, message: string) {
      const data = { topic, message, publishedAt: 1, tag: 7 }
      this.send(rpcRequest(id, 'irn_subscription', { id: 'whatever', data }))
    },
    async [Symbol.asyncDispose]() {
      for (const { socket } of connections) socket.terminate()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
