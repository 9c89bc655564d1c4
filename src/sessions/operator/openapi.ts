/** The routes of `http.ts` in the words of OpenAPI. */
import * as z from 'zod'
import type { RoomDescription } from '../../platform/net/description.ts'
import { WIAP_PATH, WiapRequest, WiapResponse } from '../methods/wiap.ts'
import { ApprovalQuery, ChainQuery, NewApproval } from './http.ts'

const PROJECT = { projectId: '59ac24c90647c616c325883ef1e55c4a' }
const ID = 'pB3vYk0Y2cYB0b0xJt6x1A'
const TIME = '2026-11-30T09:00:00.000Z'
const HASH = `${'A'.repeat(43)}=`
const needs = ['projectSecret', 'adminToken'] as const
const NO_SUCH = { 404: 'No such request for approval' }
const text = z.string().nullable()

const Approval = z
  .object({
    anchorRequestId: z.string(),
    state: z.enum(['open', 'anchored', 'expired']),
    signer: text,
    expiresAt: z.string().meta({ format: 'date-time' }),
    b64VbHash: text,
    b64MbHash: text,
    height: z.number().nullable(),
  })
  .meta({ id: 'Approval' })

const Chain = z
  .object({
    b64VbHash: z.string(),
    b64MbHash: text,
    b64GenesisSeed: text,
    height: z.number(),
    microblocks: z.array(z.object({ height: z.number(), b64SerializedMicroblock: z.string() })),
    next: z.number().nullable(),
  })
  .meta({ id: 'Chain' })

export const OPERATOR: RoomDescription = {
  tag: {
    name: 'operator',
    description: 'What dapps want wallets to approve (WIAP); off unless the room is named',
  },
  params: { projectId: z.string().min(1).max(64).describe('Id of the project') },
  operations: [
    {
      ...{ id: 'answerWallet', method: 'post', path: WIAP_PATH },
      summary: 'Answer a wallet',
      description: 'A step of WIAP. What is refused has status 200, too, and a sentence for the wallet.',
      body: { shape: z.object({ data: WiapRequest }) },
      answer: { says: "WIAP's answer, a refusal too", shape: WiapResponse },
      example: {
        body: { data: { type: 'WALLET_OPERATOR_REQUEST_APPROVAL_HANDSHAKE', anchorRequestId: ID } },
        answer: { type: 'WALLET_OPERATOR_RESPONSE_APPROVAL_DATA', b64SerializedMicroblock: 'AQIDBA==' },
      },
    },
    {
      ...{ id: 'createApproval', method: 'post', path: '/v1/{projectId}/approvals' },
      summary: 'Ask for an approval',
      description:
        'The microblock is what the wallet signs. Either `signer` or `actorId` says whose signature it needs.',
      needs,
      body: { shape: NewApproval },
      answer: {
        ...{ status: 201, says: 'Created' },
        shape: z.object({ anchorRequestId: z.string(), expiresAt: z.string().meta({ format: 'date-time' }) }),
      },
      failures: { 409: 'The head of the chain is another one' },
      example: {
        params: PROJECT,
        body: { b64SerializedMicroblock: 'AQIDBA==', signer: 'SIG:SECP256K1:02ab', expiresIn: 3600 },
        answer: { anchorRequestId: ID, expiresAt: TIME },
      },
    },
    {
      ...{ id: 'getApproval', method: 'get', path: '/v1/{projectId}/approvals' },
      summary: 'Get what became of an approval',
      description: 'The id is in the query, which is not logged: who knows it may approve.',
      needs,
      query: ApprovalQuery,
      answer: Approval,
      failures: NO_SUCH,
      example: {
        params: PROJECT,
        query: { id: ID },
        answer: {
          ...{ anchorRequestId: ID, state: 'open', signer: null, expiresAt: TIME },
          ...{ b64VbHash: null, b64MbHash: null, height: null },
        },
      },
    },
    {
      ...{ id: 'getChain', method: 'get', path: '/v1/{projectId}/chains' },
      summary: 'Get a chain of microblocks',
      description:
        'Its head, and a page of its microblocks. `next` is the height after which the next page begins.',
      needs,
      query: ChainQuery,
      answer: Chain,
      failures: { 404: 'No such chain' },
      example: {
        params: PROJECT,
        query: { vbHash: HASH, after: '0', limit: '100' },
        answer: {
          ...{ b64VbHash: HASH, b64MbHash: HASH, b64GenesisSeed: HASH, height: 1 },
          ...{ microblocks: [{ height: 1, b64SerializedMicroblock: 'AQIDBA==' }], next: null },
        },
      },
    },
  ],
}
