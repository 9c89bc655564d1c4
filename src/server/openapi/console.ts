/** `console/http` in the words of OpenAPI. */
import * as z from 'zod'
import type { Credential, Operation, RoomDescription } from '../../platform/net/description.ts'
import { NewPasskey, Proof, WithToken } from '../console/http.ts'

const time = z.string().meta({ format: 'date-time' })
const TIME = '2026-11-30T08:00:00.000Z'
const needs: readonly Credential[] = ['consoleSession', 'adminToken']

const Session = z
  .object({
    ...{ id: z.string(), method: z.enum(['token', 'passkey']), passkey: z.string(), address: z.string() },
    ...{ createdAt: time.nullable(), usedAt: time.nullable(), expiresAt: time.nullable() },
  })
  .meta({ id: 'ConsoleSession' })
const SignedIn = z
  .object({
    session: Session.nullable(),
    passkeys: z.object({ unavailable: z.string().nullable(), isRegistered: z.boolean() }),
  })
  .meta({ id: 'ConsoleAccess' })
const SESSION = {
  ...{ id: 'Zx3kPq0aB1c', method: 'token', passkey: '', address: '127.0.0.1' },
  ...{ createdAt: TIME, usedAt: TIME, expiresAt: '2026-12-07T08:00:00.000Z' },
}
const ACCESS = { session: SESSION, passkeys: { unavailable: null, isRegistered: false } }
/** What `navigator.credentials` takes. */
const Options = z.looseObject({ challenge: z.string() })
const COOKIE = { 'Set-Cookie': 'The session' }
const OWN_PAGE = { 403: 'Only a page of this server may ask' }
const TYPED_ONLY = { 415: 'It is not announced as JSON, which no form can be' }
const TYPED = z.object({
  'Sec-Fetch-Site': z.literal('same-origin').describe('As browsers say it of a page of this server'),
})
const headers = { 'Sec-Fetch-Site': 'same-origin' }

const SESSIONS: readonly Operation[] = [
  {
    ...{ id: 'consoleGetSession', method: 'get', path: '/console/session' },
    summary: 'Get the own session',
    description: 'Null where nobody is signed in, and whether passkeys can be used here.',
    answer: SignedIn,
    failures: OWN_PAGE,
    example: { answer: ACCESS },
  },
  {
    ...{ id: 'consoleSignIn', method: 'post', path: '/console/session' },
    summary: 'Sign in with the admin token',
    description: 'Opens a session, whose cookie stands for the operator.',
    headers: TYPED,
    body: { shape: WithToken },
    answer: { shape: SignedIn, headers: COOKIE },
    failures: { ...OWN_PAGE, 401: 'This is not the admin token' },
    example: { headers, body: { token: 'qYO1Zef7sU8krosa5BEZnB6V6-Hd4I0XlWOoVBO9Kik' }, answer: ACCESS },
  },
  {
    ...{ id: 'consoleSignOut', method: 'delete', path: '/console/session' },
    summary: 'Sign out',
    description: 'Ends the own session. Without one nothing happens.',
    headers: TYPED,
    answer: { status: 204 },
    failures: { ...OWN_PAGE, ...TYPED_ONLY },
    example: { headers },
  },
  {
    ...{ id: 'consoleListSessions', method: 'get', path: '/console/sessions' },
    summary: 'List sessions',
    description: 'All sessions that have not ended.',
    needs,
    answer: z.object({ sessions: z.array(Session) }),
    example: { answer: { sessions: [SESSION] } },
  },
  {
    ...{ id: 'consoleEndSession', method: 'delete', path: '/console/sessions/{id}' },
    summary: 'End a session',
    description: 'Its cookie works no more.',
    needs,
    headers: TYPED,
    answer: { status: 204 },
    failures: { 404: 'No such session' },
    example: { headers, params: { id: SESSION.id } },
  },
]

const NO_PASSKEYS = { 503: 'Browsers take no passkeys for this server' }

const PASSKEYS: readonly Operation[] = [
  {
    ...{ id: 'consoleListPasskeys', method: 'get', path: '/console/passkeys' },
    summary: 'List passkeys',
    description: 'Their names, and when each was used.',
    needs,
    answer: z.object({
      passkeys: z.array(
        z.object({ id: z.string(), name: z.string(), createdAt: time.nullable(), usedAt: time.nullable() }),
      ),
      unavailable: z.string().nullable(),
    }),
    example: {
      answer: {
        passkeys: [{ id: 'AQIDBA', name: 'laptop', createdAt: TIME, usedAt: null }],
        unavailable: null,
      },
    },
  },
  {
    ...{ id: 'consoleBeginPasskey', method: 'post', path: '/console/passkeys/begin' },
    summary: 'Begin to register a passkey',
    description: 'Answers what the browser is asked to make. The challenge lives for 5 minutes.',
    needs: ['consoleSession'],
    headers: TYPED,
    answer: Options,
    failures: NO_PASSKEYS,
    example: { headers, answer: { challenge: 'q83vEjRWeJA' } },
  },
  {
    ...{ id: 'consoleAddPasskey', method: 'post', path: '/console/passkeys' },
    summary: 'Register a passkey',
    description: 'With what the browser made.',
    needs: ['consoleSession'],
    headers: TYPED,
    body: { shape: NewPasskey },
    answer: z.object({ id: z.string(), name: z.string() }),
    failures: { 409: 'There are as many as there may be' },
    example: {
      headers,
      body: {
        name: 'laptop',
        answer: {
          ...{ id: 'AQIDBA', rawId: 'AQIDBA', type: 'public-key', clientExtensionResults: {} },
          response: { clientDataJSON: 'e30', attestationObject: 'o2M' },
        },
      },
      answer: { id: 'AQIDBA', name: 'laptop' },
    },
  },
  {
    ...{ id: 'consoleRemovePasskey', method: 'delete', path: '/console/passkeys/{id}' },
    summary: 'Remove a passkey',
    description: 'It opens no session any more. Sessions that it has opened stay.',
    needs,
    headers: TYPED,
    answer: { status: 204 },
    failures: { 404: 'No such passkey' },
    example: { headers, params: { id: 'AQIDBA' } },
  },
  {
    ...{ id: 'consoleAskPasskey', method: 'post', path: '/console/passkeys/ask' },
    summary: 'Begin to sign in with a passkey',
    description: 'Answers what the browser is asked to prove. The challenge lives for 5 minutes.',
    headers: TYPED,
    answer: Options,
    failures: { ...OWN_PAGE, ...TYPED_ONLY, ...NO_PASSKEYS, 404: 'There is no passkey' },
    example: { headers, answer: { challenge: 'q83vEjRWeJA' } },
  },
  {
    ...{ id: 'consoleSignInWithPasskey', method: 'post', path: '/console/passkeys/session' },
    summary: 'Sign in with a passkey',
    description: 'Opens a session, whose cookie stands for the operator.',
    headers: TYPED,
    body: { shape: Proof },
    answer: { shape: SignedIn, headers: COOKIE },
    failures: { ...OWN_PAGE, 401: 'It is not proved' },
    example: {
      headers,
      body: {
        answer: {
          ...{ id: 'AQIDBA', rawId: 'AQIDBA', type: 'public-key', clientExtensionResults: {} },
          response: { clientDataJSON: 'e30', authenticatorData: 'SZYN', signature: 'MEUC' },
        },
      },
      answer: { ...ACCESS, session: { ...SESSION, method: 'passkey', passkey: 'laptop' } },
    },
  },
]

export const CONSOLE: RoomDescription = {
  tag: {
    name: 'console',
    description:
      'Sessions and passkeys of the operator. Only pages of this server may ask, with Content-Type `application/json`',
  },
  params: { id: z.string().min(1).max(1024).describe('Id of the session or passkey') },
  operations: [...SESSIONS, ...PASSKEYS],
}
