import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { newOwner, type Owner } from '../support/owner.ts'
import { crowd } from '../support/runs.ts'
import { type System, startSystem } from '../support/world/system.ts'
import { type Peer, startPeer } from './peer.ts'

/** The wallets of one office: published notify-clients behind one address, with the limits that are the default. */

const WALLETS = crowd(20, 12)
/** Processes that start at the same time: each loads a whole client. */
const AT_ONCE = 4

let system: System
beforeAll(async () => {
  system = await startSystem()
})
afterAll(() => system[Symbol.asyncDispose]())

it('many published wallets behind one address watch, subscribe and receive', async () => {
  const domain = `office-${randomUUID().slice(0, 8)}.example`
  const app = await system.enrol(domain, ['News'])
  const type = app.types.News ?? ''
  await using owned = createReleaseStack()
  const wallets: { device: Peer; owner: Owner }[] = []

  const join = async (index: number) => {
    const device = owned.use(
      await startPeer('notify', { routes: { [domain]: system.url, ...system.fixedNames } }),
    )
    await device.call('init', {
      relayUrl: system.relayUrl(index),
      projectId: system.projectId,
      keyserverUrl: system.url,
    })
    const owner = newOwner()
    const text = await device.call<string>('prepare', { account: owner.account, domain, allApps: true })
    await device.call('register', owner.sign(text))
    await device.next('changed')
    expect(await device.call('subscribe', { account: owner.account, appDomain: domain })).toBe(true)
    wallets.push({ device, owner })
  }
  for (let at = 0; at < WALLETS; at += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, more) => join(at + more)))
  }

  const outcome = await app.notify({
    notification: { type, title: 'Lunch', body: 'For all of the office' },
    accounts: wallets.map(({ owner }) => owner.account),
  })
  expect(outcome).toMatchObject({ failed: [], not_found: [] })
  await Promise.all(
    wallets.map(async ({ device }) => {
      const { message } = await device.next<{ message: { title: string } }>('notify_message')
      expect(message.title).toBe('Lunch')
    }),
  )
}, 180_000)
