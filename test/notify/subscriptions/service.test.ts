/** What wallets do, and what they and their other devices are told. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../../src/protocol/bytes.ts'
import { didPkh, didWeb } from '../../../src/protocol/did.ts'
import { verifyJwt } from '../../../src/protocol/jwt.ts'
import { topicOf } from '../../../src/protocol/topic.ts'
import { eventually } from '../../support/eventually.ts'
import {
  DOMAIN,
  PUBLIC_URL,
  startNotify,
  type TestNotify,
  TYPES,
  type View,
} from '../../support/world/notify.ts'
import { claimsIn, type Device, newOwner, type Sent, THIS_APP } from '../support/wallet.ts'

let world: TestNotify
let other: Awaited<ReturnType<TestNotify['enrol']>>
beforeAll(async () => {
  world = await startNotify()
  other = await world.enrol('other.example')
})
afterAll(() => world[Symbol.asyncDispose]())

const viewIn = async (sent: Sent): Promise<View[]> => (await world.ask(sent)).claims.sbs as View[]
const [NEWS = '', OFFERS = ''] = TYPES.map(({ id }) => id)

/** A device that watches: the claims of every 4012 that it is sent. */
const watching = async (device: Device, domain: string | null = null) => {
  const sent = device.watch(world.address, domain)
  const first = await viewIn(sent)
  const heard = () =>
    world
      .publishedOn(sent.answerTopic, 4012, sent.key)
      .map(({ rpc, ttl }) => ({ rpc, ttl, claims: claimsIn(rpc) }))
  return { first, heard, sent }
}
/** All that was caused so far has been sent. */
const heardAfter = async (heard: () => unknown[]) => {
  await world.settled()
  return heard().length
}

describe('subscribing', () => {
  it('gives a key, on whose topic the server listens before the answer goes out', async () => {
    const device = world.newDevice()
    const [item, ...more] = await viewIn(device.subscribe(world.app, [NEWS]))
    expect(more).toEqual([])
    expect(item).toEqual({
      appDomain: DOMAIN,
      appAuthenticationKey: world.app.did,
      symKey: expect.stringMatching(/^[0-9a-f]{64}$/),
      account: device.account,
      scope: [NEWS],
      expiry: Math.floor(world.clock.now() / 1000) + 30 * 86_400,
      unreadNotificationCount: 0,
    })
    expect(world.loop.topics).toContain(topicOf(fromHex(item?.symKey ?? '')))
  })

  it('again keeps the key and replaces the scope; after delete there is a new key', async () => {
    const device = world.newDevice()
    const [first] = await viewIn(device.subscribe(world.app, [NEWS]))
    const [second] = await viewIn(device.subscribe(world.app, [OFFERS]))
    expect(second).toEqual({ ...first, scope: [OFFERS] })
    const key = fromHex(first?.symKey ?? '')
    expect(await viewIn(device.ask(4004, world.app, key))).toEqual([])
    expect(world.loop.left).toContain(topicOf(key))
    const [third] = await viewIn(device.subscribe(world.app, []))
    expect(third?.symKey).not.toBe(first?.symKey)
    expect(third?.scope).toEqual([])
  })

  it('to types that the app does not declare is subscribing to the others', async () => {
    const device = world.newDevice()
    const [item] = await viewIn(device.subscribe(world.app, ['unknown', OFFERS, NEWS, NEWS]))
    expect(item?.scope).toEqual([OFFERS, NEWS])
    const [updated] = await viewIn(
      device.ask(4008, world.app, fromHex(item?.symKey ?? ''), { scp: `unknown ${NEWS}` }),
    )
    expect(updated?.scope).toEqual([NEWS])
  })

  it('from two chains, or spellings, of one address is one subscription', async () => {
    const owner = newOwner()
    const polygon = world.newDevice({ owner, account: owner.account.replace(/^eip155:1:/, 'eip155:137:') })
    const lower = world.newDevice({ owner, account: owner.account.toLowerCase() })
    const [a] = await viewIn(polygon.subscribe(world.app, [NEWS]))
    const [b] = await viewIn(lower.subscribe(world.app, [NEWS]))
    expect(b?.symKey).toBe(a?.symKey)
    expect([a?.account, b?.account]).toEqual([polygon.account, lower.account])
  })

  it('at the same time from many devices is one subscription for all', async () => {
    const owner = newOwner()
    const devices = Array.from({ length: 12 }, () => world.newDevice({ owner }))
    const views = await Promise.all(devices.map((device) => viewIn(device.subscribe(world.app, [NEWS]))))
    expect(new Set(views.map(([item]) => item?.symKey)).size).toBe(1)
  })
})

describe('the view in an answer', () => {
  it('is the app alone for who does not watch, or watches one app; everything for who watches all', async () => {
    const owner = newOwner()
    const silent = world.newDevice({ owner })
    const one = world.newDevice({ owner })
    const all = world.newDevice({ owner })
    await watching(one, DOMAIN)
    await watching(all)
    await viewIn(silent.subscribe(other, []))
    const domains = async (device: Device) =>
      (await viewIn(device.subscribe(world.app, [NEWS]))).map((item) => item.appDomain).sort()
    expect(await domains(silent)).toEqual([DOMAIN])
    expect(await domains(one)).toEqual([DOMAIN])
    expect(await domains(all)).toEqual([DOMAIN, 'other.example'])
  })
})

describe('an answer on a notify topic', () => {
  const domainsOf = (items: unknown) => (items as View[]).map(({ appDomain }) => appDomain).sort()
  const BOTH = [DOMAIN, 'other.example']

  /** Somebody with two apps, one of which is on the topic of `key`, and a device that watches all. */
  const withTwoApps = async () => {
    const owner = newOwner()
    const all = world.newDevice({ owner })
    const { heard, sent } = await watching(all)
    await viewIn(all.subscribe(other, []))
    const [item] = (await viewIn(all.subscribe(world.app, [NEWS]))).filter((one) => one.appDomain === DOMAIN)
    await world.settled()
    return { owner, all, heard, sent, key: fromHex(item?.symKey ?? '') }
  }

  it('lists that app alone, because everybody with its key can read it; the full view comes as 4012', async () => {
    const { all, heard, key } = await withTwoApps()
    const before = heard().length
    const answer = await world.ask(all.ask(4008, world.app, key, { scp: OFFERS }))
    expect(domainsOf(answer.claims.sbs)).toEqual([DOMAIN])
    await world.settled()
    expect(heard()).toHaveLength(before + 1)
    expect(domainsOf(heard().at(-1)?.claims.sbs)).toEqual(BOTH)
    const gone = await world.ask(all.ask(4004, world.app, key))
    expect(domainsOf(gone.claims.sbs)).toEqual([])
    await world.settled()
    expect(domainsOf(heard().at(-1)?.claims.sbs)).toEqual(['other.example'])
  })

  it('comes 400 to 800 ms before what its watchers are told, once for many changes, over a restart too', async () => {
    const { owner, all, heard, key } = await withTwoApps()
    const one = world.newDevice({ owner })
    const { heard: heardByOne } = await watching(one, DOMAIN)
    // They are made between the instants at which this watcher may be told.
    for (const scp of [OFFERS, NEWS, `${NEWS} ${OFFERS}`]) {
      await world.ask(all.ask(4008, world.app, key, { scp }))
    }
    await world.hands.advance(399)
    await world.restart()
    expect(heard()).toHaveLength(0)
    await world.settled()
    expect(heard()).toHaveLength(1)
    expect(domainsOf(heard()[0]?.claims.sbs)).toEqual(BOTH)
    const views = heard()[0]?.claims.sbs as View[]
    expect(views.find(({ appDomain }) => appDomain === DOMAIN)?.scope).toEqual([NEWS, OFFERS])
    expect(heardByOne()).toHaveLength(1)
    expect(domainsOf(heardByOne()[0]?.claims.sbs)).toEqual([DOMAIN])
  })

  it('comes before what its watcher is told of an earlier change, too, where both are due', async () => {
    const { all, heard, key } = await withTwoApps()
    const before = heard().length
    await world.ask(all.ask(4008, world.app, key, { scp: OFFERS }))
    world.loop.setConnected(false)
    await world.hands.advance(800)
    const gone = all.ask(4004, world.app, key)
    await world.loop.deliver(gone)
    world.loop.setConnected(true)
    await eventually(() => expect(world.publishedOn(gone.answerTopic, 4005, gone.key)).toHaveLength(1))
    expect(heard()).toHaveLength(before)
    await world.hands.advance(399)
    expect(heard()).toHaveLength(before)
    await world.settled()
    expect(domainsOf(heard().at(-1)?.claims.sbs)).toEqual(['other.example'])
  })
})

describe('watching', () => {
  it('is answered with what there is: of all apps, or of one', async () => {
    const owner = newOwner()
    const device = world.newDevice({ owner })
    await viewIn(device.subscribe(world.app, [NEWS]))
    await viewIn(device.subscribe(other, []))
    const domains = (items: View[]) => items.map((item) => item.appDomain).sort()
    expect(domains((await watching(world.newDevice({ owner }))).first)).toEqual([DOMAIN, 'other.example'])
    expect(domains((await watching(world.newDevice({ owner }), 'other.example')).first)).toEqual([
      'other.example',
    ])
  })

  it('brings a signed 4012 for every change of another device, naming the account as this one does', async () => {
    const owner = newOwner()
    const watcher = world.newDevice({ owner, account: owner.account.toLowerCase() })
    const { heard } = await watching(watcher)
    const actor = world.newDevice({ owner })
    const [item] = await viewIn(actor.subscribe(world.app, [NEWS]))
    const key = fromHex(item?.symKey ?? '')
    expect(await heardAfter(heard)).toBe(1)
    await viewIn(actor.ask(4008, world.app, key, { scp: OFFERS }))
    expect(await heardAfter(heard)).toBe(2)
    await viewIn(actor.ask(4004, world.app, key))
    expect(await heardAfter(heard)).toBe(3)
    const [subscribed, updated, deleted] = heard()
    expect(subscribed).toMatchObject({
      ttl: 300,
      rpc: {
        kind: 'request',
        method: 'wc_notifySubscriptionsChanged',
        idText: expect.stringMatching(/^\d{16}$/),
      },
      claims: {
        act: 'notify_subscriptions_changed',
        iss: world.address.did,
        aud: watcher.identity.did,
        sub: didPkh(watcher.account),
      },
    })
    const views = heard().map(({ claims }) => claims.sbs as View[])
    // At delivery: what is true then; so earlier ones may show the end already.
    for (const each of views.flat()) expect(each.account).toBe(watcher.account)
    expect(views[2]).toEqual([])
    expect(new Set([subscribed, updated, deleted].map((one) => one?.rpc.idText)).size).toBe(3)
    const params = subscribed?.rpc.kind === 'request' ? subscribed.rpc.params : undefined
    const { subscriptionsChangedAuth: token } = params as { subscriptionsChangedAuth: string }
    expect(() => verifyJwt(token, { now: world.clock.now(), audience: watcher.identity.did })).not.toThrow()
  })

  it('brings nothing of other apps to who watches one, and nothing to the one who made the change', async () => {
    const owner = newOwner()
    const limited = await watching(world.newDevice({ owner }), 'other.example')
    const actor = world.newDevice({ owner })
    const own = await watching(actor)
    await viewIn(actor.subscribe(world.app, [NEWS]))
    expect(await heardAfter(limited.heard)).toBe(0)
    await viewIn(actor.subscribe(other, []))
    expect(await heardAfter(limited.heard)).toBe(1)
    expect(limited.heard()[0]?.claims.sbs).toMatchObject([{ appDomain: 'other.example' }])
    expect(await heardAfter(own.heard)).toBe(0)
  })

  it.each([undefined, '0'])('brings a device with mjv %j its own changes too', async (mjv) => {
    const actor = world.newDevice({ mjv })
    const own = await watching(actor)
    await viewIn(actor.subscribe(world.app, [NEWS]))
    expect(await heardAfter(own.heard)).toBe(1)
  })

  it('again moves the watcher: to another key, another scope, another account', async () => {
    const owner = newOwner()
    const device = world.newDevice({ owner })
    const first = await watching(device)
    const second = await watching(device)
    const actor = world.newDevice({ owner })
    await viewIn(actor.subscribe(world.app, [NEWS]))
    expect(await heardAfter(first.heard)).toBe(0)
    expect(await heardAfter(second.heard)).toBe(1)

    // The same identity key, now registered by another account.
    const next = newOwner()
    const moved = { ...device, owner: next }
    world.register(moved)
    const sent = world.newDevice({ owner: next })
    const claims = { ...device.claims(4010, world.address.did, { app: null }), sub: didPkh(next.account) }
    const { signJwt } = await import('../../../src/protocol/jwt.ts')
    const { rpcId, text } = device.request(4010, signJwt(claims, device.identity))
    await world.ask(device.sendTo(4010, world.address.publicKey, text, rpcId))
    await viewIn(actor.subscribe(world.app, [OFFERS]))
    expect(await heardAfter(second.heard)).toBe(1)
    await viewIn(sent.subscribe(world.app, []))
    const { accountKey } = await import('../../../src/protocol/caip.ts')
    expect((await world.store.account(accountKey(owner.account))).record.watchers).toEqual([])
    expect(await world.store.watcherOwner(device.identity.did)).toBe(accountKey(next.account))
  })

  it('is refused to a 26th device, which leaves it and the others as they were', async () => {
    const owner = newOwner()
    const devices = Array.from({ length: 25 }, () => world.newDevice({ owner }))
    await Promise.all(devices.map((device) => watching(device)))
    const late = world.newDevice({ owner })
    const sent = late.watch(world.address)
    expect((await world.ask(sent)).rpc).toEqual({
      kind: 'failure',
      idText: sent.rpcId,
      code: -1,
      message: 'Too many watchers for this account and app',
    })
    expect((await watching(late, DOMAIN)).first).toEqual([])
    for (const device of devices.slice(0, 2)) expect((await watching(device)).first).toEqual([])
  })

  it('one app is possible with an identity key of that app, which may do nothing else', async () => {
    const device = world.newDevice({ payload: { statement: THIS_APP, domain: DOMAIN } })
    const { first } = await watching(device, DOMAIN)
    expect(first).toEqual([])
    expect(await viewIn(device.subscribe(world.app, [NEWS]))).toHaveLength(1)
    expect((await world.ask(device.subscribe(other, []))).rpc).toMatchObject({ kind: 'failure', code: -1 })
  })

  it('all apps is possible with a recap that names this server', async () => {
    const { encodeRecap } = await import('../../../src/protocol/recap.ts')
    const device = world.newDevice()
    const recap = encodeRecap({ att: { [PUBLIC_URL]: { 'manage/all-apps-notifications': [{}] } } })
    world.register(device, { statement: '', resources: [recap] })
    expect((await watching(device)).first).toEqual([])
  })
})

describe('notifications', () => {
  const notification = (title: string, more = {}) => ({
    type: NEWS,
    title,
    body: 'Body',
    icon: null,
    url: null,
    ...more,
  })
  const publish = (accounts: string[], title: string, more = {}) =>
    world.publishing.notify(world.project.id, [
      { domain: DOMAIN, notification: notification(title, more), accounts },
    ])
  const subscribed = async (device: Device) => {
    const [item] = await viewIn(device.subscribe(world.app, [NEWS]))
    return fromHex(item?.symKey ?? '')
  }
  const history = async (device: Device, key: Uint8Array, more: Record<string, unknown> = {}) =>
    (await world.ask(device.ask(4014, world.app, key, { lmt: 50, ...more }))).claims
  const messages = (key: Uint8Array) =>
    world.publishedOn(topicOf(key), 4002, key).map((each) => ({
      ...each,
      msg: claimsIn(each.rpc).msg as Record<string, unknown>,
    }))

  it.each([
    [{ tags: ['plain'] }, true],
    [{ priority: 'urgent' as const }, true],
    [{ priority: 'low' as const }, false],
    [{ silent: true }, false],
  ])('with %j wake closed devices: %s', async (extras, prompt) => {
    const device = world.newDevice()
    const key = await subscribed(device)
    await publish([device.account], 'One', { extras })
    await eventually(() => expect(messages(key)).toHaveLength(1))
    expect(messages(key)[0]).toMatchObject({ prompt, msg: { title: 'One', ...extras } })
  })

  it('wake nobody in the quiet hours of the account, unless they are urgent, and are there all the same', async () => {
    const device = world.newDevice()
    const key = await subscribed(device)
    const hours = (ahead: number) =>
      new Date(world.clock.now() + ahead * 3_600_000).toISOString().slice(11, 16)
    const quiet = { from: hours(-1), to: hours(1), timeZone: 'UTC' }
    const asked = await world.ask(device.ask(4008, world.app, key, { scp: NEWS, prf: { quiet } }))
    expect(asked.claims.sbs).toMatchObject([{ preferences: { quiet } }])
    await publish([device.account], 'Quiet')
    await publish([device.account], 'Urgent', { extras: { priority: 'urgent' } })
    await eventually(() => expect(messages(key)).toHaveLength(2))
    await world.hands.advance(2 * 3_600_000)
    await publish([device.account], 'Later')
    await eventually(() => expect(messages(key)).toHaveLength(3))
    expect(messages(key).map(({ msg, prompt }) => [msg.title, prompt])).toEqual([
      ['Quiet', false],
      ['Urgent', true],
      ['Later', true],
    ])
    expect((await history(device, key)).nfs).toHaveLength(3)
  })

  it('arrive signed by the app, with empty icon and url where there are none', async () => {
    const device = world.newDevice()
    const key = await subscribed(device)
    await publish([device.account], 'One')
    await publish([device.account], 'Two', { icon: 'https://i.example/i.png', url: 'https://u.example/' })
    await eventually(() => expect(messages(key)).toHaveLength(2))
    const [one, two] = messages(key)
    expect(one).toMatchObject({
      tag: 4002,
      ttl: 2_592_000,
      prompt: true,
      rpc: { method: 'wc_notifyMessage' },
    })
    expect(one && claimsIn(one.rpc)).toMatchObject({
      act: 'notify_message',
      iss: world.app.did,
      sub: didPkh(device.account),
      app: didWeb(DOMAIN),
      exp: Math.floor(world.clock.now() / 1000) + 2_592_000,
    })
    expect(one?.msg).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      sent_at: world.clock.now(),
      type: NEWS,
      title: 'One',
      body: 'Body',
      icon: '',
      url: '',
      is_read: false,
    })
    expect(two?.msg).toMatchObject({ icon: 'https://i.example/i.png', url: 'https://u.example/' })
    expect(one?.rpc.idText).toMatch(/^\d{16}$/)
    expect(two?.rpc.idText).not.toBe(one?.rpc.idText)
  })

  it('are in the history newest first, by pages, with null for what is missing', async () => {
    const device = world.newDevice()
    const key = await subscribed(device)
    for (let at = 1; at <= 7; at++) {
      await publish([device.account], `Title ${at}`)
      await world.hands.advance(1)
    }
    const titles = (page: Record<string, unknown>) =>
      (page.nfs as { title: string }[]).map(({ title }) => title)
    const first = await history(device, key, { lmt: 3 })
    expect(titles(first)).toEqual(['Title 7', 'Title 6', 'Title 5'])
    expect(first).toMatchObject({ act: 'notify_get_notifications_response', mre: true, mur: true })
    expect((first.nfs as unknown[])[0]).toEqual({
      id: expect.any(String),
      sent_at: expect.any(Number),
      type: NEWS,
      title: 'Title 7',
      body: 'Body',
      icon: null,
      url: null,
      is_read: false,
    })
    const [, , last] = first.nfs as { id: string }[]
    const second = await history(device, key, { lmt: 50, aft: last?.id })
    expect(titles(second)).toEqual(['Title 4', 'Title 3', 'Title 2', 'Title 1'])
    expect(second).toMatchObject({ mre: false, mur: false })
    await eventually(() => expect(messages(key)).toHaveLength(7))
    expect(
      messages(key)
        .map(({ msg }) => msg.id)
        .reverse(),
    ).toEqual([...(first.nfs as { id: string }[]), ...(second.nfs as { id: string }[])].map(({ id }) => id))
  })

  it('marked as read change the count, which watchers hear of only when it did', async () => {
    const owner = newOwner()
    const device = world.newDevice({ owner })
    const key = await subscribed(device)
    const { heard } = await watching(world.newDevice({ owner }))
    for (const title of ['A', 'B', 'C']) {
      await publish([device.account], title)
      await world.hands.advance(1)
    }
    const ids = ((await history(device, key)).nfs as { id: string }[]).map(({ id }) => id)
    const mark = async (claims: Record<string, unknown>) => {
      const { claims: said } = await world.ask(device.ask(4016, world.app, key, claims))
      expect(said).toMatchObject({ act: 'notify_mark_notifications_as_read_response', app: didWeb(DOMAIN) })
      await world.settled()
    }
    const counts = () => heard().map(({ claims }) => (claims.sbs as View[])[0]?.unreadNotificationCount)
    await mark({ all: false, ids: [ids[0], 'unknown'] })
    expect(counts()).toEqual([2])
    await mark({ all: false, ids: [ids[0]] })
    expect(counts()).toEqual([2])
    expect(
      ((await history(device, key, { urf: true })).nfs as { title: string }[]).map((n) => n.title),
    ).toEqual(['B', 'A', 'C'])
    await mark({ all: true })
    expect(counts()).toEqual([2, 0])
    const { nfs, mur } = await history(device, key)
    expect((nfs as { is_read: boolean }[]).every((item) => item.is_read)).toBe(true)
    expect(mur).toBe(false)
  })

  it('of one subscription are not pages of another', async () => {
    const [a, b] = [world.newDevice(), world.newDevice()]
    const [keyA, keyB] = [await subscribed(a), await subscribed(b)]
    await publish([a.account, b.account], 'Both')
    const [copy] = (await history(a, keyA)).nfs as { id: string }[]
    expect(((await history(b, keyB)).nfs as { id: string }[])[0]?.id).not.toBe(copy?.id)
    const sent = b.ask(4014, world.app, keyB, { lmt: 5, aft: copy?.id })
    expect((await world.ask(sent)).rpc).toMatchObject({
      kind: 'failure',
      code: -1,
      message: 'There is no such notification in this subscription',
    })
  })

  it('are not sent to who has left by the time of delivery', async () => {
    const device = world.newDevice()
    const key = await subscribed(device)
    world.loop.setConnected(false)
    await publish([device.account], 'Late')
    expect(await world.store.outboxSize()).toBeGreaterThan(0)
    await world.loop.deliver(device.ask(4004, world.app, key))
    world.loop.setConnected(true)
    await world.settled()
    expect(messages(key)).toEqual([])
    expect(toHex(key)).toBeTruthy()
  })
})
