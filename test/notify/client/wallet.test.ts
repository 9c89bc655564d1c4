import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fromHex } from '../../../src/protocol/bytes.ts'
import { didPkh, didWeb } from '../../../src/protocol/did.ts'
import { sealType0 } from '../../../src/protocol/envelope.ts'
import { rpcRequest } from '../../../src/protocol/jsonrpc.ts'
import { signJwt } from '../../../src/protocol/jwt.ts'
import { generateSigningKey } from '../../../src/protocol/keys.ts'
import type { WalletState } from '../../../src/sdk/wallet.ts'
import { eventually } from '../../support/eventually.ts'
import { startLine } from '../../support/world/relay-line.ts'
import { connect, startScripted } from '../../support/world/scripted-relay.ts'
import { type ClientWorld, startClientWorld } from '../../support/world/wallets.ts'

let world: ClientWorld
beforeAll(async () => {
  world = await startClientWorld()
})
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
})

const code = (expected: string) => expect.objectContaining({ name: 'ProtocolError', code: expected })

let apps = 0
/** An app of its own for each test. */
const newApp = async (names?: string[]) => {
  apps++
  const domain = `app${apps}.test`
  const types = await world.app(domain, names)
  const dapp = world.dapp(domain)
  const [type = ''] = types
  return {
    domain,
    types,
    type,
    dapp,
    send: (title: string, account: string) => dapp.notify({ type, title, body: 'body' }, [account]),
  }
}

describe('subscribing', () => {
  test('without a scope is for all types that the app declares', async () => {
    const { domain, types } = await newApp(['News', 'Alarms'])
    const owner = world.newOwner()
    const { wallet, signed } = world.device(owner)
    const subscription = await wallet.subscribe(domain)
    expect(subscription).toEqual({
      domain,
      account: owner.account,
      topic: expect.stringMatching(/^[0-9a-f]{64}$/),
      scope: types,
      expiresAt: expect.any(Number),
      unread: 0,
    })
    expect(wallet.subscriptions()).toEqual([subscription])
    expect(signed).toHaveLength(1)
    expect(signed[0]).toContain('ALL apps')
    expect(signed[0]).toContain(wallet.identityKey)
  })

  test('again keeps the topic and replaces the scope; update does too, and the other device sees it', async () => {
    const { domain, types } = await newApp(['News', 'Alarms'])
    const owner = world.newOwner()
    const [phone, laptop] = [world.device(owner), world.device(owner)]
    await laptop.wallet.watch()
    const first = await phone.wallet.subscribe(domain, types.slice(0, 1))
    const second = await phone.wallet.subscribe(domain, [])
    expect(second).toEqual({ ...first, scope: [], expiresAt: expect.any(Number) })
    const third = await phone.wallet.update(domain, types)
    expect(third.scope).toEqual(types)
    await eventually(() => expect(laptop.wallet.subscriptions()).toEqual([third]))
  })

  test('to what is no app, or to none at all, is an error', async () => {
    const { wallet } = world.device(world.newOwner())
    await expect(wallet.subscribe('nobody.test')).rejects.toEqual(code('unknown_app'))
    await expect(wallet.update('nobody.test', [])).rejects.toEqual(code('not_subscribed'))
    await expect(wallet.delete('nobody.test')).rejects.toEqual(code('not_subscribed'))
  })

  test('after a delete gives another topic, and the old one is silent', async () => {
    const { domain, dapp, send } = await newApp()
    const owner = world.newOwner()
    const { wallet, received } = world.device(owner)
    const first = await wallet.subscribe(domain)
    await wallet.delete(domain)
    expect(wallet.subscriptions()).toEqual([])
    expect(await send('nobody', owner.account)).toMatchObject({
      sent: [],
      failed: [],
      notFound: [owner.account],
    })
    const second = await wallet.subscribe(domain)
    expect(second.topic).not.toBe(first.topic)
    await send('again', owner.account)
    await eventually(() => expect(received.map(({ title }) => title)).toEqual(['again']))
    expect(await dapp.subscribers()).toEqual([owner.account])
  })
})

describe('a key for one app', () => {
  test('sees and changes that app only', async () => {
    const [own, other] = [await newApp(), await newApp()]
    const owner = world.newOwner()
    const everything = world.device(owner)
    await everything.wallet.subscribe(other.domain)
    const { wallet, signed } = world.device(owner, { domain: own.domain, allApps: false })
    expect(await wallet.watch()).toEqual([])
    expect(signed[0]).toContain('authorize this app to send me notifications')
    await expect(wallet.subscribe(other.domain)).rejects.toEqual(code('app_not_authorized'))
    await wallet.subscribe(own.domain)
    expect(wallet.subscriptions().map(({ domain }) => domain)).toEqual([own.domain])
  })
})

describe('notifications', () => {
  test('reach every device, whole', async () => {
    const { domain, type, dapp } = await newApp()
    const owner = world.newOwner()
    const [phone, laptop] = [world.device(owner), world.device(owner)]
    await laptop.wallet.watch()
    await phone.wallet.subscribe(domain)
    await eventually(() => expect(laptop.wallet.subscriptions()).toHaveLength(1))
    const notification = {
      type,
      title: 'Ünïcode',
      body: '🔔',
      icon: 'https://a.test/i.png',
      url: 'https://a.test/',
    }
    await dapp.notify(notification, [owner.account])
    for (const { received } of [phone, laptop]) {
      await eventually(() => expect(received).toHaveLength(1))
      expect(received[0]).toMatchObject({
        type,
        title: 'Ünïcode',
        body: '🔔',
        icon: notification.icon,
        isRead: false,
      })
    }
    expect(phone.received[0]?.id).toBe(laptop.received[0]?.id)
    await eventually(() => expect(phone.wallet.subscriptions()[0]?.unread).toBe(1))
  })

  test('may be answered by the listener that receives them, on the same topic', async () => {
    const { domain, send } = await newApp()
    const owner = world.newOwner()
    const { wallet } = world.device(owner)
    const read: string[] = []
    wallet.on('message', async ({ domain, notification: { id, title } }) => {
      await wallet.markRead(domain, [id])
      const { notifications } = await wallet.history(domain)
      read.push(notifications.find((one) => one.id === id)?.isRead ? title : 'unread')
    })
    await wallet.subscribe(domain)
    await send('one', owner.account)
    await send('two', owner.account)
    await eventually(() => expect(read).toEqual(['one', 'two']))
  })

  test('have a history, by pages, and are marked as read on every device', async () => {
    const { domain, send } = await newApp()
    const owner = world.newOwner()
    const [phone, laptop] = [world.device(owner), world.device(owner)]
    await Promise.all([phone.wallet.watch(), laptop.wallet.watch()])
    await phone.wallet.subscribe(domain)
    for (const title of ['1', '2', '3', '4', '5']) await send(title, owner.account)
    await eventually(() => expect(phone.titles()).toEqual(['1', '2', '3', '4', '5']))

    const first = await phone.wallet.history(domain, { limit: 2 })
    expect(first).toMatchObject({ hasMore: true, hasMoreUnread: true })
    expect(first.notifications.map(({ title }) => title)).toEqual(['5', '4'])
    expect(first.notifications).toEqual(phone.received.slice(3).reverse())
    const [, four] = first.notifications
    const second = await phone.wallet.history(domain, { limit: 3, after: four?.id ?? '' })
    expect(second).toMatchObject({ hasMore: false, hasMoreUnread: false })
    expect(second.notifications.map(({ title }) => title)).toEqual(['3', '2', '1'])

    await phone.wallet.markRead(domain, [four?.id ?? ''])
    expect(phone.wallet.subscriptions()[0]?.unread).toBe(4)
    await eventually(() => expect(laptop.wallet.subscriptions()[0]?.unread).toBe(4))
    const unreadFirst = await laptop.wallet.history(domain, { unreadFirst: true })
    expect(unreadFirst.notifications.map(({ title }) => title)).toEqual(['5', '3', '2', '1', '4'])
    await laptop.wallet.markRead(domain, 'all')
    await eventually(() => expect(phone.wallet.subscriptions()[0]?.unread).toBe(0))

    const wrong = phone.wallet.history(domain, { after: crypto.randomUUID() })
    await expect(wrong).rejects.toEqual(code('unknown_notification'))
    await expect(phone.wallet.history(domain, { limit: 51 })).rejects.toEqual(code('bad_params'))
    await expect(phone.wallet.markRead(domain, [])).rejects.toEqual(code('bad_params'))
  })

  test('that the app did not sign as they are, are not handed over', async () => {
    const { domain, send } = await newApp()
    const owner = world.newOwner()
    const { wallet, titles, warnings } = world.device(owner)
    const { topic } = await wallet.subscribe(domain)
    const { symKey = '', appAuthenticationKey } = wallet.export().subscriptions[0] ?? {}
    const stranger = generateSigningKey()
    const now = Math.floor(Date.now() / 1000)
    const msg = {
      id: crypto.randomUUID(),
      sent_at: Date.now(),
      type: 'x',
      title: 'forged',
      body: '',
      icon: '',
      url: '',
    }
    const claims = {
      iss: stranger.did,
      iat: now,
      exp: now + 300,
      act: 'notify_message',
      sub: didPkh(owner.account),
      app: didWeb(domain),
      msg,
    }
    const genuineLooking = signJwt({ ...claims, iss: appAuthenticationKey ?? '' }, stranger)
    await using forger = connect(world.url)
    const forgeries = [
      signJwt(claims, stranger),
      genuineLooking,
      genuineLooking.replace(/\.[^.]+$/, '.'),
      'no jwt',
    ].map((messageAuth, id) => rpcRequest(id + 1, 'wc_notifyMessage', { messageAuth }))
    for (const plaintext of [...forgeries, rpcRequest(9, 'wc_notifyMessage', {}), 'no json', '[]']) {
      const message = sealType0({ key: fromHex(symKey), plaintext })
      await forger.publish({ topic, message, tag: 4002, ttl: 300 })
    }
    await forger.publish({ topic, message: 'AAAA', tag: 4002, ttl: 300 })
    await send('genuine', owner.account)
    await eventually(() => expect(titles()).toEqual(['genuine']))
    expect(warnings).toHaveLength(8)
  })
})

describe('a device that restarts', () => {
  test('asks for no signature, receives what waited, and nothing twice', async () => {
    const { domain, send } = await newApp()
    const owner = world.newOwner()
    let saved: WalletState | undefined
    const save = (state: WalletState) => {
      saved = JSON.parse(JSON.stringify(state))
    }
    const before = world.device(owner, { save })
    await before.wallet.watch()
    const subscription = await before.wallet.subscribe(domain)
    await send('first', owner.account)
    await eventually(() => expect(saved?.seen).toHaveLength(1))
    await before.wallet[Symbol.asyncDispose]()
    await expect(before.wallet.watch()).rejects.toEqual(code('closed'))

    await send('second', owner.account)
    const after = world.device(owner, { state: saved })
    expect(after.wallet.identityKey).toBe(before.wallet.identityKey)
    expect(after.wallet.subscriptions()).toEqual([{ ...subscription, unread: 1 }])
    await eventually(() => expect(after.titles()).toEqual(['second']))
    await after.wallet.watch()
    expect(after.titles()).toEqual(['second'])
    expect(after.signed).toEqual([])
  })

  test('with the state of another account, or none, is an error', () => {
    const state = world.device(world.newOwner()).wallet.export()
    expect(() => world.device(world.newOwner(), { state })).toThrow(code('account_mismatch'))
    expect(() => world.device(world.newOwner(), { state: {} })).toThrow(code('bad_params'))
  })

  test('gets again what its listener failed on', async () => {
    const { domain, send } = await newApp()
    const owner = world.newOwner()
    const before = world.device(owner)
    await before.wallet.subscribe(domain)
    let failed = 0
    before.wallet.on('message', () => {
      failed++
      throw new Error('the disk is full')
    })
    await send('precious', owner.account)
    await eventually(() => expect(failed).toBe(1))
    const state = before.wallet.export()
    await before.wallet[Symbol.asyncDispose]()
    const after = world.device(owner, { state })
    await eventually(() => expect(after.titles()).toEqual(['precious']))
  })
})

describe('the identity key', () => {
  test('is registered once for many requests at the same time, and again when the owner declined at first', async () => {
    const { domain } = await newApp()
    const owner = world.newOwner()
    let asked = 0
    const { wallet } = world.device(owner, {
      sign: async (text) => {
        asked++
        if (asked === 1) throw new Error('declined')
        return owner.sign(text)
      },
    })
    await expect(wallet.watch()).rejects.toThrow('declined')
    await Promise.all([wallet.watch(), wallet.subscribe(domain), wallet.register()])
    expect(asked).toBe(2)
  })

  test('of a wrong signature is not registered', async () => {
    const stranger = world.newOwner()
    const { wallet } = world.device(world.newOwner(), { sign: async (text) => stranger.sign(text) })
    await expect(wallet.register()).rejects.toEqual(code('identity_invalid'))
  })

  test('that was taken back no longer works; the next one does', async () => {
    const { domain } = await newApp()
    const owner = world.newOwner()
    const { wallet, signed } = world.device(owner)
    await wallet.subscribe(domain)
    const taken = wallet.identityKey
    const state = wallet.export()
    await wallet.unregister()
    expect(wallet.subscriptions()).toEqual([])
    expect(wallet.identityKey).not.toBe(taken)
    // With a connection of its own: of two that are one client of the relay, either may get an answer.
    const thief = world.device(owner, { state: { ...state, clientSeed: '11'.repeat(32) } })
    await expect(thief.wallet.delete(domain)).rejects.toEqual(code('identity_unknown'))
    expect((await wallet.watch()).map((subscription) => subscription.domain)).toEqual([domain])
    expect(signed).toHaveLength(2)
  })
})

test('a delete is answered, also where a view of the account without the app comes before the answer', async () => {
  const { domain } = await newApp()
  await using line = await startLine(world.url)
  const { wallet } = world.device(world.newOwner(), { relayUrl: line.url, requestTimeout: 5_000 })
  await wallet.watch()
  const { topic } = await wallet.subscribe(domain)
  const letGo = line.keepBack(4005)
  const deleted = wallet.delete(domain)
  await eventually(() => expect(wallet.subscriptions()).toEqual([]))
  expect(line.left).not.toContain(topic)
  letGo()
  await deleted
  await eventually(() => expect(line.left).toContain(topic))
})

test('a request that nobody answers is given up', async () => {
  const { domain } = await newApp()
  await using relay = await startScripted()
  const { wallet } = world.device(world.newOwner(), { relayUrl: relay.url, requestTimeout: 200 })
  await expect(wallet.watch()).rejects.toEqual(code('unavailable'))
  await expect(wallet.subscribe(domain)).rejects.toEqual(code('unavailable'))
  const { wallet: lonely } = world.device(world.newOwner(), {
    relayUrl: 'ws://127.0.0.1:9',
    requestTimeout: 200,
  })
  await expect(lonely.watch()).rejects.toEqual(code('unavailable'))
})

test('wallets come back by themselves after the server was away', async () => {
  const { domain, send } = await newApp()
  const owner = world.newOwner()
  const { wallet, titles } = world.device(owner)
  const connections: boolean[] = []
  wallet.on('connected', () => void connections.push(true))
  wallet.on('disconnected', () => void connections.push(false))
  await wallet.watch()
  await wallet.subscribe(domain)
  await world.restart(() => eventually(() => expect(wallet.connected).toBe(false)))
  await send('after', owner.account)
  await eventually(() => expect(titles()).toEqual(['after']))
  expect(connections).toEqual([true, false, true])
  await wallet.delete(domain)
})
