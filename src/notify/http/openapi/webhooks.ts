/** Webhooks of a project, and what the relay tells the notify server. */
import * as z from 'zod'
import type { Operation } from '../../../platform/net/description.ts'
import { WatchWebhook } from '../../../protocol/relay-watch.ts'
import {
  Change,
  DeadLettersAnswer,
  DeadLettersPage,
  Registered,
  Shown,
  WebhookRegistration,
} from '../webhooks.ts'
import { ACCOUNT, DOMAIN, PROJECT, TIME } from './examples.ts'

const ID = '0b5f7f0e-58a1-4a3e-9c0b-1d2e3f405162'
const ONE = { ...PROJECT, id: ID }
const URL_EXAMPLE = 'https://hooks.example.com/belfry'
const NONE = { 404: 'No such webhook' }
const path = '/{projectId}/webhooks/{id}'

export const WEBHOOK_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: 'registerWebhook', method: 'post', path: '/{projectId}/register-webhook' },
    summary: 'Register a webhook',
    description: 'Calls are signed as Standard Webhooks has it. The secret is shown only here.',
    needs: ['projectSecret'],
    body: { shape: WebhookRegistration },
    answer: { status: 201, says: 'Registered', shape: Registered },
    failures: { 409: 'The project has as many webhooks as it may have' },
    example: {
      params: PROJECT,
      body: { url: URL_EXAMPLE, events: ['subscribed', 'unsubscribed'] },
      answer: { id: ID, secret: 'whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=' },
    },
  },
  {
    ...{ id: 'listWebhooks', method: 'get', path: '/{projectId}/webhooks' },
    summary: 'List webhooks',
    description: "The project's webhooks by id. One that answered 410 is disabled until it is changed.",
    needs: ['projectSecret'],
    answer: z.record(z.string(), Shown),
    example: {
      params: PROJECT,
      answer: {
        [ID]: { url: URL_EXAMPLE, events: ['subscribed'], state: 'enabled', reason: null, created_at: TIME },
      },
    },
  },
  {
    ...{ id: 'changeWebhook', method: 'put', path },
    summary: 'Change a webhook',
    description: 'Changes a webhook and enables it. With `rotate_secret` both secrets sign for a day.',
    needs: ['projectSecret'],
    body: { shape: Change },
    answer: { status: 204 },
    also: [
      {
        ...{ says: 'The secret was rotated', shape: Registered },
        example: { id: ID, secret: 'whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=' },
      },
    ],
    failures: NONE,
    example: { params: ONE, body: { events: ['subscribed', 'unsubscribed'] } },
  },
  {
    ...{ id: 'removeWebhook', method: 'delete', path },
    summary: 'Remove a webhook',
    description: 'Takes a webhook away with all that waits for it.',
    needs: ['projectSecret'],
    answer: { status: 204 },
    failures: NONE,
    example: { params: ONE },
  },
  {
    ...{ id: 'listDeadLetters', method: 'get', path: `/v1${path}/dead-letters` },
    summary: 'List dead letters of a webhook',
    description: 'Events that are not tried any more. They are kept for 30 days.',
    needs: ['projectSecret'],
    query: DeadLettersPage,
    answer: DeadLettersAnswer,
    failures: NONE,
    example: {
      params: ONE,
      query: { limit: '100' },
      answer: {
        dead_letters: [
          {
            ...{ id: 'msg_2yW5', attempts: 8, failure: 'HTTP 500' },
            event: { type: 'subscribed', timestamp: TIME, data: { account: ACCOUNT, app: DOMAIN } },
          },
        ],
        next: null,
      },
    },
  },
  {
    ...{ id: 'replayDeadLetters', method: 'post', path: `/v1${path}/dead-letters/replay` },
    summary: 'Try all dead letters again',
    description: 'Puts all dead letters of a webhook back into its queue, and answers how many they were.',
    needs: ['projectSecret'],
    answer: z.object({ replayed: z.number() }),
    failures: NONE,
    example: { params: ONE, answer: { replayed: 1 } },
  },
  {
    ...{ id: 'replayDeadLetter', method: 'post', path: `/v1${path}/dead-letters/{event}/replay` },
    summary: 'Try a dead letter again',
    description: 'Puts one dead letter of a webhook back into its queue.',
    needs: ['projectSecret'],
    answer: { status: 204 },
    failures: { 404: 'No such webhook or dead letter' },
    example: { params: { ...ONE, event: 'msg_2yW5' } },
  },
]

const TOKENS = 'Every token is signed by the relay: a JWT with the act `irn_watchEvent`'

export const RELAY_WEBHOOK_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: 'receiveRelayMessages', method: 'post', path: '/v1/relay-webhook' },
    summary: 'Receive requests from a relay',
    description: `A relay in another process posts here what wallets ask. ${TOKENS}.`,
    body: { shape: WatchWebhook },
    answer: z.object({}),
    failures: { 401: 'A token is not signed by the relay', 403: 'A token is for another service' },
    example: { body: { eventAuth: [] }, answer: {} },
  },
  {
    ...{ id: 'receiveRelayDeliveries', method: 'post', path: '/v1/relay-webhook/delivered' },
    summary: 'Receive deliveries from a relay',
    description: `A relay in another process posts here what wallets have received. ${TOKENS}.`,
    body: { shape: WatchWebhook },
    answer: z.object({}),
    failures: { 401: 'A token is not signed by the relay', 403: 'A token is for another service' },
    example: { body: { eventAuth: [] }, answer: {} },
  },
]
