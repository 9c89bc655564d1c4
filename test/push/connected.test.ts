/** What is held for a client that is connected and does not acknowledge. */
import { expect, it } from 'vitest'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { silent } from '../../src/platform/telemetry.ts'
import { createConnected } from '../../src/push/delivery/connected.ts'
import { createKnownClients } from '../../src/push/delivery/known-clients.ts'
import type { PaidMessage } from '../../src/push/delivery/payment.ts'
import { client, MINUTE, topic } from '../contract/relay-samples.ts'
import { manualClock } from '../support/clock.ts'
import { eventually } from '../support/eventually.ts'
import { lmdb } from '../support/stores.ts'

const WALLET = client('wallet')
const OF = topic('of the wallet')
/** More than are held for one client. */
const FLOOD = 100

/** The client is connected, and `hold` holds a message for it. */
const scene = async (owned: ReturnType<typeof createReleaseStack>) => {
  const { push: store } = owned.use(await lmdb.open())
  const clock = manualClock()
  const now = clock.now()
  await store.register(
    WALLET,
    {
      ...{ id: 'd', projectId: 'p', address: { provider: 'fcm', token: 'x' }, form: 'together' },
      ...{ isLegacy: false, isProven: true, expiresAt: now + 100 * MINUTE },
    },
    { now, devices: 8 },
  )
  const known = owned.use(createKnownClients({ store, clock }))
  const pushed: PaidMessage[] = []
  const connected = owned.use(
    createConnected({
      ...{ store, known, clock, log: silent, newProcessId: () => 'here' },
      push: async (_, messages) => void pushed.push(...messages),
    }),
  )
  connected.connected(WALLET)
  const hold = (id: string, tag: number, rank: number): boolean => {
    const message = { topic: OF, id, tag, rank, at: now, expiresAt: now + MINUTE }
    return connected.hold(WALLET, { message, address: '' }, now)
  }
  await eventually(() => expect(hold('request', 1108, 3)).toBe(true))
  return { store, clock, connected, hold, ids: () => pushed.map(({ message }) => message.id) }
}

it('is not a flood in place of the request that came before it', async () => {
  await using owned = createReleaseStack()
  const { clock, hold, ids } = await scene(owned)
  for (let at = 0; at < FLOOD; at++) expect(hold(`note ${at}`, 4002, 2)).toBe(true)
  await clock.advance(1_000)
  await eventually(() => expect(ids().length).toBeGreaterThan(0))
  expect(ids()).toContain('request')
  expect(ids()).toContain(`note ${FLOOD - 1}`)
  expect(ids().length).toBeLessThan(FLOOD)
})

it('is pushed when the client leaves before its time is over, but for what it acknowledged', async () => {
  await using owned = createReleaseStack()
  const { store, connected, hold, ids } = await scene(owned)
  hold('read', 4002, 2)
  connected.acknowledged(WALLET, OF, 'read')
  connected.disconnected(WALLET)
  await eventually(async () => expect(await store.connections([WALLET])).toEqual([]))
  expect(ids()).toEqual(['request'])
})

it('is held as long as one of two connections is there', async () => {
  await using owned = createReleaseStack()
  const { store, connected, hold, ids } = await scene(owned)
  connected.connected(WALLET)
  connected.disconnected(WALLET)
  expect(hold('note', 4002, 2)).toBe(true)
  for (const id of ['request', 'note']) connected.acknowledged(WALLET, OF, id)
  connected.disconnected(WALLET)
  await eventually(async () => expect(await store.connections([WALLET])).toEqual([]))
  expect(ids()).toEqual([])
})
