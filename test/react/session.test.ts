/** A page's wallet without React: when it is opened, whose it is, and what is shown of one that cannot be opened. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createSession } from '../../packages/react/src/session.ts'
import { eventually } from '../support/eventually.ts'
import { type ClientWorld, startClientWorld } from '../support/world/wallets.ts'

let world: ClientWorld
beforeAll(async () => {
  world = await startClientWorld()
})
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
})

test('one that is left before it began opens no wallet; one that is left meanwhile closes it', async () => {
  const session = createSession()
  let opened = 0
  const opening = async () => {
    opened++
    return world.device(world.newOwner()).wallet
  }
  // As StrictMode does it.
  session.open(opening)()
  const leave = session.open(opening)
  expect(session.snapshot().status).toBe('opening')
  await eventually(() => expect(session.snapshot()).toMatchObject({ status: 'open', isConnected: true }))
  expect(opened).toBe(1)
  const { wallet } = session.snapshot()
  leave()
  expect(session.snapshot()).toMatchObject({ status: 'none', wallet: undefined })
  await eventually(() => expect(wallet?.connected).toBe(false))

  const late = world.device(world.newOwner()).wallet
  let hand = (_: typeof late) => {}
  const leaveEarly = session.open(() => new Promise<typeof late>((resolve) => (hand = resolve)))
  await eventually(() => expect(session.snapshot().status).toBe('opening'))
  // The opening began, and is not over.
  await Promise.resolve()
  leaveEarly()
  hand(late)
  await eventually(() => expect(late.watch()).rejects.toMatchObject({ code: 'closed' }))
  expect(session.snapshot().status).toBe('none')
})

test('a wallet of the application is followed, and left open', async () => {
  const domain = 'own.test'
  const [type = ''] = await world.app(domain)
  const owner = world.newOwner()
  const { wallet } = world.device(owner)
  await wallet.subscribe(domain)
  const session = createSession()
  let told = 0
  session.subscribe(() => told++)
  const leave = session.follow(wallet)
  expect(session.snapshot()).toMatchObject({ status: 'open', wallet, isEnabled: true })
  await world.dapp(domain).notify({ type, title: 'Hello', body: 'there' }, [owner.account])
  await eventually(() => expect(session.snapshot().unread).toBe(1))
  expect(session.snapshot()).toBe(session.snapshot())
  leave()
  const before = told
  await wallet.markRead(domain, 'all')
  expect(told).toBe(before)
  expect(session.snapshot().status).toBe('none')
})

test('what cannot be opened says why, and the next one is opened all the same', async () => {
  const session = createSession()
  const leave = session.open(async () => {
    throw new Error('the state is of another account')
  })
  await eventually(() =>
    expect(session.snapshot()).toMatchObject({
      status: 'failed',
      error: new Error('the state is of another account'),
    }),
  )
  leave()
  await expect(session.enable()).rejects.toThrow('no wallet yet')
  const close = session.open(async () => world.device(world.newOwner()).wallet)
  await eventually(() => expect(session.snapshot().status).toBe('open'))
  await session.enable()
  expect(session.snapshot().isEnabled).toBe(true)
  close()
})
