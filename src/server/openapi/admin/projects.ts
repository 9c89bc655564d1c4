/** `admin/projects` and `admin/broadcasts`, in the words of OpenAPI. */
import * as z from 'zod'
import { BROADCAST } from '../../../notify/http/openapi/examples.ts'
import {
  BroadcastAnswer,
  BroadcastStarted,
  CancelledAnswer,
} from '../../../notify/http/schema-notifications.ts'
import { WebhookRegistration } from '../../../notify/http/webhooks.ts'
import type { Operation } from '../../../platform/net/description.ts'
import { Start } from '../../admin/broadcasts.ts'
import { Page } from '../../admin/page.ts'
import { AddSecret, NewProject, RotateSecret, Settings } from '../../admin/projects.ts'
import { DOMAIN, NEEDS, NOTIFICATION, PROJECT_ID, TIME } from './examples.ts'

const time = z.string().meta({ format: 'date-time' })
const id = z.string()

const Project = z
  .object({
    ...{ id, name: z.string(), createdAt: time.nullable() },
    secrets: z.array(
      z.object({
        ...{ id, name: z.string(), createdAt: time.nullable() },
        lastUsedAt: time.nullable().meta({ description: 'Beginning of the hour in which it was last used' }),
        expiresAt: time.nullable(),
      }),
    ),
    settings: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'Project' })
const Secret = z
  .object({ secretId: id, name: z.string(), secret: z.string(), expiresAt: time.nullable() })
  .meta({ id: 'ProjectSecret', description: 'The secret is shown only here' })

const SECRET_ID = 'a1b2c3d4'
const PROJECT = {
  ...{ id: PROJECT_ID, name: 'Example', createdAt: TIME },
  secrets: [{ id: SECRET_ID, name: 'first', createdAt: TIME, lastUsedAt: null, expiresAt: null }],
  settings: {},
}
const SECRET = {
  ...{ secretId: SECRET_ID, name: 'next', expiresAt: null },
  secret: 'qYO1Zef7sU8krosa5BEZnB6V6-Hd4I0XlWOoVBO9Kik',
}
const ONE = { id: PROJECT_ID }
const NO_PROJECT = { 404: 'No such project' }

const PROJECTS: readonly Operation[] = [
  {
    ...{ id: 'adminListProjects', method: 'get', path: '/admin/projects' },
    summary: 'List projects',
    description: 'In the order of their ids, a page at a time; no secrets.',
    needs: NEEDS,
    query: Page,
    answer: z.object({ projects: z.array(Project), next: z.string().nullable() }),
    example: { query: { limit: '100' }, answer: { projects: [PROJECT], next: null } },
  },
  {
    ...{ id: 'adminAddProject', method: 'post', path: '/admin/projects' },
    summary: 'Add a project',
    description: 'The secret is shown only here. Without an id it gets one.',
    needs: NEEDS,
    body: { shape: NewProject },
    answer: Project.extend({ secret: z.string().nullable() }),
    failures: { 409: 'There is one of that id' },
    example: { body: { id: 'another', name: 'Another' }, answer: { ...PROJECT, secret: SECRET.secret } },
  },
  {
    ...{ id: 'adminGetProject', method: 'get', path: '/admin/projects/{id}' },
    summary: 'Get a project',
    description: 'Its settings, and what may be known of its secrets.',
    needs: NEEDS,
    answer: Project,
    failures: NO_PROJECT,
    example: { params: ONE, answer: PROJECT },
  },
  {
    ...{ id: 'adminChangeProject', method: 'put', path: '/admin/projects/{id}/settings' },
    summary: 'Set the settings of a project',
    description: 'Rates, quotas and retention. What is absent is as everywhere.',
    needs: NEEDS,
    body: { shape: Settings },
    answer: Project,
    failures: NO_PROJECT,
    example: {
      params: ONE,
      body: { limits: { notify: '20, 2/s' }, quotas: { apps: 10 }, retentionDays: 30 },
      answer: {
        ...PROJECT,
        settings: { limits: { notify: '20, 2/s' }, quotas: { apps: 10 }, retentionDays: 30 },
      },
    },
  },
]

const SECRETS: readonly Operation[] = [
  {
    ...{ id: 'adminAddSecret', method: 'post', path: '/admin/projects/{id}/secrets' },
    summary: 'Add a secret to a project',
    description: 'The other secrets stay. The secret is shown only here.',
    needs: NEEDS,
    body: { shape: AddSecret },
    answer: Secret,
    failures: { ...NO_PROJECT, 409: 'It has as many as it may have' },
    example: { params: ONE, body: { name: 'next' }, answer: SECRET },
  },
  {
    ...{ id: 'adminRotateSecret', method: 'post', path: '/admin/projects/{id}/rotate-secret' },
    summary: 'Rotate a secret of a project',
    description: 'The former secret works for `overlapSeconds` more.',
    needs: NEEDS,
    body: { shape: RotateSecret },
    answer: Secret,
    failures: { ...NO_PROJECT, 409: 'It has as many as it may have' },
    example: { params: { id: 'another' }, body: { overlapSeconds: 3600 }, answer: SECRET },
  },
  {
    ...{ id: 'adminRevokeSecret', method: 'delete', path: '/admin/projects/{id}/secrets/{secretId}' },
    summary: 'Revoke a secret of a project',
    description: 'It works no more. The last one cannot be revoked.',
    needs: NEEDS,
    answer: Project,
    failures: { 404: 'No such project or secret', 409: 'It is the last one' },
    example: { params: { ...ONE, secretId: SECRET_ID }, answer: PROJECT },
  },
]

const WEBHOOK = {
  ...{ id: '0b5f7f0e-58a1-4a3e-9c0b-1d2e3f405162', url: 'https://hooks.example.com/belfry' },
  ...{ events: ['subscribed'], state: 'enabled', reason: '', createdAt: TIME, hasDeadLetters: false },
}
const letters = '/admin/projects/{id}/webhooks/{webhook}/dead-letters'
const ONE_WEBHOOK = { ...ONE, webhook: WEBHOOK.id }
const Replayed = z.object({ replayed: z.number() })

const WEBHOOKS: readonly Operation[] = [
  {
    ...{ id: 'adminListWebhooks', method: 'get', path: '/admin/projects/{id}/webhooks' },
    summary: 'List webhooks of a project',
    description: 'Their URLs are shown without a query, which may hold a secret.',
    needs: NEEDS,
    answer: z.object({
      webhooks: z.array(
        z.object({
          ...{ id, url: z.string(), events: z.array(z.string()), state: z.string() },
          ...{ reason: z.string(), createdAt: time.nullable(), hasDeadLetters: z.boolean() },
        }),
      ),
    }),
    failures: NO_PROJECT,
    example: { params: ONE, answer: { webhooks: [WEBHOOK] } },
  },
  {
    ...{ id: 'adminAddWebhook', method: 'post', path: '/admin/projects/{id}/webhooks' },
    summary: 'Add a webhook to a project',
    description: 'Calls are signed as Standard Webhooks has it. The secret is shown only here.',
    needs: NEEDS,
    body: { shape: WebhookRegistration },
    answer: z.object({ id, secret: z.string() }),
    failures: { ...NO_PROJECT, 409: 'The project has as many webhooks as it may have' },
    example: {
      params: ONE,
      body: { url: WEBHOOK.url, events: WEBHOOK.events },
      answer: { id: WEBHOOK.id, secret: 'whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=' },
    },
  },
  {
    ...{ id: 'adminRemoveWebhook', method: 'delete', path: '/admin/projects/{id}/webhooks/{webhook}' },
    summary: 'Remove a webhook of a project',
    description: 'Takes a webhook away with all that waits for it.',
    needs: NEEDS,
    answer: z.object({ id }),
    failures: { 404: 'No such webhook' },
    example: { params: ONE_WEBHOOK, answer: { id: WEBHOOK.id } },
  },
  {
    ...{ id: 'adminListDeadLetters', method: 'get', path: letters },
    summary: 'List dead letters of a webhook',
    description: 'Events that are not tried any more, without what they say.',
    needs: NEEDS,
    query: Page,
    answer: z.object({
      deadLetters: z.array(
        z.object({ id, attempts: z.number(), failure: z.string(), type: z.string(), at: z.string() }),
      ),
      next: z.string().nullable(),
    }),
    failures: { 404: 'No such webhook' },
    example: {
      ...{ params: ONE_WEBHOOK, query: { limit: '100' } },
      answer: {
        deadLetters: [{ id: 'msg_2yW5', attempts: 8, failure: 'HTTP 500', type: 'subscribed', at: TIME }],
        next: null,
      },
    },
  },
  {
    ...{ id: 'adminReplayDeadLetters', method: 'post', path: `${letters}/replay` },
    summary: 'Try all dead letters of a webhook again',
    description: 'Puts them back into the queue, and answers how many they were.',
    needs: NEEDS,
    answer: Replayed,
    failures: { 404: 'No such webhook' },
    example: { params: ONE_WEBHOOK, answer: { replayed: 1 } },
  },
  {
    ...{ id: 'adminReplayDeadLetter', method: 'post', path: `${letters}/{event}/replay` },
    summary: 'Try a dead letter of a webhook again',
    description: 'Puts it back into the queue.',
    needs: NEEDS,
    answer: Replayed,
    failures: { 404: 'No such webhook or dead letter' },
    example: { params: { ...ONE_WEBHOOK, event: 'msg_2yW5' }, answer: { replayed: 1 } },
  },
]

const NO_BROADCAST = { 404: 'No such app or broadcast' }
const BROADCASTS: readonly Operation[] = [
  {
    ...{ id: 'adminStartBroadcast', method: 'post', path: '/admin/broadcasts' },
    summary: 'Send a notification to all subscribers of an app',
    description: 'The answer comes at once; `adminGetBroadcast` tells how far it is.',
    needs: NEEDS,
    body: { shape: Start },
    answer: BroadcastStarted,
    failures: { 404: 'No such app' },
    example: {
      body: { domain: DOMAIN, notification: NOTIFICATION, notificationId: 'all-3' },
      answer: { id: 'all-3', status: 'running' },
    },
  },
  {
    ...{ id: 'adminGetBroadcast', method: 'get', path: '/admin/broadcasts/{domain}/{id}' },
    summary: 'Get a broadcast of an app',
    description: 'How far it is, and what became of it so far.',
    needs: NEEDS,
    answer: BroadcastAnswer,
    failures: NO_BROADCAST,
    example: { params: { domain: DOMAIN, id: 'all-1' }, answer: BROADCAST },
  },
  {
    ...{ id: 'adminCancelBroadcast', method: 'delete', path: '/admin/broadcasts/{domain}/{id}' },
    summary: 'Cancel a broadcast of an app',
    description: 'Nothing more is handed over, and what is still queued is taken back.',
    needs: NEEDS,
    answer: CancelledAnswer,
    failures: NO_BROADCAST,
    example: { params: { domain: DOMAIN, id: 'all-4' }, answer: { cancelled: 0 } },
  },
]

export const PROJECT_OPERATIONS: readonly Operation[] = [...PROJECTS, ...SECRETS, ...WEBHOOKS, ...BROADCASTS]
