/** The routes of `http.ts` in the words of OpenAPI. */
import * as z from 'zod'
import type { Operation, RoomDescription } from '../../platform/net/description.ts'

const Engine = z.object({
  EIO: z.literal('4').describe('Version of Engine.IO'),
  transport: z.enum(['polling', 'websocket']),
  sid: z.string().max(64).optional().describe('Id of the connection; absent: a new one'),
  t: z.string().max(64).optional(),
})
const EngineFailure = z
  .object({ code: z.number(), message: z.string() })
  .meta({ id: 'EngineFailure', description: 'A refusal of Engine.IO' })

const socketIo = (
  operation: Omit<Operation, 'path' | 'query' | 'answer'> & { answer?: Operation['answer'] },
): Operation => ({
  path: '/socket.io/',
  query: Engine,
  answer: { shape: z.string(), type: 'text/plain', says: "Engine.IO's packets" },
  ...operation,
})

export const SESSIONS: RoomDescription = {
  tag: { name: 'sessions', description: 'One call of a dapp to a wallet; the relay between them is blind' },
  operations: [
    {
      ...{ id: 'createSession', method: 'post', path: '/session/create' },
      summary: 'Create a session',
      description:
        'Its id is a capability: who knows it may join it over Socket.IO. A body is not looked at.',
      answer: {
        status: 201,
        says: 'Created',
        shape: z.object({ sessionId: z.string().regex(/^[0-9a-f]{32}$/) }),
      },
      example: { answer: { sessionId: '0b5f7f0e58a14a3e9c0b1d2e3f405162' } },
    },
  ],
}

export const SESSION_SOCKETS: RoomDescription = {
  tag: SESSIONS.tag,
  failure: EngineFailure,
  operations: [
    socketIo({
      ...{ id: 'pollSession', method: 'get' },
      summary: 'Open or poll a connection of Socket.IO',
      description:
        'Where a client cannot use a WebSocket. Libraries of Socket.IO speak it; refusals are those of Engine.IO.',
      example: {
        query: { EIO: '4', transport: 'polling' },
        answer:
          '0{"sid":"lv_VI97HAXpY6yYWAAAB","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000}',
      },
    }),
    socketIo({
      ...{ id: 'sendSession', method: 'post' },
      answer: { shape: z.literal('ok'), type: 'text/html', says: 'They are taken' },
      summary: 'Send packets over a connection of Socket.IO',
      description: 'Where a client cannot use a WebSocket. Libraries of Socket.IO speak it.',
      body: { shape: z.string(), type: 'text/plain', isOptional: true },
      example: {
        query: { EIO: '4', transport: 'polling', sid: 'lv_VI97HAXpY6yYWAAAB' },
        ...{ body: '40', answer: 'ok' },
      },
    }),
  ],
}
