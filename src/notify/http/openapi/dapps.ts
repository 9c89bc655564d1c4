/** What dapps ask with their project's secret: apps, notifications to accounts, subscribers. */
import * as z from 'zod'
import type { Operation } from '../../../platform/net/description.ts'
import {
  AppAnswer,
  AppDeclaration,
  AppsAnswer,
  AppsPage,
  ForApp,
  SubscribersAnswer,
  SubscribersPage,
  SubscribersV1,
  SubscribersV1Answer,
  SubscribeTopic,
  SubscribeTopicAnswer,
} from '../schema.ts'
import { NotifyAnswer, NotifyV0, NotifyV1, Settings, SettingsAnswer } from '../schema-notifications.ts'
import {
  ACCOUNT,
  APP,
  APP_KEYS,
  DOMAIN,
  NOTIFICATION,
  NOTIFICATION_ID,
  PROJECT,
  SUBSCRIBER,
} from './examples.ts'

export const DOMAIN_HELD = 'Another project holds the domain, or the project may have no more apps'
export const NO_APP = 'No such app'
const OUTCOME = { sent: [ACCOUNT], failed: [], not_found: [] }
const MESSAGE = { notification_id: NOTIFICATION_ID, notification: NOTIFICATION, accounts: [ACCOUNT] }
const IDS = { 'Notification-Ids': 'Ids of the notifications, with commas between them, percent-encoded' }

const NOTIFYING: readonly Operation[] = [
  {
    ...{ id: 'notify', method: 'post', path: '/{projectId}/notify' },
    summary: 'Send a notification to accounts',
    description:
      'Sends one notification to at most 500 accounts. The same `notification_id` again sends nothing twice.',
    needs: ['projectSecret'],
    body: { shape: NotifyV0 },
    answer: { shape: NotifyAnswer, headers: IDS },
    failures: { 404: NO_APP, 409: 'The quota of the project is used up' },
    example: { params: PROJECT, body: MESSAGE, answer: OUTCOME },
  },
  {
    ...{ id: 'notifyMany', method: 'post', path: '/v1/{projectId}/notify' },
    summary: 'Send several notifications to accounts',
    description: 'Sends notifications to at most 500 accounts altogether. The answer is over the whole call.',
    needs: ['projectSecret'],
    body: { shape: NotifyV1 },
    answer: { shape: NotifyAnswer, headers: IDS },
    failures: { 404: NO_APP, 409: 'The quota of the project is used up' },
    example: {
      params: PROJECT,
      body: [{ ...MESSAGE, notification_id: 'hello-2' }],
      answer: OUTCOME,
    },
  },
  {
    ...{ id: 'markAllAsRead', method: 'post', path: '/v1/{projectId}/mark-all-as-read' },
    summary: 'Mark all notifications as read',
    description: 'Marks all notifications of the project as read, for all of its subscribers.',
    needs: ['projectSecret'],
    answer: { status: 204 },
    example: { params: PROJECT },
  },
]

const SUBSCRIBERS: readonly Operation[] = [
  {
    ...{ id: 'listSubscribers', method: 'get', path: '/{projectId}/subscribers' },
    summary: 'List the accounts of all subscribers',
    description: 'All accounts that are subscribed to the app, as CAIP-10. `pageSubscribers` lists many.',
    needs: ['projectSecret'],
    query: ForApp,
    answer: z.array(z.string()),
    failures: { 404: NO_APP },
    example: { params: PROJECT, query: { appDomain: DOMAIN }, answer: [ACCOUNT] },
  },
  {
    ...{ id: 'pageSubscribers', method: 'get', path: '/v1/{projectId}/subscribers' },
    summary: 'List subscribers a page at a time',
    description:
      "The subscribers of the project's apps, or of the one named, with the types that they want. An account that is subscribed to two apps is listed for each. A page may be shorter than `limit`; `next` of the last one is null.",
    needs: ['projectSecret'],
    query: SubscribersPage,
    answer: SubscribersAnswer,
    failures: { 404: NO_APP },
    example: {
      params: PROJECT,
      query: { appDomain: DOMAIN, limit: '100' },
      answer: { subscribers: [SUBSCRIBER], next: null },
    },
  },
  {
    ...{ id: 'lookUpSubscribers', method: 'post', path: '/v1/{projectId}/subscribers' },
    summary: 'Look up the types that accounts want',
    description: 'Which types each of these accounts wants. An account that is not subscribed is left out.',
    needs: ['projectSecret'],
    body: { shape: SubscribersV1 },
    answer: SubscribersV1Answer,
    failures: { 404: NO_APP },
    example: {
      params: PROJECT,
      body: { accounts: [ACCOUNT], appDomain: DOMAIN },
      answer: { [ACCOUNT]: { notification_types: ['news'] } },
    },
  },
]

const APPS: readonly Operation[] = [
  {
    ...{ id: 'enrolApp', method: 'post', path: '/{projectId}/subscribe-topic' },
    summary: 'Enrol an app',
    description:
      'Enrols an app and answers its public keys; again, the same ones. Its types are declared with `declareApp`.',
    needs: ['projectSecret'],
    body: { shape: SubscribeTopic },
    answer: SubscribeTopicAnswer,
    failures: { 409: DOMAIN_HELD },
    example: { params: PROJECT, body: { appDomain: DOMAIN }, answer: APP_KEYS },
  },
  {
    ...{ id: 'listApps', method: 'get', path: '/v1/{projectId}/apps' },
    summary: 'List apps',
    description: "The project's apps, in the order of their domains, a page at a time.",
    needs: ['projectSecret'],
    query: AppsPage,
    answer: AppsAnswer,
    example: { params: PROJECT, query: { limit: '20' }, answer: { apps: [APP], next: null } },
  },
  {
    ...{ id: 'getApp', method: 'get', path: '/v1/{projectId}/apps/{domain}' },
    summary: 'Get an app',
    description: 'What an app of the project declares, and its public keys.',
    needs: ['projectSecret'],
    answer: AppAnswer,
    failures: { 404: NO_APP },
    example: { params: { ...PROJECT, domain: DOMAIN }, answer: APP },
  },
  {
    ...{ id: 'declareApp', method: 'put', path: '/v1/{projectId}/apps/{domain}' },
    summary: 'Declare an app',
    description: 'Declares an app, and enrols it when it is new. What is absent stays as it is.',
    needs: ['projectSecret'],
    body: { shape: AppDeclaration },
    answer: AppAnswer,
    failures: { 409: DOMAIN_HELD },
    example: {
      params: { ...PROJECT, domain: DOMAIN },
      body: { name: APP.name, description: APP.description, url: APP.url, types: APP.types, listed: true },
      answer: APP,
    },
  },
]

const SETTINGS: readonly Operation[] = [
  {
    ...{ id: 'getSettings', method: 'get', path: '/v1/{projectId}/settings' },
    summary: "Get the project's settings",
    description: 'The settings that a project may change itself.',
    needs: ['projectSecret'],
    answer: SettingsAnswer,
    example: { params: PROJECT, answer: { retention_days: 30 } },
  },
  {
    ...{ id: 'changeSettings', method: 'put', path: '/v1/{projectId}/settings' },
    summary: "Change the project's settings",
    description:
      'Settles how long notifications are kept. What was sent before stays as long as was said then.',
    needs: ['projectSecret'],
    body: { shape: Settings },
    answer: SettingsAnswer,
    example: { params: PROJECT, body: { retention_days: 30 }, answer: { retention_days: 30 } },
  },
]

export const DAPP_OPERATIONS: readonly Operation[] = [...NOTIFYING, ...SUBSCRIBERS, ...APPS, ...SETTINGS]
