import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { deliveredIdOf } from '../../../src/notify/ids.ts'
import { accountKey } from '../../../src/protocol/caip.ts'
import { held } from '../../contract/notify-samples.ts'
import { addressOf, type HttpWorld, NEWS, OFFERS, startWithApp } from '../../support/world/notify-http.ts'

let world: HttpWorld
beforeEach(async () => {
  world = await startWithApp()
})
afterEach(() => world[Symbol.asyncDispose]())

const WRONG_TYPE = 'Client is not subscribed to this notification type'
const DAY = 86_400_000
const nobody = { sent: [], failed: [], not_found: [] }
const A = `eip155:1:${addressOf(0xa)}`
const B = `eip155:1:${addressOf(0xb)}`
const C = `eip155:1:${addressOf(0xc)}`

const message = (
  accounts: string[],
  more: { id?: string; type?: string; title?: string; domain?: string } = {},
) => ({
  accounts,
  domain: more.domain,
  notificationId: more.id,
  notification: {
    type: more.type ?? NEWS,
    title: more.title ?? 'Hello',
    body: 'World',
    icon: null,
    url: null,
  },
})
const notify = async (...messages: ReturnType<typeof message>[]) => {
  const { notifications: _, ...outcome } = await world.publishing.notify(world.project.id, messages)
  return outcome
}

describe('notify', () => {
  it('hands to who is subscribed to the type, and names the others', async () => {
    const subscription = await world.subscribe(A)
    await world.subscribe(B, { scope: [OFFERS] })
    expect(await notify(message([A, B, C]))).toEqual({
      sent: [A],
      failed: [{ account: B, reason: WRONG_TYPE }],
      not_found: [C],
    })
    const [entry, ...rest] = await world.outbox()
    expect(rest).toEqual([])
    const notificationId = entry?.task.kind === 'notification' ? entry.task.notificationId : ''
    expect(entry).toEqual({
      id: deliveredIdOf(subscription.id, notificationId),
      task: {
        kind: 'notification',
        accountKey: accountKey(A),
        subscriptionId: subscription.id,
        projectId: world.project.id,
        domain: 'app.example',
        notificationId,
      },
      createdAt: world.clock.now(),
      expiresAt: world.clock.now() + 30 * DAY,
    })
    const copy = await world.store.delivered(accountKey(A), subscription.id, entry?.id ?? '')
    expect(copy).toEqual({
      id: entry?.id,
      sentAt: world.clock.now(),
      isRead: false,
      notification: {
        id: notificationId,
        projectId: world.project.id,
        domain: 'app.example',
        type: NEWS,
        title: 'Hello',
        body: 'World',
        icon: null,
        url: null,
        createdAt: world.clock.now(),
        deliverBy: world.clock.now() + 30 * DAY,
        expiresAt: world.clock.now() + 30 * DAY,
      },
    })
    expect(await world.store.unreadCounts(held(accountKey(A), subscription.id))).toEqual([1])
  })

  it('keeps a receipt of who gets it and of who was refused, none of who is not there', async () => {
    await world.subscribe(A)
    await world.subscribe(B, { scope: [OFFERS] })
    await notify(message([A, A.toUpperCase().replace('EIP155:1:0X', 'eip155:10:0x'), B, C], { id: 'once' }))
    const of = { projectId: world.project.id, domain: 'app.example', id: 'once' }
    const at = world.clock.now()
    // In the order of the store.
    const receipts = await world.store.receipts(of, { limit: 10 })
    expect(receipts.sort((a, b) => (a.account < b.account ? -1 : 1))).toEqual([
      { accountKey: accountKey(A), account: A, state: 'queued', at },
      { accountKey: accountKey(B), account: B, state: 'failed', reason: WRONG_TYPE, at },
    ])
  })

  it('keeps what a project sends as long as the project says, and delivers it for 30 days at most', async () => {
    const [a] = [await world.subscribe(A)]
    for (const [at, days] of [30, 1, 365].entries()) {
      if (days !== 30) await world.apps.projects.set(world.project.id, { retentionDays: days })
      await notify(message([A], { id: `n${at}` }))
      const copy = await world.store.delivered(accountKey(A), a.id, deliveredIdOf(a.id, `n${at}`))
      expect(copy?.notification.expiresAt).toBe(world.clock.now() + days * DAY)
      expect(copy?.notification.deliverBy).toBe(world.clock.now() + Math.min(days, 30) * DAY)
    }
    expect((await world.outbox()).map(({ expiresAt }) => expiresAt - world.clock.now())).toEqual([
      30 * DAY,
      1 * DAY,
      30 * DAY,
    ])
  })

  it('sends nothing twice for one notification id, and gives the same answer', async () => {
    const subscription = await world.subscribe(A)
    await world.subscribe(B, { scope: [] })
    const first = await notify(message([A, B, C], { id: 'once' }))
    await world.clock.advance(1000)
    expect(await notify(message([A, B, C], { id: 'once' }))).toEqual(first)
    expect(await world.outbox()).toHaveLength(1)
    expect(await world.store.unreadCounts(held(accountKey(A), subscription.id))).toEqual([1])
  })

  it('does not send again when the first delivery is over', async () => {
    await world.subscribe(A)
    const first = await notify(message([A], { id: 'once' }))
    await world.store.completeOutbox(await world.outbox(), world.clock.now())
    expect(await notify(message([A], { id: 'once' }))).toEqual(first)
    expect(await world.outbox()).toEqual([])
  })

  it('reaches further accounts under the same id, with the content of the first call', async () => {
    await world.subscribe(A)
    const second = await world.subscribe(B)
    await notify(message([A], { id: 'once', title: 'First' }))
    expect(await notify(message([A, B], { id: 'once', title: 'Second' }))).toEqual({
      ...nobody,
      sent: [A, B],
    })
    const copy = await world.store.delivered(accountKey(B), second.id, deliveredIdOf(second.id, 'once'))
    expect(copy?.notification.title).toBe('First')
  })

  it('holds a repeated id to the type of the first call', async () => {
    await world.subscribe(A, { scope: [NEWS] })
    await world.subscribe(B, { scope: [OFFERS] })
    await notify(message([A], { id: 'once', type: NEWS }))
    expect(await notify(message([A, B], { id: 'once', type: OFFERS }))).toEqual({
      ...nobody,
      sent: [A],
      failed: [{ account: B, reason: WRONG_TYPE }],
    })
  })

  it('repeated at the same time, sends once', async () => {
    const subscription = await world.subscribe(A)
    const answers = await Promise.all(Array.from({ length: 10 }, () => notify(message([A], { id: 'once' }))))
    expect(answers).toEqual(Array.from({ length: 10 }, () => ({ ...nobody, sent: [A] })))
    expect(await world.outbox()).toHaveLength(1)
    expect(await world.store.unreadCounts(held(accountKey(A), subscription.id))).toEqual([1])
  })

  it('without an id sends each time', async () => {
    const subscription = await world.subscribe(A)
    await notify(message([A]))
    await notify(message([A]))
    expect(await world.store.unreadCounts(held(accountKey(A), subscription.id))).toEqual([2])
  })

  it('takes an account on whichever chain, once, and answers every form that was named', async () => {
    const lower = 'eip155:1:0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359'
    const mixed = 'eip155:10:0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359'
    const subscription = await world.subscribe(lower)
    expect(await notify(message([mixed, lower, mixed]))).toEqual({ ...nobody, sent: [mixed, lower] })
    expect(await world.store.unreadCounts(held(accountKey(lower), subscription.id))).toEqual([1])
    expect(await notify(message([mixed, lower], { type: OFFERS }))).toEqual({
      ...nobody,
      failed: [
        { account: mixed, reason: WRONG_TYPE },
        { account: lower, reason: WRONG_TYPE },
      ],
    })
  })

  it('finds nobody under a type that the app does not have', async () => {
    await world.subscribe(A, { scope: [NEWS, 'gone'] })
    expect(await notify(message([A, C], { type: 'gone' }))).toEqual({
      ...nobody,
      failed: [{ account: A, reason: WRONG_TYPE }],
      not_found: [C],
    })
    expect(await world.outbox()).toEqual([])
  })

  it('passes over subscriptions that have expired, and those of other apps', async () => {
    await world.apps.enrol({ projectId: world.project.id, domain: 'b.example' })
    await world.subscribe(A, { life: DAY })
    await world.subscribe(B, { domain: 'b.example' })
    await world.clock.advance(DAY)
    expect(await notify(message([A, B]))).toEqual({ ...nobody, not_found: [A, B] })
  })

  it('sends anew to who left and came back', async () => {
    await world.subscribe(A)
    await notify(message([A], { id: 'once' }))
    await world.unsubscribe(A)
    expect(await notify(message([A], { id: 'once' }))).toEqual({ ...nobody, not_found: [A] })
    const subscription = await world.subscribe(A)
    expect(await notify(message([A], { id: 'once' }))).toEqual({ ...nobody, sent: [A] })
    expect(await world.store.unreadCounts(held(accountKey(A), subscription.id))).toEqual([1])
  })

  it('answers over all messages of a call', async () => {
    await world.subscribe(A)
    await world.subscribe(B, { scope: [NEWS, OFFERS] })
    const outcome = await notify(message([A, B]), message([A, B, C], { type: OFFERS }))
    expect(outcome).toEqual({
      sent: [A, B],
      failed: [{ account: A, reason: WRONG_TYPE }],
      not_found: [C],
    })
    expect(await world.outbox()).toHaveLength(3)
  })

  it('speaks as the named app, else as the one with the type, else as the oldest', async () => {
    await world.clock.advance(1)
    await world.apps.enrol({
      projectId: world.project.id,
      domain: 'a.example',
      types: [{ id: 'other', name: 'Other' }],
    })
    await world.subscribe(A, { domain: 'a.example', scope: ['other'] })
    await world.subscribe(B, { domain: 'app.example', scope: [NEWS] })
    expect(await notify(message([A, B], { type: 'other' }))).toEqual({ ...nobody, sent: [A], not_found: [B] })
    expect(await notify(message([A, B], { type: NEWS }))).toEqual({ ...nobody, sent: [B], not_found: [A] })
    expect(await notify(message([A, B], { type: 'unknown' }))).toEqual({
      ...nobody,
      failed: [{ account: B, reason: WRONG_TYPE }],
      not_found: [A],
    })
    expect(await notify(message([A, B], { type: NEWS, domain: 'a.example' }))).toEqual({
      ...nobody,
      failed: [{ account: A, reason: WRONG_TYPE }],
      not_found: [B],
    })
  })

  it('sends nothing of a call that names an app of somebody else, or of none', async () => {
    const { project } = await world.apps.createProject()
    await world.apps.enrol({ projectId: project.id, domain: 'theirs.example' })
    await world.subscribe(A)
    const call = notify(message([A]), message([A], { domain: 'theirs.example' }))
    await expect(call).rejects.toMatchObject({ code: 'unknown_app', field: 'appDomain' })
    expect(await world.outbox()).toEqual([])
    const { project: empty } = await world.apps.createProject()
    await expect(world.publishing.notify(empty.id, [message([A])])).rejects.toMatchObject({
      code: 'unknown_app',
    })
  })

  it('hands 500 accounts in one call', async () => {
    const accounts = Array.from({ length: 500 }, (_, at) => `eip155:1:${addressOf(at + 1)}`)
    await Promise.all(accounts.map((account) => world.subscribe(account)))
    const outcome = await notify(message(accounts))
    expect(outcome).toEqual({ ...nobody, sent: accounts })
    expect(await world.store.outboxSize()).toBe(500)
  })
})

describe('subscribers', () => {
  it('are all live ones, as their wallets wrote them, over more than a page', async () => {
    const accounts = Array.from({ length: 1203 }, (_, at) => `eip155:10:${addressOf(at + 1)}`)
    await Promise.all(accounts.map((account) => world.subscribe(account)))
    await world.subscribe(`eip155:1:${addressOf(5000)}`, { life: 10 })
    await world.clock.advance(10)
    const found = await world.publishing.subscribers(world.project.id)
    expect(found.sort()).toEqual(accounts)
  })

  it('of two apps of a project are named once, or those of one app alone', async () => {
    await world.apps.enrol({ projectId: world.project.id, domain: 'b.example' })
    await world.subscribe(A)
    await world.subscribe(A, { domain: 'b.example', scope: ['x1', NEWS] })
    await world.subscribe(B, { domain: 'b.example' })
    const projectId = world.project.id
    expect(await world.publishing.subscribers(projectId)).toEqual([A, B])
    expect(await world.publishing.subscribers(projectId, 'app.example')).toEqual([A])
    expect(await world.publishing.scopesOf(projectId, [A])).toEqual(new Map([[A, [NEWS, 'x1']]]))
    expect(await world.publishing.scopesOf(projectId, [A, C], 'app.example')).toEqual(new Map([[A, [NEWS]]]))
    await expect(world.publishing.subscribers(projectId, 'c.example')).rejects.toMatchObject({
      code: 'unknown_app',
    })
  })
})

describe('marking all as read', () => {
  it('marks what the project sent, tells live watchers, and leaves other projects alone', async () => {
    const { project } = await world.apps.createProject()
    const types = [{ id: NEWS, name: 'News' }]
    await world.apps.enrol({ projectId: project.id, domain: 'b.example', types })
    const watchers = [
      world.watcher(A, 'did:key:all', null),
      world.watcher(A, 'did:key:this', 'app.example'),
      world.watcher(A, 'did:key:other', 'b.example'),
      world.watcher(A, 'did:key:gone', null, 5),
    ]
    const mine = await world.subscribe(A, { watchers })
    const theirs = await world.subscribe(A, { domain: 'b.example' })
    const silent = await world.subscribe(B)
    await notify(message([A]), message([A]))
    await world.publishing.notify(project.id, [message([A])])
    await world.store.completeOutbox(await world.outbox(), world.clock.now())
    await world.clock.advance(10)

    await world.publishing.markAllAsRead(world.project.id)
    expect(
      await world.store.unreadCounts([
        ...held(accountKey(A), mine.id, theirs.id),
        ...held(accountKey(B), silent.id),
      ]),
    ).toEqual([0, 1, 0])
    const told = (await world.outbox()).map(({ task }) => task)
    expect(told.sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)))).toEqual([
      { kind: 'changed', accountKey: accountKey(A), identityKey: 'did:key:all' },
      { kind: 'changed', accountKey: accountKey(A), identityKey: 'did:key:this' },
    ])

    await world.publishing.markAllAsRead(world.project.id)
    expect(await world.outbox()).toHaveLength(2)
  })
})

describe('links', () => {
  const sentWith = async (url: string | null, domain = 'app.example') => {
    await world.apps.describe(domain, { links: true })
    const subscription = await world.subscribe(A, { domain })
    const { notification, ...rest } = message([A], { domain })
    await world.publishing.notify(world.project.id, [{ ...rest, notification: { ...notification, url } }])
    const { notifications } = await world.store.history(accountKey(A), subscription.id, {
      after: null,
      limit: 1,
      unreadFirst: false,
      now: world.clock.now(),
    })
    return notifications[0]?.id ?? ''
  }

  it('lead to the url of the notification, or to a path of the app', async () => {
    const types = [{ id: NEWS, name: 'News' }]
    await world.apps.enrol({ projectId: world.project.id, domain: 'localhost:3000', types })
    expect(await world.publishing.linkOf(await sentWith('https://else.example/a?b=c#d'))).toBe(
      'https://else.example/a?b=c#d',
    )
    expect(await world.publishing.linkOf(await sentWith('/inbox/1'))).toBe('https://app.example/inbox/1')
    expect(await world.publishing.linkOf(await sentWith('/inbox', 'localhost:3000'))).toBe(
      'http://localhost:3000/inbox',
    )
  })

  it('lead nowhere without a url, for an unknown id, and when the notification is over', async () => {
    expect(await world.publishing.linkOf(await sentWith(null))).toBeUndefined()
    expect(await world.publishing.linkOf('00000000-0000-8000-8000-000000000000')).toBeUndefined()
    const id = await sentWith('https://app.example/')
    await world.clock.advance(30 * DAY)
    expect(await world.publishing.linkOf(id)).toBeUndefined()
  })
})
