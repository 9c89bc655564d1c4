/** `admin/apps` and `admin/sent`, in the words of OpenAPI. */
import * as z from 'zod'
import { APP, APP_KEYS, COUNTS, RECEIPT, SENT } from '../../../notify/http/openapi/examples.ts'
import { AppAnswer, AppDeclaration } from '../../../notify/http/schema.ts'
import {
  CancelledAnswer,
  NotificationAnswer,
  NotificationsAnswer,
  NotificationsPage,
  NotifyAnswer,
  ReceiptsAnswer,
  ReceiptsPage,
} from '../../../notify/http/schema-notifications.ts'
import { WelcomeAnswer } from '../../../notify/http/welcome.ts'
import type { Operation } from '../../../platform/net/description.ts'
import { EnrolApp, Notify, Welcome } from '../../admin/apps.ts'
import { Page } from '../../admin/page.ts'
import { ACCOUNT, DOMAIN, NEEDS, NOTIFICATION, PROJECT_ID, TIME } from './examples.ts'

const NO_APP = { 404: 'No such app' }
const ONE = { params: { domain: DOMAIN } }
const time = z.string().meta({ format: 'date-time' })

const Added = z.object({
  ...{ projectId: z.string(), secret: z.string().nullable(), domain: z.string() },
  ...{ subscribeKey: z.string(), authenticationKey: z.string() },
  types: z.array(z.object({ id: z.string(), name: z.string() })),
})
const AdminApp = AppAnswer.extend({ createdAt: time, subscribers: z.number() }).meta({ id: 'AdminApp' })
const ADMIN_APP = { ...APP, createdAt: TIME, subscribers: 1 }
const Outcome = NotifyAnswer.extend({ notificationId: z.string() }).meta({ id: 'AdminNotifyAnswer' })
const Subscribers = z.object({
  subscribers: z.array(
    z.object({ account: z.string(), types: z.array(z.string()), createdAt: time, expiresAt: time }),
  ),
  next: z.string().nullable(),
})

const APPS: readonly Operation[] = [
  {
    ...{ id: 'adminAddApp', method: 'post', path: '/admin/apps' },
    summary: 'Add an app',
    description: 'Enrols an app in a project, by default in the first one, and declares it.',
    needs: NEEDS,
    body: { shape: EnrolApp },
    answer: Added,
    failures: { 409: 'Another project holds the domain' },
    example: {
      body: { domain: DOMAIN, name: 'Example', types: [{ id: 'news', name: 'News' }] },
      answer: {
        ...{ projectId: PROJECT_ID, secret: 'qYO1Zef7sU8krosa5BEZnB6V6-Hd4I0XlWOoVBO9Kik', domain: DOMAIN },
        ...{ ...APP_KEYS, types: [{ id: 'news', name: 'News' }] },
      },
    },
  },
  {
    ...{ id: 'adminListApps', method: 'get', path: '/admin/apps' },
    summary: 'List the apps of all projects',
    description: 'In the order of their domains, a page at a time.',
    needs: NEEDS,
    query: Page,
    answer: z.object({ apps: z.array(AppAnswer), next: z.string().nullable() }),
    example: { query: { limit: '100' }, answer: { apps: [APP], next: null } },
  },
  {
    ...{ id: 'adminGetApp', method: 'get', path: '/admin/apps/{domain}' },
    summary: 'Get an app of any project',
    description: 'What it declares, its keys, and how many subscribers it has.',
    needs: NEEDS,
    answer: AdminApp,
    failures: NO_APP,
    example: { ...ONE, answer: ADMIN_APP },
  },
  {
    ...{ id: 'adminChangeApp', method: 'put', path: '/admin/apps/{domain}' },
    summary: 'Change what an app declares',
    description: 'What is absent stays as it is.',
    needs: NEEDS,
    body: { shape: AppDeclaration },
    answer: AdminApp,
    failures: NO_APP,
    example: { ...ONE, body: { description: 'Shows how it is done' }, answer: ADMIN_APP },
  },
  {
    ...{ id: 'adminRemoveApp', method: 'delete', path: '/admin/apps/{domain}' },
    summary: 'Remove an app',
    description: 'Ends at most 500 subscriptions a call; it is asked again until `isRemoved`.',
    needs: NEEDS,
    answer: z.object({ ended: z.number(), isRemoved: z.boolean() }),
    failures: NO_APP,
    example: { params: { domain: 'gone.example.com' }, answer: { ended: 0, isRemoved: true } },
  },
  {
    ...{ id: 'adminListSubscribers', method: 'get', path: '/admin/apps/{domain}/subscribers' },
    summary: 'List the subscribers of an app',
    description: 'Accounts, the names of the types that they want, since when and until when.',
    needs: NEEDS,
    query: Page,
    answer: Subscribers,
    failures: NO_APP,
    example: {
      ...{ ...ONE, query: { limit: '100' } },
      answer: {
        subscribers: [
          { account: ACCOUNT, types: ['News'], createdAt: TIME, expiresAt: '2026-12-30T08:00:00.000Z' },
        ],
        next: null,
      },
    },
  },
  {
    ...{ id: 'adminNotify', method: 'post', path: '/admin/notify' },
    summary: 'Send a notification for an app',
    description: 'To at most 10,000 accounts. The same `notificationId` again sends nothing twice.',
    needs: NEEDS,
    body: { shape: Notify },
    answer: Outcome,
    failures: NO_APP,
    example: {
      body: { domain: DOMAIN, notification: NOTIFICATION, accounts: [ACCOUNT], notificationId: 'hello-3' },
      answer: { sent: [ACCOUNT], failed: [], not_found: [], notificationId: 'hello-3' },
    },
  },
]

const path = '/admin/apps/{domain}/notifications'
const SENT_ONE = { domain: DOMAIN, id: 'hello-1' }
const NO_NOTIFICATION = { 404: 'No such app or notification' }

const SENT_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: 'adminListNotifications', method: 'get', path },
    summary: 'List the notifications of an app',
    description: 'Newest first; with `status=scheduled` what waits for its time.',
    needs: NEEDS,
    query: NotificationsPage.omit({ appDomain: true }),
    answer: NotificationsAnswer,
    failures: NO_APP,
    example: { ...ONE, query: { limit: '20' }, answer: { notifications: [SENT], next: null } },
  },
  {
    ...{ id: 'adminGetNotification', method: 'get', path: `${path}/{id}` },
    summary: 'Get a notification of an app',
    description: 'What it says, when, and how many accounts are in which state.',
    needs: NEEDS,
    answer: NotificationAnswer,
    failures: NO_NOTIFICATION,
    example: { params: SENT_ONE, answer: { ...SENT, counts: COUNTS } },
  },
  {
    ...{ id: 'adminListReceipts', method: 'get', path: `${path}/{id}/receipts` },
    summary: 'List receipts of a notification of an app',
    description: 'What became of it for each account.',
    needs: NEEDS,
    query: ReceiptsPage.omit({ appDomain: true }),
    answer: ReceiptsAnswer,
    failures: NO_NOTIFICATION,
    example: { params: SENT_ONE, query: { limit: '100' }, answer: { receipts: [RECEIPT], next: null } },
  },
  {
    ...{ id: 'adminCancelNotification', method: 'delete', path: `${path}/{id}` },
    summary: 'Cancel a notification of an app',
    description: 'Cancels what is scheduled or still queued, and answers for how many accounts.',
    needs: NEEDS,
    answer: CancelledAnswer,
    failures: NO_NOTIFICATION,
    example: { params: { domain: DOMAIN, id: 'later-2' }, answer: { cancelled: 1 } },
  },
]

const Welcoming = z.object({ welcome: WelcomeAnswer })
const WELCOME = { enabled: true, ...NOTIFICATION, title: 'Welcome' }
const WELCOMES: readonly Operation[] = [
  {
    ...{ id: 'adminGetWelcome', method: 'get', path: '/admin/apps/{domain}/welcome' },
    summary: 'Get the welcome notification of an app',
    description: 'What every new subscriber gets; null when nothing is set.',
    needs: NEEDS,
    answer: Welcoming,
    failures: NO_APP,
    example: { ...ONE, answer: { welcome: { ...WELCOME, url: null } } },
  },
  {
    ...{ id: 'adminSetWelcome', method: 'put', path: '/admin/apps/{domain}/welcome' },
    summary: 'Set the welcome notification of an app',
    description: 'Sets what every new subscriber gets, once, if they subscribe to its type.',
    needs: NEEDS,
    body: { shape: Welcome },
    answer: Welcoming,
    failures: NO_APP,
    example: { ...ONE, body: WELCOME, answer: { welcome: { ...WELCOME, url: null } } },
  },
]

export const APP_OPERATIONS: readonly Operation[] = [...APPS, ...WELCOMES, ...SENT_OPERATIONS]
