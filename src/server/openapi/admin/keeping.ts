/** What is kept, in the words of OpenAPI: accounts, keys, the backup, who holds how much, changing keys. */
import * as z from 'zod'
import { APP_KEYS } from '../../../notify/http/openapi/examples.ts'
import { Domain } from '../../../notify/http/schema.ts'
import type { Operation } from '../../../platform/net/description.ts'
import { Page } from '../../admin/page.ts'
import { overlap } from '../../admin/rotation.ts'
import { Clear, Top } from '../../admin/usage.ts'
import { ACCOUNT, DOMAIN, IDENTITY_KEY, NEEDS, TIME, TOPIC } from './examples.ts'

const time = z.string().meta({ format: 'date-time' })
const list = z.array(z.record(z.string(), z.unknown()))
const count = z.number()

const ExportedAccount = z
  .object({
    ...{ account: z.string(), exportedAt: time, installations: list, identityKeys: list },
    inviteKey: z.unknown(),
    ...{ subscriptions: list, watchers: list, scheduled: list, digests: list, answers: list, outbox: list },
  })
  .partial()
  .required({ account: true, exportedAt: true })
  .loose()
  .meta({
    id: 'ExportedAccount',
    description: 'All that is kept about an account, without any key that opens anything',
  })
const ErasedAccount = z
  .record(z.string(), count)
  .meta({ id: 'ErasedAccount', description: 'How much of each kind was erased' })

const ACCOUNTS: readonly Operation[] = [
  {
    ...{ id: 'adminExportAccount', method: 'get', path: '/admin/accounts/{account}' },
    summary: 'Export what is kept about an account',
    description: 'All of it, in one document without any secret. Who asks is written into the audit log.',
    needs: NEEDS,
    answer: ExportedAccount,
    example: {
      params: { account: ACCOUNT },
      answer: { account: ACCOUNT, exportedAt: TIME, installations: [], identityKeys: [], subscriptions: [] },
    },
  },
  {
    ...{ id: 'adminEraseAccount', method: 'delete', path: '/admin/accounts/{account}' },
    summary: 'Erase an account',
    description:
      'Again it erases nothing, and that is no fault. Its wallets are told that their subscriptions have ended.',
    needs: NEEDS,
    answer: ErasedAccount,
    example: {
      params: { account: ACCOUNT },
      answer: {
        identityKeys: 1,
        inviteKeys: 0,
        installations: 0,
        subscriptions: 1,
        watchers: 0,
        scheduled: 0,
        unsent: 0,
      },
    },
  },
]

const KeyRow = z.object({
  ...{ identityKey: z.string(), account: z.string(), revokedAt: time.nullable() },
  cacao: z.record(z.string(), z.unknown()).nullable(),
})

const KEYS: readonly Operation[] = [
  {
    ...{ id: 'adminListKeys', method: 'get', path: '/admin/keys' },
    summary: 'List registered identity keys',
    description: 'Those that are revoked, too, a page at a time.',
    needs: NEEDS,
    query: Page,
    answer: z.object({ keys: z.array(KeyRow), next: z.string().nullable() }),
    example: {
      query: { limit: '100' },
      answer: {
        keys: [{ identityKey: IDENTITY_KEY, account: ACCOUNT, revokedAt: null, cacao: {} }],
        next: null,
      },
    },
  },
  {
    ...{ id: 'adminGetKey', method: 'get', path: '/admin/keys/{key}' },
    summary: 'Get a registered identity key',
    description: 'With the CACAO by which its account lets it speak.',
    needs: NEEDS,
    answer: z.object({ identityKey: z.string(), cacao: z.record(z.string(), z.unknown()) }),
    failures: { 404: 'No such identity key' },
    example: { params: { key: IDENTITY_KEY }, answer: { identityKey: IDENTITY_KEY, cacao: {} } },
  },
  {
    ...{ id: 'adminRotateServer', method: 'post', path: '/admin/rotate/server' },
    summary: "Rotate the server's keys",
    description: 'Wallets may use the former keys for `overlap` seconds more.',
    needs: NEEDS,
    body: { shape: z.object({ overlap }) },
    answer: z.object({ authenticationKey: z.string(), subscribeKey: z.string(), until: time }),
    failures: { 409: 'A rotation is under way' },
    example: { body: { overlap: 3600 }, answer: { ...APP_KEYS, until: TIME } },
  },
  {
    ...{ id: 'adminRotateApp', method: 'post', path: '/admin/rotate/app' },
    summary: 'Rotate the keys of an app',
    description: 'Wallets may use the former keys for `overlap` seconds more.',
    needs: NEEDS,
    body: { shape: z.object({ domain: Domain, overlap }) },
    answer: z.object({ authenticationKey: z.string(), subscribeKey: z.string(), until: time }),
    failures: { 404: 'No such app', 409: 'A rotation is under way' },
    example: { body: { domain: 'rotated.example.com', overlap: 3600 }, answer: { ...APP_KEYS, until: TIME } },
  },
]

const Reseal = z
  .object({
    ...{ isRunning: z.boolean(), round: count, table: z.string().nullable(), seen: count },
    ...{ resealed: count, left: count, unreadable: count, isDone: z.boolean(), error: z.string().nullable() },
  })
  .meta({ id: 'Reseal' })
const RESEAL = {
  ...{ isRunning: true, round: 1, table: 'account', seen: 12, resealed: 0 },
  ...{ left: 0, unreadable: 0, isDone: false, error: null },
}
const Usage = z
  .object({
    ...{ isRunning: z.boolean(), table: z.string().nullable(), seen: count },
    ...{ isComplete: z.boolean(), error: z.string().nullable() },
    tables: z.array(
      z.object({
        ...{ room: z.string(), what: z.string(), by: z.string(), rows: count, bytes: count, owners: count },
        isRough: z.boolean(),
        top: z.array(z.object({ owner: z.string(), rows: count, bytes: count })),
      }),
    ),
  })
  .meta({ id: 'Usage' })
const USAGE = { isRunning: true, table: 'message', seen: 0, isComplete: false, error: null, tables: [] }
const held = { messages: count, bytes: count }
const Topic = z
  .looseObject({
    topic: z.string(),
    messages: count,
    bytes: count,
    ...{ oldestAt: time.nullable(), newestAt: time.nullable() },
    publishers: z.array(z.object({ publisher: z.string(), ...held })),
    payers: z.array(z.object({ payer: z.string(), ...held })),
    members: z.array(z.object({ clientId: z.string(), isSubscribed: z.boolean(), behind: count })),
    ...{ publisherCount: count, payerCount: count, memberCount: count },
  })
  .meta({ id: 'Topic' })
const TOPIC_REPORT = {
  ...{
    topic: TOPIC,
    messages: 0,
    bytes: 0,
    oldestAt: null,
    newestAt: null,
    publishers: [],
    payers: [],
    members: [],
  },
  ...{ publisherCount: 0, payerCount: 0, memberCount: 0 },
}

const STORE: readonly Operation[] = [
  {
    ...{ id: 'adminBackUp', method: 'get', path: '/admin/backup' },
    summary: 'Back up the store',
    description:
      'Everything that the store holds, as it is at this moment, in one file. `belfry restore` reads it.',
    needs: NEEDS,
    answer: { shape: z.string().meta({ format: 'binary' }), type: 'application/gzip' },
    example: {},
  },
  {
    ...{ id: 'adminReseal', method: 'post', path: '/admin/reseal' },
    summary: 'Encrypt everything with the present secret',
    description: 'Begins unless it is under way, and answers how far it is.',
    needs: NEEDS,
    answer: Reseal,
    failures: { 409: 'This process still runs with the former secret' },
    example: { answer: RESEAL },
  },
  {
    ...{ id: 'adminGetReseal', method: 'get', path: '/admin/reseal' },
    summary: 'Get how far the encrypting is',
    description: 'How far it is, and how it ended.',
    needs: NEEDS,
    answer: Reseal,
    example: { answer: RESEAL },
  },
  {
    ...{ id: 'adminCountUsage', method: 'post', path: '/admin/usage' },
    summary: 'Count who holds how much',
    description: 'Begins a walk over the store unless one is under way.',
    needs: NEEDS,
    answer: Usage,
    example: { answer: USAGE },
  },
  {
    ...{ id: 'adminGetUsage', method: 'get', path: '/admin/usage' },
    summary: 'Get who holds how much',
    description: 'How far the walk is, then the `top` owners of each table.',
    needs: NEEDS,
    query: Top,
    answer: Usage,
    example: { query: { top: '10' }, answer: USAGE },
  },
  {
    ...{ id: 'adminGetTopic', method: 'get', path: '/admin/topics/{topic}' },
    summary: 'Get what a topic of the relay holds',
    description:
      'Who published and paid, and who waits. A topic is 64 hex digits, the domain of an app, or `server`.',
    needs: NEEDS,
    answer: Topic,
    failures: { 404: 'No topic and no app of that name' },
    example: { params: { topic: TOPIC }, answer: TOPIC_REPORT },
  },
  {
    ...{ id: 'adminClearTopic', method: 'delete', path: '/admin/topics/{topic}' },
    summary: 'Clear a topic of the relay',
    description: 'Removes its messages, or those of one publisher or payer. Subscriptions stay.',
    needs: NEEDS,
    query: Clear,
    answer: z.object({ topic: z.string(), removed: count }),
    failures: { 404: 'No topic and no app of that name' },
    example: { params: { topic: DOMAIN }, query: { payer: 'house' }, answer: { topic: TOPIC, removed: 0 } },
  },
]

export const KEEPING_OPERATIONS: readonly Operation[] = [...ACCOUNTS, ...KEYS, ...STORE]
