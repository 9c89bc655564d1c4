/** How the server is now, who is kept out, what operators did, and push, in the words of OpenAPI. */
import * as z from 'zod'
import type { Operation } from '../../../platform/net/description.ts'
import { Credentials } from '../../../push/projects.ts'
import { ProjectId } from '../../../push/schema.ts'
import { Page as AuditPage } from '../../admin/live/audit.ts'
import { Named, NewBlock } from '../../admin/live/blocks.ts'
import { Limit } from '../../admin/live/holders.ts'
import { Settings, Tried } from '../../admin/push.ts'
import { BLOCK_KINDS } from '../../console/store.ts'
import { IDENTITY_KEY, NEEDS, TIME } from './examples.ts'

const time = z.string().meta({ format: 'date-time' })
const count = z.number()
const text = z.string()
const anything = z.record(z.string(), z.unknown())

const Status = z
  .object({
    process: z.looseObject({
      ...{ url: text, version: text, rooms: z.array(text), pid: count, node: text },
      ...{ rssBytes: count, heapBytes: count, startedAt: time, isHealthy: z.boolean() },
    }),
    store: z.object({ health: anything, space: anything, pressure: text, trouble: text.nullable() }),
    outbox: z.object({ size: count, oldestAt: time.nullable() }).nullable(),
    jobs: z.object({ waiting: count.nullable(), dead: count.nullable() }),
  })
  .meta({ id: 'Status' })
const Samples = z.object({
  everySeconds: count,
  samples: z.array(
    z.object({
      ...{ at: count, published: count, delivered: count, notifications: count },
      ...{ connections: count, outbox: count, rssBytes: count, lagMs: count },
    }),
  ),
})
const Connections = z.object({
  total: count,
  connections: z.array(z.looseObject({ clientId: text, address: text, isBlocked: z.boolean() })),
})
const Budgets = z.object({
  addresses: z.array(
    z.object({
      ...{ address: text, payer: text, connections: count, memoryBytes: count, workUsed: count },
      isBlocked: z.boolean(),
    }),
  ),
})

const NOW: readonly Operation[] = [
  {
    ...{ id: 'adminGetStatus', method: 'get', path: '/admin/status' },
    summary: 'Get how the server is',
    description: 'What is of this process alone is under `process`.',
    needs: NEEDS,
    answer: Status,
    example: {
      answer: {
        process: {
          ...{
            url: 'https://notify.example.com',
            version: '0.1.0',
            rooms: ['relay', 'notify'],
            pid: 1,
            node: 'v20.19.0',
          },
          ...{ rssBytes: 120_000_000, heapBytes: 40_000_000, startedAt: TIME, isHealthy: true },
        },
        store: {
          health: { engine: 'embedded', fileBytes: 4_194_304, reusableBytes: 0 },
          space: { kind: 'disk', totalBytes: 100_000_000_000, freeBytes: 60_000_000_000 },
          ...{ pressure: 'ok', trouble: null },
        },
        outbox: { size: 0, oldestAt: null },
        jobs: { waiting: 0, dead: 0 },
      },
    },
  },
  {
    ...{ id: 'adminListSamples', method: 'get', path: '/admin/samples' },
    summary: 'Get the last hour of this process',
    description: 'A point every 10 s, from memory.',
    needs: NEEDS,
    answer: Samples,
    example: {
      answer: {
        everySeconds: 10,
        samples: [
          {
            ...{ at: 1_796_025_600_000, published: 3, delivered: 3, notifications: 1 },
            ...{ connections: 2, outbox: 0, rssBytes: 120_000_000, lagMs: 0.4 },
          },
        ],
      },
    },
  },
  {
    ...{ id: 'adminListConnections', method: 'get', path: '/admin/connections' },
    summary: 'List connections to this process',
    description: 'Client ids and address blocks, and which are blocked.',
    needs: NEEDS,
    query: Limit,
    answer: Connections,
    example: {
      query: { limit: '100' },
      answer: { total: 1, connections: [{ clientId: IDENTITY_KEY, address: '192.0.2.1', isBlocked: false }] },
    },
  },
  {
    ...{ id: 'adminListBudgets', method: 'get', path: '/admin/budgets' },
    summary: 'List the addresses that use most',
    description: 'Connections, bytes in memory, and the part of its work that each address has used.',
    needs: NEEDS,
    query: Limit,
    answer: Budgets,
    example: {
      query: { limit: '100' },
      answer: {
        addresses: [
          {
            address: '192.0.2.1',
            payer: 'Zx3kPq0aB1c',
            connections: 1,
            memoryBytes: 0,
            workUsed: 0.01,
            isBlocked: false,
          },
        ],
      },
    },
  },
]

const Block = z
  .object({ kind: z.enum(BLOCK_KINDS), value: text, note: text, createdAt: time, expiresAt: time })
  .meta({ id: 'Block' })
const BLOCK = {
  kind: 'address',
  value: '192.0.2.7',
  note: 'floods',
  createdAt: TIME,
  expiresAt: '2026-12-01T08:00:00.000Z',
}
const AuditRow = z
  .object({
    ...{ at: time, by: z.enum(['token', 'session']), session: text, passkey: text, address: text },
    ...{ action: text, subject: z.record(text, text), status: count, failure: text },
  })
  .meta({ id: 'AuditRow' })

const KEPT_OUT: readonly Operation[] = [
  {
    ...{ id: 'adminListBlocks', method: 'get', path: '/admin/blocks' },
    summary: 'List who is kept out',
    description: 'Addresses, clients and payers, and until when.',
    needs: NEEDS,
    answer: z.object({ blocks: z.array(Block) }),
    example: { answer: { blocks: [BLOCK] } },
  },
  {
    ...{ id: 'adminBlock', method: 'post', path: '/admin/blocks' },
    summary: 'Keep somebody out',
    description: 'Of an IPv6 address its /64 is blocked. The address that asks cannot be blocked.',
    needs: NEEDS,
    body: { shape: NewBlock },
    answer: Block,
    failures: { 409: 'It is the address that you ask from, or there are as many blocks as there may be' },
    example: { body: { kind: 'address', value: '192.0.2.7', hours: 24, note: 'floods' }, answer: BLOCK },
  },
  {
    ...{ id: 'adminUnblock', method: 'delete', path: '/admin/blocks' },
    summary: 'Let somebody in again',
    description: 'It has effect in this process at once, in others within seconds.',
    needs: NEEDS,
    query: Named,
    answer: { status: 204 },
    failures: { 404: 'No such block' },
    example: { query: { kind: 'address', value: '192.0.2.8' } },
  },
  {
    ...{ id: 'adminListAudit', method: 'get', path: '/admin/audit' },
    summary: 'List what operators did',
    description: 'Newest first: who, when, what, on what, and how it ended.',
    needs: NEEDS,
    query: AuditPage,
    answer: z.object({ rows: z.array(AuditRow), next: text.nullable() }),
    example: {
      query: { limit: '100' },
      answer: {
        rows: [
          {
            ...{ at: TIME, by: 'token', session: '', passkey: '', address: '127.0.0.1' },
            ...{ action: 'POST /admin/blocks', subject: { kind: 'address' }, status: 200, failure: '' },
          },
        ],
        next: null,
      },
    },
  },
]

const provider = z.enum(['apns', 'fcm'])
const PushProjects = z
  .object({
    projects: z.array(
      z.object({
        ...{ id: text, open: z.boolean(), devices: count },
        providers: z.array(
          z.object({
            ...{ provider: text, state: z.enum(['ready', 'stopped', 'absent']), reason: text.nullable() },
            ...{ since: time.nullable(), waiting: count, credentials: z.record(text, text) },
          }),
        ),
      }),
    ),
  })
  .meta({ id: 'PushProjects' })
const PROVIDER = { provider: 'fcm', state: 'absent', reason: null, since: null, waiting: 0, credentials: {} }
const PUSH_PROJECTS = { projects: [{ id: 'wallet-app', open: false, devices: 0, providers: [PROVIDER] }] }
const PROJECT = { id: 'wallet-app' }
const NO_PROJECT = { 404: 'No such project' }

const PUSH: readonly Operation[] = [
  {
    ...{ id: 'adminListPush', method: 'get', path: '/admin/push' },
    summary: 'List projects of push',
    description: 'Their devices, and how each provider is.',
    needs: NEEDS,
    answer: PushProjects,
    example: { answer: PUSH_PROJECTS },
  },
  {
    ...{ id: 'adminTestPush', method: 'post', path: '/admin/push/test' },
    summary: 'Push to all devices of a client',
    description: 'At once, to see whether it arrives.',
    needs: NEEDS,
    body: { shape: Tried },
    answer: z.object({
      pushes: z.array(
        z.object({ deviceId: text, project: text, provider: text, outcome: text, reason: text.nullable() }),
      ),
    }),
    example: { body: { client: IDENTITY_KEY }, answer: { pushes: [] } },
  },
  {
    ...{ id: 'adminCheckPush', method: 'post', path: '/admin/push/check' },
    summary: 'Show credentials to their providers',
    description: 'With a device that there is not, so nobody is woken.',
    needs: NEEDS,
    answer: z.object({
      checks: z.array(z.object({ project: text, provider: text, isGood: z.boolean(), detail: text })),
    }),
    example: { answer: { checks: [] } },
  },
  {
    ...{ id: 'adminSetPushProject', method: 'put', path: '/admin/push/projects/{id}' },
    summary: 'Add or change a project of push',
    description:
      '`open`: published wallets may register devices without a token. `credentials`: of each provider at most one. Where one cannot be used, nothing is changed.',
    needs: NEEDS,
    params: { id: ProjectId.describe('Id of the project') },
    body: { shape: Settings },
    answer: PushProjects,
    example: { params: PROJECT, body: { open: false }, answer: PUSH_PROJECTS },
  },
  {
    ...{ id: 'adminSetPushCredentials', method: 'put', path: '/admin/push/projects/{id}/credentials' },
    summary: 'Set credentials of a project of push',
    description: 'They are sealed at rest, and tried when they are first used.',
    needs: NEEDS,
    params: { id: ProjectId.describe('Id of the project') },
    body: { shape: Credentials },
    answer: PushProjects,
    failures: NO_PROJECT,
    example: {
      params: PROJECT,
      body: {
        provider: 'apns',
        apns: {
          ...{ kind: 'token', topic: 'com.example.wallet', keyId: 'ABC123DEFG', teamId: 'DEF123GHIJ' },
          key: '-----BEGIN PRIVATE KEY-----…',
        },
      },
      answer: PUSH_PROJECTS,
    },
  },
  {
    ...{
      id: 'adminRemovePushCredentials',
      method: 'delete',
      path: '/admin/push/projects/{id}/credentials/{provider}',
    },
    summary: 'Remove credentials of a project of push',
    description: 'Its devices of this provider are not woken any more.',
    needs: NEEDS,
    params: { id: ProjectId.describe('Id of the project'), provider },
    answer: PushProjects,
    failures: NO_PROJECT,
    example: { params: { ...PROJECT, provider: 'fcm' }, answer: PUSH_PROJECTS },
  },
]

export const LIVE_OPERATIONS: readonly Operation[] = [...NOW, ...KEPT_OUT, ...PUSH]
