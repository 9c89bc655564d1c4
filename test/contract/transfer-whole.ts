/**
 * One record of each kind with every optional member there. The compiler asks for a new one here: then the contract
 * says whether it survives a move to another engine, and a backup.
 */

import type {
  AppRecord,
  Notification,
  OutboxTask,
  Project,
  Subscription,
  Watcher,
  Webhook,
} from '../../src/notify/store/store.ts'
import type { Job } from '../../src/platform/jobs/job-queue.ts'
import { RATE_LIMITS } from '../../src/server/config/settings/rate-limits.ts'
import { app, DAY, notification, project, subscription, watcher } from './notify-samples.ts'
import { hex } from './relay-samples.ts'

type Complete<T> = unknown extends T
  ? T
  : T extends readonly (infer U)[]
    ? Complete<U>[]
    : T extends object
      ? { [K in keyof T]-?: Complete<T[K]> }
      : T

type Tasks = { [K in OutboxTask['kind']]: Complete<Extract<OutboxTask, { kind: K }>> }

export const wholeProject = (now: number): Complete<Project> => ({
  ...project('project'),
  secrets: [
    { id: 'first', name: 'ü', hash: 'cd'.repeat(32), createdAt: now, lastUsedAt: now, expiresAt: now + DAY },
  ],
  settings: {
    limits: { ...RATE_LIMITS, notify: '5, 1/min' },
    quotas: { apps: 3, subscribersPerApp: 4, notificationsPerDay: 5 },
    retentionDays: 90,
  },
})

export const wholeApp = (now: number): Complete<AppRecord> => ({
  ...app('app.example'),
  links: true,
  welcome: { enabled: true, type: 'news', title: 'Welcome', body: 'Good to see you', url: '/start' },
  previousKeys: [
    {
      ...{ authenticationSeed: 'former seed', authenticationKey: 'cc'.repeat(32) },
      ...{ subscribePrivateKey: 'former key', subscribeKey: 'dd'.repeat(32), subscribeTopic: hex('former') },
      until: now + DAY,
    },
  ],
})

export const wholeWatcher = (now: number): Complete<Watcher> => ({
  ...watcher('did:key:v', { expiresAt: now + DAY, topic: hex('v') }),
  domain: 'app.example',
  serverKey: 'did:key:server',
})

export const wholeSubscription = (now: number, id: string): Complete<Subscription> => ({
  ...subscription(id, { createdAt: now, expiresAt: now + 30 * DAY, topic: hex(`notify ${id}`) }),
  ...{ domain: 'b.example', scope: [] },
  preferences: {
    ...{ quiet: { from: '22:00', to: '07:00', timeZone: 'Europe/Vienna' } },
    ...{ digest: 'daily', timeZone: 'Asia/Tokyo' },
  },
})

export const wholeNotification = (now: number, id: string): Complete<Notification> => ({
  ...notification(id, { createdAt: now, expiresAt: now + 30 * DAY }),
  deliverBy: now + DAY,
  icon: 'https://i.example',
  url: '/ä',
  collapseKey: 'schlüssel 1',
  extras: {
    ...{ priority: 'high', image: 'https://i.example/wide', tags: ['ö'], silent: true },
    actions: [
      { id: 'see', title: 'See', url: '/see' },
      { id: 'yes', title: 'Ja', answer: true },
    ],
    locales: { 'de-AT': { title: 'Grüß Gott', body: 'ä' } },
  },
})

export const wholeWebhook = (now: number): Complete<Webhook> => ({
  ...{ id: 'changed', url: 'https://dapp.example', events: ['subscribed', 'read'], secret: 'sealed' },
  ...{ state: 'disabled', reason: 'Answers 410', createdAt: now },
  previous: { secret: 'sealed before', until: now + DAY },
})

export const wholeJob = (now: number): Complete<Job> => ({
  ...{ queue: 'scheduled', id: 'job', group: 'project', at: now, expiresAt: now + DAY, attempts: 2 },
  failure: 'Refused',
  body: { notification: wholeNotification(now, 'later'), accounts: ['eip155:1:0xA'], after: null },
})

export const wholeTasks = (accountKey: string): Tasks => ({
  response: {
    ...{ kind: 'response', topic: hex('t'), key: 'sealed', tag: 4001, rpcId: '17', signer: 'app.example' },
    signerKey: 'did:key:signer',
    claims: { act: 'b', sub: 'a', nested: { z: 1, a: [null, 'ü'] } },
    view: { accountKey, account: 'CAIP', domain: 'app.example' },
    error: { code: -32000, message: 'No' },
    ...{ join: hex('join'), leave: hex('leave') },
  },
  changed: { kind: 'changed', accountKey, identityKey: 'did:key:v' },
  notification: {
    ...{ kind: 'notification', accountKey, subscriptionId: 'one', projectId: 'project' },
    ...{ domain: 'app.example', notificationId: 'n0' },
  },
  notifications: {
    ...{ kind: 'notifications', projectId: 'project', domain: 'app.example', notificationId: 'n0' },
    targets: [{ accountKey, subscriptionId: 'one' }],
  },
  digest: {
    ...{ kind: 'digest', accountKey, subscriptionId: 'one', domain: 'app.example' },
    ...{ slot: 5, count: 3, ids: ['a', 'b'] },
  },
  leave: { kind: 'leave', topic: hex('left') },
  event: {
    ...{ kind: 'event', event: 'read', domain: 'app.example', subscriptionId: 'one', account: 'CAIP' },
    ...{ detail: { scope: ['news'] }, ids: ['a', 'b'] },
  },
  welcome: {
    ...{ kind: 'welcome', accountKey, subscriptionId: 'one', domain: 'app.example' },
    welcome: { type: 'news', title: 'Welcome', body: 'ö', url: '/start' },
  },
})
