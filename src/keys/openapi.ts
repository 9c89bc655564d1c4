/** The routes of `http.ts` in the words of OpenAPI. */
import * as z from 'zod'
import type { Operation, RoomDescription } from '../platform/net/description.ts'
import { cacaoSchema } from '../protocol/cacao.ts'
import { IdentityQuery, InviteQuery, RegisterIdentity, WithIdAuth } from './schema.ts'

const ACCOUNT = 'eip155:1:0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359'
const ID_AUTH = 'eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJkaWQ6a2V5Ono2TWsifQ.c2lnbmF0dXJl'
const PUBLIC_KEY = 'z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'
const CACAO = {
  h: { t: 'eip4361' },
  p: {
    domain: 'wallet.example.com',
    aud: 'https://keys.example.com',
    version: '1',
    nonce: '5f2c1f0e',
    iat: '2026-11-30T08:00:00.000Z',
    iss: `did:pkh:${ACCOUNT}`,
    statement: 'I further authorize this app to send me notifications.',
    resources: [`did:key:${PUBLIC_KEY}`],
  },
  s: { t: 'eip191', s: `0x${'1b'.repeat(65)}` },
}

const answered = (value: z.ZodType) => z.object({ status: z.literal('SUCCESS'), error: z.null(), value })
const NOTHING = answered(z.null()).meta({ id: 'KeysDone' })
const DONE = { status: 'SUCCESS', error: null, value: null }

const KeysFailure = z
  .object({
    status: z.literal('FAILURE'),
    error: z.object({ name: z.string(), message: z.string() }),
    value: z.null(),
  })
  .meta({ id: 'KeysFailure', description: 'What went wrong, as published key servers say it' })

const TOKEN_FAILURES = {
  401: 'The token is not signed by the key, or is too old',
  403: 'It is of another account',
}

const IDENTITIES: readonly Operation[] = [
  {
    ...{ id: 'registerIdentity', method: 'post', path: '/identity' },
    summary: 'Register an identity key',
    description:
      'The CACAO, signed by the account, says that the key speaks for it. `idAuth` is signed by the key itself.',
    body: { shape: RegisterIdentity },
    answer: NOTHING,
    failures: { ...TOKEN_FAILURES, 409: 'The account has as many keys as it may have' },
    example: { body: { cacao: CACAO }, answer: DONE },
  },
  {
    ...{ id: 'getIdentity', method: 'get', path: '/identity' },
    summary: 'Get the CACAO of an identity key',
    description: 'The CACAO as it was registered. `account` asks for that of one account.',
    query: IdentityQuery,
    answer: answered(z.object({ cacao: cacaoSchema })),
    failures: { 404: 'No such identity key' },
    example: { query: { publicKey: PUBLIC_KEY }, answer: { ...DONE, value: { cacao: CACAO } } },
  },
  {
    ...{ id: 'removeIdentity', method: 'delete', path: '/identity' },
    summary: 'Remove an identity key',
    description: 'The key is revoked for good: it cannot be registered again.',
    body: { shape: WithIdAuth },
    answer: NOTHING,
    failures: { ...TOKEN_FAILURES, 404: 'No such identity key' },
    example: { body: { idAuth: ID_AUTH }, answer: DONE },
  },
]

const INVITES: readonly Operation[] = [
  {
    ...{ id: 'registerInvite', method: 'post', path: '/invite' },
    summary: 'Register an invite key',
    description: 'The X25519 key by which others reach the account, in a token of its identity key.',
    body: { shape: WithIdAuth },
    answer: NOTHING,
    failures: { ...TOKEN_FAILURES, 404: 'The identity key is not registered' },
    example: { body: { idAuth: ID_AUTH }, answer: DONE },
  },
  {
    ...{ id: 'getInvite', method: 'get', path: '/invite' },
    summary: 'Get the invite key of an account',
    description: 'The key by which others reach the account.',
    query: InviteQuery,
    answer: answered(z.object({ inviteKey: z.string() })),
    failures: { 404: 'The account has no invite key' },
    example: {
      query: { account: ACCOUNT },
      answer: { ...DONE, value: { inviteKey: `did:key:z6LS${'r'.repeat(44)}` } },
    },
  },
  {
    ...{ id: 'removeInvite', method: 'delete', path: '/invite' },
    summary: 'Remove an invite key',
    description: 'Others do not reach the account by this key any more.',
    body: { shape: WithIdAuth },
    answer: NOTHING,
    failures: { ...TOKEN_FAILURES, 404: 'No such invite key' },
    example: { body: { idAuth: ID_AUTH }, answer: DONE },
  },
]

export const KEYS: RoomDescription = {
  tag: {
    name: 'keys',
    description: 'The registry of identity keys and invite keys, as published (Keyserver)',
  },
  failure: KeysFailure,
  statuses: { 422: 400 },
  operations: [...IDENTITIES, ...INVITES],
}
