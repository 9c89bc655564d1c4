/** The routes of `http.ts` in the words of OpenAPI. */
import * as z from 'zod'
import type { RoomDescription } from '../platform/net/description.ts'
import { CompactBody, MessagesAnswer, MessagesQuery, RegisterBody } from './schema.ts'

const Done = z
  .object({ status: z.literal('SUCCESS'), errors: z.null(), fields: z.null() })
  .meta({ id: 'ArchiveDone' })
const DONE = { status: 'SUCCESS', errors: null, fields: null }
const TOPIC = 'ab'.repeat(32)

export const ARCHIVE: RoomDescription = {
  tag: {
    name: 'archive',
    description: 'Messages of the relay for longer than their TTL, as published (History)',
  },
  operations: [
    {
      ...{ id: 'registerArchive', method: 'post', path: '/register' },
      summary: 'Have messages archived',
      description:
        'From now on messages that the client publishes with these tags are kept. `owners` may compact a topic.',
      needs: ['clientToken'],
      body: { shape: RegisterBody },
      answer: Done,
      failures: { 507: 'The store takes nothing new right now' },
      example: { body: { tags: ['2000', '2002'], relayUrl: 'wss://relay.example.com' }, answer: DONE },
    },
    {
      ...{ id: 'listArchivedMessages', method: 'get', path: '/messages' },
      summary: 'List archived messages of a topic',
      description:
        'A page begins with `originId`; `nextId` begins the next one and is null at the end. Forward is oldest first. A page has at most 1 MiB.',
      query: MessagesQuery,
      answer: MessagesAnswer,
      failures: { 404: 'No message has that id' },
      example: {
        query: { topic: TOPIC, messageCount: '200', direction: 'forward' },
        answer: {
          ...{ topic: TOPIC, direction: 'forward', nextId: null },
          messages: [{ message: 'aGVsbG8=', message_id: 'cd'.repeat(32), timestamp: 1_796_025_600_000 }],
        },
      },
    },
    {
      ...{ id: 'compactArchive', method: 'post', path: '/compact' },
      summary: 'Drop older messages of an own topic',
      description:
        'The token is signed by the owner: act `archive_compact`, `sub` the topic, `bfr` the first message that stays.',
      body: { shape: CompactBody },
      answer: Done,
      failures: { 401: 'The token is not signed by an owner, or is too old', 404: 'No such message' },
      example: {
        body: { compactAuth: 'eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.e30.c2lnbmF0dXJl' },
        answer: DONE,
      },
    },
  ],
}
