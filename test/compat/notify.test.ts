import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createWallet, fromNotifyServer, systemClock } from '../../src/sdk/wallet.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner, type Owner } from '../support/owner.ts'
import { type DappApp, type System, startSystem } from '../support/world/system.ts'
import { type Peer, startPeer } from './peer.ts'

/** @walletconnect/notify-client 1.4.1 (core 2.12.2 inside), unmodified, against the whole server. */

interface Subscription {
  topic: string
  account: string
  expiry: number
  symKey: string
  scope: Record<string, { id: string; name: string; enabled: boolean }>
  metadata: { name: string; description: string; appDomain: string }
  unreadNotificationCount: number
}
interface Notification {
  id: string
  type: string
  title: string
  body: string
  url: string
  icon: string
  sent_at: number
}
interface MessageEvent {
  topic: string
  message: Notification
}
interface History {
  notifications: { id: string; title: string; body: string; isRead: boolean; sentAt: number; type: string }[]
  hasMore: boolean
  hasMoreUnread: boolean
}
interface Registration {
  account: string
  domain: string
  allApps?: boolean
}

const MONTH_S = 2_592_000
const now = () => Math.floor(Date.now() / 1000)

let system: System
let relays = 0
beforeAll(async () => {
  system = await startSystem()
})
afterAll(() => system[Symbol.asyncDispose]())

const newDomain = (name: string) => `${name}-${randomUUID().slice(0, 8)}.example`

const startDevice = async (apps: DappApp[]): Promise<Peer> => {
  const routes = Object.fromEntries(apps.map(({ domain }) => [domain, system.url]))
  const device = await startPeer('notify', { routes: { ...routes, ...system.fixedNames } })
  await device.call('init', {
    relayUrl: system.relayUrl(relays++),
    projectId: system.projectId,
    keyserverUrl: system.url,
  })
  return device
}

/** Registers, and waits until the device has heard what the account has already. */
const register = async (
  device: Peer,
  owner: Owner,
  registration: Registration,
  prepare: 'prepare' | 'prepareWithRecap' = 'prepare',
): Promise<Subscription[]> => {
  const text = await device.call<string>(prepare, registration)
  await device.call('register', owner.sign(text))
  return device.next<Subscription[]>('changed')
}

const onlySubscription = async (device: Peer, account: string): Promise<Subscription> => {
  const [subscription, ...others] = await device.call<Subscription[]>('subscriptions', account)
  expect(others).toEqual([])
  if (!subscription) throw new Error('the device has no subscription')
  return subscription
}

const enabled = ({ scope }: Subscription) =>
  Object.values(scope)
    .filter((type) => type.enabled)
    .map(({ name }) => name)
    .sort()

const say = (app: DappApp, type: string, title: string, accounts: string[]) =>
  app.notify({ notification: { type: app.types[type] ?? type, title, body: `About ${title}` }, accounts })

describe('@walletconnect/notify-client, one device', () => {
  it('registers, subscribes, receives, updates its scope, reads its history, and deletes', async () => {
    const app = await system.enrol(newDomain('news'), ['Alerts', 'Offers'])
    const owner = newOwner()
    const account = owner.on(1)
    await using device = await startDevice([app])

    expect(await device.call('isRegistered', { account, domain: app.domain })).toBe(false)
    expect(await register(device, owner, { account, domain: app.domain })).toEqual([])
    expect(await device.call('isRegistered', { account, domain: app.domain })).toBe(true)
    expect(await device.call('loaded')).toBe(true)

    expect(await device.call('subscribe', { account, appDomain: app.domain })).toBe(true)
    const subscription = await onlySubscription(device, account)
    expect(subscription).toMatchObject({
      account,
      metadata: { name: app.name, appDomain: app.domain },
      unreadNotificationCount: 0,
    })
    expect(enabled(subscription)).toEqual(['Alerts', 'Offers'])
    expect(subscription.expiry).toBeGreaterThan(now() + MONTH_S - 120)
    expect(subscription.expiry).toBeLessThanOrEqual(now() + MONTH_S + 1)
    const { topic } = subscription

    expect(await say(app, 'Alerts', 'Hello', [account])).toEqual({
      sent: [account],
      failed: [],
      not_found: [],
    })
    const received = await device.next<MessageEvent>('notify_message')
    expect(received.topic).toBe(topic)
    expect(received.message).toMatchObject({
      type: app.types.Alerts,
      title: 'Hello',
      body: 'About Hello',
      icon: '',
      url: '',
    })
    expect(received.message.sent_at).toBeGreaterThan(Date.now() - 60_000)

    expect(await device.call('update', { topic, scope: [app.types.Offers] })).toBe(true)
    expect(enabled(await onlySubscription(device, account))).toEqual(['Offers'])
    expect(await say(app, 'Alerts', 'Unwanted', [account])).toMatchObject({
      sent: [],
      failed: [{ account, reason: 'Client is not subscribed to this notification type' }],
    })
    await say(app, 'Offers', 'Wanted', [account])
    expect((await device.next<MessageEvent>('notify_message')).message.title).toBe('Wanted')

    const history = await device.call<History>('history', { topic })
    expect(history.notifications.map(({ title, isRead }) => ({ title, isRead }))).toEqual([
      { title: 'Wanted', isRead: false },
      { title: 'Hello', isRead: false },
    ])
    expect(history.notifications[1]).toMatchObject({
      id: received.message.id,
      sentAt: received.message.sent_at,
      type: app.types.Alerts,
    })

    await device.call('delete', { topic })
    expect(await device.call('subscriptions', account)).toEqual([])
    expect(await say(app, 'Offers', 'Too late', [account])).toEqual({
      sent: [],
      failed: [],
      not_found: [account],
    })

    expect(await device.call('subscribe', { account, appDomain: app.domain })).toBe(true)
    const again = await onlySubscription(device, account)
    expect(again.topic).not.toBe(topic)
    expect(again.symKey).not.toBe(subscription.symKey)
    expect(device.outside).toEqual([])
  }, 60_000)

  it('receives a notification with extras, and sees of it what it saw of one without', async () => {
    const app = await system.enrol(newDomain('extras'), ['Alerts'])
    const owner = newOwner()
    const account = owner.on(1)
    await using device = await startDevice([app])
    await register(device, owner, { account, domain: app.domain })
    await device.call('subscribe', { account, appDomain: app.domain })
    const { topic } = await onlySubscription(device, account)
    const icon = 'https://app.example/i.png'
    const notification = {
      type: app.types.Alerts ?? '',
      title: 'Vote',
      body: 'Shall we?',
      icon,
      url: '/vote',
    }
    const texts = { title: 'Abstimmung', body: 'Wollen wir?' }
    const extras = {
      ...{ priority: 'urgent', image: 'https://app.example/w.png', tags: ['vote'], locales: { de: texts } },
      actions: [
        { id: 'yes', title: 'Yes', answer: true },
        { id: 'see', title: 'See', url: 'https://app.example/vote' },
      ],
    }
    await app.notify({ notification, accounts: [account] })
    await app.notify({ notification: { ...notification, ...extras }, accounts: [account] })
    await app.notify({ notification: { ...notification, silent: true }, accounts: [account] })
    const messages: Notification[] = []
    for (const _ of [1, 2, 3]) messages.push((await device.next<MessageEvent>('notify_message')).message)
    const [plain, ...others] = messages
    expect(new Set(messages.map(({ id }) => id)).size).toBe(3)
    for (const other of others) {
      expect(other).toMatchObject({ ...plain, id: expect.any(String), sent_at: expect.any(Number) })
    }

    const history = await device.call<History>('history', { topic })
    const [silent, rich, first] = history.notifications
    expect(Object.keys(rich ?? {})).toEqual(Object.keys(first ?? {}))
    for (const one of [silent, rich])
      expect(one).toMatchObject({ title: 'Vote', body: 'Shall we?', isRead: false })
    await device.call('markAsRead', { topic, notificationIds: messages.map(({ id }) => id) })
    const read = await device.call<History>('history', { topic })
    expect(read.notifications.every(({ isRead }) => isRead)).toBe(true)
    expect(device.outside).toEqual([])
  }, 60_000)

  it('pages through its history, newest first or unread first, and marks as read', async () => {
    const app = await system.enrol(newDomain('pages'), ['Alerts'])
    const owner = newOwner()
    const account = owner.on(1)
    await using device = await startDevice([app])
    await register(device, owner, { account, domain: app.domain })
    await device.call('subscribe', { account, appDomain: app.domain })
    const { topic } = await onlySubscription(device, account)
    const callsBefore = await system.dappCalls()
    for (const number of [1, 2, 3, 4, 5, 6, 7]) {
      await say(app, 'Alerts', `Number ${number}`, [account])
      await device.next<MessageEvent>('notify_message')
    }
    // The dapp's calls and their history are the same wherever they went.
    for (const [server, calls] of (await system.dappCalls()).entries()) {
      expect(calls).toBeGreaterThanOrEqual((callsBefore[server] ?? 0) + 3)
    }
    const titles = ({ notifications }: History) => notifications.map(({ title }) => Number(title.slice(7)))
    const lastOf = ({ notifications }: History) => notifications.at(-1)?.id

    const first = await device.call<History>('history', { topic, limit: 3, unreadFirst: false })
    expect(titles(first)).toEqual([7, 6, 5])
    expect(first).toMatchObject({ hasMore: true, hasMoreUnread: true })
    const second = await device.call<History>('history', {
      topic,
      limit: 3,
      startingAfter: lastOf(first),
      unreadFirst: false,
    })
    expect(titles(second)).toEqual([4, 3, 2])
    const third = await device.call<History>('history', {
      topic,
      limit: 3,
      startingAfter: lastOf(second),
      unreadFirst: false,
    })
    expect(titles(third)).toEqual([1])
    expect(third).toMatchObject({ hasMore: false, hasMoreUnread: false })

    const read = first.notifications.map(({ id }) => id)
    await device.call('markAsRead', { topic, notificationIds: read })
    const unreadFirst = await device.call<History>('history', { topic, limit: 5, unreadFirst: true })
    expect(titles(unreadFirst)).toEqual([4, 3, 2, 1, 7])
    expect(unreadFirst).toMatchObject({ hasMore: true, hasMoreUnread: false })
    expect(unreadFirst.notifications.map(({ isRead }) => isRead)).toEqual([false, false, false, false, true])
    const rest = await device.call<History>('history', {
      topic,
      limit: 5,
      startingAfter: lastOf(unreadFirst),
      unreadFirst: true,
    })
    expect(titles(rest)).toEqual([6, 5])

    await device.call('markAllAsRead', { topic })
    const all = await device.call<History>('history', { topic })
    expect(all.notifications.every(({ isRead }) => isRead)).toBe(true)
    expect(all.notifications).toHaveLength(7)

    await expect(device.call('history', { topic, limit: 51 })).rejects.toThrow()
    await expect(device.call('history', { topic, startingAfter: randomUUID() })).rejects.toThrow()
  }, 60_000)

  it('registered for one app only, it is refused at another', async () => {
    const own = await system.enrol(newDomain('own'), ['Alerts'])
    const foreign = await system.enrol(newDomain('foreign'), ['Alerts'])
    const owner = newOwner()
    const account = owner.on(1)
    await using device = await startDevice([own, foreign])
    await register(device, owner, { account, domain: own.domain })
    expect(await device.call('subscribe', { account, appDomain: foreign.domain })).toBe(
      'The identity key is not authorised for this app',
    )
    expect(await device.call('subscribe', { account, appDomain: own.domain })).toBe(true)
    expect((await onlySubscription(device, account)).metadata.appDomain).toBe(own.domain)
  }, 60_000)

  it('registers with a capability for all apps, and with one for its own app', async () => {
    const one = await system.enrol(newDomain('one'), ['Alerts'])
    const two = await system.enrol(newDomain('two'), ['Alerts'])
    const owner = newOwner()
    const account = owner.on(1)

    await using inbox = await startDevice([one, two])
    await register(inbox, owner, { account, domain: newDomain('inbox'), allApps: true }, 'prepareWithRecap')
    for (const { domain } of [one, two]) {
      expect(await inbox.call('subscribe', { account, appDomain: domain })).toBe(true)
    }

    await using limited = await startDevice([one, two])
    const seen = await register(limited, owner, { account, domain: one.domain }, 'prepareWithRecap')
    expect(seen.map(({ metadata }) => metadata.appDomain)).toEqual([one.domain])
    expect(await limited.call('subscribe', { account, appDomain: two.domain })).toBe(
      'The identity key is not authorised for this app',
    )
  }, 60_000)

  it('subscribes to an app on localhost with a port', async () => {
    const app = await system.enrol(`localhost:${20_000 + Math.floor(Math.random() * 10_000)}`, ['Alerts'])
    const owner = newOwner()
    const account = owner.on(1)
    await using device = await startDevice([app])
    await register(device, owner, { account, domain: app.domain })
    expect(await device.call('subscribe', { account, appDomain: app.domain })).toBe(true)
    await say(app, 'Alerts', 'At home', [account])
    expect((await device.next<MessageEvent>('notify_message')).message.title).toBe('At home')
    const { topic } = await onlySubscription(device, account)
    expect(await device.call('update', { topic, scope: [] })).toBe(true)
  }, 60_000)

  it('after it unregistered, its identity key is unknown and a new one can be registered', async () => {
    const app = await system.enrol(newDomain('leave'), ['Alerts'])
    const owner = newOwner()
    const account = owner.on(1)
    await using device = await startDevice([app])
    await register(device, owner, { account, domain: app.domain })
    expect(await device.call('subscribe', { account, appDomain: app.domain })).toBe(true)
    await device.call('unregister', account)
    expect(await device.call('isRegistered', { account, domain: app.domain })).toBe(false)

    const kept = await register(device, owner, { account, domain: app.domain })
    expect(kept.map(({ metadata }) => metadata.appDomain)).toEqual([app.domain])
  }, 60_000)
})

describe('@walletconnect/notify-client, two devices of one account', () => {
  it('see each other subscribe, update, read and delete, and both receive', async () => {
    const app = await system.enrol(newDomain('both'), ['Alerts', 'Offers'])
    const owner = newOwner()
    const account = owner.on(1)
    const domain = newDomain('inbox')
    await using first = await startDevice([app])
    await using second = await startDevice([app])
    await register(first, owner, { account, domain, allApps: true })
    await register(second, owner, { account, domain, allApps: true })
    // A notify server's, and at least one of ours.
    for (const connections of await system.connections()) expect(connections).toBeGreaterThanOrEqual(2)

    expect(await first.call('subscribe', { account, appDomain: app.domain })).toBe(true)
    await second.next<Subscription[]>('changed', (subscriptions) => subscriptions.length === 1)
    const { topic } = await onlySubscription(first, account)
    expect(await onlySubscription(second, account)).toMatchObject({ topic, account })

    await say(app, 'Alerts', 'Hello', [account])
    const [here, there] = await Promise.all([
      first.next<MessageEvent>('notify_message'),
      second.next<MessageEvent>('notify_message'),
    ])
    expect(there.message).toEqual(here.message)

    expect(await first.call('update', { topic, scope: [app.types.Offers] })).toBe(true)
    await eventually(async () => {
      const subscription = await onlySubscription(second, account)
      expect(enabled(subscription)).toEqual(['Offers'])
      expect(subscription).toMatchObject({ account, unreadNotificationCount: 1 })
    })

    await first.call('markAsRead', { topic, notificationIds: [here.message.id] })
    await eventually(async () => {
      expect(await onlySubscription(second, account)).toMatchObject({ unreadNotificationCount: 0 })
    })

    await second.call('delete', { topic })
    expect(await second.call('subscriptions', account)).toEqual([])
    await eventually(async () => expect(await first.call('subscriptions', account)).toEqual([]))
  }, 60_000)

  it('goes on beside a wallet of this package that answers a notification and has quiet hours', async () => {
    const app = await system.enrol(newDomain('answers'), ['Alerts'])
    const owner = newOwner()
    const account = owner.on(1)
    const domain = newDomain('inbox')
    await using published = await startDevice([app])
    await register(published, owner, { account, domain, allApps: true })
    await using ours = createWallet({
      ...{ url: system.url, relayUrl: system.relayUrl(relays++), account, domain, allApps: true },
      sign: async (text) => owner.sign(text),
      resolveAppKeys: fromNotifyServer({ clock: systemClock, fetch }, system.url),
    })
    expect(await published.call('subscribe', { account, appDomain: app.domain })).toBe(true)
    await ours.watch()
    const actions = [{ id: 'yes', title: 'Yes', answer: true }]
    const notification = { type: app.types.Alerts ?? '', title: 'Vote', body: 'Shall we?', actions }
    await app.notify({ notification, accounts: [account] })
    const { message } = await published.next<MessageEvent>('notify_message')
    await ours.answer(app.domain, message.id, 'yes')
    // It was read by the answer, and the published client hears of that as of any reading.
    await eventually(async () => {
      expect(await onlySubscription(published, account)).toMatchObject({ unreadNotificationCount: 0 })
    })
    // Its update says nothing of preferences, and takes none away.
    const quiet = { from: '22:00', to: '07:00', timeZone: 'Europe/Vienna' }
    await ours.update(app.domain, Object.values(app.types), { quiet, digest: 'daily' })
    const { topic } = await onlySubscription(published, account)
    expect(await published.call('update', { topic, scope: [] })).toBe(true)
    await eventually(() =>
      expect(ours.subscriptions()).toMatchObject([{ scope: [], preferences: { quiet, digest: 'daily' } }]),
    )
    expect(await published.call('update', { topic, scope: Object.values(app.types) })).toBe(true)
    await say(app, 'Alerts', 'And after', [account])
    expect((await published.next<MessageEvent>('notify_message')).message.title).toBe('And after')
  }, 60_000)

  it('of different scope never lose a subscription by what the other one does', async () => {
    const [one, two] = [
      await system.enrol(newDomain('scope-one'), ['Alerts', 'Offers']),
      await system.enrol(newDomain('scope-two'), ['Alerts']),
    ]
    const owner = newOwner()
    const account = owner.on(1)
    await using all = await startDevice([one, two])
    await using limited = await startDevice([one, two])
    await register(all, owner, { account, domain: newDomain('inbox'), allApps: true })
    expect(await all.call('subscribe', { account, appDomain: one.domain })).toBe(true)
    expect(await all.call('subscribe', { account, appDomain: two.domain })).toBe(true)
    await register(limited, owner, { account, domain: one.domain })
    const subscriptionsOf = async (device: Peer) =>
      (await device.call<Subscription[]>('subscriptions', account))
        .map((each) => `${each.metadata.appDomain} ${enabled(each)}`)
        .sort()
    const { topic } = await onlySubscription(limited, account)

    for (const scope of [['Offers'], ['Alerts', 'Offers'], ['Alerts']]) {
      for (const device of [limited, all]) {
        const ids = scope.map((name) => one.types[name])
        await device.call('update', { topic, scope: ids })
        // What its answer left out is back once the 4012 has come, and stays.
        await eventually(async () => {
          expect(await subscriptionsOf(all)).toEqual([`${one.domain} ${scope}`, `${two.domain} Alerts`])
        })
        await eventually(async () =>
          expect(await subscriptionsOf(limited)).toEqual([`${one.domain} ${scope}`]),
        )
      }
    }
    await say(two, 'Alerts', 'Still here', [account])
    const { message } = await all.next<MessageEvent>('notify_message')
    expect(message.title).toBe('Still here')
    await limited.call('delete', { topic })
    await eventually(async () => expect(await subscriptionsOf(all)).toEqual([`${two.domain} Alerts`]))
    await say(two, 'Alerts', 'And after', [account])
    expect((await all.next<MessageEvent>('notify_message')).message.title).toBe('And after')
  }, 60_000)

  it('of one person on two chains, each is answered with the form that it uses itself', async () => {
    const app = await system.enrol(newDomain('chains'), ['Alerts'])
    const owner = newOwner()
    const atHome = owner.on(1)
    const abroad = owner.on(137)
    const domain = newDomain('inbox')
    await using first = await startDevice([app])
    await using second = await startDevice([app])
    await register(first, owner, { account: atHome, domain, allApps: true })
    await register(second, owner, { account: abroad, domain, allApps: true })

    expect(await first.call('subscribe', { account: atHome, appDomain: app.domain })).toBe(true)
    await second.next<Subscription[]>('changed', (subscriptions) => subscriptions.length === 1)
    const { topic } = await onlySubscription(first, atHome)
    expect(await onlySubscription(second, abroad)).toMatchObject({ topic, account: abroad })

    await say(app, 'Alerts', 'Hello', [abroad])
    for (const device of [first, second]) {
      expect((await device.next<MessageEvent>('notify_message')).message.title).toBe('Hello')
    }
    await first.call('markAllAsRead', { topic })
    await eventually(async () => {
      expect(await onlySubscription(second, abroad)).toMatchObject({ unreadNotificationCount: 0 })
    })
    await second.call('delete', { topic })
    await eventually(async () => expect(await first.call('subscriptions', atHome)).toEqual([]))
  }, 60_000)

  it('one that was away receives what came meanwhile, in order and once', async () => {
    const app = await system.enrol(newDomain('away'), ['Alerts'])
    const owner = newOwner()
    const account = owner.on(1)
    await using first = await startDevice([app])
    await using second = await startDevice([app])
    await register(first, owner, { account, domain: app.domain })
    await first.call('subscribe', { account, appDomain: app.domain })
    expect(await register(second, owner, { account, domain: app.domain })).toHaveLength(1)

    await second.call('offline')
    const titles = ['One', 'Two', 'Three']
    for (const title of titles) {
      await say(app, 'Alerts', title, [account])
      expect((await first.next<MessageEvent>('notify_message')).message.title).toBe(title)
    }
    await second.call('online')
    for (const title of titles) {
      expect((await second.next<MessageEvent>('notify_message')).message.title).toBe(title)
    }
    await say(app, 'Alerts', 'Last', [account])
    expect((await second.next<MessageEvent>('notify_message')).message.title).toBe('Last')
    expect(second.left('notify_message')).toEqual([])
  }, 60_000)

  it('one that joins later hears of all subscriptions, and gets what is still in the mailbox', async () => {
    const apps = [
      await system.enrol(newDomain('a'), ['Alerts']),
      await system.enrol(newDomain('b'), ['Alerts']),
    ]
    const owner = newOwner()
    const account = owner.on(1)
    const domain = newDomain('inbox')
    await using first = await startDevice(apps)
    await register(first, owner, { account, domain, allApps: true })
    for (const app of apps) {
      await first.call('subscribe', { account, appDomain: app.domain })
      await say(app, 'Alerts', app.domain, [account])
      await first.next<MessageEvent>('notify_message')
    }
    await using second = await startDevice(apps)
    const seen = await register(second, owner, { account, domain, allApps: true })
    expect(seen.map(({ metadata }) => metadata.appDomain).sort()).toEqual(
      apps.map((app) => app.domain).sort(),
    )
    for (const app of apps) {
      await second.next<MessageEvent>('notify_message', ({ message }) => message.title === app.domain)
    }
    const history = await second.call<History>('history', { topic: seen[0]?.topic })
    expect(history.notifications).toHaveLength(1)
  }, 60_000)

  it('come back by themselves after a restart of the server and receive what follows', async () => {
    const app = await system.enrol(newDomain('restart'), ['Alerts'])
    const owner = newOwner()
    const account = owner.on(1)
    await using first = await startDevice([app])
    await using second = await startDevice([app])
    await register(first, owner, { account, domain: app.domain })
    await first.call('subscribe', { account, appDomain: app.domain })
    await register(second, owner, { account, domain: app.domain })

    await second.call('offline')
    await say(app, 'Alerts', 'Before', [account])
    await system.restart()
    await say(app, 'Alerts', 'After', [account])
    await second.call('online')
    for (const device of [first, second]) {
      for (const title of ['Before', 'After']) {
        expect((await device.next<MessageEvent>('notify_message')).message.title).toBe(title)
      }
    }
    const { topic } = await onlySubscription(second, account)
    expect(await second.call('update', { topic, scope: [] })).toBe(true)
    await eventually(async () => expect(enabled(await onlySubscription(first, account))).toEqual([]))
    expect([...first.left('notify_message'), ...second.left('notify_message')]).toEqual([])
  }, 60_000)
})
