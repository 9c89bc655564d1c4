/** The routes of `http.ts` in the words of OpenAPI. */
import * as z from 'zod'
import type { RoomDescription } from '../platform/net/description.ts'

const METHODS = [
  ...([
    'fetchKeyPackages',
    'grantInstallation',
    'revokeInstallation',
    'nonce',
    'status',
    'rpc_methods',
  ] as const),
  ...([
    'xps_fetchKeyPackages',
    'xps_grantInstallation',
    'xps_revokeInstallation',
    'xps_nonce',
    'xps_status',
  ] as const),
] as const

const Request = z
  .object({
    jsonrpc: z.literal('2.0'),
    id: z.union([z.string(), z.number()]).optional(),
    method: z.enum(METHODS),
    params: z.union([z.record(z.string(), z.unknown()), z.array(z.unknown())]).optional(),
  })
  .meta({ id: 'ContactsRequest', description: 'Without an id it is done and not answered' })
const Id = z.union([z.string(), z.number(), z.null()])
const Failed = z
  .object({
    jsonrpc: z.literal('2.0'),
    id: Id,
    error: z.object({ code: z.number(), message: z.string() }),
  })
  .meta({ id: 'RpcFailure', description: 'An error of JSON-RPC 2.0' })
const Answered = z.union([z.object({ jsonrpc: z.literal('2.0'), id: Id, result: z.unknown() }), Failed])
const OneOrMany = z.union([Request, z.array(Request).min(1).max(50)])
const AnswerOfMany = z.union([Answered, z.array(Answered)])

const NONCE = { jsonrpc: '2.0', id: 1, method: 'nonce' }
const DID = 'did:ethr:0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359'
const NO_ANSWER = { status: 204, says: 'Nothing is asked back' }

export const CONTACTS: RoomDescription = {
  tag: {
    name: 'contacts',
    description:
      'The registry of installations: what to encrypt to, device by device. JSON-RPC 2.0 with the methods of XPS',
  },
  failure: Failed,
  params: { method: z.enum(METHODS).describe('The method, as in the body') },
  operations: [
    {
      ...{ id: 'callContacts', method: 'post', path: '/rpc/v1' },
      summary: 'Call methods of the registry',
      description: 'One request of JSON-RPC, or a batch. Errors of methods are answers with status 200.',
      body: { shape: OneOrMany },
      answer: { says: 'The answer of JSON-RPC, an error too', shape: AnswerOfMany },
      also: [NO_ANSWER],
      example: {
        body: { ...NONCE, params: { did: DID } },
        answer: {
          jsonrpc: '2.0',
          id: 1,
          result: { status: 'success', nonce: 0, registry: `0x${'0'.repeat(40)}` },
        },
      },
    },
    {
      ...{ id: 'callContactsMethod', method: 'post', path: '/rpc/v1/{method}' },
      summary: 'Call one method of the registry',
      description: 'As `callContacts`; every request must be for the method that the URL names.',
      body: { shape: OneOrMany },
      answer: { says: 'The answer of JSON-RPC, an error too', shape: AnswerOfMany },
      also: [NO_ANSWER],
      example: {
        params: { method: 'status' },
        body: { jsonrpc: '2.0', id: 1, method: 'status' },
        answer: { jsonrpc: '2.0', id: 1, result: 'OK' },
      },
    },
  ],
}
