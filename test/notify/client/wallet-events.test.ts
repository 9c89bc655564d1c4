/** What a wallet tells by itself, how it is closed, and what it knows of apps. */
import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as z from 'zod'
import type { WalletEvents, WalletFailure } from '../../../src/sdk/wallet.ts'
import { eventually } from '../../support/eventually.ts'
import { startLine } from '../../support/world/relay-line.ts'
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
  const domain = `events${++apps}.test`
  const types = await world.app(domain, names)
  const dapp = world.dapp(domain)
  const [type = ''] = types
  return {
    ...{ domain, types, type, dapp },
    send: (title: string, account: string) => dapp.notify({ type, title, body: 'body' }, [account]),
  }
}

/** Resolves in a later second than it was called in: times in tokens are whole seconds. */
const nextSecond = () => {
  const now = Math.floor(Date.now() / 1000)
  return eventually(() => expect(Math.floor(Date.now() / 1000)).toBeGreaterThan(now))
}

describe('what is unread', () => {
  test('is told of by app and in total, whoever reads it', async () => {
    const [one, other] = [await newApp(), await newApp()]
    const owner = world.newOwner()
    const [phone, laptop] = [world.device(owner), world.device(owner)]
    await Promise.all([phone.wallet.watch(), laptop.wallet.watch()])
    await phone.wallet.subscribe(one.domain)
    await phone.wallet.subscribe(other.domain)
    await eventually(() => expect(laptop.wallet.subscriptions()).toHaveLength(2))
    const told: WalletEvents['unread'][] = []
    laptop.wallet.on('unread', (changed) => void told.push(changed))
    await one.send('1', owner.account)
    await eventually(() => expect(told).toEqual([{ domain: one.domain, count: 1, total: 1 }]))
    await other.send('2', owner.account)
    await eventually(() => expect(told[1]).toEqual({ domain: other.domain, count: 1, total: 2 }))
    await eventually(() => expect(phone.wallet.unread()).toBe(2))
    await phone.wallet.markRead(one.domain, 'all')
    await eventually(() => expect(told.at(-1)).toEqual({ domain: one.domain, count: 0, total: 1 }))
    expect([laptop.wallet.unread(), laptop.wallet.unread(other.domain)]).toEqual([1, 1])
    await laptop.wallet.markRead(other.domain, 'all')
    expect(told.at(-1)).toEqual({ domain: other.domain, count: 0, total: 0 })
    expect(laptop.wallet.unread('nobody.test')).toBe(0)
  })

  test('is counted once, where it waited on the relay while the account was read', async () => {
    const { domain, send } = await newApp()
    const owner = world.newOwner()
    await using line = await startLine(world.url)
    const { wallet, titles } = world.device(owner, { relayUrl: line.url })
    await wallet.subscribe(domain)
    const letGo = line.keepBack(4002)
    for (const title of ['1', '2', '3']) await send(title, owner.account)
    await nextSecond()
    expect((await wallet.watch())[0]?.unread).toBe(3)
    letGo()
    await eventually(() => expect(titles()).toEqual(['1', '2', '3']))
    expect(wallet.unread()).toBe(3)
    await nextSecond()
    await nextSecond()
    await send('4', owner.account)
    await eventually(() => expect(wallet.unread()).toBe(4))
  })

  test('is counted anew, where nobody can tell whether the server had counted it', async () => {
    const { domain, send } = await newApp()
    const owner = world.newOwner()
    await using line = await startLine(world.url)
    const { wallet, titles } = world.device(owner, { relayUrl: line.url })
    await wallet.watch()
    await nextSecond()
    const letGo = line.keepBack(4002)
    await send('nobody is subscribed', owner.account)
    await wallet.subscribe(domain)
    await send('1', owner.account)
    // Within the second of the view that counts it.
    const { unread } = await wallet.update(domain, [...(wallet.subscriptions()[0]?.scope ?? [])])
    expect(unread).toBe(1)
    letGo()
    await eventually(() => expect(titles()).toEqual(['1']))
    // Once a minute at most the account is read again for it: `watch` was a moment ago.
    await wallet.watch()
    expect(wallet.unread()).toBe(1)
  })

  test('is nothing, where the listener marks as read what it is handed', async () => {
    const { domain, send } = await newApp()
    const owner = world.newOwner()
    const { wallet, titles } = world.device(owner)
    wallet.on('message', ({ notification: { id } }) => wallet.markRead(domain, [id]))
    await wallet.subscribe(domain)
    await send('1', owner.account)
    await send('2', owner.account)
    await eventually(() => expect(titles()).toEqual(['1', '2']))
    await eventually(() => expect(wallet.unread()).toBe(0))
  })
})

describe('an error in the background is told of', () => {
  const failuresOf = (wallet: ReturnType<ClientWorld['device']>['wallet']) => {
    const failures: WalletFailure[] = []
    wallet.on('error', (failure) => void failures.push(failure))
    return failures
  }

  test('when a listener rejects, and the message is counted once all the same', async () => {
    const { domain, send } = await newApp()
    const owner = world.newOwner()
    const { wallet } = world.device(owner)
    const failures = failuresOf(wallet)
    wallet.on('error', () => {
      throw new Error('a listener of errors may fail, too')
    })
    wallet.on('message', () => {
      throw new Error('the screen is full')
    })
    await wallet.subscribe(domain)
    await send('1', owner.account)
    await eventually(() => expect(failures).toHaveLength(1))
    expect(failures[0]).toEqual({ during: 'listener', error: new Error('the screen is full') })
    expect(wallet.unread()).toBe(0)
  })

  test('when the state cannot be saved, and the relay keeps the message', async () => {
    const { domain, send } = await newApp()
    const owner = world.newOwner()
    let isFull = false
    const save = () => {
      if (isFull) throw new Error('the disk is full')
    }
    const { wallet, titles } = world.device(owner, { save })
    const failures = failuresOf(wallet)
    await wallet.subscribe(domain)
    isFull = true
    await send('1', owner.account)
    await eventually(() => expect(failures).toHaveLength(1))
    expect(failures[0]).toEqual({ during: 'save', error: new Error('the disk is full') })
    expect(titles()).toEqual(['1'])
  })

  test('when the relay refuses this device', async () => {
    const server = createServer().on('upgrade', (_, socket) => socket.end('HTTP/1.1 401 No\r\n\r\n'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = z.object({ port: z.number() }).parse(server.address())
    const { wallet } = world.device(world.newOwner(), { relayUrl: `ws://127.0.0.1:${port}` })
    const failures = failuresOf(wallet)
    await eventually(() => expect(failures).toEqual([{ during: 'connect', error: code('unauthenticated') }]))
    server.close()
  })
})

describe('closing', () => {
  test('ends what waits and everything later with a code of its own, and the events of the connection', async () => {
    const { domain } = await newApp()
    const owner = world.newOwner()
    await using line = await startLine(world.url)
    const { wallet } = world.device(owner, { relayUrl: line.url })
    const events: string[] = []
    wallet.on('connected', () => void events.push('connected'))
    wallet.on('disconnected', () => void events.push('disconnected'))
    const failures: WalletFailure[] = []
    wallet.on('error', (failure) => void failures.push(failure))
    await wallet.subscribe(domain)
    line.keepBack(4015)
    const waiting = wallet.history(domain)
    const [ended] = await Promise.all([waiting.catch((error: unknown) => error), wallet.close()])
    expect(ended).toEqual(code('closed'))
    for (const call of [wallet.watch, wallet.apps, wallet.ready, () => wallet.subscribe(domain)]) {
      await expect(call()).rejects.toEqual(code('closed'))
    }
    await wallet.close()
    expect(wallet.connected).toBe(false)
    expect(events).toEqual(['connected', 'disconnected'])
    expect(failures).toEqual([])
    expect(wallet.subscriptions()).toHaveLength(1)
  })

  test('while the owner is asked does not wait for them', async () => {
    const { wallet } = world.device(world.newOwner(), { sign: () => new Promise(() => {}) })
    const asking = wallet.register()
    await Promise.all([expect(asking).rejects.toEqual(code('closed')), wallet.close()])
  })
})

describe('apps', () => {
  test('that are listed come by pages, and others do not', async () => {
    const owner = world.newOwner()
    const { wallet } = world.device(owner)
    const listed: string[] = []
    for (const name of ['b', 'a', 'c']) {
      const { domain, dapp } = await newApp()
      listed.push(domain)
      const icons = { sm: 'https://a.test/s.png' }
      await dapp.describe(domain, { name: `The ${name}`, description: 'What it is', listed: true, icons })
    }
    const hidden = await newApp()
    const first = await wallet.apps({ limit: 2 })
    expect(first).toMatchObject({ total: 3, hasMore: true })
    const second = await wallet.apps({ limit: 2, page: 2 })
    expect(second).toMatchObject({ total: 3, hasMore: false })
    const all = [...first.apps, ...second.apps]
    expect(all.map(({ domain }) => domain)).toEqual(listed.toSorted())
    expect(all.map(({ domain }) => domain)).not.toContain(hidden.domain)
    expect(all.find(({ domain }) => domain === listed[0])).toEqual({
      domain: listed[0],
      name: 'The b',
      description: 'What it is',
      url: `https://${listed[0]}`,
      icons: { sm: 'https://a.test/s.png' },
    })
  })

  test('have types, of which an account wants some', async () => {
    const { domain, types } = await newApp(['News', 'Alarms'])
    const { wallet } = world.device(world.newOwner())
    const wanted = async () => (await wallet.typesOf(domain)).filter((one) => one.isWanted)
    expect((await wallet.typesOf(domain)).map(({ id, name }) => [id, name])).toEqual([
      [types[0], 'News'],
      [types[1], 'Alarms'],
    ])
    expect(await wanted()).toEqual([])
    await wallet.subscribe(domain, types.slice(1))
    expect(await wanted()).toEqual([
      { id: types[1], name: 'Alarms', description: '', icons: {}, isWanted: true },
    ])
    await expect(wallet.typesOf('nobody.test')).rejects.toEqual(code('unknown_app'))
  })
})

test('the history says which answer the account gave', async () => {
  const { domain, type, dapp } = await newApp()
  const owner = world.newOwner()
  const [phone, laptop] = [world.device(owner), world.device(owner)]
  await laptop.wallet.watch()
  await phone.wallet.subscribe(domain)
  await eventually(() => expect(laptop.wallet.subscriptions()).toHaveLength(1))
  const actions = [
    { id: 'yes', title: 'Yes', answer: true },
    { id: 'no', title: 'No', answer: true },
  ] as const
  for (const title of ['asks', 'asks again', 'tells']) {
    const extras = title === 'tells' ? {} : { actions }
    await dapp.notify({ type, title, body: 'body', ...extras }, [owner.account])
  }
  await eventually(() => expect(phone.received).toHaveLength(3))
  const [asks] = phone.received
  await phone.wallet.answer(domain, asks?.id ?? '', 'no')
  const { notifications } = await laptop.wallet.history(domain)
  expect(notifications.map(({ title, answered }) => [title, answered])).toEqual([
    ['tells', undefined],
    ['asks again', undefined],
    ['asks', 'no'],
  ])
})
