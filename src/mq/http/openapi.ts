/** The routes of `routes.ts` in the words of OpenAPI. */
import * as z from 'zod'
import type { Operation, RoomDescription } from '../../platform/net/description.ts'
import { MessageAnswer, PutAnswer, SenderDid, TokenAnswer } from '../schema.ts'

const QUEUE = { domain: 'default', hashDID: 'ab'.repeat(32) }
const SIGNATURE = 'c2lnbmF0dXJlIG92ZXIgdGhlIHRva2Vu'
const ID = 'b7f3a2c4d5e6f708'
const MESSAGE = { messageId: ID, message: 'hello' }
const TOKEN_HEADER = z.object({
  'x-mq-authorization': z.string().describe('The token; `Authorization: Bearer` takes it, too').optional(),
})
const PutHeaders = TOKEN_HEADER.extend({
  'x-mq-sender': SenderDid.describe('DID of a sender who wants to be known').optional(),
  'x-mq-signature': z.string().describe('Its signature over the token').optional(),
  'x-mq-message-signature': z.string().describe('Its signature over the token and the message').optional(),
})
const NOT_READER = { 403: 'The token or the signature is not of a reader of the queue' }

const found = { shape: MessageAnswer, says: 'The message' }
const NONE_CAME = { status: 204, says: 'None came while the request waited' }

const DOMAINS: Operation = {
  ...{ id: 'listMessageQueueDomains', method: 'get', path: '/bdns' },
  summary: 'List domains of queues',
  description: 'The domains that are on, and where their queues are asked.',
  answer: z.record(z.string(), z.object({ mqEndpoints: z.array(z.string()) })),
  example: { answer: { default: { mqEndpoints: ['https://mq.example.com'] } } },
}

const WRITING: readonly Operation[] = [
  {
    ...{ id: 'getQueueToken', method: 'get', path: '/mq/{domain}/{hashDID}/token' },
    summary: 'Get a token of a queue',
    description:
      'Every request to a queue carries a token of this one. `connection-timeout` says how long a reader is waited for, in s.',
    answer: {
      shape: TokenAnswer,
      headers: { 'connection-timeout': 'Seconds for which a request for a message waits' },
    },
    example: { params: QUEUE, answer: { token: 'eyJ0b2tlbg', expires: 1_796_025_600_000 } },
  },
  {
    ...{ id: 'putQueueMessage', method: 'put', path: '/mq/{domain}/put/{hashDID}' },
    summary: 'Put a message into a queue',
    description: 'The body is the message, or JSON `{"message": text}`. A sender may prove who it is.',
    needs: ['mqToken'],
    headers: PutHeaders,
    body: { shape: z.string(), type: 'text/plain', isOptional: true },
    answer: PutAnswer,
    failures: {
      403: 'The token, or the proof of the sender, is wrong; or the message is too large',
      500: 'The queue is full',
    },
    example: { params: QUEUE, body: 'hello', answer: { messageId: ID } },
  },
]

const ONE = { ...QUEUE, signature: SIGNATURE }
const NO_MESSAGE = { ...NOT_READER, 500: 'No such message' }

const READING: readonly Operation[] = [
  {
    ...{ id: 'getQueueMessage', method: 'get', path: '/mq/{domain}/get/{hashDID}/{signature}' },
    summary: 'Get the oldest message of a queue',
    description: 'Waits for a message where there is none. The message stays in the queue.',
    needs: ['mqToken'],
    answer: found,
    also: [NONE_CAME],
    failures: NOT_READER,
    example: { params: ONE, answer: MESSAGE },
  },
  {
    ...{ id: 'takeQueueMessage', method: 'get', path: '/mq/{domain}/take/{hashDID}/{signature}' },
    summary: 'Take the oldest message of a queue',
    description: 'Waits for a message where there is none. The message leaves the queue.',
    needs: ['mqToken'],
    answer: found,
    also: [NONE_CAME],
    failures: NOT_READER,
    example: { params: ONE, answer: MESSAGE },
  },
  {
    ...{ id: 'takeNamedQueueMessage', method: 'get', path: '/mq/{domain}/take/{hashDID}/{id}/{signature}' },
    summary: 'Take one message of a queue',
    description: 'The message leaves the queue.',
    needs: ['mqToken'],
    answer: found,
    also: [NONE_CAME],
    failures: NO_MESSAGE,
    example: { params: { ...ONE, id: ID }, answer: MESSAGE },
  },
  {
    ...{
      id: 'takeOlderQueueMessage',
      method: 'get',
      path: '/mq/{domain}/take/{hashDID}/{id}/{rest}/{signature}',
    },
    summary: 'Take one message of a queue, by an id of two parts',
    description: 'For agents that ask for ids with a slash in them. Ids of this server have none.',
    needs: ['mqToken'],
    answer: { status: 500, says: 'No such message' },
    failures: NOT_READER,
    example: { params: { ...ONE, id: ID, rest: 'x' } },
  },
  {
    ...{ id: 'removeQueueMessage', method: 'delete', path: '/mq/{domain}/delete/{hashDID}/{id}/{signature}' },
    summary: 'Remove a message from a queue',
    description: 'Answered alike when it is not there.',
    needs: ['mqToken'],
    answer: z.object({}),
    failures: NOT_READER,
    example: { params: { ...ONE, id: ID }, answer: {} },
  },
  {
    ...{
      id: 'removeOlderQueueMessage',
      method: 'delete',
      path: '/mq/{domain}/delete/{hashDID}/{id}/{rest}/{signature}',
    },
    summary: 'Remove a message from a queue, by an id of two parts',
    description: 'As `removeQueueMessage`, for agents whose ids have a slash in them.',
    needs: ['mqToken'],
    answer: z.object({}),
    failures: NOT_READER,
    example: { params: { ...ONE, id: ID, rest: 'x' }, answer: {} },
  },
]

/** What all of them have that are about a queue. */
const ofQueue = (operation: Operation): Operation => ({
  ...(operation.needs && { headers: TOKEN_HEADER }),
  ...operation,
  failures: { ...operation.failures, 405: 'The domain has no message queues' },
})

export const MQ: RoomDescription = {
  tag: { name: 'mq', description: 'A queue of messages for each DID, as published (MQ Hub, RFC-130)' },
  statuses: { 401: 403, 404: 500, 409: 500, 413: 403, 415: 400, 422: 400, 503: 500, 507: 500 },
  params: {
    domain: z.string().min(1).max(64).describe('Domain of the queue'),
    hashDID: z.string().min(1).max(128).describe('SHA-256 of the DID that reads the queue'),
    id: z.string().min(1).max(128).describe('Id of the message'),
    rest: z.string().min(1).max(128).describe('The rest of the id'),
    signature: z.string().min(1).max(2048).describe('The signature of the reader over the token'),
  },
  operations: [DOMAINS, ...[...WRITING, ...READING].map(ofQueue)],
}
