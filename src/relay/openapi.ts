/** The routes of `http.ts` in the words of OpenAPI. */
import * as z from 'zod'
import type { RoomDescription } from '../platform/net/description.ts'

const Call = z
  .object({
    id: z.union([z.number(), z.string()]),
    jsonrpc: z.literal('2.0'),
    method: z.string().max(64),
    params: z.record(z.string(), z.unknown()).optional(),
  })
  .meta({ id: 'RelayCall', description: 'One request of JSON-RPC 2.0, as over a socket, at most 1 MiB' })
const Id = z.union([z.number(), z.string(), z.null()])
const Failed = z
  .object({
    ...{ id: Id, jsonrpc: z.literal('2.0') },
    error: z.object({ code: z.number(), message: z.string() }),
  })
  .meta({ id: 'RelayFailure', description: 'An error of JSON-RPC 2.0' })
const Answered = z.union([z.object({ id: Id, jsonrpc: z.literal('2.0'), result: z.unknown() }), Failed])

const TOPIC = 'ab'.repeat(32)

export const RELAY: RoomDescription = {
  tag: {
    name: 'relay',
    description:
      'The relay over HTTP, for callers that publish and fetch without a connection. Others use its WebSocket',
  },
  failure: Failed,
  operations: [
    {
      ...{ id: 'getRelayPublicKey', method: 'get', path: '/public-key' },
      summary: 'Get the key that signs watch events',
      description: 'The Ed25519 key of the relay, as hex.',
      answer: { shape: z.string().regex(/^[0-9a-f]{64}$/), type: 'text/plain' },
      example: { answer: '4b'.repeat(32) },
    },
    {
      ...{ id: 'callRelay', method: 'post', path: '/rpc' },
      summary: 'Call a method of the relay',
      description:
        'Takes `irn_publish`, `irn_batchPublish`, `irn_subscribe`, `irn_fetchMessages` and the others of the socket. An error of a method is an answer with status 200. Nothing is pushed to a caller without a connection: it fetches.',
      needs: ['clientToken', 'clientTokenInQuery'],
      body: { shape: Call },
      answer: { says: 'The answer of JSON-RPC, an error too', shape: Answered },
      failures: { 400: 'It is not JSON', 413: 'More than 1 MiB' },
      example: {
        body: {
          ...{ id: 1, jsonrpc: '2.0', method: 'irn_publish' },
          params: { topic: TOPIC, message: 'aGVsbG8=', ttl: 300, tag: 1000, prompt: false },
        },
        answer: { id: 1, jsonrpc: '2.0', result: true },
      },
    },
  ],
}
