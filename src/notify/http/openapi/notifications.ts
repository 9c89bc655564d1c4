/** What became of notifications, and broadcasts. */
import type { Operation } from '../../../platform/net/description.ts'
import { LinksAnswer, LinksQuery } from '../links.ts'
import { ForApp } from '../schema.ts'
import {
  Broadcast,
  BroadcastAnswer,
  BroadcastStarted,
  CancelledAnswer,
  NotificationAnswer,
  NotificationsAnswer,
  NotificationsPage,
  ReceiptsAnswer,
  ReceiptsPage,
} from '../schema-notifications.ts'
import { WelcomeAnswer, WelcomeNotification } from '../welcome.ts'
import { NO_APP } from './dapps.ts'
import {
  ACCOUNT,
  BROADCAST,
  DOMAIN,
  NOTIFICATION,
  NOTIFICATION_ID,
  PROJECT,
  RECEIPT,
  SENT,
  TIME,
} from './examples.ts'

const NO_NOTIFICATION = 'No such notification, or no such app'
const ONE = { ...PROJECT, id: NOTIFICATION_ID }

const SENT_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: 'listNotifications', method: 'get', path: '/v1/{projectId}/notifications' },
    summary: 'List notifications',
    description: 'What the project sent, newest first; with `status=scheduled` what waits for its time.',
    needs: ['projectSecret'],
    query: NotificationsPage,
    answer: NotificationsAnswer,
    failures: { 404: NO_APP },
    example: {
      params: PROJECT,
      query: { appDomain: DOMAIN, limit: '20' },
      answer: { notifications: [SENT], next: null },
    },
  },
  {
    ...{ id: 'getNotification', method: 'get', path: '/v1/{projectId}/notifications/{id}' },
    summary: 'Get a notification',
    description: 'What it says, when, and how many accounts are in which state.',
    needs: ['projectSecret'],
    query: ForApp,
    answer: NotificationAnswer,
    failures: { 404: NO_NOTIFICATION },
    example: { params: ONE, query: { appDomain: DOMAIN }, answer: SENT },
  },
  {
    ...{ id: 'listReceipts', method: 'get', path: '/v1/{projectId}/notifications/{id}/receipts' },
    summary: 'List receipts of a notification',
    description: 'What became of it for each account.',
    needs: ['projectSecret'],
    query: ReceiptsPage,
    answer: ReceiptsAnswer,
    failures: { 404: NO_NOTIFICATION },
    example: {
      params: ONE,
      query: { appDomain: DOMAIN, limit: '100' },
      answer: { receipts: [RECEIPT], next: null },
    },
  },
  {
    ...{ id: 'getNotificationLinks', method: 'get', path: '/v1/{projectId}/notifications/{id}/links' },
    summary: 'Count how often links were followed',
    description:
      'How often the links of a notification were followed, by how many, on which days (UTC), and by one account.',
    needs: ['projectSecret'],
    query: LinksQuery,
    answer: LinksAnswer,
    failures: { 404: NO_NOTIFICATION },
    example: {
      params: ONE,
      query: { appDomain: DOMAIN, account: ACCOUNT },
      answer: {
        ...{ clicks: 2, first_click_at: TIME, accounts: 1, days: [{ day: '2026-11-30', count: 2 }] },
        account: { clicks: 2, first_click_at: TIME },
      },
    },
  },
  {
    ...{ id: 'cancelNotification', method: 'delete', path: '/v1/{projectId}/notifications/{id}' },
    summary: 'Cancel a notification',
    description: 'Cancels what is scheduled or still queued, and answers for how many accounts.',
    needs: ['projectSecret'],
    query: ForApp,
    answer: CancelledAnswer,
    failures: { 404: NO_NOTIFICATION },
    example: {
      params: { ...PROJECT, id: 'later-1' },
      query: { appDomain: DOMAIN },
      answer: { cancelled: 1 },
    },
  },
]

const BROADCASTS: readonly Operation[] = [
  {
    ...{ id: 'startBroadcast', method: 'post', path: '/v1/{projectId}/broadcasts' },
    summary: 'Send a notification to all subscribers',
    description: 'Sends a notification to all subscribers who want its type. The answer comes at once.',
    needs: ['projectSecret'],
    body: { shape: Broadcast },
    answer: { status: 202, says: 'Begun', shape: BroadcastStarted },
    failures: { 404: NO_APP, 409: 'The quota of the project is used up' },
    example: {
      params: PROJECT,
      body: { notification_id: 'all-1', appDomain: DOMAIN, notification: NOTIFICATION },
      answer: { id: 'all-1', status: 'running' },
    },
  },
  {
    ...{ id: 'getBroadcast', method: 'get', path: '/v1/{projectId}/broadcasts/{id}' },
    summary: 'Get a broadcast',
    description: 'How far a broadcast is, and what became of it so far.',
    needs: ['projectSecret'],
    query: ForApp,
    answer: BroadcastAnswer,
    failures: { 404: NO_NOTIFICATION },
    example: { params: { ...PROJECT, id: 'all-1' }, query: { appDomain: DOMAIN }, answer: BROADCAST },
  },
  {
    ...{ id: 'cancelBroadcast', method: 'delete', path: '/v1/{projectId}/broadcasts/{id}' },
    summary: 'Cancel a broadcast',
    description: 'Nothing more is handed over, and what is still queued is taken back.',
    needs: ['projectSecret'],
    query: ForApp,
    answer: CancelledAnswer,
    failures: { 404: NO_NOTIFICATION },
    example: { params: { ...PROJECT, id: 'all-2' }, query: { appDomain: DOMAIN }, answer: { cancelled: 0 } },
  },
]

const WELCOME: readonly Operation[] = [
  {
    ...{ id: 'getWelcome', method: 'get', path: '/v0/{projectId}/welcome-notification' },
    summary: 'Get the welcome notification',
    description: 'What every new subscriber gets; null when nothing is set.',
    needs: ['projectSecret'],
    query: ForApp,
    answer: WelcomeAnswer,
    failures: { 404: NO_APP },
    example: {
      params: PROJECT,
      query: { appDomain: DOMAIN },
      answer: { enabled: true, ...NOTIFICATION, title: 'Welcome', url: null },
    },
  },
  {
    ...{ id: 'setWelcome', method: 'post', path: '/v0/{projectId}/welcome-notification' },
    summary: 'Set the welcome notification',
    description: 'Sets what every new subscriber gets, once, if they subscribe to its type.',
    needs: ['projectSecret'],
    body: { shape: WelcomeNotification },
    answer: { status: 204 },
    failures: { 404: NO_APP },
    example: {
      params: PROJECT,
      body: { enabled: true, ...NOTIFICATION, title: 'Welcome', appDomain: DOMAIN },
    },
  },
]

export const NOTIFICATION_OPERATIONS: readonly Operation[] = [...SENT_OPERATIONS, ...BROADCASTS, ...WELCOME]
