/** The route of `http.ts` in the words of OpenAPI. */
import * as z from 'zod'
import type { RoomDescription } from '../platform/net/description.ts'
import { Call, ChainQuery } from './http.ts'

const Id = z.union([z.number(), z.string()])
const Answered = z.union([
  z.object({ jsonrpc: z.literal('2.0'), id: Id, result: z.unknown() }),
  z.object({
    ...{ jsonrpc: z.literal('2.0'), id: Id },
    error: z.object({ code: z.number(), message: z.string() }),
  }),
])

export const CHAINS: RoomDescription = {
  tag: { name: 'chains', description: "Passes calls that read on to the operator's nodes of chains" },
  operations: [
    {
      ...{ id: 'callChain', method: 'post', path: '/v1' },
      summary: 'Ask the node of a chain',
      description:
        'One request of JSON-RPC, at most 16 KiB, for a method that reads. What the node answers is passed on.',
      query: ChainQuery,
      body: { shape: Call },
      answer: { says: 'What the node answered, an error too', shape: Answered },
      failures: { 404: 'There is no node of that chain', 503: 'The node does not answer' },
      example: {
        query: { chainId: 'eip155:1' },
        body: { jsonrpc: '2.0', id: 1, method: 'eth_chainId', params: [] },
        answer: { jsonrpc: '2.0', id: 1, result: '0x1' },
      },
    },
  ],
}
